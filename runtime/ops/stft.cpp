// Transforms of a signal frame by frame, and back: windows of the signal are
// transformed, and what comes back is added up where frames overlap.
#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"
#include "runtime/ops/fft_parts.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// What stft and istft have in common: arguments 1 to 4.
struct Frames {
  Int n, hop,
      length;     // numbers of a transform, from frame to frame, of a window
  Tensor window;  // n numbers, null where all are 1

  explicit Frames(const OpCall& c) : n(c.sym(1)) {
    hop = c.has(2) ? c.sym(2) : n / 4;
    length = c.has(3) ? c.sym(3) : n;
    if (n.value < 1)
      c.fail<ValueError>("n_fft must be 1 or more, got ", n.value);
    if (hop.value < 1) {
      c.fail<ValueError>("hop_length must be 1 or more, got ", hop.value,
                         c.has(2) ? "" : " (n_fft // 4); name it");
    }
    if (length.value < 1 || length.value > n.value) {
      c.fail<ValueError>("win_length must lie in 1..n_fft = ", n.value,
                         ", got ", length.value);
    }
    if (!c.is_tensor(4)) {
      if (length.value < n.value) {
        window = placed(op::ones(IntList{length}, to_real(dtype_of(c)),
                                 device_of(c.tensor(0))));
      }
      return;
    }
    const TensorImpl& given = c.in(4);
    if (given.ndim != 1 || given.shape[0] != length.value) {
      c.fail<ShapeError>("window must have shape (", length.value,
                         ",), the win_length, got ", given.sizes());
    }
    if (!is_differentiable(given.dtype)) {
      c.fail<DTypeError>("window must be floating-point or complex, got ",
                         given.dtype, "; convert it with .float()");
    }
    window = placed(c.tensor(4));
  }

  static DType dtype_of(const OpCall& c) { return c.in(0).dtype; }

  bool complex_window() const { return window && is_complex(window.dtype()); }

  // In the middle of n numbers.
  Tensor placed(const Tensor& w) const {
    if (length.value == n.value) return w;
    const Int before = (n - length) / 2;
    return op::pad(w, IntList{before, n - length - before});
  }
  Tensor weighed(const Tensor& frames) const {
    return window ? op::mul(frames, window) : frames;
  }
  // By how much frames reach over both ends of a signal they are centred on.
  Int margin() const { return n / 2; }
};

const char* scale_of(bool normalized, bool forward) {
  return normalized ? "1/sqrt n" : forward ? "1" : "1/n";
}

// A batch of one.
Tensor in_batch(const Tensor& x, bool alone) {
  return alone ? op::unsqueeze(x, 0) : x;
}
Tensor out_of_batch(const Tensor& x, bool alone) {
  return alone ? op::squeeze(x, IntList{0}) : x;
}

Results decompose_stft(OpCall& c) {
  const TensorImpl& given = c.in(0);
  if (given.ndim != 1 && given.ndim != 2) {
    c.fail<ShapeError>("input must have shape (L,) or (B, L), got ",
                       given.sizes());
  }
  if (!is_differentiable(given.dtype)) {
    c.fail<DTypeError>("input must be floating-point or complex, got ",
                       given.dtype, "; convert it with .float()");
  }
  Tensor x = fft_operand(c);
  const Frames frames(c);
  const bool center = c.b(5), real = !is_complex(x.dtype());
  const bool all_real = real && !frames.complex_window();
  const bool onesided = c.has(8) ? c.b(8) : all_real;
  if (onesided && !all_real) {
    c.fail<ValueError>("onesided = True leaves out conjugates, which there are "
                       "for a real input and window only");
  }
  if (!c.has(9) && real) {
    c.fail<ValueError>("return_complex must be given for a real input: True "
                       "(False gives pairs of parts)");
  }
  const bool align = c.has(10) && c.b(10);
  if (center && c.has(10)) {
    c.fail<ValueError>("align_to_window goes with center = False only");
  }
  const bool alone = given.ndim == 1;
  x = in_batch(x, alone);
  if (center) {
    const Int m = frames.margin();
    x = op::pad(x, IntList{m, m}, c.args[6]);
  } else if (align && frames.length.value < frames.n.value) {
    const Int before = (frames.n - frames.length) / 2;
    x = op::pad(x, IntList{before, frames.n - frames.length - before});
  }
  if (x.size(1) < frames.n.value) {
    c.fail<ShapeError>("a signal of ", x.size(1), " numbers",
                       center ? " (with both margins)" : "",
                       " has no frame of n_fft = ", frames.n.value,
                       "; input shape is ", given.sizes());
  }
  const Tensor each = frames.weighed(op::unfold(x, 1, frames.n, frames.hop));
  const char* scale = scale_of(c.b(7), true);
  Tensor spectra = onesided ? op::fft_r2c(each, 2, true, scale)
                            : op::fft_c2c(each, 2, true, scale);
  spectra = out_of_batch(op::transpose(spectra, 1, 2), alone);
  const bool as_complex = !c.has(9) || c.b(9);
  return one(as_complex ? spectra : op::view_as_real(spectra));
}

// Sums of frames, each `hop` after the one before: (B, T, n) to (B, size).
Tensor overlapped(const Tensor& frames, Int hop, Int size) {
  const IntList shape = sizes_of(frames.impl());
  return op::as_strided_dx(frames, IntList{shape.v[0], size}, shape,
                           IntList{size, hop, 1});
}

// Where values are known already, as they are unless sizes are symbolic.
void check_overlap(const OpCall& c, const Tensor& envelope) {
  if (!envelope.device().is_cpu() || envelope.numel() == 0) return;
  const NoGrad guard;
  const Tensor least =
      op::cast(op::amin(op::abs(envelope.detach())), DType::f64);
  if (*least.data<double>() > 1e-11) return;
  c.fail<ValueError>(
      "the windows leave a gap: where their squares add up to 0 ",
      "the signal is not known; use a window that is nowhere 0, ",
      "a smaller hop_length or center = True");
}

Results decompose_istft(OpCall& c) {
  const TensorImpl& given = c.in(0);
  if (!is_complex(given.dtype)) {
    c.fail<DTypeError>("input must be complex, as stft gives it with "
                       "return_complex = True, got ",
                       given.dtype);
  }
  if ((given.ndim != 2 && given.ndim != 3) || given.numel == 0) {
    c.fail<ShapeError>(
        "input must have shape (N, T) or (B, N, T), none of them "
        "0, got ",
        given.sizes());
  }
  const Frames frames(c);
  if (frames.hop.value > frames.length.value) {
    c.fail<ValueError>("hop_length must lie in 1..win_length = ",
                       frames.length.value, ", got ", frames.hop.value);
  }
  const int64_t have = given.shape[given.ndim - 2], n = frames.n.value;
  const bool onesided = c.has(7) ? c.b(7) : have != n;
  const int64_t want = onesided ? n / 2 + 1 : n;
  if (have != want) {
    c.fail<ShapeError>("input must have ", want, " frequencies for n_fft = ", n,
                       " and onesided = ", onesided ? "True" : "False",
                       ", got shape ", given.sizes());
  }
  const bool as_complex = c.b(9);
  if (as_complex && onesided) {
    c.fail<ValueError>("return_complex = True needs all frequencies, "
                       "onesided = False");
  }
  if (!as_complex && frames.complex_window()) {
    c.fail<ValueError>("a complex window needs return_complex = True");
  }
  const bool center = c.b(5), alone = given.ndim == 2;
  const char* scale = scale_of(c.b(6), false);
  Tensor x = op::transpose(in_batch(c.tensor(0), alone), 1, 2);
  if (as_complex) {
    x = op::fft_c2c(x, 2, false, scale);
  } else {
    if (!onesided) x = op::slice(x, 2, 0, frames.n / 2 + 1);
    x = op::fft_c2r(x, 2, frames.n, false, scale);
  }
  const Int count = size_of(x.impl(), 1);
  const Int whole = frames.n + frames.hop * (count - 1);
  Tensor signal = overlapped(frames.weighed(x), frames.hop, whole);
  Tensor squares = frames.window ? op::mul(frames.window, frames.window)
                                 : op::ones(IntList{frames.n},
                                            to_real(x.dtype()), device_of(x));
  squares = op::expand(squares, IntList{1, count, frames.n});
  Tensor envelope = overlapped(op::clone(squares), frames.hop, whole);

  const Int start = center ? frames.margin() : Int(0);
  Int end = center ? whole - frames.margin() : whole;
  Int missing = 0;
  if (c.has(8)) {
    const Int length = c.sym(8);
    if (length.value < 1) {
      c.fail<ValueError>("length must be 1 or more, got ", length.value);
    }
    end = combine(IntOp::min, start + length, whole);
    missing = start + length - end;
  }
  signal = op::slice(signal, 1, start, end);
  envelope = op::slice(envelope, 1, start, end);
  if (signal.size(1) < 1) {
    c.fail<ShapeError>("frames of shape ", given.sizes(), " with n_fft = ", n,
                       " and center = True have no signal between the margins");
  }
  check_overlap(c, envelope);
  signal = op::div(signal, envelope);
  if (missing.value > 0) signal = op::pad(signal, IntList{0, missing});
  return one(out_of_batch(signal, alone));
}

#endif

}  // namespace

extern const OpDef stft_op = {
    .name = "stft",
    .sig = "input: Tensor, n_fft: int, hop_length: int? = None, "
           "win_length: int? = None, window: Tensor? = None, "
           "center: bool = True, pad_mode: str = \"reflect\", "
           "normalized: bool = False, onesided: bool? = None, "
           "return_complex: bool? = None, align_to_window: bool? = None",
    .doc = FE_DOC(
        R"(Short-time Fourier transform: of overlapping frames of a signal.

Args:
    input: shape (L,) or (B, L); floating-point or complex.
    n_fft: numbers of a frame.
    hop_length: from a frame to the next; None: n_fft // 4.
    win_length: of these the window weighs so many, in the middle; None: n_fft.
    window: shape (win_length,), such as `hann_window(win_length)`; None: ones.
    center: frame t is centred on number t * hop_length, and the signal
        continued by n_fft // 2 numbers at both ends; False: it starts there.
    pad_mode: how the signal is continued; see `nn.functional.pad`.
    normalized: multiplies the result by 1 / sqrt(n_fft).
    onesided: the first n_fft // 2 + 1 frequencies; None: where input and window
        are real.
    return_complex: must be given for a real input: True, or False for the parts
        of the numbers in an additional last dimension.
    align_to_window: with center = False: frames are counted by their windows,
        with zeros around.

Returns:
    Shape (N, T) or (B, N, T): frequencies and frames.

Raises:
    ShapeError: the signal is shorter than a frame, or `window` has not
        win_length numbers.
    DTypeError: `input` or `window` is of integers, or `input` of 16-bit floats.
    ValueError: hop_length or win_length is out of range, onesided = True with
        complex numbers, or return_complex is missing.

Example:
    >>> import ferrule as fe
    >>> window = fe.hann_window(64)
    >>> fe.stft(fe.ones(400), 64, window=window, return_complex=True).shape
    (33, 26)

Source: Allen, "Short Term Spectral Analysis, Synthesis, and Modification by
Discrete Fourier Transform", 1977; torch.stft.
)"),
    .examples =
        FE_DOC("f(20), 8, return_complex=True\n"
               "f(2, 20), 8, 3, 6, p(6), return_complex=True\n"
               "f(2, 20), 7, 2, 7, p(7), False, return_complex=False\n"
               "z(20), 8, 4, 8, p(8), normalized=True\n"
               "f(20), 8, 4, onesided=False, return_complex=True\n"
               "f(20), 8, 4, 4, p(4), False, return_complex=True, "
               "align_to_window=True\n"
               "f(9), 8, 4, 8, z(8), True, \"constant\", return_complex=True"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_stft),
};

extern const OpDef istft_op = {
    .name = "istft",
    .sig = "input: Tensor, n_fft: int, hop_length: int? = None, "
           "win_length: int? = None, window: Tensor? = None, "
           "center: bool = True, normalized: bool = False, "
           "onesided: bool? = None, length: int? = None, "
           "return_complex: bool = False",
    .doc =
        FE_DOC(R"(Inverse of stft: the signal that comes nearest to the frames.

Frames are transformed back, weighed by the window once more, added up and
divided by the sum of the squared windows.

Args:
    input: complex, shape (N, T) or (B, N, T): frequencies and frames.
    n_fft, hop_length, win_length, window, center, normalized: as for stft.
    onesided: there are n_fft // 2 + 1 frequencies; None: unless N is n_fft.
    length: of the signal; None: as far as frames reach, without the margins that
        `center` adds.
    return_complex: a complex signal, of all frequencies.

Returns:
    Shape (L,) or (B, L).

Raises:
    DTypeError: `input` is not complex.
    ShapeError: it has not the frequencies of n_fft, or is empty.
    ValueError: hop_length or win_length is out of range, or somewhere the squared
        windows add up to 0. (In a graph of any number of frames this is not
        known; the signal is infinite there.)

Example:
    >>> import ferrule as fe
    >>> x, window = fe.arange(256).float(), fe.hann_window(64)
    >>> frames = fe.stft(x, 64, window=window, return_complex=True)
    >>> fe.allclose(fe.istft(frames, 64, window=window), x, atol=1e-3)
    True

Source: Griffin and Lim, "Signal Estimation from Modified Short-Time Fourier
Transform", 1984; torch.istft.
)"),
    .examples = FE_DOC("z(5, 6), 8\nz(2, 5, 4), 8, 3, 6, p(6)\n"
                       "z(2, 7, 4), 7, 2, 7, p(7), False, True, length=11\n"
                       "z(8, 5), 8, 4, 8, p(8), onesided=False, "
                       "return_complex=True\n"
                       "z(8, 5), 8, 2, length=30"),
    .decompose = FE_GRAD(decompose_istft),
};

}  // namespace ferrule
