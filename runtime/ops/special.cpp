// Functions of statistics, of floating-point numbers as such, and of integers.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_integers(OpCall& c) {
  infer_real_binary(c);
  if (is_integer(c.compute)) return;
  c.fail<DTypeError>("takes integer tensors; the operands give ", c.compute);
}

#ifndef FE_RUNTIME_ONLY

// Where a or b is NaN the other wins; where they are equal a does.
void fmax_vjp(Vjp& v, const OpDef& not_behind) {
  const OperandOf a(v, 0);
  const OperandOf b(v, 1);
  const Tensor first = op::logical_or(not_behind(a, b), op::ne(b, b));
  if (v.needs(0)) v.set(0, op::where(first, v.grad(), 0.0));
  if (v.needs(1)) v.set(1, op::where(first, 0.0, v.grad()));
}

#endif

}  // namespace

extern const OpDef erfc_op = {
    .name = "erfc",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(1 - erf(input), also exact where erf is almost 1.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.erfc(fe.tensor([0.0])).tolist()
    [1.0]

Source: scipy.special.erfc.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.vectorize(math.erfc, otypes=[float])(input)"),
    .aliases = FE_DOC("special.erfc"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      constexpr double kScale = -1.12837916709551257390;  // -2 / sqrt(pi)
      const Tensor bell = op::exp(op::neg(op::square(v.in(0))));
      v.set(0, op::mul(v.grad(), op::mul(bell, kScale)));
    }),
};

extern const OpDef xlogy_op = {
    .name = "xlogy",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(input * log(other), and 0 where `input` is 0.

Where `other` is NaN the result is NaN.

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
    >>> fe.xlogy(fe.tensor([0.0, 2.0]), fe.tensor([0.0, 1.0])).tolist()
    [0.0, 0.0]

Source: scipy.special.xlogy.
)"),
    .examples = FE_DOC("f(2, 3), p(2, 3)\n"
                       "f(2, 1), p(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, p(3)"),
    .reference = FE_DOC("input * np.log(other)"),
    .aliases = FE_DOC("special.xlogy"),
    .has_inplace = true,
    .saves = "input other",
    .infer = infer_real_binary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const OperandOf other(v, 1);
      if (v.needs(0)) {
        const Tensor counts = op::ne(v.in(0), 0);
        v.set(0, op::mul(v.grad(), op::xlogy(counts, other)));
      }
      if (v.needs(1)) {
        v.set(1, op::mul(v.grad(), op::div(OperandOf(v, 0), other)));
      }
    }),
};

extern const OpDef logit_op = {
    .name = "logit",
    .sig = "input: Tensor, eps: float? = None",
    .doc = FE_DOC(R"(log(p / (1 - p)), the inverse of the logistic function.

Args:
    input: any shape; integers and bools give float32.
    eps: elements are first clamped to [eps, 1 - eps]; None: they are not, and
        those outside of [0, 1] give NaN.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.logit(fe.tensor([0.5, 1.0])).tolist()
    [0.0, inf]

Source: scipy.special.logit, torch.logit.
)"),
    .examples = FE_DOC("u(2, 3)\n"
                       "u(4), eps=0.25\n"
                       "u()"),
    .reference = FE_DOC("(lambda p: np.log(p / (1 - p)))(input if eps is None "
                        "else np.clip(input, eps, 1 - eps))"),
    .aliases = FE_DOC("special.logit"),
    .has_inplace = true,
    .decompose = FE_GRAD([](OpCall& c) {
      Tensor p = c.tensor(0);
      if (c.has(1)) p = op::clamp(p, c.f(1), 1 - c.f(1));
      return one(op::log(op::div(p, op::sub(1.0, p))));
    }),
};

extern const OpDef copysign_op = {
    .name = "copysign",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(The magnitude of `input` with the sign of `other`.

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
    >>> fe.copysign(fe.tensor([1.0, -2.0]), -0.0).tolist()
    [-1.0, -2.0]

Source: numpy.copysign.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("np.copysign(input, other)"),
    .has_inplace = true,
    .saves = "input other",
    .infer = infer_real_binary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      if (v.needs(0)) {
        const Tensor before = op::sign(v.in(0));
        const Tensor after = op::copysign(before, OperandOf(v, 1));
        const Tensor kept = op::mul(before, after);
        v.set(0, op::mul(v.grad(), kept));
      }
      v.set(1, op::zeros_like(v.grad()));
    }),
};

extern const OpDef nextafter_op = {
    .name = "nextafter",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(The next number of the dtype after `input` towards `other`.

It has no gradient.

Args:
    input: floating-point tensor or number.
    other: floating-point tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is complex.

Example:
    >>> import ferrule as fe
    >>> (fe.nextafter(fe.tensor([1.0]), fe.tensor([2.0])) - 1).tolist()
    [1.1920928955078125e-07]

Source: numpy.nextafter.
)"),
    .examples = FE_DOC("f(2, 3), f(3)\n"
                       "f(4), 1.5"),
    .reference = FE_DOC("input + 0 * other"),
    .has_inplace = true,
    .infer = infer_real_binary_float,
};

extern const OpDef heaviside_op = {
    .name = "heaviside",
    .sig = "input: Operand, values: Operand",
    .doc = FE_DOC(R"(The step: 0 below 0, 1 above, `values` at 0; NaN stays NaN.

It has no gradient.

Args:
    input: tensor or number.
    values: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is complex.

Example:
    >>> import ferrule as fe
    >>> fe.heaviside(fe.tensor([-1.0, 0.0, 2.0]), fe.tensor(0.5)).tolist()
    [0.0, 0.5, 1.0]

Source: numpy.heaviside.
)"),
    .examples = FE_DOC("f(2, 3), f(3)\n"
                       "i(3, 4) - 1, i(9, 4)\n"
                       "np.round(f(4)), 0.5"),
    .reference = FE_DOC("np.heaviside(input, values)"),
    .has_inplace = true,
    .infer = infer_real_binary,
};

extern const OpDef fmax_op = {
    .name = "fmax",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(The larger of two elements; where one is NaN, the other.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is complex.

Example:
    >>> import ferrule as fe
    >>> fe.fmax(fe.tensor([1.0, fe.nan]), fe.tensor([4.0, 2.0])).tolist()
    [4.0, 2.0]

Source: numpy.fmax.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("np.fmax(input, other)"),
    .saves = "input other",
    .infer = infer_real_binary,
    .vjp = FE_GRAD([](Vjp& v) { fmax_vjp(v, op::ge); }),
};

extern const OpDef fmin_op = {
    .name = "fmin",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(The smaller of two elements; where one is NaN, the other.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is complex.

Example:
    >>> import ferrule as fe
    >>> fe.fmin(fe.tensor([1.0, fe.nan]), fe.tensor([4.0, 2.0])).tolist()
    [1.0, 2.0]

Source: numpy.fmin.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("np.fmin(input, other)"),
    .saves = "input other",
    .infer = infer_real_binary,
    .vjp = FE_GRAD([](Vjp& v) { fmax_vjp(v, op::le); }),
};

extern const OpDef gcd_op = {
    .name = "gcd",
    .sig = "input: Operand, other: Operand",
    .doc =
        FE_DOC(R"(Greatest common divisor of integers; 0 only where both are 0.

Args:
    input: integer tensor or number.
    other: integer tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is no integer.

Example:
    >>> import ferrule as fe
    >>> fe.gcd(fe.tensor([12, 0]), fe.tensor([18, 5])).tolist()
    [6, 5]

Source: numpy.gcd.
)"),
    .examples = FE_DOC("i(90, 2, 3), i(90, 2, 3)\n"
                       "i(90, 2, 1) - 45, i(90, 3) - 45\n"
                       "i(90, 4), 12\n"
                       "12, i(90, 4)"),
    .reference = FE_DOC("np.gcd(input, other)"),
    .has_inplace = true,
    .infer = infer_integers,
};

extern const OpDef lcm_op = {
    .name = "lcm",
    .sig = "input: Operand, other: Operand",
    .doc =
        FE_DOC(R"(Least common multiple of integers; 0 where one of them is 0.

Args:
    input: integer tensor or number.
    other: integer tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is no integer.

Example:
    >>> import ferrule as fe
    >>> fe.lcm(fe.tensor([4, 0]), fe.tensor([6, 5])).tolist()
    [12, 0]

Source: numpy.lcm.
)"),
    .examples = FE_DOC("i(90, 2, 3), i(90, 2, 3)\n"
                       "i(90, 2, 1) - 45, i(90, 3) - 45\n"
                       "i(90, 4), 12\n"
                       "12, i(90, 4)"),
    .reference = FE_DOC("np.lcm(input, other)"),
    .has_inplace = true,
    .infer = infer_integers,
};

extern const OpDef nan_to_num_op = {
    .name = "nan_to_num",
    .sig = "input: Tensor, nan: float? = None, posinf: float? = None, neginf: "
           "float? = None",
    .doc = FE_DOC(R"(NaN and infinities replaced by numbers.

Args:
    input: any shape and real dtype; integers stay as they are.
    nan: what stands for NaN; None: 0.
    posinf: what stands for infinity; None: the largest number of the dtype.
    neginf: what stands for -infinity; None: the least number of the dtype.

Returns:
    Tensor of the same shape and dtype.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.nan_to_num(fe.tensor([1.0, fe.nan])).tolist()
    [1.0, 0.0]

Source: numpy.nan_to_num.
)"),
    .examples = FE_DOC(
        "f(2, 3)\n"
        "np.array([1.5, np.nan, np.inf, -np.inf, -0.0]), 2.0, 3.0, -3.0\n"
        "i(3, 4)\n"
        "f()"),
    .reference = FE_DOC(
        "np.nan_to_num(input, nan=nan or 0.0, posinf=posinf, neginf=neginf)"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::where(op::isfinite(v.in(0)), v.grad(), 0.0));
    }),
};

}  // namespace ferrule
