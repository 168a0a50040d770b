// Powers and roots with a fixed exponent.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

// A bool is the integer 0 or 1.
void infer_square(OpCall& c) {
  check_real(c, 0);
  const DType t = c.in(0).dtype;
  c.compute = t == DType::bool_ ? DType::i64 : t;
  c.out(0, c.compute, c.in(0).sizes());
}

}  // namespace

extern const OpDef square_op = {
    .name = "square",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(The square of every element. Integers wrap around.

Args:
    input: any shape and real dtype; bools give int64.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.square(fe.tensor([3, -4])).tolist()
    [9, 16]

Source: numpy.square.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.square(input)"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_square,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::mul(v.grad(), op::mul(conj(v.in(0)), 2.0)));
    }),
};

extern const OpDef reciprocal_op = {
    .name = "reciprocal",
    .sig = "input: Tensor",
    .doc =
        FE_DOC(R"(1 / input, element by element; an infinity of its sign at 0.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.reciprocal(fe.tensor([2.0, -4.0])).tolist()
    [0.5, -0.25]

Source: numpy.reciprocal.
)"),
    .examples = FE_DOC("p(2, 3)\n"
                       "p(4)\n"
                       "p()"),
    .reference = FE_DOC("1 / input"),
    .has_inplace = true,
    .saves = "out",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::neg(op::mul(v.grad(), op::square(conj(v.out())))));
    }),
};

extern const OpDef rsqrt_op = {
    .name = "rsqrt",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(1 / sqrt(input), element by element; NaN below 0.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.rsqrt(fe.tensor([4.0, 0.25])).tolist()
    [0.5, 2.0]

Source: torch.rsqrt.
)"),
    .examples = FE_DOC("p(2, 3)\n"
                       "p(4)\n"
                       "p()"),
    .reference = FE_DOC("1 / np.sqrt(input)"),
    .has_inplace = true,
    .saves = "out",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor y = conj(v.out());
      const Tensor cube = op::mul(op::square(y), y);
      v.set(0, op::mul(v.grad(), op::mul(cube, -0.5)));
    }),
};

}  // namespace ferrule
