// Activations that are compositions of other ops.
#include <cmath>

#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"
#include "runtime/ops/wide.h"

namespace ferrule {
extern const OpDef logsigmoid_op = {
    .name = "logsigmoid",
    .sig = "input: Tensor[float]",
    .doc = FE_DOC(
        R"(Logarithm of the logistic function, without overflow: -log(1 + exp(-input)).

Args:
    input: any shape, floating-point.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> round(fe.nn.functional.logsigmoid(fe.tensor([0.0])).item(), 4)
    -0.6931

Source: torch.nn.functional.logsigmoid.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(5) * 30"),
    .reference = FE_DOC("-np.logaddexp(0, -input)"),
    .where = kFunctional,
    .decompose = FE_GRAD([](OpCall& c) {
      return one(op::softplus(c.tensor(0), -1.0, INFINITY));
    }),
};

extern const OpDef softsign_op = {
    .name = "softsign",
    .sig = "input: Tensor[float]",
    .doc =
        FE_DOC(R"(input / (1 + |input|), which levels off more slowly than tanh.

Args:
    input: any shape, floating-point.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.softsign(fe.tensor([-1.0, 0.0, 3.0])).tolist()
    [-0.5, 0.0, 0.75]

Source: J. Turian et al., "Quadratic features and deep architectures for
chunking", NAACL 2009.
)"),
    .examples = FE_DOC("f(2, 3)"),
    .reference = FE_DOC("input / (1 + np.abs(input))"),
    .where = kFunctional,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor x = widened(c.tensor(0));
      return one(narrowed(op::div(x, op::add(op::abs(x), 1.0)), c.in(0).dtype));
    }),
};

extern const OpDef tanhshrink_op = {
    .name = "tanhshrink",
    .sig = "input: Tensor[float]",
    .doc = FE_DOC(R"(input - tanh(input).

Args:
    input: any shape, floating-point.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.tanhshrink(fe.tensor([0.0])).tolist()
    [0.0]

Source: torch.nn.functional.tanhshrink.
)"),
    .examples = FE_DOC("f(2, 3)"),
    .reference = FE_DOC("input - np.tanh(input)"),
    .where = kFunctional,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor x = widened(c.tensor(0));
      return one(narrowed(op::sub(x, op::tanh(x)), c.in(0).dtype));
    }),
};

extern const OpDef softmin_op = {
    .name = "softmin",
    .sig = "input: Tensor[float], dim: int = -1",
    .doc = FE_DOC(R"(softmax(-input) along a dimension.

Args:
    input: any shape, floating-point.
    dim: the dimension that sums to one; the last one by default.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.softmin(fe.zeros((1, 2)), 1).tolist()
    [[0.5, 0.5]]

Source: torch.nn.functional.softmin.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(2, 3, 4), 1"),
    .reference =
        FE_DOC("(lambda e: e / e.sum(dim, keepdims=True))(np.exp(-input))"),
    .where = kFunctional,
    .decompose = FE_GRAD([](OpCall& c) {
      return one(op::softmax(op::neg(c.tensor(0)), c.args[1]));
    }),
};

extern const OpDef glu_op = {
    .name = "glu",
    .sig = "input: Tensor[float], dim: int = -1",
    .doc = FE_DOC(
        R"(Gated linear unit: a * sigmoid(b) for the halves a and b of the input.

Args:
    input: any shape, floating-point.
    dim: the dimension that is halved, of even size.

Returns:
    Tensor with half the size in `dim`.

Raises:
    ShapeError: the size of `dim` is odd, or there is no dimension.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.glu(fe.tensor([4.0, 0.0])).tolist()
    [2.0]

Source: Y. Dauphin et al., "Language modeling with gated convolutional
networks", ICML 2017.
)"),
    .examples = FE_DOC("f(2, 4)\n"
                       "f(2, 6, 3), 1"),
    .reference =
        FE_DOC("(lambda a, b: a / (1 + np.exp(-b)))(*np.split(input, 2, dim))"),
    .where = kFunctional,
    .decompose = FE_GRAD([](OpCall& c) {
      const TensorImpl& x = c.in(0);
      if (x.ndim == 0) {
        c.fail<ShapeError>("a tensor of shape () cannot be halved");
      }
      const int d = c.dim(1, x.ndim);
      if (x.shape[d] % 2 != 0) {
        c.fail<ShapeError>("dimension ", d, " of input ", x.sizes(),
                           " is halved and must have an even size");
      }
      const Int half = size_of(&x, d) / 2;
      const Tensor input = widened(c.tensor(0));
      const Tensor gate = op::sigmoid(op::narrow(input, d, half, half));
      const Tensor gated = op::mul(op::narrow(input, d, 0, half), gate);
      return one(narrowed(gated, x.dtype));
    }),
};

}  // namespace ferrule
