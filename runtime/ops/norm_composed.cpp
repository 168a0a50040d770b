// Normalisations that are compositions.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"
#include "runtime/ops/wide.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

Results decompose_rms_norm(OpCall& c) {
  const TensorImpl& x = c.in(0);
  const Dims shape = dims_of(c, 1);
  bool ends = shape.n > 0 && shape.n <= x.ndim;
  for (int d = 0; ends && d < shape.n; ++d) {
    ends = x.shape[x.ndim - shape.n + d] == shape[d];
  }
  if (!ends) {
    c.fail<ShapeError>("input ", x.sizes(),
                       " does not end with normalized_shape ", shape);
  }
  if (c.is_tensor(2) && !(Dims(c.in(2).sizes()) == shape)) {
    c.fail<ShapeError>("'weight' has shape ", c.in(2).sizes(),
                       ", but normalized_shape is ", shape);
  }
  IntList last;
  for (int d = x.ndim - shape.n; d < x.ndim; ++d) last.push(d);
  const Tensor wide = widened(c.tensor(0));
  const double eps = c.has(3)                     ? c.f(3)
                     : wide.dtype() == DType::f64 ? 0x1p-52
                                                  : 0x1p-23;
  const Tensor square = op::mean(op::mul(wide, wide), last, true);
  Tensor y = op::mul(wide, op::rsqrt(op::add(square, eps)));
  if (c.is_tensor(2)) y = op::mul(y, widened(c.tensor(2)));
  return one(narrowed(y, x.dtype));
}

Results decompose_local_response_norm(OpCall& c) {
  const TensorImpl& input = c.in(0);
  const Int size = c.sym(1);
  if (input.ndim < 3) {
    c.fail<ShapeError>("input must be (N, C, ...) with 3 dimensions or more, "
                       "got shape ",
                       input.sizes());
  }
  if (size.value < 1) {
    c.fail<ValueError>("size must be 1 or more, got ", size.value);
  }
  if (input.numel == 0) return one(op::clone(c.tensor(0)));
  const Tensor x = widened(c.tensor(0));
  IntList pad;
  for (int d = 2; d < input.ndim; ++d) {
    pad.push(0);
    pad.push(0);
  }
  pad.push(size / 2);
  pad.push((size - 1) / 2);
  const Tensor square = op::pad(op::mul(x, x), pad);
  // The window becomes the last dimension.
  const Tensor mean = op::mean(op::unfold(square, 1, size, 1), IntList{-1});
  const Tensor scale = op::add(op::mul(mean, c.args[2]), c.args[4]);
  return one(narrowed(op::div(x, op::pow(scale, c.args[3])), input.dtype));
}

#endif

}  // namespace

extern const OpDef rms_norm_op = {
    .name = "rms_norm",
    .sig = "input: Tensor[float], normalized_shape: int[], weight: "
           "Tensor[float]? = None, eps: float? = None",
    .doc = FE_DOC(
        R"(Root mean square normalisation: input / sqrt(mean(input^2) + eps) * weight.

Args:
    input: any shape that ends with `normalized_shape`.
    normalized_shape: the trailing dimensions that are normalised together.
    weight: shape `normalized_shape`; None: 1.
    eps: added to the mean; None: the spacing of numbers at 1, of float32 for 16-bit
        inputs.

Returns:
    The shape of `input`.

Raises:
    ShapeError: shapes do not fit.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> F.rms_norm(fe.tensor([[3.0, -3.0]]), 2, eps=0.0).tolist()
    [[1.0, -1.0]]

Source: B. Zhang and R. Sennrich, "Root mean square layer normalization", NeurIPS
2019.
)"),
    .examples = FE_DOC("f(4, 3), [3]\n"
                       "f(2, 3, 4), [3, 4], f(3, 4), 1e-3\n"
                       "f(4, 3), [3], f(3)"),
    .reference =
        FE_DOC("(lambda n: input / np.sqrt((input ** "
               "2).mean(axis=tuple(range(input.ndim - n, input.ndim)), "
               "keepdims=True) + (0 if eps is None else eps)) * (1 if weight "
               "is None else weight))(len(normalized_shape))"),
    .where = kFunction | kFunctional,
    .decompose = FE_GRAD(decompose_rms_norm),
};

extern const OpDef local_response_norm_op = {
    .name = "local_response_norm",
    .sig = "input: Tensor[float], size: int, alpha: float = 1e-4, beta: float "
           "= 0.75, k: float = 1.0",
    .doc = FE_DOC(
        R"(Divides by (k + alpha * m)^beta, m being the mean square of the neighbouring
channels.

Args:
    input: shape (N, C, ...), with 3 dimensions or more.
    size: how many channels count, this one in the middle; there are zeros beyond the
        ends.
    alpha, beta, k: as in the formula.

Returns:
    The shape of `input`.

Raises:
    ShapeError: `input` has fewer than 3 dimensions.
    ValueError: `size` is not positive.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x = fe.ones((1, 1, 1))
    >>> F.local_response_norm(x, 1, alpha=3.0, beta=0.5).item()
    0.5

Source: A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep
convolutional neural networks", NIPS 2012, section 3.3.
)"),
    .examples = FE_DOC("f(2, 5, 3), 3\n"
                       "f(2, 4, 2, 2), 4, 0.5, 0.6, 2.0\n"
                       "f(1, 2, 3), 5"),
    .reference =
        FE_DOC("input / (k + alpha / size * np.stack([(input[:, max(0, c - "
               "size // 2):c + (size - 1) // 2 + 1] ** 2).sum(1) for c in "
               "range(input.shape[1])], 1)) ** beta"),
    .where = kFunctional,
    .decompose = FE_GRAD(decompose_local_response_norm),
};

}  // namespace ferrule
