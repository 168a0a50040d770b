// Rules of algebra, and how an argument of a node is compared.
#include "runtime/graph/passes/simplify.h"

#include <cmath>
#include <cstring>

namespace ferrule {

bool Simplify::is_number(int i, double wanted) const {
  const NodeArg& a = arg(i);
  if (a.expr >= 0) return false;
  if (a.tag == ArgTag::int_) return static_cast<double>(a.i) == wanted;
  return a.tag == ArgTag::float_ && a.f == wanted &&
         std::signbit(a.f) == std::signbit(wanted);
}

const Node* Simplify::same_op() const {
  if (arg(0).tag != ArgTag::tensor) return nullptr;
  const Node* made = maker[arg(0).value];
  return made && made->op == node.op && made->args[0].tag == ArgTag::tensor
             ? made
             : nullptr;
}

bool Simplify::same_rest(const Node& other) const {
  for (size_t i = 1; i < node.args.size(); ++i) {
    if (text_of(node.args[i]) != text_of(other.args[i])) return false;
  }
  return true;
}

void Simplify::be(int32_t value) {
  if (dtype_of(value) == dtype_of(node.outputs[0])) same_as = value;
}

void idempotent(Simplify& s) {
  const Node* inner = s.same_op();
  if (inner && s.same_rest(*inner)) s.be(s.arg(0).value);
}

void involution(Simplify& s) {
  const Node* inner = s.same_op();
  if (inner && s.same_rest(*inner)) s.be(inner->args[0].value);
}

void last_counts(Simplify& s) {
  if (const Node* inner = s.same_op()) {
    s.node.args[0].value = inner->args[0].value;
  }
}

void identity(Simplify& s) {
  if (s.arg(0).tag == ArgTag::tensor) s.be(s.arg(0).value);
}

std::string text_of(const NodeArg& a) {
  std::string text = concat(' ', static_cast<int>(a.tag), ':');
  switch (a.tag) {
    case ArgTag::none:
      break;
    case ArgTag::tensor:
      text += concat(a.value);
      break;
    case ArgTag::tensors:
      for (int32_t v : a.values) text += concat(v, ',');
      break;
    case ArgTag::int_:
      text += a.expr < 0 ? concat(a.i) : concat('e', a.expr);
      break;
    case ArgTag::float_: {
      uint64_t bits;
      std::memcpy(&bits, &a.f, sizeof bits);
      text += concat(bits, 'n', a.expr);
      break;
    }
    case ArgTag::bool_:
      text += concat(a.b);
      break;
    case ArgTag::ints:
      for (const Int& v : a.ints) {
        text += v.expr < 0 ? concat(v.value, ',') : concat('e', v.expr, ',');
      }
      break;
    case ArgTag::str:
      text += concat(std::strlen(a.str), "'", a.str);
      break;
    case ArgTag::dtype:
      text += concat(static_cast<int>(a.dtype));
      break;
    case ArgTag::device:
      text += concat(a.device);
      break;
  }
  return text;
}

}  // namespace ferrule
