// Shapes with more or fewer dimensions, and joins of tensors made alike in
// that.
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// NumPy's rules: a vector is a row of a matrix, and a matrix the first layer,
// along the last dimension, of what has three.
Tensor at_least(Tensor t, int ndim) {
  if (t.ndim() == 0) t = op::reshape(t, IntList{1});
  if (t.ndim() == 1 && ndim >= 2) t = op::unsqueeze(t, 0);
  if (t.ndim() == 2 && ndim >= 3) t = op::unsqueeze(t, -1);
  return t;
}

// The tensors of the call, each with so many dimensions.
std::vector<Tensor> listed(const OpCall& c, int ndim) {
  std::vector<Tensor> tensors;
  for (TensorImpl* t : c.list(0)) {
    if (!t) c.fail<DTypeError>("a tensor of the list is None");
    tensors.push_back(at_least(Tensor::share(t), ndim));
  }
  if (tensors.empty()) c.fail<ValueError>("needs at least one tensor");
  return tensors;
}

Results decompose_flatten(OpCall& c) {
  const Tensor x = c.tensor(0);
  const int first = c.dim(1, x.ndim()), last = c.dim(2, x.ndim());
  if (x.ndim() == 0) return one(op::reshape(x, IntList{1}));
  if (first > last) {
    c.fail<ValueError>("start_dim ", first, " is behind end_dim ", last);
  }
  if (first == last) return one(x);
  IntList shape;
  for (int d = 0; d < x.ndim(); ++d) {
    const Int size = size_of(x.impl(), d);
    if (d > first && d <= last) {
      shape[shape.n - 1] = shape[shape.n - 1] * size;
    } else {
      shape.push(size);
    }
  }
  return one(op::reshape(x, shape));
}

// The sizes that take the place of one dimension; one of them may be -1.
Results decompose_unflatten(OpCall& c) {
  const Tensor x = c.tensor(0);
  if (x.ndim() == 0) c.fail<ShapeError>("a 0-d tensor has no dimension");
  const int d = c.dim(1, x.ndim());
  const auto sizes = c.ints(2);
  if (sizes.empty()) c.fail<ValueError>("sizes must not be empty");
  const Int size = size_of(x.impl(), d);
  Int known = 1;
  int free = 0;
  for (const Int& n : sizes) {
    if (n.value < -1) c.fail<ShapeError>("negative size in ", dims_of(c, 2));
    if (n.value == -1) {
      ++free;
    } else {
      known = known * n;
    }
  }
  const bool fits = free == 0 ? known.value == size.value
                              : free == 1 && known.value != 0 &&
                                    size.value % known.value == 0;
  if (!fits) {
    c.fail<ShapeError>("sizes ", dims_of(c, 2), " do not multiply to ",
                       size.value, ", the size of dimension ", d, " of shape ",
                       x.shape());
  }
  IntList shape;
  for (int i = 0; i < x.ndim(); ++i) {
    if (i != d) {
      shape.push(size_of(x.impl(), i));
      continue;
    }
    for (const Int& n : sizes) shape.push(n.value == -1 ? size / known : n);
  }
  return one(op::reshape(x, shape));
}

#endif

}  // namespace

extern const OpDef ravel_op = {
    .name = "ravel",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(All elements as one line.

Args:
    input: any shape.

Returns:
    Shape (n,): a view where the strides allow it, else a copy.

Raises:
    Nothing.

Example:
    >>> import ferrule as fe
    >>> fe.ravel(fe.tensor([[1, 2], [3, 4]])).tolist()
    [1, 2, 3, 4]

Source: numpy.ravel.
)"),
    .examples = FE_DOC("f(2, 3)\nf()\nf(0, 3)"),
    .reference = FE_DOC("np.ravel(input)"),
    .decompose = FE_GRAD([](OpCall& c) {
      return one(op::reshape(c.tensor(0), IntList{numel_of(&c.in(0))}));
    }),
};

extern const OpDef flatten_op = {
    .name = "flatten",
    .sig = "input: Tensor, start_dim: int = 0, end_dim: int = -1",
    .doc =
        FE_DOC(R"(Joins the dimensions from `start_dim` to `end_dim` into one.

Args:
    input: any shape.
    start_dim, end_dim: the first and the last of them.

Returns:
    A view where the strides allow it, else a copy.

Raises:
    IndexOutOfRange: a dimension is out of range.
    InvalidValue: `start_dim` is behind `end_dim`.

Example:
    >>> import ferrule as fe
    >>> fe.flatten(fe.zeros((2, 3, 4)), 1).shape
    (2, 12)

Source: torch.flatten.
)"),
    .examples = FE_DOC("f(2, 3, 4)\nf(2, 3, 4), 1\nf(2, 3, 4), 0, 1\nf()\n"
                       "f(3), 0, 0"),
    .reference = FE_DOC(
        "(lambda s, a, b: input.reshape(*s[:a], -1, *s[b + 1:]))(input.shape or"
        " (1,), start_dim, end_dim % max(input.ndim, 1))"),
    .decompose = FE_GRAD(decompose_flatten),
};

extern const OpDef unflatten_op = {
    .name = "unflatten",
    .sig = "input: Tensor, dim: int, sizes: int[]",
    .doc = FE_DOC(R"(Splits one dimension into several.

Args:
    input: one dimension or more.
    dim: the dimension.
    sizes: their sizes; one of them may be -1, which is found from the others.

Returns:
    A view where the strides allow it, else a copy.

Raises:
    IndexError: the dimension is out of range.
    ShapeError: the sizes do not multiply to that of the dimension.

Example:
    >>> import ferrule as fe
    >>> fe.unflatten(fe.zeros((2, 12)), 1, (3, -1)).shape
    (2, 3, 4)

Source: torch.unflatten.
)"),
    .examples = FE_DOC("f(2, 6), 1, (2, 3)\nf(6, 2), 0, (-1, 2)\nf(4), -1, (1, "
                       "4)"),
    .reference = FE_DOC("(lambda s, d: input.reshape(*s[:d], *sizes, *s[d + "
                        "1:]))(input.shape, dim % input.ndim)"),
    .decompose = FE_GRAD(decompose_unflatten),
};

extern const OpDef atleast_1d_op = {
    .name = "atleast_1d",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(A number as a tensor of one element; others as they are.

Args:
    input: any shape.

Returns:
    `input`, or a view of shape (1,).

Raises:
    Nothing.

Example:
    >>> import ferrule as fe
    >>> fe.atleast_1d(fe.tensor(5)).tolist()
    [5]

Source: numpy.atleast_1d.
)"),
    .examples = FE_DOC("f()\nf(3)\nf(2, 3)"),
    .reference = FE_DOC("np.atleast_1d(input)"),
    .where = kFunction,
    .decompose =
        FE_GRAD([](OpCall& c) { return one(at_least(c.tensor(0), 1)); }),
};

extern const OpDef atleast_2d_op = {
    .name = "atleast_2d",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(A number or vector as a matrix of one row.

Args:
    input: any shape.

Returns:
    `input`, or a view of shape (1, n).

Raises:
    Nothing.

Example:
    >>> import ferrule as fe
    >>> fe.atleast_2d(fe.tensor([5, 6])).tolist()
    [[5, 6]]

Source: numpy.atleast_2d.
)"),
    .examples = FE_DOC("f()\nf(3)\nf(2, 3)"),
    .reference = FE_DOC("np.atleast_2d(input)"),
    .where = kFunction,
    .decompose =
        FE_GRAD([](OpCall& c) { return one(at_least(c.tensor(0), 2)); }),
};

extern const OpDef atleast_3d_op = {
    .name = "atleast_3d",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(At least three dimensions: (1, n, 1) or (m, n, 1).

Args:
    input: any shape.

Returns:
    `input` or a view.

Raises:
    Nothing.

Example:
    >>> import ferrule as fe
    >>> fe.atleast_3d(fe.tensor([5, 6])).shape
    (1, 2, 1)

Source: numpy.atleast_3d.
)"),
    .examples = FE_DOC("f()\nf(3)\nf(2, 3)\nf(2, 1, 3)"),
    .reference = FE_DOC("np.atleast_3d(input)"),
    .where = kFunction,
    .decompose =
        FE_GRAD([](OpCall& c) { return one(at_least(c.tensor(0), 3)); }),
};

extern const OpDef hstack_op = {
    .name = "hstack",
    .sig = "tensors: Tensor[]",
    .doc = FE_DOC(R"(Joins tensors side by side: vectors end to end, others in
dimension 1.

Args:
    tensors: shapes that are equal but for that dimension.

Returns:
    The sum of the sizes there.

Raises:
    ShapeError: other sizes differ.
    ValueError: the list is empty.

Example:
    >>> import ferrule as fe
    >>> fe.hstack([fe.tensor([1]), fe.tensor([2, 3])]).tolist()
    [1, 2, 3]

Source: numpy.hstack.
)"),
    .examples = FE_DOC("[f(2), f(3)]\n[f(2, 1), f(2, 3)]\n[f(), f()]"),
    .reference = FE_DOC("np.hstack(tensors)"),
    .where = kFunction,
    .decompose = FE_GRAD([](OpCall& c) {
      const std::vector<Tensor> t = listed(c, 1);
      return one(op::cat(t, t[0].ndim() == 1 ? 0 : 1));
    }),
};

extern const OpDef vstack_op = {
    .name = "vstack",
    .sig = "tensors: Tensor[]",
    .doc = FE_DOC(R"(Joins tensors one above the other; a vector is a row.

Args:
    tensors: shapes that are equal but for the first dimension.

Returns:
    The sum of the sizes there.

Raises:
    ShapeError: other sizes differ.
    ValueError: the list is empty.

Example:
    >>> import ferrule as fe
    >>> fe.vstack([fe.tensor([1, 2]), fe.tensor([3, 4])]).tolist()
    [[1, 2], [3, 4]]

Source: numpy.vstack.
)"),
    .examples = FE_DOC("[f(3), f(3)]\n[f(2, 3), f(1, 3)]\n[f(), f()]"),
    .reference = FE_DOC("np.vstack(tensors)"),
    .where = kFunction,
    .decompose =
        FE_GRAD([](OpCall& c) { return one(op::cat(listed(c, 2), 0)); }),
};

extern const OpDef dstack_op = {
    .name = "dstack",
    .sig = "tensors: Tensor[]",
    .doc = FE_DOC(R"(Joins tensors in the third dimension; see `atleast_3d`.

Args:
    tensors: shapes that are equal but for that dimension.

Returns:
    The sum of the sizes there.

Raises:
    ShapeError: other sizes differ.
    ValueError: the list is empty.

Example:
    >>> import ferrule as fe
    >>> fe.dstack([fe.tensor([1, 2]), fe.tensor([3, 4])]).tolist()
    [[[1, 3], [2, 4]]]

Source: numpy.dstack.
)"),
    .examples = FE_DOC("[f(3), f(3)]\n[f(2, 3), f(2, 3)]\n[f(1, 2, 3), f(1, 2, "
                       "1)]"),
    .reference = FE_DOC("np.dstack(tensors)"),
    .where = kFunction,
    .decompose =
        FE_GRAD([](OpCall& c) { return one(op::cat(listed(c, 3), 2)); }),
};

extern const OpDef column_stack_op = {
    .name = "column_stack",
    .sig = "tensors: Tensor[]",
    .doc = FE_DOC(R"(Joins tensors side by side; a vector is a column.

Args:
    tensors: shapes that are equal but for dimension 1.

Returns:
    The sum of the sizes there.

Raises:
    ShapeError: other sizes differ.
    ValueError: the list is empty.

Example:
    >>> import ferrule as fe
    >>> fe.column_stack([fe.tensor([1, 2]), fe.tensor([3, 4])]).tolist()
    [[1, 3], [2, 4]]

Source: numpy.column_stack.
)"),
    .examples = FE_DOC("[f(3), f(3)]\n[f(2), f(2, 3)]\n[f(), f()]"),
    .reference = FE_DOC("np.column_stack(tensors)"),
    .where = kFunction,
    .decompose = FE_GRAD([](OpCall& c) {
      std::vector<Tensor> tensors = listed(c, 1);
      for (Tensor& t : tensors) {
        if (t.ndim() == 1) t = op::unsqueeze(t, -1);
      }
      return one(op::cat(tensors, 1));
    }),
};

}  // namespace ferrule
