// Arithmetic and elementary functions of single elements.
#include <cmath>

#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/graph/passes/simplify.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_sub(OpCall& c) {
  infer_binary(c);
  if (c.compute == DType::bool_) {
    c.fail<DTypeError>("bool tensors cannot be subtracted; use != for the "
                       "elements that differ, or .long()");
  }
}

void infer_div(OpCall& c) {
  if (!c.has(2)) return infer_binary_float(c);
  const auto mode = c.str(2);
  if (mode != "floor" && mode != "trunc") {
    c.fail<ValueError>("rounding_mode must be None, \"floor\" or \"trunc\", "
                       "got \"",
                       mode, "\"");
  }
  infer_real_binary(c);
  refuse_bool(c, "are not divided into whole numbers");
}

void infer_neg(OpCall& c) {
  infer_unary(c);
  if (c.compute == DType::bool_) {
    c.fail<DTypeError>("a bool tensor has no negative; use logical_not, or "
                       ".long()");
  }
}

void infer_pow(OpCall& c) {
  infer_binary(c);
  if (c.compute == DType::bool_) {
    c.fail<DTypeError>("bool tensors have no powers; convert them with "
                       ".long()");
  }
  if (is_integer(c.compute) && c.args[1].is_number() && c.number(1) < 0) {
    c.fail<ValueError>("an integer to a negative integer power (", c.i(1),
                       ") is no integer; convert the base with .float()");
  }
}

void infer_where(OpCall& c) {
  static constexpr int kValues[] = {1, 2};
  static constexpr int kAll[] = {0, 1, 2};
  check_real(c, 1);
  check_real(c, 2);
  c.compute = c.promoted(kValues);
  for (int i : kValues) check_in_range(c, i, c.compute);
  c.out(0, c.compute, operand_shape(c, kAll));
}

// Gradients of maximum(a, b) and minimum(a, b) for a: all of it where a wins,
// half of it where they are equal.
[[maybe_unused]] Tensor gradient_of_larger(const Tensor& grad, const Arg& a,
                                           const Arg& b) {
  const Tensor tie = op::where(op::eq(a, b), op::mul(grad, 0.5), grad);
  return op::where(op::lt(a, b), 0.0, tie);
}
[[maybe_unused]] Tensor gradient_of_smaller(const Tensor& grad, const Arg& a,
                                            const Arg& b) {
  const Tensor tie = op::where(op::eq(a, b), op::mul(grad, 0.5), grad);
  return op::where(op::lt(b, a), 0.0, tie);
}

// Gradient of a^b for a, without the factor 0 * a^-1 at b == 0.
[[maybe_unused]] Tensor gradient_of_base(const Tensor& grad, const Tensor& a,
                                         const Arg& b) {
  if (b.is_number()) {
    const double exponent = b.tag == ArgTag::float_  ? b.f
                            : b.tag == ArgTag::bool_ ? static_cast<double>(b.b)
                                                     : static_cast<double>(b.i);
    if (exponent == 0) return op::zeros_like(grad);
    if (exponent == 1) return grad;
    const Tensor slope = exponent == 2 ? a : op::pow(a, Arg(exponent - 1));
    return op::mul(grad, conj(op::mul(slope, exponent)));
  }
  const Tensor slope = op::mul(b, op::pow(a, op::sub(b, 1)));
  return op::where(op::eq(b, 0), 0.0, op::mul(grad, conj(slope)));
}

// Gradient of a^b for b; 0 where a is 0 and b is real and not negative, as the
// limit.
[[maybe_unused]] Tensor gradient_of_exponent(const Tensor& grad, const Arg& a,
                                             const Tensor& b,
                                             const Tensor& power) {
  Tensor base =
      a.is_tensor() ? Tensor::share(a.tensor) : op::mul(op::ones_like(b), a);
  // A negative real number has a complex logarithm.
  if (base.dtype() != power.dtype()) base = op::cast(base, power.dtype());
  const Tensor slope = op::mul(power, op::log(base));
  Tensor flat = op::mul(op::eq(base, 0), op::ge(op::real(b), 0));
  if (is_complex(b.dtype())) flat = op::mul(flat, op::eq(op::imag(b), 0));
  return op::where(flat, 0.0, op::mul(grad, conj(slope)));
}

}  // namespace

extern const OpDef add_op = {
    .name = "add",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Sum of two tensors, element by element.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([1.0, 2.0]) + 3).tolist()
    [4.0, 5.0]

Source: numpy.add.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("input + other"),
    .has_inplace = true,
    .infer = infer_binary,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, v.grad());
      v.set(1, v.grad());
    }),
};

extern const OpDef sub_op = {
    .name = "sub",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Difference of two tensors, element by element.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: both are bool.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([1.0, 2.0]) - 3).tolist()
    [-2.0, -1.0]

Source: numpy.subtract.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("input - other"),
    .aliases = FE_DOC("subtract"),
    .has_inplace = true,
    .infer = infer_sub,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, v.grad());
      if (v.needs(1)) v.set(1, op::neg(v.grad()));
    }),
    .simplify = neutral_number<0>,
};

extern const OpDef mul_op = {
    .name = "mul",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Product of two tensors, element by element.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([1.0, 2.0]) * 3).tolist()
    [3.0, 6.0]

Source: numpy.multiply.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("input * other"),
    .aliases = FE_DOC("multiply"),
    .has_inplace = true,
    .saves = "input@other other@input",
    .infer = infer_binary,
    .vjp = FE_GRAD([](Vjp& v) {
      if (v.needs(0)) v.set(0, op::mul(v.grad(), OperandOf::conj(v, 1)));
      if (v.needs(1)) v.set(1, op::mul(v.grad(), OperandOf::conj(v, 0)));
    }),
    .simplify = neutral_number<1>,
};

extern const OpDef div_op = {
    .name = "div",
    .sig = "input: Operand, other: Operand, *, rounding_mode: str? = None",
    .doc = FE_DOC(
        R"(Quotient, element by element; rounded only if that is asked for.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.
    rounding_mode: None; "floor" rounds down, as `//`; "trunc" rounds towards
        zero, as C does.

Returns:
    Tensor of the broadcast shape. Where both are integers it is float32,
    or, with a rounding mode, of the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    ValueError: `rounding_mode` is none of them; or an integer is divided by
        zero and rounded.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([1, 2]) / 2).tolist()
    [0.5, 1.0]
    >>> fe.div(fe.tensor([7, -7]), 2, rounding_mode="trunc").tolist()
    [3, -3]

Source: numpy.true_divide, torch.div.
)"),
    .examples = FE_DOC("f(2, 3), p(2, 3)\n"
                       "f(2, 3), p(3)\n"
                       "f(2, 3), 2.5\n"
                       "2.5, p(3)\n"
                       "f(2, 3), p(3), rounding_mode=\"floor\"\n"
                       "f(2, 3), p(3), rounding_mode=\"trunc\"\n"
                       "i(9, 4) - 4, i(4, 4) - 5, rounding_mode=\"trunc\""),
    .reference = FE_DOC("{None: lambda q: q, 'floor': np.floor, "
                        "'trunc': np.trunc}[rounding_mode](input / other)"),
    .aliases = FE_DOC("divide true_divide"),
    .has_inplace = true,
    .saves = "other out@other",
    .infer = infer_div,
    .vjp = FE_GRAD([](Vjp& v) {
      if (v.has(2)) {
        v.set(0, op::zeros_like(v.grad()));
        v.set(1, op::zeros_like(v.grad()));
        return;
      }
      const OperandOf other = OperandOf::conj(v, 1);
      if (v.needs(0)) v.set(0, op::div(v.grad(), other));
      if (v.needs(1)) {
        v.set(1, op::neg(op::div(op::mul(v.grad(), conj(v.out())), other)));
      }
    }),
    .simplify =
        [](Simplify& s) {
          if (s.arg(2).tag == ArgTag::none) neutral_number<1>(s);
        },
};

extern const OpDef pow_op = {
    .name = "pow",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Power: `input` to the exponent `other`, element by element.

Integers stay integers, and wrap around. The gradient for the base is 0 where
the exponent is 0; the one for the exponent is 0 where the base is 0 and the
exponent is not negative.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    ValueError: an integer is raised to a negative integer.
    DTypeError: both are bool.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([1.0, 2.0, 3.0]) ** 2).tolist()
    [1.0, 4.0, 9.0]

Source: numpy.power.
)"),
    .examples = FE_DOC("p(2, 3), f(2, 3)\n"
                       "p(2, 3), f(3)\n"
                       "f(4), 2\n"
                       "f(4), 3\n"
                       "p(4), -0.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("np.power(input, other)"),
    .has_inplace = true,
    .saves = "input other out",
    .infer = infer_pow,
    .vjp = FE_GRAD([](Vjp& v) {
      if (v.needs(0)) {
        const Tensor base = v.in(0);
        v.set(0, gradient_of_base(v.grad(), base, OperandOf(v, 1)));
      }
      if (v.needs(1)) {
        const Tensor exponent = v.in(1);
        v.set(1, gradient_of_exponent(v.grad(), OperandOf(v, 0), exponent,
                                      v.out()));
      }
    }),
};

extern const OpDef maximum_op = {
    .name = "maximum",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(The larger of two elements; a NaN in either is the result.

Where both are equal each gets half of the gradient.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> fe.maximum(fe.tensor([1.0, 5.0]), fe.tensor([4.0, 2.0])).tolist()
    [4.0, 5.0]

Source: numpy.maximum.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("np.maximum(input, other)"),
    .has_inplace = true,
    .saves = "input other",
    .infer = infer_binary,
    .vjp = FE_GRAD([](Vjp& v) {
      const OperandOf a(v, 0);
      const OperandOf b(v, 1);
      if (v.needs(0)) v.set(0, gradient_of_larger(v.grad(), a, b));
      if (v.needs(1)) v.set(1, gradient_of_larger(v.grad(), b, a));
    }),
};

extern const OpDef minimum_op = {
    .name = "minimum",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(The smaller of two elements; a NaN in either is the result.

Where both are equal each gets half of the gradient.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> fe.minimum(fe.tensor([1.0, 5.0]), fe.tensor([4.0, 2.0])).tolist()
    [1.0, 2.0]

Source: numpy.minimum.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("np.minimum(input, other)"),
    .has_inplace = true,
    .saves = "input other",
    .infer = infer_binary,
    .vjp = FE_GRAD([](Vjp& v) {
      const OperandOf a(v, 0);
      const OperandOf b(v, 1);
      if (v.needs(0)) v.set(0, gradient_of_smaller(v.grad(), a, b));
      if (v.needs(1)) v.set(1, gradient_of_smaller(v.grad(), b, a));
    }),
};

extern const OpDef where_op = {
    .name = "where",
    .sig = "condition: Tensor[bool], input: Operand, other: Operand",
    .doc = FE_DOC(
        R"(Elements of `input` where the condition holds, of `other` elsewhere.

Args:
    condition: bool tensor.
    input: tensor or number.
    other: tensor or number; all three shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype of `input` and `other`.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: the condition is not bool.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([-1.0, 2.0])
    >>> fe.ops.where(x > 0, x, 0.0).tolist()
    [0.0, 2.0]

Source: numpy.where.
)"),
    .examples = FE_DOC("b(2, 3), f(2, 3), f(2, 3)\n"
                       "b(3), f(2, 3), f(2, 1)\n"
                       "b(2, 3), f(3), 1.5\n"
                       "b(2, 3), 2.5, f(2, 3)"),
    .reference = FE_DOC("np.where(condition, input, other)"),
    .where = kInternal,
    .saves = "condition",
    .infer = infer_where,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor condition = v.in(0);
      if (v.needs(1)) v.set(1, op::where(condition, v.grad(), 0.0));
      if (v.needs(2)) v.set(2, op::where(condition, 0.0, v.grad()));
    }),
};

extern const OpDef neg_op = {
    .name = "neg",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(The negative of every element.

Args:
    input: any shape; any dtype but bool.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is bool.

Example:
    >>> import ferrule as fe
    >>> (-fe.tensor([1.0, -2.0])).tolist()
    [-1.0, 2.0]

Source: numpy.negative.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("-input"),
    .aliases = FE_DOC("negative"),
    .has_inplace = true,
    .infer = infer_neg,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, op::neg(v.grad())); }),
    .simplify = involution,
};

extern const OpDef abs_op = {
    .name = "abs",
    .sig = "input: Tensor",
    .doc =
        FE_DOC(R"(The absolute value of every element; its gradient at 0 is 0.

Args:
    input: any shape and dtype.

Returns:
    Tensor of the same shape; real, where `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.abs(fe.tensor([1.0, -2.0])).tolist()
    [1.0, 2.0]

Source: numpy.abs.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.abs(input)"),
    .aliases = FE_DOC("absolute"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_magnitude,
    .vjp =
        FE_GRAD([](Vjp& v) { v.set(0, op::mul(v.grad(), op::sign(v.in(0)))); }),
    .simplify = idempotent,
};

extern const OpDef sign_op = {
    .name = "sign",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(-1, 0 or 1 by the sign of every element; NaN stays NaN.

A complex number gives that of magnitude 1 in its direction, 0 gives 0.

Args:
    input: any shape and dtype.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.sign(fe.tensor([3.0, 0.0, -2.0])).tolist()
    [1.0, 0.0, -1.0]

Source: numpy.sign.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.sign(input)"),
    .has_inplace = true,
    .saves = "input out",
    .infer = infer_unary,
    // Of a complex number: what of the gradient lies across its direction.
    .vjp = FE_GRAD([](Vjp& v) {
      if (!is_complex(v.dtype(0))) return v.set(0, op::zeros_like(v.grad()));
      const Tensor z = v.in(0), s = v.out();
      const Tensor along = op::real(op::mul(v.grad(), conj(s)));
      const Tensor across = op::sub(v.grad(), op::mul(along, s));
      v.set(0, op::where(op::eq(z, 0), 0.0, op::div(across, op::abs(z))));
    }),
    .simplify = idempotent,
};

extern const OpDef exp_op = {
    .name = "exp",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(e to the power of every element.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.exp(fe.tensor([0.0])).tolist()
    [1.0]

Source: numpy.exp.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.exp(input)"),
    .has_inplace = true,
    .saves = "out",
    .infer = infer_unary_float,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, op::mul(v.grad(), conj(v.out()))); }),
};

extern const OpDef log_op = {
    .name = "log",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Natural logarithm of every element; NaN below 0, -inf at 0.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.log(fe.tensor([1.0])).tolist()
    [0.0]

Source: numpy.log.
)"),
    .examples = FE_DOC("p(2, 3)\n"
                       "p(4)\n"
                       "p()"),
    .reference = FE_DOC("np.log(input)"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_unary_float,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, op::div(v.grad(), conj(v.in(0)))); }),
};

extern const OpDef sqrt_op = {
    .name = "sqrt",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Square root of every element; NaN below 0.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.sqrt(fe.tensor([4.0, 9.0])).tolist()
    [2.0, 3.0]

Source: numpy.sqrt.
)"),
    .examples = FE_DOC("p(2, 3)\n"
                       "p(4)\n"
                       "p()"),
    .reference = FE_DOC("np.sqrt(input)"),
    .has_inplace = true,
    .saves = "out",
    .infer = infer_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::div(op::mul(v.grad(), 0.5), conj(v.out())));
    }),
};

extern const OpDef sin_op = {
    .name = "sin",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Sine of every element, in radians.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.sin(fe.tensor([0.0])).tolist()
    [0.0]

Source: numpy.sin.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.sin(input)"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_unary_float,
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, op::mul(v.grad(), conj(op::cos(v.in(0))))); }),
};

extern const OpDef cos_op = {
    .name = "cos",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Cosine of every element, in radians.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.cos(fe.tensor([0.0])).tolist()
    [1.0]

Source: numpy.cos.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.cos(input)"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::neg(op::mul(v.grad(), conj(op::sin(v.in(0))))));
    }),
};

}  // namespace ferrule
