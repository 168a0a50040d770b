// Exceptions: every error says what went wrong, where, with which operands, and
// what to do. `fail<ShapeError>("[op] ", ...)` builds the text and throws.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace ferrule {

enum class ErrorKind : uint8_t {
  runtime,
  shape,
  dtype,
  value,
  index,
  device,
  autograd,
  format,
  memory,
};

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message)
      : kind_(kind), message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }
  ErrorKind kind() const { return kind_; }
  // Adds where it happened, e.g. the module path, as it travels up.
  void prepend(std::string_view text) { message_.insert(0, text); }

 private:
  ErrorKind kind_;
  std::string message_;
};

template <ErrorKind kKind>
class ErrorOf : public Error {
 public:
  explicit ErrorOf(std::string message) : Error(kKind, std::move(message)) {}
};
using RuntimeError = ErrorOf<ErrorKind::runtime>;
using ShapeError = ErrorOf<ErrorKind::shape>;
using DTypeError = ErrorOf<ErrorKind::dtype>;
using ValueError = ErrorOf<ErrorKind::value>;
using IndexError = ErrorOf<ErrorKind::index>;
using DeviceError = ErrorOf<ErrorKind::device>;
using AutogradError = ErrorOf<ErrorKind::autograd>;
using FormatError = ErrorOf<ErrorKind::format>;
using MemoryError = ErrorOf<ErrorKind::memory>;

// Appends one piece of a message. Overload for own types, found by ADL.
void append(std::string& out, std::string_view text);
void append(std::string& out, double value);
void append_int(std::string& out, int64_t value);
// "(2, 3)", as Python prints a tuple. Here, since ADL does not find it.
void append(std::string& out, std::span<const int64_t> shape);
inline void append(std::string& out, const char* text) {
  append(out, std::string_view(text));
}
template <std::integral T>
void append(std::string& out, T value) {
  if constexpr (std::same_as<T, bool>) {
    append(out, std::string_view(value ? "True" : "False"));
  } else if constexpr (std::same_as<T, char>) {
    out.push_back(value);
  } else {
    append_int(out, static_cast<int64_t>(value));
  }
}

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::string out;
  (append(out, parts), ...);
  return out;
}

template <class E, class... Parts>
[[noreturn]] [[gnu::cold]] [[gnu::noinline]] void fail(const Parts&... parts) {
  throw E(concat(parts...));
}

}  // namespace ferrule
