// The exponential linear units: one function with three parameters.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

// Klambauer et al., equation 2: the fixed point of mean 0 and variance 1.
[[maybe_unused]] constexpr double kSeluAlpha =
    1.6732632423543772848170429916717;
[[maybe_unused]] constexpr double kSeluScale =
    1.0507009873554804934193349852946;

}  // namespace

extern const OpDef scaled_elu_op = {
    .name = "scaled_elu",
    .sig = "input: Tensor[float], alpha: float = 1.0, scale: float = 1.0, "
           "input_scale: float = 1.0",
    .doc = FE_DOC(
        R"(What elu, selu and celu are made of: scale * input where it is positive, else
scale * alpha * (exp(input_scale * input) - 1).

Args:
    input: any shape, floating-point.
    alpha: limit for very negative elements.
    scale: factor of the result.
    input_scale: factor within the exponential.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.ops.scaled_elu(fe.tensor([2.0, 0.0]), scale=3.0).tolist()
    [6.0, 0.0]

Source: see elu, selu and celu.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(33), 2.0, 1.5, 0.5\n"
                       "f(0, 2)"),
    .reference = FE_DOC("scale * np.where(input > 0, input, alpha * "
                        "np.expm1(np.minimum(input, 0) * input_scale))"),
    .where = kInternal,
    .has_inplace = true,
    .saves = "input",
    .infer = infer_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::scaled_elu_backward(v.grad(), v.in(0), v.args[1], v.args[2],
                                       v.args[3]));
    }),
};

extern const OpDef scaled_elu_backward_op = {
    .name = "scaled_elu_backward",
    .sig = "grad: Tensor[float], input: Tensor[float], alpha: float = 1.0, "
           "scale: float = 1.0, input_scale: float = 1.0",
    .doc = FE_DOC(R"(Gradient of scaled_elu from its input.

Args:
    grad: gradient of the result.
    input: the input of scaled_elu; same shape as `grad`.
    alpha, scale, input_scale: as there.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> one = fe.tensor([1.0])
    >>> fe.ops.scaled_elu_backward(one, fe.tensor([1.0]), 1.0, 3.0).tolist()
    [3.0]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(33), f(33), 2.0, 1.5, 0.5"),
    .reference =
        FE_DOC("grad * scale * np.where(input > 0, 1, alpha * input_scale * "
               "np.exp(np.minimum(input, 0) * input_scale))"),
    .where = kInternal,
    .saves = "grad input",
    .infer = infer_like_first,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor x = v.in(1);
      const Arg alpha = v.args[2], scale = v.args[3], inner = v.args[4];
      if (v.needs(0)) {
        v.set(0, op::scaled_elu_backward(v.grad(), x, alpha, scale, inner));
      }
      if (v.needs(1)) {
        // Below 0 the derivative is the slope times input_scale, above it 0.
        const Tensor slope = op::scaled_elu_backward(op::mul(v.grad(), v.in(0)),
                                                     x, alpha, scale, inner);
        v.set(1, op::where(op::ge(x, 0.0), 0.0, op::mul(slope, inner)));
      }
    }),
};

extern const OpDef elu_op = {
    .name = "elu",
    .sig = "input: Tensor[float], alpha: float = 1.0",
    .doc = FE_DOC(R"(Exponential linear unit: input where it is positive, else
alpha * (exp(input) - 1).

Args:
    input: any shape, floating-point.
    alpha: the result for very negative elements is -alpha.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.elu(fe.tensor([2.0, -fe.inf])).tolist()
    [2.0, -1.0]

Source: D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep
network learning by exponential linear units", ICLR 2016.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(5), 0.5"),
    .reference = FE_DOC(
        "np.where(input > 0, input, alpha * np.expm1(np.minimum(input, 0)))"),
    .where = kFunctional,
    .has_inplace = true,
    .decompose = FE_GRAD(
        [](OpCall& c) { return one(op::scaled_elu(c.tensor(0), c.args[1])); }),
};

extern const OpDef selu_op = {
    .name = "selu",
    .sig = "input: Tensor[float]",
    .doc = FE_DOC(
        R"(Scaled exponential linear unit: elu with the constants that keep mean and
variance of activations at 0 and 1.

Args:
    input: any shape, floating-point.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> round(fe.selu(fe.tensor([1.0])).item(), 4)
    1.0507

Source: G. Klambauer et al., "Self-normalizing neural networks", NIPS 2017.
)"),
    .examples = FE_DOC("f(2, 3)"),
    .reference = FE_DOC("1.0507009873554805 * np.where(input > 0, input, "
                        "1.6732632423543772 * np.expm1(np.minimum(input, 0)))"),
    .where = kFunction | kFunctional,
    .has_inplace = true,
    .decompose = FE_GRAD([](OpCall& c) {
      return one(op::scaled_elu(c.tensor(0), kSeluAlpha, kSeluScale));
    }),
};

extern const OpDef celu_op = {
    .name = "celu",
    .sig = "input: Tensor[float], alpha: float = 1.0",
    .doc = FE_DOC(
        R"(Continuously differentiable elu: input where it is positive, else
alpha * (exp(input / alpha) - 1).

Args:
    input: any shape, floating-point.
    alpha: the result for very negative elements is -alpha; not 0.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.
    ValueError: alpha is 0.

Example:
    >>> import ferrule as fe
    >>> fe.celu(fe.tensor([2.0, -fe.inf]), 0.5).tolist()
    [2.0, -0.5]

Source: J. Barron, "Continuously differentiable exponential linear units",
arXiv:1704.07483.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(5), 0.5"),
    .reference = FE_DOC("np.maximum(input, 0) + np.minimum(alpha * "
                        "np.expm1(input / alpha), 0)"),
    .where = kFunction | kFunctional,
    .has_inplace = true,
    .decompose = FE_GRAD([](OpCall& c) {
      if (c.f(1) == 0) c.fail<ValueError>("alpha must not be 0");
      return one(op::scaled_elu(c.tensor(0), c.args[1], 1.0, 1 / c.f(1)));
    }),
};

}  // namespace ferrule
