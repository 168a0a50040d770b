package org.ferrule;

/**
 * What went wrong in Ferrule. The message says what, where, with which shapes and types, and
 * what to do about it; it is the same as in Python and C++.
 */
public final class FerruleException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;

  /**
   * @param status the status code of the C ABI ({@code fer_status} in ferrule.h)
   * @param message the text of the C ABI for it
   */
  public FerruleException(int status, String message) {
    super(message);
    this.status = status;
  }

  /** The status code of the C ABI, never that of success. */
  public int status() {
    return status;
  }
}
