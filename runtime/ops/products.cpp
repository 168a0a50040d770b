// Products of vectors and matrices in terms of matmul and mul.
#include <algorithm>
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

void require_rank(const OpCall& c, int arg, int rank) {
  if (c.in(arg).ndim == rank) return;
  c.fail<ShapeError>("'", c.info.schema.params[arg].name, "' must have ", rank,
                     rank == 1 ? " dimension" : " dimensions", ", got shape ",
                     c.in(arg).sizes());
}

Results multiply(OpCall& c, int left_rank, int right_rank) {
  require_rank(c, 0, left_rank);
  require_rank(c, 1, right_rank);
  if (left_rank == 3 && c.in(0).shape[0] != c.in(1).shape[0]) {
    c.fail<ShapeError>("the numbers of matrices differ: ", c.in(0).sizes(),
                       " and ", c.in(1).sizes());
  }
  if (left_rank == 1 && c.in(0).numel != c.in(1).numel) {
    c.fail<ShapeError>("vectors of different sizes, ", c.in(0).numel, " and ",
                       c.in(1).numel);
  }
  return one(op::matmul(c.tensor(0), c.tensor(1)));
}

// beta * input + alpha * (a @ b), for input, a, b, beta, alpha. A factor of 1
// is left out, and for beta = 0 the input, NaN and all.
Results multiply_and_add(OpCall& c, int left_rank, int right_rank) {
  require_rank(c, 1, left_rank);
  require_rank(c, 2, right_rank);
  const auto scaled = [&](Tensor t, int factor) {
    return c.number(factor) == 1 ? t : op::mul(t, c.args[factor]);
  };
  Tensor product = scaled(op::matmul(c.tensor(1), c.tensor(2)), 4);
  const Dims shape(product.shape());
  if (!(broadcast(c, c.in(0).sizes(), shape) == shape)) {
    c.fail<ShapeError>("input ", c.in(0).sizes(), " does not broadcast to the ",
                       "product, ", shape);
  }
  if (c.number(3) == 0) return one(product);
  return one(op::add(scaled(c.tensor(0), 3), product));
}

// beta * input + alpha times the sum of all products of a batch: one product of
// the matrices side by side.
Results sum_products_and_add(OpCall& c) {
  require_rank(c, 1, 3);
  require_rank(c, 2, 3);
  const TensorImpl &a = c.in(1), &b = c.in(2);
  if (a.shape[0] != b.shape[0]) {
    c.fail<ShapeError>("the numbers of matrices differ: ", a.sizes(), " and ",
                       b.sizes());
  }
  if (a.shape[2] != b.shape[1]) {
    c.fail<ShapeError>("matrices of ", a.sizes(), " and ", b.sizes(),
                       " cannot be multiplied");
  }
  const Int inner = size_of(&a, 0) * size_of(&a, 2);
  const Tensor left = op::reshape(op::transpose(c.tensor(1), 0, 1),
                                  IntList{size_of(&a, 1), inner});
  const Tensor right = op::reshape(c.tensor(2), IntList{inner, size_of(&b, 2)});
  return one(op::addmm(c.tensor(0), left, right, c.args[3], c.args[4]));
}

// beta * input + alpha * (a b^T) of vectors.
Results outer_and_add(OpCall& c) {
  require_rank(c, 1, 1);
  require_rank(c, 2, 1);
  return one(op::addmm(c.tensor(0), op::unsqueeze(c.tensor(1), 1),
                       op::unsqueeze(c.tensor(2), 0), c.args[3], c.args[4]));
}

// Sums over the last dimension of both.
Results decompose_inner(OpCall& c) {
  const Tensor a = c.tensor(0), b = c.tensor(1);
  if (a.ndim() == 0 || b.ndim() == 0) return one(op::mul(a, b));
  IntList shape;
  Int rows = 1, columns = 1;
  for (int d = 0; d + 1 < a.ndim(); ++d) {
    shape.push(size_of(a.impl(), d));
    rows = rows * shape[shape.n - 1];
  }
  for (int d = 0; d + 1 < b.ndim(); ++d) {
    shape.push(size_of(b.impl(), d));
    columns = columns * shape[shape.n - 1];
  }
  const Int inner = size_of(a.impl(), a.ndim() - 1);
  if (inner.value != b.size(b.ndim() - 1)) {
    c.fail<ShapeError>("the last dimensions of ", a.shape(), " and ", b.shape(),
                       " differ");
  }
  const Tensor product =
      op::matmul(op::reshape(a, IntList{rows, inner}),
                 op::reshape(b, IntList{columns, inner}), false, true);
  return one(op::reshape(product, shape));
}

// a x b = (a1 b2 - a2 b1, a2 b0 - a0 b2, a0 b1 - a1 b0)
Results decompose_cross(OpCall& c) {
  Tensor a = c.tensor(0), b = c.tensor(1);
  const Dims shape = broadcast(c, a.shape(), b.shape());
  int d = 0;
  if (c.has(2)) {
    d = c.dim(2, shape.n);
  } else {
    while (d < shape.n && shape[d] != 3) ++d;
  }
  if (d >= shape.n || shape[d] != 3) {
    c.fail<ShapeError>("vectors of three numbers are multiplied; ",
                       c.has(2) ? "that dimension" : "no dimension", " of ",
                       shape, " has size 3");
  }
  a = op::expand(a, IntList(shape));
  b = op::expand(b, IntList(shape));
  const auto turned = [d](const Tensor& t, int by) {
    return op::roll(t, IntList{-by}, IntList{d});
  };
  return one(op::sub(op::mul(turned(a, 1), turned(b, 2)),
                     op::mul(turned(a, 2), turned(b, 1))));
}

// Every element of a, times all of b: dimensions of a and b take turns.
Results decompose_kron(OpCall& c) {
  const Tensor a = c.tensor(0), b = c.tensor(1);
  const int n = std::max(a.ndim(), b.ndim());
  if (2 * n > kMaxRank) {
    c.fail<ShapeError>("at most ", kMaxRank / 2, " dimensions, got shapes ",
                       a.shape(), " and ", b.shape());
  }
  IntList of_a, of_b, shape;
  for (int d = 0; d < n; ++d) {
    const auto size = [&](const Tensor& t) {
      const int own = d - (n - t.ndim());
      return own < 0 ? Int(1) : size_of(t.impl(), own);
    };
    of_a.push(size(a));
    of_a.push(1);
    of_b.push(1);
    of_b.push(size(b));
    shape.push(size(a) * size(b));
  }
  const Tensor product = op::mul(op::reshape(a, of_a), op::reshape(b, of_b));
  return one(op::reshape(product, shape));
}

#endif

}  // namespace

extern const OpDef outer_op = {
    .name = "outer",
    .sig = "input: Tensor, vec2: Tensor",
    .doc = FE_DOC(R"(All products of the elements of two vectors.

Args:
    input: shape (m,).
    vec2: shape (n,).

Returns:
    Shape (m, n).

Raises:
    ShapeError: one is not a vector.

Example:
    >>> import ferrule as fe
    >>> fe.outer(fe.tensor([1, 2]), fe.tensor([3, 4])).tolist()
    [[3, 4], [6, 8]]

Source: numpy.outer.
)"),
    .examples = FE_DOC("f(3), f(4)\nf(0), f(2)"),
    .reference = FE_DOC("np.outer(input, vec2)"),
    .decompose = FE_GRAD([](OpCall& c) {
      require_rank(c, 0, 1);
      require_rank(c, 1, 1);
      return one(op::mul(op::unsqueeze(c.tensor(0), -1), c.tensor(1)));
    }),
};

extern const OpDef dot_op = {
    .name = "dot",
    .sig = "input: Tensor, tensor: Tensor",
    .doc = FE_DOC(R"(Sum of the products of two vectors.

Args:
    input: shape (n,).
    tensor: the same shape and dtype.

Returns:
    A 0-d tensor.

Raises:
    ShapeError: they are not vectors of one size.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> fe.dot(fe.tensor([1, 2]), fe.tensor([3, 4])).item()
    11

Source: torch.dot.
)"),
    .examples = FE_DOC("f(3), f(3)\nf(0), f(0)"),
    .reference = FE_DOC("np.dot(input, tensor)"),
    .autocast = Autocast::keep,
    .decompose = FE_GRAD([](OpCall& c) { return multiply(c, 1, 1); }),
};

extern const OpDef vdot_op = {
    .name = "vdot",
    .sig = "input: Tensor, other: Tensor",
    .doc = FE_DOC(R"(Sum of the products of two vectors.

Args:
    input: shape (n,).
    other: the same shape and dtype.

Returns:
    A 0-d tensor.

Raises:
    ShapeError: they are not vectors of one size.
    DTypeError: the dtypes differ, or are complex.

Example:
    >>> import ferrule as fe
    >>> fe.vdot(fe.tensor([1, 2]), fe.tensor([3, 4])).item()
    11

Source: torch.vdot.
)"),
    .examples = FE_DOC("f(3), f(3)"),
    .reference = FE_DOC("np.vdot(input, other)"),
    .autocast = Autocast::keep,
    .decompose = FE_GRAD([](OpCall& c) {
      check_real(c, 0);
      return multiply(c, 1, 1);
    }),
};

extern const OpDef mv_op = {
    .name = "mv",
    .sig = "input: Tensor, vec: Tensor",
    .doc = FE_DOC(R"(Product of a matrix and a vector.

Args:
    input: shape (m, n).
    vec: shape (n,).

Returns:
    Shape (m,).

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> fe.mv(fe.tensor([[1, 2], [3, 4]]), fe.tensor([1, 1])).tolist()
    [3, 7]

Source: torch.mv.
)"),
    .examples = FE_DOC("f(2, 3), f(3)"),
    .reference = FE_DOC("input @ vec"),
    .autocast = Autocast::keep,
    .decompose = FE_GRAD([](OpCall& c) { return multiply(c, 2, 1); }),
};

extern const OpDef mm_op = {
    .name = "mm",
    .sig = "input: Tensor, mat2: Tensor",
    .doc = FE_DOC(R"(Product of two matrices; nothing broadcasts.

Args:
    input: shape (m, k).
    mat2: shape (k, n).

Returns:
    Shape (m, n).

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> fe.mm(fe.tensor([[1, 2]]), fe.tensor([[3], [4]])).tolist()
    [[11]]

Source: torch.mm.
)"),
    .examples = FE_DOC("f(2, 3), f(3, 4)"),
    .reference = FE_DOC("input @ mat2"),
    .autocast = Autocast::lower,
    .decompose = FE_GRAD([](OpCall& c) { return multiply(c, 2, 2); }),
};

extern const OpDef bmm_op = {
    .name = "bmm",
    .sig = "input: Tensor, mat2: Tensor",
    .doc = FE_DOC(R"(Products of two lists of matrices, one by one.

Args:
    input: shape (b, m, k).
    mat2: shape (b, k, n).

Returns:
    Shape (b, m, n).

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> fe.bmm(fe.ones((2, 1, 3)), fe.ones((2, 3, 1))).tolist()
    [[[3.0]], [[3.0]]]

Source: torch.bmm.
)"),
    .examples = FE_DOC("f(2, 2, 3), f(2, 3, 4)"),
    .reference = FE_DOC("input @ mat2"),
    .autocast = Autocast::lower,
    .decompose = FE_GRAD([](OpCall& c) { return multiply(c, 3, 3); }),
};

extern const OpDef inner_op = {
    .name = "inner",
    .sig = "input: Tensor, other: Tensor",
    .doc = FE_DOC(R"(Products over the last dimension of both.

Args:
    input: shape (*a, n), or 0-d.
    other: shape (*b, n), or 0-d; the same dtype.

Returns:
    Shape (*a, *b); the elementwise product if one is 0-d.

Raises:
    ShapeError: the last dimensions differ.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> fe.inner(fe.tensor([[1, 2], [3, 4]]), fe.tensor([1, 1])).tolist()
    [3, 7]

Source: numpy.inner.
)"),
    .examples = FE_DOC("f(3), f(3)\nf(2, 3), f(4, 3)\nf(2, 2, 3), f(3)\nf(2), "
                       "f()"),
    .reference = FE_DOC("np.inner(input, other)"),
    .decompose = FE_GRAD(decompose_inner),
};

extern const OpDef cross_op = {
    .name = "cross",
    .sig = "input: Tensor, other: Tensor, dim: int? = None",
    .doc = FE_DOC(R"(Cross product of vectors of three numbers.

Args:
    input, other: shapes that broadcast.
    dim: the dimension of the vectors; None: the first of size 3.

Returns:
    The broadcast shape.

Raises:
    ShapeError: the dimension has not size 3.

Example:
    >>> import ferrule as fe
    >>> x, y = fe.tensor([1, 0, 0]), fe.tensor([0, 1, 0])
    >>> fe.cross(x, y).tolist()
    [0, 0, 1]

Source: torch.cross.
)"),
    .examples = FE_DOC("f(3), f(3)\nf(2, 3), f(2, 3), -1\nf(3, 2), f(3, 1), 0\n"
                       "f(3, 3), f(3, 3)"),
    .reference = FE_DOC("(lambda a, b, d: np.cross(a, b, axis=d))("
                        "*np.broadcast_arrays(input, other), "
                        "np.broadcast_shapes(input.shape, other.shape).index(3)"
                        " if dim is None else dim)"),
    .decompose = FE_GRAD(decompose_cross),
};

extern const OpDef kron_op = {
    .name = "kron",
    .sig = "input: Tensor, other: Tensor",
    .doc =
        FE_DOC(R"(Kronecker product: blocks of `other`, each times an element.

Args:
    input, other: at most 4 dimensions.

Returns:
    The product of the sizes in every dimension.

Raises:
    ShapeError: more dimensions.

Example:
    >>> import ferrule as fe
    >>> fe.kron(fe.tensor([1, 10]), fe.tensor([1, 2])).tolist()
    [1, 2, 10, 20]

Source: numpy.kron.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 2)\nf(2), f(2, 3)\nf(2, 3), f()"),
    .reference = FE_DOC("np.kron(input, other)"),
    .decompose = FE_GRAD(decompose_kron),
};

extern const OpDef addmm_op = {
    .name = "addmm",
    .sig = "input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Scalar = 1, "
           "alpha: Scalar = 1",
    .doc = FE_DOC(R"(beta * input + alpha * (mat1 @ mat2).

Args:
    input: a shape that broadcasts to (m, n).
    mat1: shape (m, k).
    mat2: shape (k, n).
    beta: 0 leaves `input` out, even where it is NaN.
    alpha: factor of the product.

Returns:
    Shape (m, n).

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes of the matrices differ.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0]])
    >>> fe.addmm(fe.ones((1,)), x, x.mT, alpha=2).tolist()
    [[11.0]]

Source: torch.addmm.
)"),
    .examples =
        FE_DOC("f(2, 4), f(2, 3), f(3, 4)\nf(4), f(2, 3), f(3, 4), "
               "beta=0.5, alpha=2.0\nf(2, 1), f(2, 3), f(3, 4), beta=0"),
    .reference = FE_DOC("beta * input + alpha * (mat1 @ mat2)"),
    .has_inplace = true,
    .autocast = Autocast::lower,
    .decompose = FE_GRAD([](OpCall& c) { return multiply_and_add(c, 2, 2); }),
};

extern const OpDef addmv_op = {
    .name = "addmv",
    .sig = "input: Tensor, mat: Tensor, vec: Tensor, *, beta: Scalar = 1, "
           "alpha: Scalar = 1",
    .doc = FE_DOC(R"(beta * input + alpha * (mat @ vec).

Args:
    input: a shape that broadcasts to (m,).
    mat: shape (m, n).
    vec: shape (n,).
    beta: 0 leaves `input` out, even where it is NaN.
    alpha: factor of the product.

Returns:
    Shape (m,).

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes of matrix and vector differ.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([1.0, 2.0])
    >>> fe.addmv(fe.ones((1,)), x.unsqueeze(0), x).tolist()
    [6.0]

Source: torch.addmv.
)"),
    .examples = FE_DOC("f(2), f(2, 3), f(3)\nf(1), f(2, 3), f(3), beta=0.5, "
                       "alpha=2.0"),
    .reference = FE_DOC("beta * input + alpha * (mat @ vec)"),
    .has_inplace = true,
    .autocast = Autocast::keep,
    .decompose = FE_GRAD([](OpCall& c) { return multiply_and_add(c, 2, 1); }),
};

extern const OpDef baddbmm_op = {
    .name = "baddbmm",
    .sig = "input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Scalar = "
           "1, alpha: Scalar = 1",
    .doc = FE_DOC(R"(beta * input + alpha * (batch1 @ batch2).

Args:
    input: a shape that broadcasts to (b, m, n).
    batch1: shape (b, m, k).
    batch2: shape (b, k, n).
    beta: 0 leaves `input` out, even where it is NaN.
    alpha: factor of the product.

Returns:
    Shape (b, m, n).

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes of the matrices differ.

Example:
    >>> import ferrule as fe
    >>> x = fe.ones((2, 1, 3))
    >>> fe.baddbmm(fe.ones((1,)), x, x.mT).tolist()
    [[[4.0]], [[4.0]]]

Source: torch.baddbmm.
)"),
    .examples = FE_DOC("f(2, 2, 4), f(2, 2, 3), f(2, 3, 4)\nf(4), f(2, 2, 3), "
                       "f(2, 3, 4), beta=0.5, alpha=2.0"),
    .reference = FE_DOC("beta * input + alpha * (batch1 @ batch2)"),
    .has_inplace = true,
    .autocast = Autocast::lower,
    .decompose = FE_GRAD([](OpCall& c) { return multiply_and_add(c, 3, 3); }),
};

extern const OpDef addbmm_op = {
    .name = "addbmm",
    .sig = "input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Scalar = "
           "1, alpha: Scalar = 1",
    .doc =
        FE_DOC(R"(beta * input + alpha * the sum of all batch1[i] @ batch2[i].

Args:
    input: a shape that broadcasts to (m, n).
    batch1: shape (b, m, k).
    batch2: shape (b, k, n).
    beta: 0 leaves `input` out, even where it is NaN.
    alpha: factor of the products.

Returns:
    Shape (m, n).

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes of the matrices differ.

Example:
    >>> import ferrule as fe
    >>> x = fe.ones((2, 1, 3))
    >>> fe.addbmm(fe.ones((1,)), x, x.mT).tolist()
    [[7.0]]

Source: torch.addbmm.
)"),
    .examples = FE_DOC("f(2, 4), f(2, 2, 3), f(2, 3, 4)\nf(4), f(2, 2, 3), "
                       "f(2, 3, 4), beta=0.5, alpha=2.0"),
    .reference = FE_DOC("beta * input + alpha * (batch1 @ batch2).sum(0)"),
    .has_inplace = true,
    .autocast = Autocast::lower,
    .decompose = FE_GRAD(sum_products_and_add),
};

extern const OpDef addr_op = {
    .name = "addr",
    .sig = "input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Scalar = 1, "
           "alpha: Scalar = 1",
    .doc = FE_DOC(R"(beta * input + alpha * the outer product of two vectors.

Args:
    input: a shape that broadcasts to (m, n).
    vec1: shape (m,).
    vec2: shape (n,).
    beta: 0 leaves `input` out, even where it is NaN.
    alpha: factor of the product.

Returns:
    Shape (m, n).

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes of the vectors differ.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([1.0, 2.0])
    >>> fe.addr(fe.zeros((1,)), x, x).tolist()
    [[1.0, 2.0], [2.0, 4.0]]

Source: torch.addr.
)"),
    .examples = FE_DOC("f(2, 3), f(2), f(3)\nf(3), f(2), f(3), beta=0.5, "
                       "alpha=2.0"),
    .reference = FE_DOC("beta * input + alpha * np.outer(vec1, vec2)"),
    .has_inplace = true,
    .autocast = Autocast::keep,
    .decompose = FE_GRAD(outer_and_add),
};

}  // namespace ferrule
