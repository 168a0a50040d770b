// Runs ops that are compositions of others, whose errors are their own.
#include "runtime/autograd/compose.h"

namespace ferrule {
namespace {

bool is_op(std::string_view name) {
  if (find_op(name)) return true;
  return name.ends_with('_') && find_op(name.substr(0, name.size() - 1));
}

// Takes an op's name with `end` behind it off the front of the text; empty:
// there is none.
std::string_view take_op(std::string_view& text, std::string_view end) {
  const size_t n = text.find(end);
  if (n == text.npos || !is_op(text.substr(0, n))) return {};
  const std::string_view name = text.substr(0, n);
  text.remove_prefix(n + end.size());
  return name;
}

}  // namespace

std::string error_of_part(std::string_view name, std::string_view message) {
  std::string_view text = message;
  if (!text.starts_with('[')) return std::string(message);
  text.remove_prefix(1);
  std::string_view part = take_op(text, "] ");
  if (part.empty() || part == name) return std::string(message);
  // A part that is a composition has put its own part there.
  const std::string_view inner = take_op(text, ": ");
  if (!inner.empty()) part = inner;
  return concat("[", name, "] ", part, ": ", text);
}

void fail_as(std::string_view name, const Error& error) {
  throw_error(error.kind(),
              std::initializer_list<Piece>{error_of_part(name, error.what())});
}

Results compose(OpCall& c, Results (*parts)(OpCall&)) {
  try {
    return parts(c);
  } catch (const Error& error) {
    fail_as(c.op.name, error);
  }
}

}  // namespace ferrule
