// Trigonometric and hyperbolic functions and their inverses.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

constexpr double kPi = 3.14159265358979323846;

Results scaled(OpCall& c, double factor) {
  return one(op::mul(c.tensor(0), factor));
}

}  // namespace

extern const OpDef tan_op = {
    .name = "tan",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Tangent of every element, in radians.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.tan(fe.tensor([0.0])).tolist()
    [0.0]

Source: numpy.tan.
)"),
    .examples = FE_DOC("u(2, 3)\n"
                       "u(4)\n"
                       "u()"),
    .reference = FE_DOC("np.tan(input)"),
    .has_inplace = true,
    .saves = "out",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::mul(v.grad(), op::add(op::square(conj(v.out())), 1.0)));
    }),
};

extern const OpDef asin_op = {
    .name = "asin",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Inverse sine, in radians; NaN outside of [-1, 1].

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.asin(fe.tensor([0.0])).tolist()
    [0.0]

Source: numpy.arcsin.
)"),
    .examples = FE_DOC("u(2, 3)\n"
                       "u(4)\n"
                       "u()"),
    .reference = FE_DOC("np.arcsin(input)"),
    .aliases = FE_DOC("arcsin"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor cosine = op::sqrt(op::sub(1.0, op::square(conj(v.in(0)))));
      v.set(0, op::div(v.grad(), cosine));
    }),
};

extern const OpDef acos_op = {
    .name = "acos",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Inverse cosine, in radians; NaN outside of [-1, 1].

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.acos(fe.tensor([1.0])).tolist()
    [0.0]

Source: numpy.arccos.
)"),
    .examples = FE_DOC("u(2, 3)\n"
                       "u(4)\n"
                       "u()"),
    .reference = FE_DOC("np.arccos(input)"),
    .aliases = FE_DOC("arccos"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor sine = op::sqrt(op::sub(1.0, op::square(conj(v.in(0)))));
      v.set(0, op::neg(op::div(v.grad(), sine)));
    }),
};

extern const OpDef atan_op = {
    .name = "atan",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Inverse tangent, in radians.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.atan(fe.tensor([0.0])).tolist()
    [0.0]

Source: numpy.arctan.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.arctan(input)"),
    .aliases = FE_DOC("arctan"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::div(v.grad(), op::add(op::square(conj(v.in(0))), 1.0)));
    }),
};

extern const OpDef atan2_op = {
    .name = "atan2",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(
        R"(The angle of the point (other, input), in radians, in [-pi, pi].

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
    >>> fe.atan2(fe.tensor([0.0, 1.0]), fe.tensor([1.0, 0.0])).tolist()
    [0.0, 1.5707963705062866]

Source: numpy.arctan2.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("np.arctan2(input, other)"),
    .aliases = FE_DOC("arctan2"),
    .has_inplace = true,
    .saves = "input other",
    .infer = infer_real_binary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const OperandOf y(v, 0);
      const OperandOf x(v, 1);
      const Tensor slope =
          op::div(v.grad(), op::add(op::mul(x, x), op::mul(y, y)));
      if (v.needs(0)) v.set(0, op::mul(slope, x));
      if (v.needs(1)) v.set(1, op::neg(op::mul(slope, y)));
    }),
};

extern const OpDef hypot_op = {
    .name = "hypot",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(sqrt(input^2 + other^2), without overflow.

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
    >>> fe.hypot(fe.tensor([3.0]), fe.tensor([4.0])).tolist()
    [5.0]

Source: numpy.hypot.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("np.hypot(input, other)"),
    .has_inplace = true,
    .saves = "input other out",
    .infer = infer_real_binary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      if (v.needs(0)) {
        v.set(0, op::mul(v.grad(), op::div(OperandOf(v, 0), v.out())));
      }
      if (v.needs(1)) {
        v.set(1, op::mul(v.grad(), op::div(OperandOf(v, 1), v.out())));
      }
    }),
};

extern const OpDef sinh_op = {
    .name = "sinh",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Hyperbolic sine of every element.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.sinh(fe.tensor([0.0])).tolist()
    [0.0]

Source: numpy.sinh.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.sinh(input)"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, op::mul(v.grad(), op::cosh(conj(v.in(0))))); }),
};

extern const OpDef cosh_op = {
    .name = "cosh",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Hyperbolic cosine of every element.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.cosh(fe.tensor([0.0])).tolist()
    [1.0]

Source: numpy.cosh.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.cosh(input)"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, op::mul(v.grad(), op::sinh(conj(v.in(0))))); }),
};

extern const OpDef asinh_op = {
    .name = "asinh",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Inverse hyperbolic sine of every element.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.asinh(fe.tensor([0.0])).tolist()
    [0.0]

Source: numpy.arcsinh.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.arcsinh(input)"),
    .aliases = FE_DOC("arcsinh"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::mul(v.grad(),
                       op::rsqrt(op::add(op::square(conj(v.in(0))), 1.0))));
    }),
};

extern const OpDef acosh_op = {
    .name = "acosh",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Inverse hyperbolic cosine of every element; NaN below 1.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.acosh(fe.tensor([1.0])).tolist()
    [0.0]

Source: numpy.arccosh.
)"),
    .examples = FE_DOC("p(2, 3) + 1\n"
                       "p(4) + 1\n"
                       "p() + 1"),
    .reference = FE_DOC("np.arccosh(input)"),
    .aliases = FE_DOC("arccosh"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      // Not 1 / sqrt(z^2 - 1), which has its branch cut elsewhere.
      const Tensor z = conj(v.in(0));
      const Tensor slope =
          op::mul(op::rsqrt(op::sub(z, 1.0)), op::rsqrt(op::add(z, 1.0)));
      v.set(0, op::mul(v.grad(), slope));
    }),
};

extern const OpDef atanh_op = {
    .name = "atanh",
    .sig = "input: Tensor",
    .doc =
        FE_DOC(R"(Inverse hyperbolic tangent; infinite at -1 and 1, NaN beyond.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.atanh(fe.tensor([0.0])).tolist()
    [0.0]

Source: numpy.arctanh.
)"),
    .examples = FE_DOC("u(2, 3)\n"
                       "u(4)\n"
                       "u()"),
    .reference = FE_DOC("np.arctanh(input)"),
    .aliases = FE_DOC("arctanh"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::div(v.grad(), op::sub(1.0, op::square(conj(v.in(0))))));
    }),
};

extern const OpDef sinc_op = {
    .name = "sinc",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(sin(pi input) / (pi input), and 1 at 0.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.sinc(fe.tensor([0.0, 0.5])).tolist()
    [1.0, 0.6366197466850281]

Source: numpy.sinc.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.sinc(input)"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {  // (cos(pi x) - sinc(x)) / x, and 0 at 0.
      const Tensor zero = op::eq(v.in(0), 0);
      const Tensor x = op::where(zero, 1.0, v.in(0));
      const Tensor rise = op::sub(op::cos(op::mul(x, kPi)), op::sinc(x));
      v.set(0, op::mul(v.grad(), op::where(zero, 0.0, op::div(rise, x))));
    }),
};

extern const OpDef deg2rad_op = {
    .name = "deg2rad",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Degrees as radians: input * pi / 180.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.deg2rad(fe.tensor([180.0])).tolist()
    [3.1415927410125732]

Source: numpy.deg2rad.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.deg2rad(input)"),
    .has_inplace = true,
    .decompose = FE_GRAD([](OpCall& c) { return scaled(c, kPi / 180); }),
};

extern const OpDef rad2deg_op = {
    .name = "rad2deg",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Radians as degrees: input * 180 / pi.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.rad2deg(fe.tensor([0.0])).tolist()
    [0.0]

Source: numpy.rad2deg.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.rad2deg(input)"),
    .has_inplace = true,
    .decompose = FE_GRAD([](OpCall& c) { return scaled(c, 180 / kPi); }),
};

}  // namespace ferrule
