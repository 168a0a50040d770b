// Smooth activations with fused kernels, and their gradients.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// s (1 - s) (2 + x (1 - 2 s)) with the logistic function s.
Tensor silu_curvature(const Tensor& x) {
  const Tensor s = op::sigmoid(x);
  const Tensor bend = op::mul(x, op::sub(1.0, op::mul(s, 2.0)));
  return op::mul(op::mul(s, op::sub(1.0, s)), op::add(bend, 2.0));
}

// With t = tanh(softplus(x)) and t' = (1 - t^2) s:
// t' (2 + x (1 - s - 2 t s)).
Tensor mish_curvature(const Tensor& x) {
  const Tensor s = op::sigmoid(x);
  const Tensor t = op::tanh(op::softplus(x));
  const Tensor slope = op::mul(op::sub(1.0, op::mul(t, t)), s);
  const Tensor twice = op::mul(op::mul(t, s), 2.0);
  const Tensor bend = op::mul(x, op::sub(op::sub(1.0, s), twice));
  return op::mul(slope, op::add(bend, 2.0));
}

// beta s (1 - s) for the logistic function s of beta x, 0 above the threshold.
Tensor softplus_curvature(const Tensor& x, const Arg& beta,
                          const Arg& threshold) {
  const Tensor z = op::mul(x, beta);
  const Tensor s = op::sigmoid(z);
  const Tensor curvature = op::mul(op::mul(s, op::sub(1.0, s)), beta);
  return op::where(op::gt(z, threshold), 0.0, curvature);
}

#endif

}  // namespace

extern const OpDef silu_op = {
    .name = "silu",
    .sig = "input: Tensor[float]",
    .doc = FE_DOC(
        R"(Sigmoid linear unit, also called swish: input * sigmoid(input).

Args:
    input: any shape, floating-point.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.silu(fe.tensor([0.0, 20.0])).tolist()
    [0.0, 20.0]

Source: S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for
neural network function approximation in reinforcement learning", 2018.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(33)\n"
                       "f(0, 2)"),
    .reference = FE_DOC("input / (1 + np.exp(-input))"),
    .where = kFunctional,
    .has_inplace = true,
    .saves = "input",
    .infer = infer_unary_float,
    .vjp =
        FE_GRAD([](Vjp& v) { v.set(0, op::silu_backward(v.grad(), v.in(0))); }),
};

extern const OpDef silu_backward_op = {
    .name = "silu_backward",
    .sig = "grad: Tensor[float], input: Tensor[float]",
    .doc = FE_DOC(R"(Gradient of silu from its input.

Args:
    grad: gradient of the result.
    input: the input of silu; same shape as `grad`.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> one = fe.tensor([1.0])
    >>> fe.ops.silu_backward(one, fe.tensor([0.0])).tolist()
    [0.5]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(33), f(33)"),
    .reference = FE_DOC("(lambda s: grad * s * (1 + input * (1 - s)))(1 / (1 + "
                        "np.exp(-input)))"),
    .where = kInternal,
    .saves = "grad input",
    .infer = infer_like_first,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor x = v.in(1);
      if (v.needs(0)) v.set(0, op::silu_backward(v.grad(), x));
      if (v.needs(1)) {
        v.set(1, op::mul(op::mul(v.grad(), v.in(0)), silu_curvature(x)));
      }
    }),
};

extern const OpDef mish_op = {
    .name = "mish",
    .sig = "input: Tensor[float]",
    .doc = FE_DOC(R"(Mish: input * tanh(log(1 + exp(input))).

Args:
    input: any shape, floating-point.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.mish(fe.tensor([0.0, 30.0])).tolist()
    [0.0, 30.0]

Source: D. Misra, "Mish: a self regularized non-monotonic activation
function", BMVC 2020.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(33)\n"
                       "f(0, 2)"),
    .reference = FE_DOC("input * np.tanh((np.logaddexp(0, input)))"),
    .where = kFunctional,
    .has_inplace = true,
    .saves = "input",
    .infer = infer_unary_float,
    .vjp =
        FE_GRAD([](Vjp& v) { v.set(0, op::mish_backward(v.grad(), v.in(0))); }),
};

extern const OpDef mish_backward_op = {
    .name = "mish_backward",
    .sig = "grad: Tensor[float], input: Tensor[float]",
    .doc = FE_DOC(R"(Gradient of mish from its input.

Args:
    grad: gradient of the result.
    input: the input of mish; same shape as `grad`.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> one = fe.tensor([1.0])
    >>> fe.ops.mish_backward(one, fe.tensor([0.0])).tolist()
    [0.6000000238418579]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(33), f(33)"),
    .reference = FE_DOC(
        "(lambda t, s: grad * (t + input * (1 - t * t) * "
        "s))(np.tanh((np.logaddexp(0, input))), 1 / (1 + np.exp(-input)))"),
    .where = kInternal,
    .saves = "grad input",
    .infer = infer_like_first,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor x = v.in(1);
      if (v.needs(0)) v.set(0, op::mish_backward(v.grad(), x));
      if (v.needs(1)) {
        v.set(1, op::mul(op::mul(v.grad(), v.in(0)), mish_curvature(x)));
      }
    }),
};

extern const OpDef softplus_op = {
    .name = "softplus",
    .sig = "input: Tensor[float], beta: float = 1.0, threshold: float = 20.0",
    .doc = FE_DOC(R"(Smooth form of relu: log(1 + exp(beta * input)) / beta.

Args:
    input: any shape, floating-point.
    beta: how closely it follows relu.
    threshold: where beta * input is larger, the result is `input`.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> round(fe.nn.functional.softplus(fe.tensor([0.0])).item(), 4)
    0.6931

Source: C. Dugas et al., "Incorporating second-order functional knowledge for
better option pricing", NIPS 2000.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(33), 2.0\n"
                       "f(9), 2, 1\n"
                       "f(0, 2)"),
    .reference = FE_DOC("np.where(input * beta > threshold, input, "
                        "np.logaddexp(0, input * beta) / beta)"),
    .where = kFunctional,
    .has_inplace = true,
    .saves = "input",
    .infer = infer_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::softplus_backward(v.grad(), v.in(0), v.args[1], v.args[2]));
    }),
};

extern const OpDef softplus_backward_op = {
    .name = "softplus_backward",
    .sig = "grad: Tensor[float], input: Tensor[float], beta: float = 1.0, "
           "threshold: float = 20.0",
    .doc = FE_DOC(R"(Gradient of softplus from its input.

Args:
    grad: gradient of the result.
    input: the input of softplus; same shape as `grad`.
    beta, threshold: as there.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> one = fe.tensor([1.0])
    >>> fe.ops.softplus_backward(one, fe.tensor([0.0])).tolist()
    [0.5]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(33), f(33), 2.0\n"
                       "f(9), f(9), 2.0, 1.0"),
    .reference = FE_DOC("grad * np.where(input * beta > threshold, 1, 1 / (1 + "
                        "np.exp(-beta * input)))"),
    .where = kInternal,
    .saves = "grad input",
    .infer = infer_like_first,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor x = v.in(1);
      if (v.needs(0))
        v.set(0, op::softplus_backward(v.grad(), x, v.args[2], v.args[3]));
      if (v.needs(1)) {
        v.set(1, op::mul(op::mul(v.grad(), v.in(0)),
                         softplus_curvature(x, v.args[2], v.args[3])));
      }
    }),
};

}  // namespace ferrule
