// Integrals by the trapezoidal rule.
#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// Areas between neighbours: arguments y, x, dx, dim. A vector x belongs to
// dimension dim.
Tensor areas(const OpCall& c, int dim) {
  const Tensor y = c.tensor(0);
  const Tensor sums =
      op::add(op::slice(y, dim, 1), op::slice(y, dim, 0, Int(-1)));
  if (!c.has(1)) {
    return op::mul(sums, c.has(2) ? c.number(2) / 2 : 0.5);
  }
  if (c.has(2)) c.fail<ValueError>("give either x or dx");
  Tensor x = c.tensor(1);
  if (x.ndim() == 1 && y.ndim() > 1) {
    IntList shape;
    for (int d = 0; d < y.ndim(); ++d) {
      shape.push(d == dim ? size_of(x.impl(), 0) : Int(1));
    }
    x = op::reshape(x, shape);
  }
  const int along = dim - y.ndim() + x.ndim();
  if (along < 0 || x.size(along) != y.size(dim)) {
    c.fail<ShapeError>("x of shape ", c.in(1).sizes(), " does not have the ",
                       y.size(dim), " places of dimension ", dim, " of y, ",
                       y.shape());
  }
  const Tensor steps =
      op::sub(op::slice(x, along, 1), op::slice(x, along, 0, Int(-1)));
  return op::mul(op::mul(sums, steps), 0.5);
}

int dim_of(const OpCall& c) {
  const TensorImpl& y = c.in(0);
  if (y.ndim == 0) c.fail<ShapeError>("y must not be a 0-d tensor");
  if (y.dtype == DType::bool_) c.fail<DTypeError>("y must not be bool");
  return c.dim(3, y.ndim);
}

#endif

}  // namespace

extern const OpDef trapezoid_op = {
    .name = "trapezoid",
    .sig = "y: Tensor, x: Tensor? = None, *, dx: Scalar? = None, dim: int = -1",
    .doc = FE_DOC(R"(Integral along a dimension, by the trapezoidal rule.

Args:
    y: values of the function.
    x: where they are; None: at distances dx. A vector belongs to dimension
        `dim`.
    dx: distance of the places; None is 1.
    dim: the dimension.

Returns:
    Tensor without the dimension.

Raises:
    ShapeError: `x` does not fit.
    ValueError: both `x` and `dx`.

Example:
    >>> import ferrule as fe
    >>> fe.trapezoid(fe.tensor([1.0, 2.0, 4.0])).item()
    4.5

Source: numpy.trapezoid.
)"),
    .examples = FE_DOC("f(5)\nf(2, 4), f(4)\nf(3, 2), dx=0.5, dim=0\n"
                       "f(2, 3), f(2, 3)\nf(2, 1)\nf(3, 2, 2), f(3), dim=0"),
    .reference = FE_DOC(
        "(lambda s, i, j: ((y[i] + y[j]) * 0.5 * s).sum(dim))("
        "(dx or 1) if x is None else np.diff(x if x.ndim > 1 else x.reshape(["
        "-1 if d == dim % y.ndim else 1 for d in range(y.ndim)]), axis=dim), "
        "*[(slice(None),) * (dim % y.ndim) + (s,) for s in (slice(1, None), "
        "slice(None, -1))])"),
    .where = kFunction,
    .aliases = FE_DOC("trapz"),
    .decompose = FE_GRAD([](OpCall& c) {
      const int d = dim_of(c);
      return one(op::sum(areas(c, d), IntList{d}));
    }),
};

extern const OpDef cumulative_trapezoid_op = {
    .name = "cumulative_trapezoid",
    .sig = "y: Tensor, x: Tensor? = None, *, dx: Scalar? = None, dim: int = -1",
    .doc = FE_DOC(R"(Running integrals along a dimension; see `trapezoid`.

Args:
    y: values of the function.
    x: where they are; None: at distances dx. A vector belongs to dimension
        `dim`.
    dx: distance of the places; None is 1.
    dim: the dimension.

Returns:
    Tensor whose dimension is by one smaller.

Raises:
    ShapeError: `x` does not fit.
    ValueError: both `x` and `dx`.

Example:
    >>> import ferrule as fe
    >>> fe.cumulative_trapezoid(fe.tensor([1.0, 2.0, 4.0])).tolist()
    [1.5, 4.5]

Source: scipy.integrate.cumulative_trapezoid.
)"),
    .examples = FE_DOC("f(5)\nf(2, 4), f(4)\nf(3, 2), dx=0.5, dim=0"),
    .reference = FE_DOC(
        "(lambda s, i, j: ((y[i] + y[j]) * 0.5 * s).cumsum(dim))("
        "(dx or 1) if x is None else np.diff(x if x.ndim > 1 else x.reshape(["
        "-1 if d == dim % y.ndim else 1 for d in range(y.ndim)]), axis=dim), "
        "*[(slice(None),) * (dim % y.ndim) + (s,) for s in (slice(1, None), "
        "slice(None, -1))])"),
    .where = kFunction,
    .decompose = FE_GRAD([](OpCall& c) {
      const int d = dim_of(c);
      return one(op::cumsum(areas(c, d), d));
    }),
};

}  // namespace ferrule
