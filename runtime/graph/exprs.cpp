// Evaluation of integer expressions.
#include "runtime/graph/exprs.h"

#include <algorithm>

namespace ferrule {
namespace {

[[noreturn]] void fail_overflow(int32_t e) {
  fail<ShapeError>("size expression ", e, " overflows");
}

// As apply(IntOp), which capture used, but for overflow.
int64_t checked_apply(IntOp op, int64_t a, int64_t b, int32_t e) {
  int64_t r = 0;
  switch (op) {
    case IntOp::add:
      if (__builtin_add_overflow(a, b, &r)) fail_overflow(e);
      return r;
    case IntOp::sub:
      if (__builtin_sub_overflow(a, b, &r)) fail_overflow(e);
      return r;
    case IntOp::mul:
      if (__builtin_mul_overflow(a, b, &r)) fail_overflow(e);
      return r;
    case IntOp::floordiv:
    case IntOp::mod:
      if (a == INT64_MIN && b == -1) fail_overflow(e);
      break;
    case IntOp::min:
    case IntOp::max:
      break;
  }
  return apply(op, a, b);
}

}  // namespace

int64_t ExprValues::operator()(int32_t expr) {
  todo_.assign(1, expr);
  while (!todo_.empty()) {
    const int32_t e = todo_.back();
    if (e < 0 || static_cast<size_t>(e) >= exprs_.size()) {
      fail<FormatError>("size expression ", e, " of ", exprs_.size());
    }
    if (!known_[e] && exprs_[e].kind == Expr::Kind::op) {
      const Expr& x = exprs_[e];
      if (x.a < 0 || x.b < 0 || std::max(x.a, x.b) >= e) {
        fail<FormatError>("size expression ", e,
                          " uses one that does not stand before it");
      }
      const size_t before = todo_.size();
      if (!known_[x.a]) todo_.push_back(x.a);
      if (!known_[x.b]) todo_.push_back(x.b);
      if (todo_.size() != before) continue;
    }
    if (!known_[e]) set(e);
    todo_.pop_back();
  }
  return values_[expr];
}

void ExprValues::set(int32_t e) {
  const Expr& x = exprs_[e];
  switch (x.kind) {
    case Expr::Kind::constant:
      values_[e] = x.value;
      break;
    case Expr::Kind::size: {
      const bool in_range =
          x.a >= 0 && static_cast<size_t>(x.a) < impls_.size() && impls_[x.a];
      if (!in_range || x.b < 0 || x.b >= impls_[x.a]->ndim) {
        fail<FormatError>("size expression ", e, " is dimension ", x.b,
                          " of value ", x.a, ", which is not known there");
      }
      values_[e] = impls_[x.a]->shape[x.b];
      break;
    }
    case Expr::Kind::op:
      values_[e] = checked_apply(x.op, values_[x.a], values_[x.b], e);
      break;
  }
  known_[e] = true;
}

}  // namespace ferrule
