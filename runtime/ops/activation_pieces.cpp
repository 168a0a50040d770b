// Activations that are made of straight lines or, for hardswish, of parabolas.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// The gradient of an op that is a factor times its first argument, where the
// factor's own derivative is 0 wherever it exists.
void linear_vjp(Vjp& v, Tensor grad_of_grad) {
  if (v.needs(0)) v.set(0, std::move(grad_of_grad));
  if (v.needs(1)) v.set(1, op::zeros_like(v.grad()));
}

// One weight a channel, which stand in dimension 1, beside the input.
Tensor beside_channels(const OpCall& c, const Tensor& weight) {
  const TensorImpl& x = c.in(0);
  if (weight.ndim() == 0) return weight;
  if (weight.ndim() != 1) {
    c.fail<ShapeError>("weight must have one dimension, or none, got shape ",
                       weight.shape());
  }
  if (weight.numel() == 1) return weight;
  const int64_t channels = x.ndim > 1 ? x.shape[1] : 1;
  if (weight.numel() != channels) {
    c.fail<ShapeError>("weight has ", weight.numel(), " elements, but input ",
                       x.sizes(), " has ", channels,
                       " channels (dimension 1); one weight for all works too");
  }
  IntList shape{size_of(weight.impl(), 0)};
  for (int d = 2; d < x.ndim; ++d) shape.push(1);
  return op::reshape(weight, shape);
}

void require_lambda(const OpCall& c) {
  if (c.f(1) >= 0) return;
  c.fail<ValueError>("lambd must be 0 or more, got ", c.f(1));
}

#endif

void infer_hardtanh(OpCall& c) {
  if (c.f(1) > c.f(2)) {
    c.fail<ValueError>("min_val ", c.f(1), " is above max_val ", c.f(2));
  }
  infer_unary_float(c);
}

}  // namespace

extern const OpDef leaky_relu_op = {
    .name = "leaky_relu",
    .sig = "input: Tensor[float], negative_slope: float = 0.01",
    .doc = FE_DOC(R"(input where it is positive, else negative_slope * input.

Args:
    input: any shape, floating-point.
    negative_slope: the slope for negative elements.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.leaky_relu(fe.tensor([2.0, -2.0]), 0.5).tolist()
    [2.0, -1.0]

Source: A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural
network acoustic models", ICML 2013.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(33), 0.2\n"
                       "f(0, 2)"),
    .reference = FE_DOC("np.where(input > 0, input, input * negative_slope)"),
    .where = kFunctional,
    .has_inplace = true,
    .saves = "input",
    .infer = infer_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::leaky_relu_backward(v.grad(), v.in(0), v.args[1]));
    }),
};

extern const OpDef leaky_relu_backward_op = {
    .name = "leaky_relu_backward",
    .sig = "grad: Tensor[float], input: Tensor[float], negative_slope: float = "
           "0.01",
    .doc = FE_DOC(R"(Gradient of leaky_relu from its input.

Args:
    grad: gradient of the result.
    input: the input of leaky_relu; same shape as `grad`.
    negative_slope: as there.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> one = fe.tensor([1.0])
    >>> fe.ops.leaky_relu_backward(one, fe.tensor([-1.0]), 0.5).tolist()
    [0.5]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(33), f(33), 0.2"),
    .reference = FE_DOC("np.where(input > 0, grad, grad * negative_slope)"),
    .where = kInternal,
    .saves = "input",
    .infer = infer_like_first,
    .vjp = FE_GRAD([](Vjp& v) {
      linear_vjp(v, op::leaky_relu_backward(v.grad(), v.in(1), v.args[2]));
    }),
};

extern const OpDef hardtanh_op = {
    .name = "hardtanh",
    .sig = "input: Tensor[float], min_val: float = -1.0, max_val: float = 1.0",
    .doc = FE_DOC(
        R"(input within [min_val, max_val]; the gradient on the limits is 0.

Args:
    input: any shape, floating-point.
    min_val, max_val: the limits.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.
    ValueError: `min_val` is above `max_val`.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.hardtanh(fe.tensor([-3.0, 0.5])).tolist()
    [-1.0, 0.5]

Source: R. Collobert, "Large scale machine learning", 2004.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(33), -0.5, 2.0\n"
                       "f(0, 2)"),
    .reference = FE_DOC("np.clip(input, min_val, max_val)"),
    .where = kFunctional,
    .has_inplace = true,
    .saves = "input",
    .infer = infer_hardtanh,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::hardtanh_backward(v.grad(), v.in(0), v.args[1], v.args[2]));
    }),
};

extern const OpDef hardtanh_backward_op = {
    .name = "hardtanh_backward",
    .sig = "grad: Tensor[float], input: Tensor[float], min_val: float = -1.0, "
           "max_val: float = 1.0",
    .doc = FE_DOC(R"(Gradient of hardtanh from its input.

Args:
    grad: gradient of the result.
    input: the input of hardtanh; same shape as `grad`.
    min_val, max_val: as there.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> one = fe.tensor([1.0])
    >>> fe.ops.hardtanh_backward(one, fe.tensor([1.0])).tolist()
    [0.0]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(33), f(33), -0.5, 2.0"),
    .reference =
        FE_DOC("np.where((input > min_val) & (input < max_val), grad, 0)"),
    .where = kInternal,
    .saves = "input",
    .infer = infer_like_first,
    .vjp = FE_GRAD([](Vjp& v) {
      linear_vjp(
          v, op::hardtanh_backward(v.grad(), v.in(1), v.args[2], v.args[3]));
    }),
};

extern const OpDef relu6_op = {
    .name = "relu6",
    .sig = "input: Tensor[float]",
    .doc = FE_DOC(R"(input within [0, 6]; the gradient on the limits is 0.

Args:
    input: any shape, floating-point.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.relu6(fe.tensor([-1.0, 2.0, 9.0])).tolist()
    [0.0, 2.0, 6.0]

Source: A. Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(5) * 6"),
    .reference = FE_DOC("np.clip(input, 0, 6)"),
    .where = kFunctional,
    .has_inplace = true,
    .decompose = FE_GRAD(
        [](OpCall& c) { return one(op::hardtanh(c.tensor(0), 0.0, 6.0)); }),
};

extern const OpDef hardsigmoid_op = {
    .name = "hardsigmoid",
    .sig = "input: Tensor[float]",
    .doc = FE_DOC(R"(Piecewise linear sigmoid: relu6(input + 3) / 6.

Args:
    input: any shape, floating-point.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.hardsigmoid(fe.tensor([-3.0, 0.0])).tolist()
    [0.0, 0.5]

Source: A. Howard et al., "Searching for MobileNetV3", ICCV 2019.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(9) * 3"),
    .reference = FE_DOC("np.clip(input + 3, 0, 6) / 6"),
    .where = kFunctional,
    .has_inplace = true,
    .saves = "input",
    .infer = infer_unary_float,
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, op::hardsigmoid_backward(v.grad(), v.in(0))); }),
};

extern const OpDef hardsigmoid_backward_op = {
    .name = "hardsigmoid_backward",
    .sig = "grad: Tensor[float], input: Tensor[float]",
    .doc = FE_DOC(R"(Gradient of hardsigmoid from its input.

Args:
    grad: gradient of the result.
    input: the input of hardsigmoid; same shape as `grad`.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> grad, x = fe.tensor([3.0, 3.0]), fe.tensor([0.0, 4.0])
    >>> fe.ops.hardsigmoid_backward(grad, x).tolist()
    [0.5, 0.0]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(33), f(33) * 3"),
    .reference = FE_DOC("np.where(np.abs(input) < 3, grad / 6, 0)"),
    .where = kInternal,
    .saves = "input",
    .infer = infer_like_first,
    .vjp = FE_GRAD([](Vjp& v) {
      linear_vjp(v, op::hardsigmoid_backward(v.grad(), v.in(1)));
    }),
};

extern const OpDef hardswish_op = {
    .name = "hardswish",
    .sig = "input: Tensor[float]",
    .doc = FE_DOC(R"(Piecewise swish: input * relu6(input + 3) / 6.

Args:
    input: any shape, floating-point.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.hardswish(fe.tensor([0.0, 3.0])).tolist()
    [0.0, 3.0]

Source: A. Howard et al., "Searching for MobileNetV3", ICCV 2019.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(33) * 3\n"
                       "f(0, 2)"),
    .reference = FE_DOC("input * np.clip(input + 3, 0, 6) / 6"),
    .where = kFunctional,
    .has_inplace = true,
    .saves = "input",
    .infer = infer_unary_float,
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, op::hardswish_backward(v.grad(), v.in(0))); }),
};

extern const OpDef hardswish_backward_op = {
    .name = "hardswish_backward",
    .sig = "grad: Tensor[float], input: Tensor[float]",
    .doc = FE_DOC(R"(Gradient of hardswish from its input.

Args:
    grad: gradient of the result.
    input: the input of hardswish; same shape as `grad`.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> one = fe.tensor([1.0])
    >>> fe.ops.hardswish_backward(one, fe.tensor([0.0])).tolist()
    [0.5]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(33), f(33) * 3"),
    .reference = FE_DOC("grad * np.where(input <= -3, 0, np.where(input < 3, "
                        "input / 3 + 0.5, 1))"),
    .where = kInternal,
    .saves = "grad input",
    .infer = infer_like_first,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor x = v.in(1);
      if (v.needs(0)) v.set(0, op::hardswish_backward(v.grad(), x));
      if (v.needs(1)) {
        const Tensor product = op::mul(v.grad(), v.in(0));
        v.set(1, op::hardtanh_backward(op::div(product, 3.0), x, -3.0, 3.0));
      }
    }),
};

extern const OpDef prelu_op = {
    .name = "prelu",
    .sig = "input: Tensor[float], weight: Tensor[float]",
    .doc = FE_DOC(
        R"(input where it is positive, else weight * input, with learned weights.

Args:
    input: any shape, floating-point.
    weight: one for all, shape () or (1,); or one for every channel (dimension 1 of
        `input`), shape (C,).

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.
    ShapeError: another number of weights.

Example:
    >>> import ferrule as fe
    >>> fe.prelu(fe.tensor([2.0, -2.0]), fe.tensor([0.5])).tolist()
    [2.0, -1.0]

Source: K. He et al., "Delving deep into rectifiers", ICCV 2015.
)"),
    .examples = FE_DOC("f(2, 3), f(3)\n"
                       "f(2, 3, 4), f(3)\n"
                       "f(5), f(1)\n"
                       "f(2, 3), f()"),
    .reference =
        FE_DOC("np.where(input > 0, input, input * (weight if weight.size == 1 "
               "else weight.reshape((-1,) + (1,) * (input.ndim - 2))))"),
    .where = kPublic | kFunctional,
    .autocast = Autocast::lower,
    .decompose = FE_GRAD([](OpCall& c) {
      require_same_dtype(c, {0, 1});
      const Tensor x = c.tensor(0);
      const Tensor weight = beside_channels(c, c.tensor(1));
      return one(op::where(op::gt(x, 0.0), x, op::mul(x, weight)));
    }),
};

extern const OpDef rrelu_op = {
    .name = "rrelu",
    .sig = "input: Tensor[float], lower: float = 0.125, upper: float = "
           "0.3333333333333333, training: bool = False",
    .doc = FE_DOC(
        R"(leaky_relu whose slope is drawn anew for every negative element in training;
otherwise it is the mean of the limits.

Args:
    input: any shape, floating-point.
    lower, upper: limits of the slopes, drawn evenly.
    training: draw them; takes one tick of the generator.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.
    ValueError: `lower` is above `upper`.

Example:
    >>> import ferrule as fe
    >>> fe.rrelu(fe.tensor([2.0, -2.0]), 0.0, 1.0).tolist()
    [2.0, -1.0]

Source: B. Xu et al., "Empirical evaluation of rectified activations in
convolutional network", arXiv:1505.00853.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(5), 0.2, 0.4"),
    .reference =
        FE_DOC("np.where(input > 0, input, input * (lower + upper) / 2)"),
    .where = kFunction | kFunctional,
    .has_inplace = true,
    .decompose = FE_GRAD([](OpCall& c) {
      const double lower = c.f(1), upper = c.f(2);
      if (!(lower <= upper)) {
        c.fail<ValueError>("lower ", lower, " is above upper ", upper);
      }
      const Tensor x = c.tensor(0);
      if (!c.b(3)) return one(op::leaky_relu(x, (lower + upper) / 2));
      const Tensor slope =
          op::add(op::mul(op::rand_like(x), upper - lower), lower);
      return one(op::where(op::gt(x, 0.0), x, op::mul(x, slope)));
    }),
};

extern const OpDef threshold_op = {
    .name = "threshold",
    .sig = "input: Tensor[float], threshold: float, value: float",
    .doc = FE_DOC(R"(input where it is above the threshold, else the value.

Args:
    input: any shape, floating-point.
    threshold: what elements must exceed.
    value: takes the place of those that do not.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.threshold(fe.tensor([2.0, -2.0]), 1.0, 7.0).tolist()
    [2.0, 7.0]

Source: torch.threshold.
)"),
    .examples = FE_DOC("f(2, 3), 0.1, 20.0"),
    .reference = FE_DOC("np.where(input > threshold, input, value)"),
    .where = kFunction | kFunctional,
    .has_inplace = true,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor x = c.tensor(0);
      return one(op::where(op::le(x, c.args[1]), c.args[2], x));
    }),
};

extern const OpDef hardshrink_op = {
    .name = "hardshrink",
    .sig = "input: Tensor[float], lambd: float = 0.5",
    .doc = FE_DOC(R"(input where its magnitude is above lambd, else 0.

Args:
    input: any shape, floating-point.
    lambd: what magnitudes must exceed.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.hardshrink(fe.tensor([2.0, -0.25])).tolist()
    [2.0, 0.0]

Source: D. Donoho and I. Johnstone, "Ideal spatial adaptation by wavelet
shrinkage", Biometrika 81 (1994).
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(9), 0.2"),
    .reference = FE_DOC("np.where(np.abs(input) > lambd, input, 0)"),
    .where = kPublic | kFunctional,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor x = c.tensor(0);
      return one(op::where(op::le(op::abs(x), c.args[1]), 0.0, x));
    }),
};

extern const OpDef softshrink_op = {
    .name = "softshrink",
    .sig = "input: Tensor[float], lambd: float = 0.5",
    .doc = FE_DOC(
        R"(input moved towards 0 by lambd, and 0 where its magnitude is smaller.

Args:
    input: any shape, floating-point.
    lambd: 0 or more.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.
    ValueError: `lambd` is negative.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.softshrink(fe.tensor([2.0, -0.25])).tolist()
    [1.5, 0.0]

Source: D. Donoho, "De-noising by soft-thresholding", IEEE Trans. Inf. Theory 41
(1995).
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(9), 0.2"),
    .reference =
        FE_DOC("np.sign(input) * np.maximum(np.abs(input) - lambd, 0)"),
    .where = kFunctional,
    .decompose = FE_GRAD([](OpCall& c) {
      require_lambda(c);
      const Tensor x = c.tensor(0);
      const Tensor moved = op::where(op::gt(x, 0.0), op::sub(x, c.args[1]),
                                     op::add(x, c.args[1]));
      return one(op::where(op::le(op::abs(x), c.args[1]), 0.0, moved));
    }),
};

}  // namespace ferrule
