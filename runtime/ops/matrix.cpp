// Matrix products.
#include <algorithm>
#include <array>

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

// (..., n) as one matrix (rows, n).
[[maybe_unused]] Tensor fold_rows(const Tensor& t) {
  if (t.ndim() == 2) return t;
  IntList size = sizes_of(t.impl());
  Int rows = 1;
  for (int i = 0; i + 1 < size.n; ++i) rows = rows * size[i];
  return op::reshape(t, IntList{rows, size[size.n - 1]});
}

void infer_matmul(OpCall& c) {
  require_same_dtype(c, {0, 1});
  auto a = c.in(0).sizes(), b = c.in(1).sizes();
  if (c.in(0).dtype == DType::bool_) {
    c.fail<DTypeError>("matrices of bool cannot be multiplied; convert them "
                       "with .int() or .float()");
  }
  for (int i = 0; i < 2; ++i) {
    const auto& params = c.info.schema.params;
    if (c.in(i).ndim == 0) {
      c.fail<ShapeError>("'", params[i].name,
                         "' is a 0-d tensor; use mul for products with one "
                         "number");
    }
    if (c.in(i).ndim == 1 && c.b(2 + i)) {
      c.fail<ShapeError>(params[2 + i].name,
                         " needs 2 dimensions or more, but '", params[i].name,
                         "' has shape ", c.in(i).sizes());
    }
  }
  // A vector is a row on the left and a column on the right.
  const int na = c.in(0).ndim, nb = c.in(1).ndim;
  const int64_t m = na == 1 ? 1 : a[na - (c.b(2) ? 1 : 2)];
  const int64_t k = a[na - (na > 1 && c.b(2) ? 2 : 1)];
  const int64_t kb = b[nb - (nb == 1 || c.b(3) ? 1 : 2)];
  const int64_t n = nb == 1 ? 1 : b[nb - (c.b(3) ? 2 : 1)];
  if (k != kb) {
    c.fail<ShapeError>("cannot multiply shapes ", a,
                       c.b(2) ? " (transposed)" : "", " and ", b,
                       c.b(3) ? " (transposed)" : "", ": the inner sizes ", k,
                       " and ", kb, " differ");
  }
  Dims shape =
      broadcast(c, a.first(std::max(na - 2, 0)), b.first(std::max(nb - 2, 0)));
  if (na > 1) shape.push(m);
  if (nb > 1) shape.push(n);
  c.out(0, c.in(0).dtype, shape);
}

// (a + ib)(c + id), each product a real one.
[[maybe_unused]] Results complex_matmul(OpCall& c) {
  require_same_dtype(c, {0, 1});
  const Tensor x = c.tensor(0), y = c.tensor(1);
  const Tensor a = op::real(x), b = op::imag(x);
  const Tensor re = op::real(y), im = op::imag(y);
  const auto product = [&](const Tensor& left, const Tensor& right) {
    return op::matmul(left, right, c.args[2], c.args[3]);
  };
  return one(op::complex(op::sub(product(a, re), product(b, im)),
                         op::add(product(a, im), product(b, re))));
}

[[maybe_unused]] Results complex_linear(OpCall& c) {
  require_same_dtype(c, {0, 1, 2});
  const Tensor y = op::matmul(c.tensor(0), c.tensor(1), false, true);
  return one(c.has(2) ? op::add(y, c.tensor(2)) : y);
}

// The product of two matrices, of which some are one a sample; vectors are a
// row on the left and a column on the right.
[[maybe_unused]] Results batch_matmul(Batch& b) {
  for (int i = 0; i < 2; ++i) {
    if (b.ndim(i) > 1) continue;
    b.in[i].tensor = op::unsqueeze(b.in[i].tensor, i == 0 ? -2 : -1);
  }
  if (!b.batched(1) && b.ndim(1) == 2 && !b.args[2].b) {
    // Rows of all samples are rows of one matrix.
    const int last = b.ndim(0) - 1;
    Int rows = b.size;
    for (int d = 0; d < last; ++d) rows = rows * b.dim(0, d);
    b.set(0, op::reshape(b.in[0].tensor, IntList{rows, b.dim(0, last)}));
    return b.run();
  }
  const int ndim = std::max(b.ndim(0), b.ndim(1));
  for (int i = 0; i < 2; ++i) b.in[i].tensor = b.aligned(i, ndim);
  return b.run();
}

[[maybe_unused]] Results batch_linear(Batch& b) {
  const Batched bias = b.in[2];
  if (!b.batched(1) && !bias.batched) {
    b.set(0, b.whole(0));
    return b.run();
  }
  // A weight or a bias a sample: rows of the input, by sample.
  const Batched x = b.in[0];
  const int last = b.ndim(0) - 1;
  Int rows = 1;
  for (int d = 0; d < last; ++d) rows = rows * b.dim(0, d);
  IntList shape{rows, b.dim(0, last)};
  if (x.batched) shape = IntList{b.size, rows, b.dim(0, last)};
  Tensor y =
      op::matmul(op::reshape(x.tensor, shape), b.in[1].tensor, false, true);
  if (bias.tensor) y = op::add(y, b.aligned(bias, 2));
  return one(std::move(y));
}

[[maybe_unused]] int64_t macs_matmul(OpDef::Shapes in, OpDef::Shapes out) {
  const Dims &a = in[0], &b = in[1], &y = out[0];
  if (a.size() == 1 || b.size() == 1) {
    return checked_numel(y) * (a.size() == 1 ? a[0] : b[0]);
  }
  // Either side may be transposed: `a` has as many rows as the result.
  const int64_t rows = y[y.size() - 2];
  return rows ? checked_numel(y) * (a[a.size() - 2] * a[a.size() - 1] / rows)
              : 0;
}

[[maybe_unused]] int64_t macs_linear(OpDef::Shapes in, OpDef::Shapes out) {
  return checked_numel(out[0]) * in[1][1];
}

}  // namespace

// Kernel: floating dtypes, and integers (products and sums wrap around).
extern const OpDef matmul_op = {
    .name = "matmul",
    .sig = "input: Tensor, other: Tensor, transpose_input: bool = False, "
           "transpose_other: bool = False",
    .doc = FE_DOC(R"(Matrix product, also of batches of matrices.

Args:
    input: shape (..., m, k), or (k,) for a vector.
    other: shape (..., k, n), or (k,) for a vector, of the same dtype.
    transpose_input: True takes `input` as (..., k, m).
    transpose_other: True takes `other` as (..., n, k).

Returns:
    Shape (..., m, n). The leading dimensions broadcast. For a vector its
    dimension, m or n, is left out.

Raises:
    ShapeError: the inner sizes differ or leading dimensions do not broadcast.
    DTypeError: the dtypes differ, or are bool.

Example:
    >>> import ferrule as fe
    >>> a = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.matmul(a, fe.tensor([1.0, 1.0])).tolist()
    [3.0, 7.0]

Source: numpy.matmul, whose rules for shapes these are.
)"),
    .examples = FE_DOC("f(2, 3), f(3, 4)\n"
                       "f(3), f(3)\n"
                       "f(2, 3), f(3)\n"
                       "f(3), f(3, 2)\n"
                       "f(3), f(2, 3, 4)\n"
                       "f(2, 4, 3), f(3)\n"
                       "f(5, 2, 3), f(3, 4)\n"
                       "f(2, 3), f(5, 3, 4)\n"
                       "f(2, 1, 2, 3), f(4, 3, 2)\n"
                       "f(3, 2), f(3, 4), True\n"
                       "f(2, 3), f(4, 3), transpose_other=True\n"
                       "f(2, 3, 2), f(4, 3), True, True\n"
                       "f(2, 3), f(2, 4, 3), transpose_other=True\n"
                       "f(2, 3, 2), f(1, 4, 3), True, True\n"
                       "f(2, 0), f(0, 3)\n"
                       "f(33, 70), f(70, 65)"),
    .reference = FE_DOC(
        "np.matmul(np.swapaxes(input, -1, -2) if transpose_input else input, "
        "np.swapaxes(other, -1, -2) if transpose_other else other)"),
    .autocast = Autocast::lower,
    .saves = "input@other other@input",
    .infer = infer_matmul,
    .vjp = FE_GRAD([](Vjp& v) {
      const bool ta = v.args[2].b, tb = v.args[3].b;
      const bool row = v.ndim(0) == 1, column = v.ndim(1) == 1;
      Tensor g = v.grad();
      // Vectors become the matrices that they stand for.
      if (column) g = op::unsqueeze(g, -1);
      if (row) g = op::unsqueeze(g, -2);
      if (v.needs(0)) {
        Tensor b = v.in(1);
        if (column) b = op::unsqueeze(b, -1);
        Tensor d =
            ta ? op::matmul(b, g, tb, true) : op::matmul(g, b, false, !tb);
        if (row) {  // (..., 1, k): what broadcasting repeated is summed by set
          d = op::squeeze(d, IntList{-2});
        }
        v.set(0, d);
      }
      if (v.needs(1)) {
        Tensor a = v.in(0);
        if (row) a = op::unsqueeze(a, 0);
        if (v.ndim(1) <= 2 && a.ndim() > 2 && !ta) {
          // One matrix for all batches: their rows are one tall matrix.
          a = fold_rows(a);
          g = fold_rows(g);
        }
        Tensor d =
            tb ? op::matmul(g, a, true, ta) : op::matmul(a, g, !ta, false);
        if (column) d = op::squeeze(d, IntList{-1});
        v.set(1, d);
      }
    }),
    .complex = FE_GRAD(complex_matmul),
    .batch = FE_GRAD(batch_matmul),
    .macs = FE_GRAD(macs_matmul),
};

namespace {

// Would an input (N, ...) fit if it were (N, features)?
bool flattens_to(std::span<const int64_t> x, int64_t features) {
  if (x.size() < 3) return false;
  int64_t n = 1;
  for (int64_t d : x.subspan(1)) n *= d;
  return n == features;
}

}  // namespace

extern const OpDef linear_op = {
    .name = "linear",
    .sig = "input: Tensor[float], weight: Tensor[float], "
           "bias: Tensor[float]? = None",
    .doc = FE_DOC(R"(Affine map of the last dimension: input @ weight.T + bias.

Args:
    input: shape (..., in).
    weight: shape (out, in).
    bias: shape (out,), or None.

Returns:
    Shape (..., out).

Raises:
    ShapeError: the sizes do not fit.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0]])
    >>> w = fe.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> fe.nn.functional.linear(x, w, fe.tensor([0.0, 0.0, 0.5])).tolist()
    [[1.0, 2.0, 3.5]]

Source: the layer of a perceptron, in torch.nn.functional.linear's layout.
)"),
    .examples = FE_DOC("f(2, 3), f(4, 3), f(4)\n"
                       "f(2, 3), f(4, 3)\n"
                       "f(3), f(4, 3), f(4)\n"
                       "f(2, 5, 3), f(1, 3), f(1)\n"
                       "f(0, 3), f(4, 3), f(4)\n"
                       "f(33, 70), f(65, 70), f(65)"),
    .reference = FE_DOC("input @ weight.T + (0 if bias is None else bias)"),
    .where = kFunctional,
    .autocast = Autocast::lower,
    .saves = "input@weight weight@input",
    .infer =
        [](OpCall& c) {
          require_same_dtype(c, {0, 1, 2});
          auto x = c.in(0).sizes(), w = c.in(1).sizes();
          if (w.size() != 2) {
            c.fail<ShapeError>("weight must have shape (out, in), got ", w);
          }
          if (x.empty() || x.back() != w[1]) {
            c.fail<ShapeError>("input of shape ", x,
                               " does not fit weight (out, in) = ", w,
                               ": its last dimension must be ", w[1],
                               flattens_to(x, w[1])
                                   ? "; flatten(1) or nn.Flatten() makes it so"
                                   : "");
          }
          if (c.has(2) && (c.in(2).ndim != 1 || c.in(2).shape[0] != w[0])) {
            c.fail<ShapeError>("bias must have shape (", w[0], ",) for weight ",
                               w, ", got ", c.in(2).sizes());
          }
          Dims shape(x);
          shape[shape.n - 1] = w[0];
          c.out(0, c.in(0).dtype, shape);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      if (v.needs(0)) v.set(0, op::matmul(g, v.in(1)));
      if (v.needs(1)) {
        Tensor x = v.in(0);
        if (x.ndim() == 1) x = op::unsqueeze(x, 0);
        if (g.ndim() == 1) g = op::unsqueeze(g, 0);
        v.set(1, op::matmul(fold_rows(g), fold_rows(x), true));
      }
      if (v.needs(2)) v.set(2, v.grad());
    }),
    .complex = FE_GRAD(complex_linear),
    .batch = FE_GRAD(batch_linear),
    .macs = FE_GRAD(macs_linear),
};

extern const OpDef int_mm_op = {
    .name = "int_mm",
    .sig = "input: Tensor, other: Tensor",
    .doc = FE_DOC(R"(Matrix product of int8, summed in int32.

The product under quantized layers: unlike `matmul` of integers, the result has
room for the sums.

Args:
    input: shape (m, k), int8.
    other: shape (k, n), int8.

Returns:
    Shape (m, n), int32. It is exact up to k = 131071; sums that int32 cannot
    hold wrap around.

Raises:
    ShapeError: an operand is not a matrix, or the inner sizes differ.
    DTypeError: an operand is not int8.

Example:
    >>> import ferrule as fe
    >>> a = fe.tensor([[100, 2], [3, -4]], dtype=fe.int8)
    >>> fe.ops.int_mm(a, a).tolist()
    [[10006, 192], [288, 22]]

Source: torch._int_mm.
)"),
    .examples =
        FE_DOC("i(200, 2, 3).astype('int8'), i(200, 3, 4).astype('int8')\n"
               "i(200, 1, 70).astype('int8'), i(200, 70, 33).astype('int8')\n"
               "i(200, 40, 1).astype('int8'), i(200, 1, 5).astype('int8')\n"
               "i(200, 33, 70).astype('int8'), i(200, 70, 65).astype('int8')"),
    .reference =
        FE_DOC("np.matmul(input.astype('int32'), other.astype('int32'))"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          for (int i = 0; i < 2; ++i) {
            const auto name = c.info.schema.params[i].name;
            if (c.in(i).dtype != DType::i8) {
              c.fail<DTypeError>("'", name, "' must be int8, got ",
                                 c.in(i).dtype);
            }
            if (c.in(i).ndim != 2) {
              c.fail<ShapeError>("'", name, "' must be a matrix, got shape ",
                                 c.in(i).sizes());
            }
          }
          if (c.in(0).shape[1] != c.in(1).shape[0]) {
            c.fail<ShapeError>("cannot multiply shapes ", c.in(0).sizes(),
                               " and ", c.in(1).sizes(), ": the inner sizes ",
                               c.in(0).shape[1], " and ", c.in(1).shape[0],
                               " differ");
          }
          c.out(0, DType::i32, std::array{c.in(0).shape[0], c.in(1).shape[1]});
        },
};

}  // namespace ferrule
