// Modified Bessel functions of the first kind.
#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// function / x, and `at_zero` where x is 0.
Tensor over_input(Vjp& v, const Tensor& function, double at_zero) {
  const Tensor x = v.in(0);
  const Tensor zero = op::eq(x, 0.0);
  const Tensor safe = op::where(zero, 1.0, x);
  return op::where(zero, at_zero, op::div(function, safe));
}

#endif

}  // namespace

extern const OpDef i0_op = {
    .name = "i0",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Modified Bessel function of the first kind, of order 0.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.special.i0(fe.tensor([0.0])).tolist()
    [1.0]

Source: Abramowitz and Stegun, 9.6.10 and 9.7.1.
)"),
    .examples = FE_DOC("f(2, 3)\n3 * f(4)"),
    .reference = FE_DOC("bessel_i(0, input)"),
    .aliases = FE_DOC("special.i0"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, op::mul(v.grad(), op::special_i1(v.in(0)))); }),
};

extern const OpDef special_i0e_op = {
    .name = "special_i0e",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(`i0` times exp(-|input|), which does not overflow.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.special.i0e(fe.tensor([0.0])).tolist()
    [1.0]

Source: scipy.special.i0e.
)"),
    .examples = FE_DOC("f(2, 3)\n20 * f(4)\n30 + p(3)"),
    .reference = FE_DOC("bessel_i(0, input) * np.exp(-np.abs(input))"),
    .where = kInternal,
    .aliases = FE_DOC("special.i0e"),
    .saves = "input out",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor fall = op::mul(op::sgn(v.in(0)), v.out());
      const Tensor slope = op::sub(op::special_i1e(v.in(0)), fall);
      v.set(0, op::mul(v.grad(), slope));
    }),
};

extern const OpDef special_i1_op = {
    .name = "special_i1",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Modified Bessel function of the first kind, of order 1.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.special.i1(fe.tensor([0.0])).tolist()
    [0.0]

Source: Abramowitz and Stegun, 9.6.10 and 9.7.1.
)"),
    .examples = FE_DOC("f(2, 3)\n3 * f(4)"),
    .reference = FE_DOC("bessel_i(1, input)"),
    .where = kInternal,
    .aliases = FE_DOC("special.i1"),
    .saves = "input out",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor slope =
          op::sub(op::i0(v.in(0)), over_input(v, v.out(), 0.5));
      v.set(0, op::mul(v.grad(), slope));
    }),
};

extern const OpDef special_i1e_op = {
    .name = "special_i1e",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(`i1` times exp(-|input|), which does not overflow.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.special.i1e(fe.tensor([0.0])).tolist()
    [0.0]

Source: scipy.special.i1e.
)"),
    .examples = FE_DOC("f(2, 3)\n20 * f(4)\n-30 - p(3)"),
    .reference = FE_DOC("bessel_i(1, input) * np.exp(-np.abs(input))"),
    .where = kInternal,
    .aliases = FE_DOC("special.i1e"),
    .saves = "input out",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor fall = op::mul(op::sgn(v.in(0)), v.out());
      const Tensor slope = op::sub(op::special_i0e(v.in(0)),
                                   op::add(fall, over_input(v, v.out(), 0.5)));
      v.set(0, op::mul(v.grad(), slope));
    }),
};

}  // namespace ferrule
