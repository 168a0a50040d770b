// Exponentials and logarithms in other bases, and the careful ones near 0.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

constexpr double kLn2 = 0.69314718055994530942;
constexpr double kLn10 = 2.30258509299404568402;

Arg as_double(const OpCall& c, int i, Tensor& held) {
  if (!c.is_tensor(i)) return Arg(c.number(i));
  held = op::cast(c.tensor(i), DType::f64);
  return Arg(held);
}

}  // namespace

extern const OpDef exp2_op = {
    .name = "exp2",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(2 to the power of every element.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.exp2(fe.tensor([3.0, -1.0])).tolist()
    [8.0, 0.5]

Source: numpy.exp2.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.exp2(input)"),
    .aliases = FE_DOC("special.exp2"),
    .has_inplace = true,
    .saves = "out",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::mul(v.grad(), op::mul(conj(v.out()), kLn2)));
    }),
};

extern const OpDef expm1_op = {
    .name = "expm1",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(exp(input) - 1, also exact for elements near 0.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.expm1(fe.tensor([0.0])).tolist()
    [0.0]

Source: numpy.expm1.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.expm1(input)"),
    .aliases = FE_DOC("special.expm1"),
    .has_inplace = true,
    .saves = "out",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::mul(v.grad(), op::add(conj(v.out()), 1.0)));
    }),
};

extern const OpDef log1p_op = {
    .name = "log1p",
    .sig = "input: Tensor",
    .doc =
        FE_DOC(R"(log(1 + input), also exact for elements near 0; NaN below -1.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.log1p(fe.tensor([0.0, -1.0])).tolist()
    [0.0, -inf]

Source: numpy.log1p.
)"),
    .examples = FE_DOC("p(2, 3)\n"
                       "p(4)\n"
                       "p()"),
    .reference = FE_DOC("np.log1p(input)"),
    .aliases = FE_DOC("special.log1p"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::div(v.grad(), op::add(conj(v.in(0)), 1.0)));
    }),
};

extern const OpDef log2_op = {
    .name = "log2",
    .sig = "input: Tensor",
    .doc =
        FE_DOC(R"(Logarithm to base 2 of every element; NaN below 0, -inf at 0.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.log2(fe.tensor([8.0, 0.5])).tolist()
    [3.0, -1.0]

Source: numpy.log2.
)"),
    .examples = FE_DOC("p(2, 3)\n"
                       "p(4)\n"
                       "p()"),
    .reference = FE_DOC("np.log2(input)"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::div(v.grad(), op::mul(conj(v.in(0)), kLn2)));
    }),
};

extern const OpDef log10_op = {
    .name = "log10",
    .sig = "input: Tensor",
    .doc =
        FE_DOC(R"(Logarithm to base 10 of every element; NaN below 0, -inf at 0.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.log10(fe.tensor([100.0])).tolist()
    [2.0]

Source: numpy.log10.
)"),
    .examples = FE_DOC("p(2, 3)\n"
                       "p(4)\n"
                       "p()"),
    .reference = FE_DOC("np.log10(input)"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::div(v.grad(), op::mul(conj(v.in(0)), kLn10)));
    }),
};

extern const OpDef logaddexp_op = {
    .name = "logaddexp",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(log(exp(input) + exp(other)), without overflow.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape; float32 where both are integers.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is complex.

Example:
    >>> import ferrule as fe
    >>> fe.logaddexp(fe.tensor([1000.0]), fe.tensor([-1000.0])).tolist()
    [1000.0]

Source: numpy.logaddexp.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("np.logaddexp(input, other)"),
    .saves = "input other",
    .infer = infer_real_binary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor share =
          op::sigmoid(op::sub(OperandOf(v, 0), OperandOf(v, 1)));
      if (v.needs(0)) v.set(0, op::mul(v.grad(), share));
      if (v.needs(1)) v.set(1, op::mul(v.grad(), op::sub(1.0, share)));
    }),
};

extern const OpDef logaddexp2_op = {
    .name = "logaddexp2",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(log2(2^input + 2^other), without overflow.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape; float32 where both are integers.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is complex.

Example:
    >>> import ferrule as fe
    >>> fe.logaddexp2(fe.tensor([3.0]), fe.tensor([3.0])).tolist()
    [4.0]

Source: numpy.logaddexp2.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("np.logaddexp2(input, other)"),
    .saves = "input other",
    .infer = infer_real_binary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor apart = op::sub(OperandOf(v, 0), OperandOf(v, 1));
      const Tensor share = op::sigmoid(op::mul(apart, kLn2));
      if (v.needs(0)) v.set(0, op::mul(v.grad(), share));
      if (v.needs(1)) v.set(1, op::mul(v.grad(), op::sub(1.0, share)));
    }),
};

extern const OpDef float_power_op = {
    .name = "float_power",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Power, always computed in float64.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    float64 tensor of the broadcast shape.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is complex.

Example:
    >>> import ferrule as fe
    >>> fe.float_power(fe.tensor([2, 4]), -1).tolist()
    [0.5, 0.25]

Source: numpy.float_power.
)"),
    .examples = FE_DOC("p(2, 3), f(2, 3)\n"
                       "p(2, 3), f(3)\n"
                       "f(4), 2\n"
                       "2, f(3)\n"
                       "i(9, 4) + 1, i(3, 4) - 2"),
    .reference = FE_DOC("np.float_power(input, other)"),
    .has_inplace = true,
    .decompose = FE_GRAD([](OpCall& c) {
      Tensor base;
      Tensor exponent;
      return one(op::pow(as_double(c, 0, base), as_double(c, 1, exponent)));
    }),
};

extern const OpDef ldexp_op = {
    .name = "ldexp",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(input * 2^other, exact where `other` is whole.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape; float32 where both are integers.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is complex.

Example:
    >>> import ferrule as fe
    >>> fe.ldexp(fe.tensor([1.0, 3.0]), fe.tensor([2, -1])).tolist()
    [4.0, 1.5]

Source: numpy.ldexp, torch.ldexp.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), i(9, 3) - 4\n"
                       "f(4), 3"),
    .reference = FE_DOC("input * np.exp2(other)"),
    .has_inplace = true,
    .saves = "other out",
    .infer = infer_real_binary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      if (v.needs(0)) v.set(0, op::ldexp(v.grad(), OperandOf(v, 1)));
      if (v.needs(1)) v.set(1, op::mul(v.grad(), op::mul(v.out(), kLn2)));
    }),
};

}  // namespace ferrule
