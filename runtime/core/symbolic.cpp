// Integers that may remember an expression.
#include "runtime/core/symbolic.h"

#include <algorithm>

namespace ferrule {

SymbolicHooks symbolic_hooks;

int64_t apply(IntOp op, int64_t a, int64_t b) {
  int64_t r = 0;
  switch (op) {
    case IntOp::add:
      return __builtin_add_overflow(a, b, &r) ? INT64_MAX : r;
    case IntOp::sub:
      return __builtin_sub_overflow(a, b, &r) ? INT64_MIN : r;
    case IntOp::mul:
      return __builtin_mul_overflow(a, b, &r) ? INT64_MAX : r;
    case IntOp::floordiv:
      if (b == 0) return 0;
      if (b == -1) return apply(IntOp::sub, 0, a);
      r = a / b;
      return r - ((a % b != 0) && ((a < 0) != (b < 0)));
    case IntOp::mod:
      if (b == 0 || b == -1) return 0;
      r = a % b;
      return r + ((r != 0 && (r < 0) != (b < 0)) ? b : 0);
    case IntOp::min:
      return std::min(a, b);
    case IntOp::max:
      return std::max(a, b);
  }
  return 0;
}

Int combine(IntOp op, Int a, Int b) {
  if (!a.symbolic() && !b.symbolic()) return apply(op, a.value, b.value);
  return symbolic_hooks.combine(op, a, b);
}

Int size_of(const TensorImpl* t, int dim) {
  if (t->device.is_graph()) return symbolic_hooks.size_of(t, dim);
  return t->shape[dim];
}

IntList sizes_of(const TensorImpl* t) {
  IntList l;
  for (int i = 0; i < t->ndim; ++i) l.push(size_of(t, i));
  return l;
}

Int numel_of(const TensorImpl* t) {
  Int n = 1;
  for (int i = 0; i < t->ndim; ++i) n = n * size_of(t, i);
  return n;
}

}  // namespace ferrule
