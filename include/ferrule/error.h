// Exceptions: every error says what went wrong, where, with which operands, and
// what to do. `fail<ShapeError>("[op] ", ...)` builds the text and throws.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
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

template <ErrorKind kOwn>
class ErrorOf : public Error {
 public:
  static constexpr ErrorKind kKind = kOwn;
  explicit ErrorOf(std::string message) : Error(kOwn, std::move(message)) {}
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

// One piece of a message, type-erased, so that the many places that build one
// share the code that does.
class Piece {
 public:
  Piece(const char* text) : object_(text), print_(&print_text) {}
  template <class T>
    requires(!std::is_convertible_v<const T&, const char*>)
  Piece(const T& value)
      : object_(&value), print_([](std::string& out, const void* object) {
          append(out, *static_cast<const T*>(object));
        }) {}
  void print(std::string& out) const { print_(out, object_); }

 private:
  static void print_text(std::string& out, const void* text);
  const void* object_;
  void (*print_)(std::string&, const void*);
};

std::string concat_pieces(std::span<const Piece> pieces);
[[noreturn]] void throw_error(ErrorKind kind, std::span<const Piece> pieces);

template <class... Parts>
std::string concat(const Parts&... parts) {
  return concat_pieces(std::initializer_list<Piece>{Piece(parts)...});
}

// fail<ShapeError>("[op] ", shape, " ...")
template <class E, class... Parts>
[[noreturn]] [[gnu::always_inline]] inline void fail(const Parts&... parts) {
  throw_error(E::kKind, std::initializer_list<Piece>{Piece(parts)...});
}

}  // namespace ferrule
