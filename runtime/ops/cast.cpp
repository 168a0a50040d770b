// Copies: into another dtype, and as they are.
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/graph/passes/simplify.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_cast(OpCall& c) {
  c.compute = c.dtype(1);
  c.out(0, c.compute, c.in(0).sizes());
}

void infer_clone(OpCall& c) {
  c.compute = c.in(0).dtype;
  c.out_like(0, 0);
}

// Has every value of `narrow` its own in `wide`?
bool holds(DType wide, DType narrow) {
  if (is_complex(wide) || is_complex(narrow)) return false;
  if (narrow == DType::bool_) return wide != DType::bool_;
  if (is_float(narrow)) {
    return wide == DType::f64 ||
           (wide == DType::f32 && itemsize(narrow) == sizeof(int16_t));
  }
  return !is_float(wide) && wide != DType::u8 && narrow != DType::u8 &&
         itemsize(wide) > itemsize(narrow);
}

// To what it is, or back to what it was.
void simplify_cast(Simplify& s) {
  identity(s);
  const Node* inner = s.same_op();
  if (!inner) return;
  const int32_t first = inner->args[0].value;
  if (holds(s.dtype_of(s.arg(0).value), s.dtype_of(first))) s.be(first);
}

}  // namespace

extern const OpDef cast_op = {
    .name = "cast",
    .sig = "input: Tensor, dtype: dtype",
    .doc = FE_DOC(R"(Converts the elements to a dtype.

Floats lose their fraction when they become integers, saturate at the ends of
the range, and NaN becomes 0, on every machine alike; integers wrap. What is
not 0 becomes True. A complex number that becomes real loses its imaginary part.

Args:
    input: any shape.
    dtype: the dtype wanted.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.ops.cast(fe.tensor([1.7, -1.7]), fe.int64).tolist()
    [1, -1]

Source: numpy.ndarray.astype, with saturation as in WebAssembly's
trunc_sat.
)"),
    .examples = FE_DOC("f(2, 3), fe.float64\n"
                       "f(2, 3), fe.float32\n"
                       "f(2, 3), fe.int64"),
    .where = kInternal,
    .infer = infer_cast,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, v.grad()); }),
    .simplify = simplify_cast,
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef clone_op = {
    .name = "clone",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(A dense copy.

Args:
    input: any shape and dtype.

Returns:
    Tensor of the same shape and dtype, with memory of its own.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([1.0, 2.0])
    >>> y = x.clone()
    >>> y.fill_(0.0).tolist(), x.tolist()
    ([0.0, 0.0], [1.0, 2.0])

Source: numpy.ndarray.copy.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f()"),
    .reference = FE_DOC("input.copy()"),
    .where = kPublic,
    .infer = infer_clone,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, v.grad()); }),
    .simplify = identity,
};

}  // namespace ferrule
