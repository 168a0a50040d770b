// Pieces of error messages.
#include "ferrule/error.h"

#include <charconv>

namespace ferrule {

void append(std::string& out, std::string_view text) { out.append(text); }

void append_int(std::string& out, int64_t value) {
  char buffer[24];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out.append(buffer, end);
}

void append(std::string& out, double value) {
  char buffer[40];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out.append(buffer, end);
}

void Piece::print_text(std::string& out, const void* text) {
  out.append(static_cast<const char*>(text));
}

std::string concat_pieces(std::span<const Piece> pieces) {
  std::string out;
  for (const Piece& p : pieces) p.print(out);
  return out;
}

void throw_error(ErrorKind kind, std::span<const Piece> pieces) {
  std::string text = concat_pieces(pieces);
  switch (kind) {
    case ErrorKind::shape:
      throw ShapeError(std::move(text));
    case ErrorKind::dtype:
      throw DTypeError(std::move(text));
    case ErrorKind::value:
      throw ValueError(std::move(text));
    case ErrorKind::index:
      throw IndexError(std::move(text));
    case ErrorKind::device:
      throw DeviceError(std::move(text));
    case ErrorKind::autograd:
      throw AutogradError(std::move(text));
    case ErrorKind::format:
      throw FormatError(std::move(text));
    case ErrorKind::memory:
      throw MemoryError(std::move(text));
    case ErrorKind::runtime:
      break;
  }
  throw RuntimeError(std::move(text));
}

}  // namespace ferrule
