// Statistics that are compositions of reductions.
#include <cmath>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

Results two(Tensor a, Tensor b) {
  Results r;
  r.n = 2;
  r[0] = std::move(a);
  r[1] = std::move(b);
  return r;
}

// var with the arguments of the call, which are its own.
Tensor variance(OpCall& c) {
  return op::var(c.tensor(0), c.args[1], c.args[2], c.args[3], c.args[4]);
}

Tensor without_nan(const Tensor& x) {
  return is_float(x.dtype()) ? op::where(op::ne(x, x), 0.0, x) : x;
}

// log(sum(exp(x - m))) + m for the largest m, which no derivative depends on.
Results decompose_logsumexp(OpCall& c) {
  Tensor x = c.tensor(0);
  check_real(c, 0);
  if (!is_float(x.dtype())) x = op::cast(x, DType::f32);
  const uint32_t mask = dim_mask(c, 1, x.ndim());
  if (reduced_count(x.shape(), mask) == 0) {
    return one(op::log(op::sum(op::exp(x), c.args[1], c.b(2))));
  }
  Tensor shift;
  {
    NoGrad constant;
    const Tensor largest = op::amax(x, c.args[1], true);
    const Tensor finite = op::lt(op::abs(largest), INFINITY);
    shift = op::where(finite, largest, 0.0);
  }
  const Tensor sum = op::sum(op::exp(op::sub(x, shift)), c.args[1], c.b(2));
  if (!c.b(2)) {
    shift = op::reshape(shift, sizes_of(sum.impl()));
  }
  return one(op::add(op::log(sum), shift));
}

#endif

}  // namespace

extern const OpDef std_op = {
    .name = "std",
    .sig = "input: Tensor[float], dim: int[]? = None, unbiased: bool? = None, "
           "keepdim: bool = False, *, correction: Scalar? = None",
    .doc = FE_DOC(R"(Standard deviation: the square root of `var`.

Args:
    input: any shape; floating-point.
    dim: the dimensions to reduce; None: all.
    unbiased: True is correction=1, False correction=0.
    keepdim: keep them, with size 1.
    correction: the sum of squares is divided by the number of elements minus
        this; None is 1.

Returns:
    Tensor without the reduced dimensions; NaN of too few elements.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.std(fe.tensor([1.0, 3.0]), correction=0).item()
    1.0

Source: numpy.std.
)"),
    .examples = FE_DOC("f(2, 3)\nf(2, 3, 4), 1\nf(4, 3), 0, False, True\n"
                       "f(2, 3, 4), dim=[0, -1], correction=0"),
    .reference = FE_DOC(
        "np.std(input, axis=None if dim is None else tuple(np.atleast_1d("
        "dim)), ddof=unbiased is not False if correction is None else "
        "correction, keepdims=keepdim)"),
    .decompose = FE_GRAD([](OpCall& c) { return one(op::sqrt(variance(c))); }),
};

extern const OpDef var_mean_op = {
    .name = "var_mean",
    .sig = "input: Tensor[float], dim: int[]? = None, unbiased: bool? = None, "
           "keepdim: bool = False, *, correction: Scalar? = None -> var, mean",
    .doc = FE_DOC(R"(Variance and mean; see `var`.

Args:
    input: any shape; floating-point.
    dim: the dimensions to reduce; None: all.
    unbiased: True is correction=1, False correction=0.
    keepdim: keep them, with size 1.
    correction: the sum of squares is divided by the number of elements minus
        this; None is 1.

Returns:
    Two tensors without the reduced dimensions.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> [t.item() for t in fe.var_mean(fe.tensor([1.0, 2.0, 3.0]))]
    [1.0, 2.0]

Source: torch.var_mean.
)"),
    .examples = FE_DOC("f(2, 3)\nf(2, 3, 4), 1, keepdim=True"),
    .reference = FE_DOC("(np.var(input, axis=dim, ddof=1, keepdims=keepdim), "
                        "np.mean(input, axis=dim, keepdims=keepdim))"),
    .where = kFunction,
    .decompose = FE_GRAD([](OpCall& c) {
      return two(variance(c), op::mean(c.tensor(0), c.args[1], c.args[3]));
    }),
};

extern const OpDef std_mean_op = {
    .name = "std_mean",
    .sig = "input: Tensor[float], dim: int[]? = None, unbiased: bool? = None, "
           "keepdim: bool = False, *, correction: Scalar? = None -> std, mean",
    .doc = FE_DOC(R"(Standard deviation and mean; see `std`.

Args:
    input: any shape; floating-point.
    dim: the dimensions to reduce; None: all.
    unbiased: True is correction=1, False correction=0.
    keepdim: keep them, with size 1.
    correction: the sum of squares is divided by the number of elements minus
        this; None is 1.

Returns:
    Two tensors without the reduced dimensions.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> [t.item() for t in fe.std_mean(fe.tensor([1.0, 2.0, 3.0]))]
    [1.0, 2.0]

Source: torch.std_mean.
)"),
    .examples = FE_DOC("f(2, 3)\nf(2, 3, 4), 1, keepdim=True"),
    .reference = FE_DOC("(np.std(input, axis=dim, ddof=1, keepdims=keepdim), "
                        "np.mean(input, axis=dim, keepdims=keepdim))"),
    .where = kFunction,
    .decompose = FE_GRAD([](OpCall& c) {
      return two(op::sqrt(variance(c)),
                 op::mean(c.tensor(0), c.args[1], c.args[3]));
    }),
};

extern const OpDef aminmax_op = {
    .name = "aminmax",
    .sig = "input: Tensor, *, dim: int[]? = None, keepdim: bool = False -> "
           "min, max",
    .doc = FE_DOC(R"(Smallest and largest element; see `amin` and `amax`.

Args:
    input: any shape.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.

Returns:
    Two tensors without the reduced dimensions.

Raises:
    IndexError: a dimension is out of range.
    ShapeError: a reduced dimension is 0.

Example:
    >>> import ferrule as fe
    >>> [t.item() for t in fe.aminmax(fe.tensor([3, 1, 2]))]
    [1, 3]

Source: torch.aminmax.
)"),
    .examples = FE_DOC("f(2, 3)\nf(2, 3, 4), dim=1, keepdim=True"),
    .reference = FE_DOC("(np.min(input, axis=dim, keepdims=keepdim), "
                        "np.max(input, axis=dim, keepdims=keepdim))"),
    .decompose = FE_GRAD([](OpCall& c) {
      return two(op::amin(c.tensor(0), c.args[1], c.args[2]),
                 op::amax(c.tensor(0), c.args[1], c.args[2]));
    }),
};

extern const OpDef count_nonzero_op = {
    .name = "count_nonzero",
    .sig = "input: Tensor, dim: int[]? = None, keepdim: bool = False",
    .doc = FE_DOC(R"(How many elements are not 0.

Args:
    input: any shape.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.

Returns:
    int64 tensor without the reduced dimensions.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.

Example:
    >>> import ferrule as fe
    >>> fe.count_nonzero(fe.tensor([[0, 1], [2, 3]]), 0).tolist()
    [1, 2]

Source: numpy.count_nonzero.
)"),
    .examples = FE_DOC("i(2, 3, 4)\nb(2, 3, 4), 1\nf(0, 2), 0\ni(2, 3, 4), "
                       "dim=[0, 1], keepdim=True"),
    .reference = FE_DOC("np.count_nonzero(input, axis=None if dim is None else "
                        "tuple(np.atleast_1d(dim)), keepdims=keepdim)"),
    .decompose = FE_GRAD([](OpCall& c) {
      return one(op::sum(op::ne(c.tensor(0), false), c.args[1], c.args[2]));
    }),
};

extern const OpDef logsumexp_op = {
    .name = "logsumexp",
    .sig = "input: Tensor, dim: int[], keepdim: bool = False",
    .doc = FE_DOC(R"(Logarithm of the sum of exp(input), without overflow.

Args:
    input: any shape; integers are computed in float32.
    dim: the dimensions to reduce; (): all.
    keepdim: keep them, with size 1.

Returns:
    Tensor without the reduced dimensions; -inf of nothing.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.

Example:
    >>> import ferrule as fe
    >>> fe.logsumexp(fe.tensor([1000.0, -1000.0]), 0).item()
    1000.0

Source: torch.logsumexp.
)"),
    .examples =
        FE_DOC("f(5), 0\nf(2, 3, 4), (0, 2)\nf(2, 3), -1, True\nf(0, 3), 0"),
    .reference =
        FE_DOC("np.log(np.sum(np.exp(input), axis=tuple(np.atleast_1d(dim)), "
               "keepdims=keepdim))"),
    .decompose = FE_GRAD(decompose_logsumexp),
};

extern const OpDef nansum_op = {
    .name = "nansum",
    .sig = "input: Tensor, dim: int[]? = None, keepdim: bool = False, *, "
           "dtype: dtype? = None",
    .doc = FE_DOC(R"(Sum over dimensions that passes over NaN; see `sum`.

Args:
    input: any shape.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.
    dtype: what to compute in and to return; None: that of `input`, int64 for
        integers and bools.

Returns:
    Tensor without the reduced dimensions.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.

Example:
    >>> import ferrule as fe
    >>> fe.nansum(fe.tensor([1.0, fe.nan, 2.0])).item()
    3.0

Source: numpy.nansum.
)"),
    .examples = FE_DOC("f(2, 3)\nnp.array([[1.0, np.nan], [np.nan, 2.0]]), 1\n"
                       "f(2, 3, 4), dim=[0, -1], keepdim=True"),
    .reference = FE_DOC("np.nansum(input, axis=None if dim is None else "
                        "tuple(np.atleast_1d(dim)), keepdims=keepdim)"),
    .decompose = FE_GRAD([](OpCall& c) {
      return one(
          op::sum(without_nan(c.tensor(0)), c.args[1], c.args[2], c.args[3]));
    }),
};

extern const OpDef nanmean_op = {
    .name = "nanmean",
    .sig = "input: Tensor[float], dim: int[]? = None, keepdim: bool = False, "
           "*, dtype: dtype? = None",
    .doc = FE_DOC(R"(Mean over dimensions that passes over NaN; see `mean`.

Args:
    input: any shape; floating-point.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.
    dtype: what to compute in and to return; None: that of `input`.

Returns:
    Tensor without the reduced dimensions; NaN where there is nothing else.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.nanmean(fe.tensor([1.0, fe.nan, 3.0])).item()
    2.0

Source: numpy.nanmean.
)"),
    .examples = FE_DOC("f(2, 3)\nnp.array([[1.0, np.nan], [4.0, 2.0]]), 1\n"
                       "f(2, 3, 4), dim=[0, -1], keepdim=True"),
    .reference = FE_DOC("np.nanmean(input, axis=None if dim is None else "
                        "tuple(np.atleast_1d(dim)), keepdims=keepdim)"),
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor x = c.tensor(0);
      const Tensor sum =
          op::sum(without_nan(x), c.args[1], c.args[2], c.args[3]);
      return one(op::div(sum, op::sum(op::eq(x, x), c.args[1], c.args[2])));
    }),
};

}  // namespace ferrule
