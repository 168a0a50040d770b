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

}  // namespace ferrule
