// Softmax, its logarithm, and the gradients of both.
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_softmax(OpCall& c) {
  c.dim(1, c.in(0).ndim);
  c.compute = c.in(0).dtype;
  c.out_like(0, 0);
}

void infer_softmax_backward(OpCall& c) {
  infer_like_first(c);
  require_same_dtype(c, {0, 1});
  c.dim(2, c.in(0).ndim);
}

// Sum over the softmax's dimension, which is kept.
[[maybe_unused]] Tensor row_sum(const Vjp& v, const Tensor& t) {
  return op::sum(t, IntList{Int(v.args[2].i, v.args[2].n)}, true);
}

}  // namespace

extern const OpDef softmax_op = {
    .name = "softmax",
    .sig = "input: Tensor[float], dim: int = -1",
    .doc = FE_DOC(R"(exp(input), divided by its sum over one dimension.

Args:
    input: any shape; floating-point.
    dim: the dimension that sums to 1.

Returns:
    Tensor of the same shape.

Raises:
    IndexError: `dim` is out of range.
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.softmax(fe.tensor([1.0, 1.0])).tolist()
    [0.5, 0.5]

Source: torch.softmax; the maximum is subtracted before exp, which changes
nothing but the range.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(2, 3, 4), dim=1\n"
                       "f(2, 3), 0"),
    .reference = FE_DOC("np.exp(input - input.max(dim, keepdims=True)) / "
                        "np.exp(input - input.max(dim, keepdims=True)).sum("
                        "dim, keepdims=True)"),
    .saves = "out",
    .infer = infer_softmax,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::softmax_backward(v.grad(), v.out(), v.args[1]));
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef log_softmax_op = {
    .name = "log_softmax",
    .sig = "input: Tensor[float], dim: int = -1",
    .doc = FE_DOC(R"(Logarithm of softmax, without its loss of range.

Args:
    input: any shape; floating-point.
    dim: the dimension that sums to 1.

Returns:
    Tensor of the same shape.

Raises:
    IndexError: `dim` is out of range.
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.log_softmax(fe.tensor([3.0])).tolist()
    [0.0]

Source: torch.log_softmax.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(2, 3, 4), dim=1\n"
                       "f(2, 3), 0"),
    .reference = FE_DOC("input - input.max(dim, keepdims=True) - np.log("
                        "np.exp(input - input.max(dim, keepdims=True)).sum("
                        "dim, keepdims=True))"),
    .saves = "out",
    .infer = infer_softmax,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::log_softmax_backward(v.grad(), v.out(), v.args[1]));
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef softmax_backward_op = {
    .name = "softmax_backward",
    .sig = "grad: Tensor[float], result: Tensor[float], dim: int = -1",
    .doc = FE_DOC(R"(Gradient of softmax: result * (grad - sum(grad * result)).

Args:
    grad: gradient of the result.
    result: the result; same shape and dtype as `grad`.
    dim: the dimension that was summed over.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> y = fe.tensor([0.5, 0.5])
    >>> fe.ops.softmax_backward(fe.tensor([1.0, 0.0]), y).tolist()
    [0.25, -0.25]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3, 4), f(2, 3, 4), dim=1"),
    .reference =
        FE_DOC("result * (grad - (grad * result).sum(dim, keepdims=True))"),
    .where = kInternal,
    .saves = "grad result",
    .infer = infer_softmax_backward,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor u = v.grad();
      const Tensor y = v.in(1);
      if (v.needs(0)) v.set(0, op::softmax_backward(u, y, v.args[2]));
      if (v.needs(1)) {
        const Tensor g = v.in(0);
        const Tensor direct = op::mul(u, op::sub(g, row_sum(v, op::mul(g, y))));
        v.set(1, op::sub(direct, op::mul(g, row_sum(v, op::mul(u, y)))));
      }
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef log_softmax_backward_op = {
    .name = "log_softmax_backward",
    .sig = "grad: Tensor[float], result: Tensor[float], dim: int = -1",
    .doc = FE_DOC(R"(Gradient of log_softmax: grad - exp(result) * sum(grad).

Args:
    grad: gradient of the result.
    result: the result; same shape and dtype as `grad`.
    dim: the dimension that was summed over.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> y = fe.tensor([0.0])
    >>> fe.ops.log_softmax_backward(fe.tensor([1.0]), y).tolist()
    [0.0]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3, 4), f(2, 3, 4), dim=1"),
    .reference = FE_DOC("grad - np.exp(result) * grad.sum(dim, keepdims=True)"),
    .where = kInternal,
    .saves = "grad result",
    .infer = infer_softmax_backward,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor u = v.grad();
      const Tensor weighted = op::mul(u, op::exp(v.in(1)));
      if (v.needs(0)) v.set(0, op::sub(u, row_sum(v, weighted)));
      if (v.needs(1)) {
        v.set(1, op::neg(op::mul(weighted, row_sum(v, v.in(0)))));
      }
    }),
    .batch = FE_GRAD(batch_dims),
};

}  // namespace ferrule
