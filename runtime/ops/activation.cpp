// Activation functions, and their gradients where one fused pass pays.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/graph/passes/simplify.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_gelu_form(OpCall& c, int arg) {
  const auto form = c.str(arg);
  if (form == "none" || form == "tanh") return;
  c.fail<ValueError>("approximate must be \"none\" or \"tanh\", got \"", form,
                     "\"");
}

void infer_gelu(OpCall& c) {
  infer_gelu_form(c, 1);
  infer_unary_float(c);
}

void infer_gelu_backward(OpCall& c) {
  infer_gelu_form(c, 2);
  infer_like_first(c);
}

// Second derivative of GELU: with the normal density phi, phi(x) (2 - x^2).
[[maybe_unused]] Tensor gelu_curvature(const Tensor& x) {
  constexpr double kDensity = 0.39894228040143267794;  // 1 / sqrt(2 pi)
  const Tensor square = op::mul(x, x);
  const Tensor density = op::mul(op::exp(op::mul(square, -0.5)), kDensity);
  return op::mul(density, op::sub(2.0, square));
}

// The same of x (1 + t) / 2 with t = tanh(u), u = k (x + 0.044715 x^3):
// (1 - t^2) (u' + x (u'' / 2 - t u'^2)).
[[maybe_unused]] Tensor gelu_tanh_curvature(const Tensor& x) {
  constexpr double kScale = 0.79788456080286535588;  // sqrt(2 / pi)
  constexpr double kCube = 0.044715;
  const Tensor square = op::mul(x, x);
  const Tensor u = op::mul(x, op::add(op::mul(square, kScale * kCube), kScale));
  const Tensor du = op::add(op::mul(square, 3 * kScale * kCube), kScale);
  const Tensor ddu_half = op::mul(x, 3 * kScale * kCube);
  const Tensor t = op::tanh(u);
  const Tensor bend = op::sub(ddu_half, op::mul(t, op::mul(du, du)));
  return op::mul(op::sub(1.0, op::mul(t, t)), op::add(du, op::mul(x, bend)));
}

[[maybe_unused]] bool is_tanh_form(const Vjp& v, int arg) {
  return std::string_view(v.args[arg].str) == "tanh";
}

}  // namespace

extern const OpDef relu_op = {
    .name = "relu",
    .sig = "input: Tensor",
    .doc =
        FE_DOC(R"(Rectified linear unit: max(input, 0); its gradient at 0 is 0.

Args:
    input: any shape and dtype.

Returns:
    Tensor of the same shape and dtype.

Example:
    >>> import ferrule as fe
    >>> fe.relu(fe.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]

Source: V. Nair and G. Hinton, "Rectified linear units improve restricted
Boltzmann machines", ICML 2010.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.maximum(input, 0)"),
    .where = kPublic | kFunctional,
    .has_inplace = true,
    .saves = "out",
    .infer = infer_unary,
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, v.over_grad(op::relu_backward, v.out())); }),
    .simplify = idempotent,
};

extern const OpDef relu_backward_op = {
    .name = "relu_backward",
    .sig = "grad: Tensor[float], result: Tensor[float]",
    .doc = FE_DOC(
        R"(Gradient of relu from its result: `grad` where `result` > 0, else 0.

Args:
    grad: gradient of the result.
    result: the result of relu; same shape as `grad`.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> y = fe.tensor([0.0, 2.0])
    >>> fe.ops.relu_backward(fe.tensor([1.0, 1.0]), y).tolist()
    [0.0, 1.0]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)"),
    .reference = FE_DOC("np.where(result <= 0, 0, grad)"),
    .where = kInternal,
    .has_inplace = true,
    .saves = "result",
    .infer = infer_like_first,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::relu_backward(v.grad(), v.in(1)));
      if (v.needs(1)) v.set(1, op::zeros_like(v.grad()));
    }),
};

extern const OpDef sigmoid_op = {
    .name = "sigmoid",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Logistic function 1 / (1 + exp(-input)).

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.sigmoid(fe.tensor([0.0])).tolist()
    [0.5]

Source: scipy.special.expit.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("1 / (1 + np.exp(-input))"),
    .aliases = FE_DOC("special.expit"),
    .has_inplace = true,
    .saves = "out",
    .infer = infer_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor y = v.out();
      if (!is_complex(y.dtype())) {
        return v.set(0, op::sigmoid_backward(v.grad(), y));
      }
      const Tensor slope = op::mul(y, op::sub(1.0, y));
      v.set(0, op::mul(v.grad(), conj(slope)));
    }),
};

extern const OpDef sigmoid_backward_op = {
    .name = "sigmoid_backward",
    .sig = "grad: Tensor[float], result: Tensor[float]",
    .doc = FE_DOC(
        R"(Gradient of sigmoid from its result: grad * result * (1 - result).

Args:
    grad: gradient of the result.
    result: the result of sigmoid; same shape as `grad`.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> y = fe.tensor([0.5])
    >>> fe.ops.sigmoid_backward(fe.tensor([1.0]), y).tolist()
    [0.25]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)"),
    .reference = FE_DOC("grad * result * (1 - result)"),
    .where = kInternal,
    .saves = "grad result",
    .infer = infer_like_first,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor y = v.in(1);
      if (v.needs(0)) v.set(0, op::sigmoid_backward(v.grad(), y));
      if (v.needs(1)) {
        const Tensor slope = op::mul(v.in(0), op::sub(1.0, op::mul(y, 2.0)));
        v.set(1, op::mul(v.grad(), slope));
      }
    }),
};

extern const OpDef tanh_op = {
    .name = "tanh",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Hyperbolic tangent of every element.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.tanh(fe.tensor([0.0])).tolist()
    [0.0]

Source: numpy.tanh.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.tanh(input)"),
    .has_inplace = true,
    .saves = "out",
    .infer = infer_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor y = v.out();
      if (!is_complex(y.dtype())) {
        return v.set(0, op::tanh_backward(v.grad(), y));
      }
      const Tensor slope = op::sub(1.0, op::mul(y, y));
      v.set(0, op::mul(v.grad(), conj(slope)));
    }),
};

extern const OpDef tanh_backward_op = {
    .name = "tanh_backward",
    .sig = "grad: Tensor[float], result: Tensor[float]",
    .doc = FE_DOC(R"(Gradient of tanh from its result: grad * (1 - result^2).

Args:
    grad: gradient of the result.
    result: the result of tanh; same shape as `grad`.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> y = fe.tensor([0.5])
    >>> fe.ops.tanh_backward(fe.tensor([1.0]), y).tolist()
    [0.75]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)"),
    .reference = FE_DOC("grad * (1 - result ** 2)"),
    .where = kInternal,
    .saves = "grad result",
    .infer = infer_like_first,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor y = v.in(1);
      if (v.needs(0)) v.set(0, op::tanh_backward(v.grad(), y));
      if (v.needs(1)) {
        const Tensor slope = op::mul(op::mul(v.in(0), y), -2.0);
        v.set(1, op::mul(v.grad(), slope));
      }
    }),
};

extern const OpDef erf_op = {
    .name = "erf",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Gauss error function of every element.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.erf(fe.tensor([0.0])).tolist()
    [0.0]

Source: scipy.special.erf.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.vectorize(math.erf, otypes=[float])(input)"),
    .aliases = FE_DOC("special.erf"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor x = v.in(0);
      const Tensor bell = op::exp(op::neg(op::mul(x, x)));
      constexpr double kScale = 1.12837916709551257390;  // 2 / sqrt(pi)
      v.set(0, op::mul(v.grad(), op::mul(bell, kScale)));
    }),
};

extern const OpDef gelu_op = {
    .name = "gelu",
    .sig = "input: Tensor, approximate: str = \"none\"",
    .doc = FE_DOC(
        R"(Gaussian error linear unit: input times the normal distribution.

Args:
    input: any shape; integers and bools give float32.
    approximate: "none", or "tanh" for
        input (1 + tanh(sqrt(2 / pi) (input + 0.044715 input^3))) / 2.

Returns:
    Tensor of the same shape.

Raises:
    ValueError: `approximate` is neither of them.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.gelu(fe.tensor([0.0])).tolist()
    [0.0]

Source: D. Hendrycks and K. Gimpel, "Gaussian error linear units",
arXiv:1606.08415.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(4), approximate=\"tanh\""),
    .reference =
        FE_DOC("0.5 * input * (1 + (np.tanh(np.sqrt(2 / np.pi) * (input + "
               "0.044715 * input**3)) if approximate == 'tanh' else "
               "np.vectorize(math.erf, otypes=[float])(input / "
               "np.sqrt(2))))"),
    .where = kFunctional,
    .has_inplace = true,
    .saves = "input",
    .infer = infer_gelu,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, v.over_grad(op::gelu_backward, v.in(0), v.args[1]));
    }),
};

extern const OpDef gelu_backward_op = {
    .name = "gelu_backward",
    .sig = "grad: Tensor[float], input: Tensor[float], approximate: "
           "str = \"none\"",
    .doc = FE_DOC(R"(Gradient of gelu from its input.

Args:
    grad: gradient of the result.
    input: the input of gelu; same shape as `grad`.
    approximate: as in gelu.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.
    ValueError: `approximate` is not known.

Example:
    >>> import ferrule as fe
    >>> one = fe.tensor([1.0])
    >>> fe.ops.gelu_backward(one, fe.tensor([0.0])).tolist()
    [0.5]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(4), f(4), approximate=\"tanh\""),
    .where = kInternal,
    .has_inplace = true,
    .saves = "grad input",
    .infer = infer_gelu_backward,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor x = v.in(1);
      if (v.needs(0)) v.set(0, op::gelu_backward(v.grad(), x, v.args[2]));
      if (v.needs(1)) {
        const Tensor curvature =
            is_tanh_form(v, 2) ? gelu_tanh_curvature(x) : gelu_curvature(x);
        v.set(1, op::mul(op::mul(v.grad(), v.in(0)), curvature));
      }
    }),
};

}  // namespace ferrule
