// New tensors of the dtype of another, sums to a shape, and other compositions
// that only pass on sizes.
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// dtype and device of a new tensor: arguments `first` and the next, or those of
// the input.
Arg new_dtype(const OpCall& c, int first) {
  return c.has(first) ? c.args[first] : Arg(c.in(0).dtype);
}
Arg new_device(const OpCall& c, int first) {
  return c.has(first + 1) ? c.args[first + 1] : device_of(c.tensor(0));
}

// Sums the dimensions that broadcasting from `size` would repeat.
Results decompose_sum_to_size(OpCall& c) {
  const Tensor x = c.tensor(0);
  const Dims size = shape_of(c, 1);
  const int front = x.ndim() - size.n;
  bool fits = front >= 0;
  IntList summed;
  for (int d = 0; fits && d < x.ndim(); ++d) {
    if (d < front) {
      summed.push(d);
    } else if (size[d - front] == 1 && x.size(d) != 1) {
      summed.push(d);
    } else {
      fits = size[d - front] == x.size(d);
    }
  }
  if (!fits) {
    c.fail<ShapeError>("size ", size,
                       " does not broadcast to the shape of input", ", ",
                       x.shape());
  }
  if (summed.n == 0) return one(x);
  const Tensor sum = op::sum(x, summed, true, x.dtype());
  return one(op::reshape(sum, c.ints(1)));
}

// scatter_reduce with the same index for whole slices.
Results decompose_index_reduce(OpCall& c) {
  const Tensor x = c.tensor(0);
  const TensorImpl &index = c.in(2), &source = c.in(3);
  const int n = x.ndim() > 0 ? x.ndim() : 1;
  const int d = c.dim(1, n);
  if (index.ndim > 1) {
    c.fail<ShapeError>("index must be a vector, got shape ", index.sizes());
  }
  bool fits = source.ndim == x.ndim();
  for (int k = 0; fits && k < x.ndim(); ++k) {
    fits = source.shape[k] == (k == d ? index.numel : x.size(k));
  }
  if (!fits) {
    c.fail<ShapeError>("source of shape ", source.sizes(),
                       " must have the shape of input, ", x.shape(), ", with ",
                       index.numel, " slices in dimension ", d);
  }
  const std::string_view reduce = c.str(4);
  if (reduce != "prod" && reduce != "mean" && reduce != "amax" &&
      reduce != "amin") {
    c.fail<ValueError>("reduce must be 'prod', 'mean', 'amax' or 'amin', got '",
                       reduce, "'");
  }
  IntList along;
  for (int k = 0; k < x.ndim(); ++k) {
    along.push(k == d ? size_of(&source, k) : Int(1));
  }
  const Tensor repeated =
      op::expand(op::reshape(c.tensor(2), along), sizes_of(&source));
  return one(
      op::scatter_reduce(x, d, repeated, c.tensor(3), c.args[4], c.args[5]));
}

#endif

}  // namespace

extern const OpDef new_zeros_op = {
    .name = "new_zeros",
    .sig = "input: Tensor, size: int[], *, dtype: dtype? = None, device: "
           "device? = None",
    .doc = FE_DOC(R"(A tensor of zeros like another but for the shape.

Args:
    input: gives dtype and device.
    size: the shape.
    dtype, device: instead of those of `input`.

Returns:
    Shape `size`.

Raises:
    ShapeError: a negative size.

Example:
    >>> import ferrule as fe
    >>> fe.tensor([1, 2]).new_zeros(2).tolist()
    [0, 0]

Source: torch.Tensor.new_zeros.
)"),
    .examples = FE_DOC("i(5, 2), (2, 3)\ni(5, 3), ()"),
    .reference = FE_DOC("np.zeros(size)"),
    .where = kMethod,
    .decompose = FE_GRAD([](OpCall& c) {
      return one(op::zeros(c.ints(1), new_dtype(c, 2), new_device(c, 2)));
    }),
};

extern const OpDef new_ones_op = {
    .name = "new_ones",
    .sig = "input: Tensor, size: int[], *, dtype: dtype? = None, device: "
           "device? = None",
    .doc = FE_DOC(R"(A tensor of ones like another but for the shape.

Args:
    input: gives dtype and device.
    size: the shape.
    dtype, device: instead of those of `input`.

Returns:
    Shape `size`.

Raises:
    ShapeError: a negative size.

Example:
    >>> import ferrule as fe
    >>> fe.tensor([1, 2]).new_ones(2).tolist()
    [1, 1]

Source: torch.Tensor.new_ones.
)"),
    .examples = FE_DOC("i(5, 2), (2, 3)\ni(5, 3), ()"),
    .reference = FE_DOC("np.ones(size)"),
    .where = kMethod,
    .decompose = FE_GRAD([](OpCall& c) {
      return one(op::ones(c.ints(1), new_dtype(c, 2), new_device(c, 2)));
    }),
};

extern const OpDef new_empty_op = {
    .name = "new_empty",
    .sig = "input: Tensor, size: int[], *, dtype: dtype? = None, device: "
           "device? = None",
    .doc = FE_DOC(R"(A tensor like another but for the shape; values arbitrary.

Args:
    input: gives dtype and device.
    size: the shape.
    dtype, device: instead of those of `input`.

Returns:
    Shape `size`.

Raises:
    ShapeError: a negative size.

Example:
    >>> import ferrule as fe
    >>> fe.tensor([1, 2]).new_empty(2, 3).shape
    (2, 3)

Source: torch.Tensor.new_empty.
)"),
    .examples = FE_DOC("i(5, 2), (0, 3)"),
    .reference = FE_DOC("np.empty(size)"),
    .where = kMethod,
    .decompose = FE_GRAD([](OpCall& c) {
      return one(op::empty(c.ints(1), new_dtype(c, 2), new_device(c, 2)));
    }),
};

extern const OpDef new_full_op = {
    .name = "new_full",
    .sig =
        "input: Tensor, size: int[], fill_value: Operand, *, dtype: dtype? = "
        "None, device: device? = None",
    .doc = FE_DOC(R"(A tensor of one number like another but for the shape.

Args:
    input: gives dtype and device.
    size: the shape.
    fill_value: the number; also a 0-d tensor.
    dtype, device: instead of those of `input`.

Returns:
    Shape `size`.

Raises:
    ShapeError: a negative size, or a fill_value with dimensions.
    ValueError: the dtype cannot hold an integer so large.

Example:
    >>> import ferrule as fe
    >>> fe.tensor([1.0]).new_full((2,), 3).tolist()
    [3.0, 3.0]

Source: torch.Tensor.new_full.
)"),
    .examples = FE_DOC("i(5, 2), (2, 3), 7\ni(5, 3), (), 2"),
    .reference = FE_DOC("np.full(size, fill_value) * 1.0"),
    .where = kMethod,
    .decompose = FE_GRAD([](OpCall& c) {
      return one(
          op::full(c.ints(1), c.args[2], new_dtype(c, 3), new_device(c, 3)));
    }),
};

extern const OpDef fill_op = {
    .name = "fill",
    .sig = "input: Tensor, value: Operand",
    .doc = FE_DOC(R"(A tensor of the shape and dtype of another, all one number.

Args:
    input: gives shape, dtype and device.
    value: the number; also a 0-d tensor.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: `value` has dimensions.

Example:
    >>> import ferrule as fe
    >>> fe.fill(fe.zeros((2,)), 3).tolist()
    [3.0, 3.0]

Source: torch.fill.
)"),
    .examples = FE_DOC("f(2, 3), 1.5\nf(2), f()"),
    .reference = FE_DOC("np.full(input.shape, value)"),
    .where = kFunction,
    .decompose = FE_GRAD(
        [](OpCall& c) { return one(op::full_like(c.tensor(0), c.args[1])); }),
};

extern const OpDef sum_to_size_op = {
    .name = "sum_to_size",
    .sig = "input: Tensor, size: int[]",
    .doc = FE_DOC(R"(Sums to a smaller shape, which broadcasts to that of input.

Args:
    input: any shape.
    size: the new shape.

Returns:
    Shape `size`.

Raises:
    ShapeError: `size` does not broadcast to the shape of `input`.

Example:
    >>> import ferrule as fe
    >>> fe.ones((2, 3)).sum_to_size(3).tolist()
    [2.0, 2.0, 2.0]

Source: torch.Tensor.sum_to_size.
)"),
    .examples = FE_DOC("f(2, 3), (1, 3)\nf(2, 3), (3,)\nf(2, 3), ()\n"
                       "f(2, 3), (2, 1)"),
    .reference =
        FE_DOC("(lambda k: input.sum(tuple(range(k)) + tuple(k + d for d, n in "
               "enumerate(size) if n == 1), keepdims=True).reshape(size))("
               "input.ndim - len(size))"),
    .where = kMethod,
    .decompose = FE_GRAD(decompose_sum_to_size),
};

extern const OpDef index_reduce_op = {
    .name = "index_reduce",
    .sig =
        "input: Tensor, dim: int, index: Tensor[int], source: Tensor, reduce: "
        "str, *, include_self: bool = True",
    .doc = FE_DOC(R"(Reduces slices of `source` into those that `index` lists.

Args:
    input: any shape.
    dim: the dimension of the slices.
    index: vector, which slice of `input` each slice of `source` belongs to.
    source: the shape of `input` with as many slices as `index` has numbers.
    reduce: "prod", "mean", "amax" or "amin".
    include_self: False leaves the elements of `input` out of it.

Returns:
    Tensor of the shape of `input`.

Raises:
    ShapeError: the shapes do not fit.
    ValueError: unknown `reduce`.
    IndexOutOfRange: an index is out of range.

Example:
    >>> import ferrule as fe
    >>> x, source = fe.ones((2,)), fe.tensor([2.0, 3.0, 4.0])
    >>> fe.index_reduce(x, 0, fe.tensor([0, 0, 1]), source, "prod").tolist()
    [6.0, 4.0]

Source: torch.Tensor.index_reduce_.
)"),
    .examples = FE_DOC("f(3, 2), 0, i(3, 4), f(4, 2), \"amax\"\n"
                       "f(2, 3), 1, i(3, 4), f(2, 4), \"mean\"\n"
                       "p(2, 3), 1, i(3, 4), p(2, 4), \"prod\"\n"
                       "f(3), 0, i(3, 2), f(2), \"amin\", include_self=False"),
    .has_inplace = true,
    .decompose = FE_GRAD(decompose_index_reduce),
};

extern const OpDef isreal_op = {
    .name = "isreal",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Where the imaginary part is 0.

Args:
    input: any shape.

Returns:
    bool tensor of the same shape; True everywhere unless `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.isreal(fe.tensor([1 + 0j, 2j])).tolist()
    [True, False]

Source: numpy.isreal.
)"),
    .examples = FE_DOC("f(2, 3)\nz(3)"),
    .reference = FE_DOC("np.isreal(input)"),
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor x = c.tensor(0);
      if (is_complex(x.dtype())) return one(op::eq(op::imag(x), 0.0));
      return one(op::ones_like(x, DType::bool_));
    }),
};

}  // namespace ferrule
