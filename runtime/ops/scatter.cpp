// Elements along one dimension, chosen for each position by an index tensor.
#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"
#include "runtime/ops/index_checks.h"

namespace ferrule {
namespace {

// `index` is no larger than `input` but along dim.
int check_gather(const OpCall& c) {
  require_index(c, 2);
  const TensorImpl &x = c.in(0), &index = c.in(2);
  const int d = c.dim(1, x.ndim);
  if (index.ndim != x.ndim) {
    c.fail<ShapeError>("index of shape ", index.sizes(), " must have as many ",
                       "dimensions as input ", x.sizes());
  }
  for (int i = 0; i < x.ndim; ++i) {
    if (i == d || index.shape[i] <= x.shape[i]) continue;
    c.fail<ShapeError>("index ", index.sizes(), " is larger than input ",
                       x.sizes(), " in dimension ", i, "; only in dim ", d,
                       " it may be");
  }
  return d;
}

int64_t size_along(const OpCall& c, int d) {
  return c.in(0).ndim ? c.in(0).shape[d] : 1;
}

// The same for ops that write, from a source that is no smaller than `index`.
void check_scatter(OpCall& c) {
  const int d = check_gather(c);
  const TensorImpl& index = c.in(2);
  require_elements(c, size_along(c, d), index.numel, d);
  c.out_like(0, 0);
  if (!c.is_tensor(3)) return;
  require_same_dtype(c, {0, 3});
  const TensorImpl& src = c.in(3);
  bool fits = src.ndim == index.ndim;
  for (int i = 0; fits && i < src.ndim; ++i) {
    fits = index.shape[i] <= src.shape[i];
  }
  if (!fits) {
    c.fail<ShapeError>("src of shape ", src.sizes(),
                       " must have as many dimensions as index ", index.sizes(),
                       " and be no smaller in any");
  }
}

#ifndef FE_RUNTIME_ONLY

// Of a source that is larger than the index, only a corner took part.
void set_source(Vjp& v, Tensor g) {
  for (int d = 0; d < g.ndim(); ++d) {
    if (g.size(d) == v.size(3, d).value) continue;
    IntList size = sizes_of(g.impl());
    const Int end = size[d];
    size[d] = v.size(3, d);
    g = op::slice_dx(g, size, d, 0, end);
  }
  v.set(3, g);
}

// Where several elements go to one place only the last one stays: True there.
Tensor stays(Vjp& v, const Tensor& index) {
  std::vector<Tensor> list;
  const int dim = static_cast<int>(v.args[1].i);
  for (int d = 0; d < index.ndim(); ++d) {
    if (d == (dim < 0 ? dim + index.ndim() : dim)) {
      list.push_back(index);
      continue;
    }
    IntList shape;
    for (int k = 0; k < index.ndim(); ++k) shape.push(1);
    const Int n = size_of(index.impl(), d);
    shape[d] = n;
    list.push_back(op::reshape(
        op::arange(n, Arg(), 1, DType::i64, index.device()), shape));
  }
  return op::last_writes(list, v.sizes(0));
}

// Numbers of the source's corner that the index covers.
Tensor corner(Tensor x, const Tensor& index) {
  for (int d = 0; d < x.ndim(); ++d) {
    if (x.size(d) == index.size(d)) continue;
    x = op::slice(x, d, 0, size_of(index.impl(), d));
  }
  return x;
}

// `grad` for the input, of which nothing is left where it does not count.
void set_self(Vjp& v, const Tensor& g, const Tensor& index) {
  if (!v.needs(0)) return;
  v.set(0, v.args[5].b ? g : op::scatter(g, v.args[1], index, 0.0));
}

void mean_vjp(Vjp& v, const Tensor& index) {
  Tensor g = v.grad();
  Tensor start =
      op::full(v.sizes(0), v.args[5].b ? 1.0 : 0.0, g.dtype(), g.device());
  Tensor one = op::ones(sizes_of(index.impl()), g.dtype(), g.device());
  Tensor count = op::scatter_add(start, v.args[1], index, one);
  g = op::div(g, op::maximum(count, 1.0));
  set_self(v, g, index);
  if (v.needs(3)) set_source(v, op::gather(g, v.args[1], index));
}

// Of equal extremes each gets the same part.
void extreme_vjp(Vjp& v, const Tensor& index) {
  Tensor g = v.grad(), out = v.out(), x = v.in(0);
  const Arg dim = v.args[1];
  Tensor self = op::cast(op::eq(x, out), g.dtype());
  if (!v.args[5].b) self = op::scatter(self, dim, index, 0.0);
  Tensor hit = op::cast(
      op::eq(corner(v.in(3), index), op::gather(out, dim, index)), g.dtype());
  Tensor count = op::scatter_add(self, dim, index, hit);
  Tensor share = op::div(g, op::maximum(count, 1.0));
  if (v.needs(0)) v.set(0, op::mul(share, self));
  if (v.needs(3)) {
    set_source(v, op::mul(op::gather(share, dim, index), hit));
  }
}

// Without zeros the others' product is result / own; with one zero the rest of
// the product goes to it, with two nothing to anybody.
void prod_vjp(Vjp& v, const Tensor& index) {
  Tensor g = v.grad(), x = v.in(0), out = v.out();
  const Arg dim = v.args[1];
  const bool include_self = v.args[5].b;
  Tensor src = corner(v.in(3), index);
  Tensor x_zero = op::eq(x, 0.0), src_zero = op::eq(src, 0.0);
  Tensor own_zeros =
      include_self ? op::cast(x_zero, g.dtype()) : op::zeros_like(g);
  Tensor zeros =
      op::scatter_add(own_zeros, dim, index, op::cast(src_zero, g.dtype()));
  Tensor x_safe = op::where(x_zero, 1.0, x);
  Tensor src_safe = op::where(src_zero, 1.0, src);
  Tensor rest =
      op::scatter_reduce(x_safe, dim, index, src_safe, "prod", include_self);
  // The product of all others, for something that is zero or is not.
  const auto others = [&](const Tensor& product, const Tensor& count,
                          const Tensor& own, const Tensor& is_zero) {
    Tensor own_zero = op::cast(is_zero, g.dtype());
    Tensor clear = op::eq(op::sub(count, own_zero), 0.0);
    return op::where(clear, op::div(product, own), 0.0);
  };
  if (v.needs(0)) {
    Tensor d = op::mul(g, others(rest, zeros, x_safe, x_zero));
    if (!include_self) {
      d = op::mul(g, op::scatter(op::ones_like(g), dim, index, 0.0));
    }
    v.set(0, d);
  }
  if (v.needs(3)) {
    Tensor d = others(op::gather(rest, dim, index),
                      op::gather(zeros, dim, index), src_safe, src_zero);
    set_source(v, op::mul(op::gather(g, dim, index), d));
  }
}

#endif

constexpr std::string_view kReduces[] = {"sum", "prod", "mean", "amax", "amin"};

}  // namespace

extern const OpDef gather_op = {
    .name = "gather",
    .sig = "input: Tensor, dim: int, index: Tensor[int]",
    .doc = FE_DOC(
        R"(Takes, for each element of `index`, the one that it names along dim.

out[i][j][k] = input[index[i][j][k]][j][k] for dim 0, and so on.

Args:
    input: any shape.
    dim: the dimension that `index` counts in.
    index: int64 or int32, with as many dimensions as `input`, no larger than it
        but in `dim`.

Returns:
    Shape of `index`.

Raises:
    ShapeError: the shapes do not fit.
    IndexOutOfRange: an index is negative or too large.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1, 2], [3, 4]])
    >>> fe.gather(x, 1, fe.tensor([[1], [0]])).tolist()
    [[2], [3]]

Source: torch.gather.
)"),
    .examples = FE_DOC("f(3, 4), 1, i(4, 3, 2)\n"
                       "f(3, 4), 0, i(3, 5, 4)\n"
                       "f(2, 3, 4), -1, i(4, 2, 3, 1)\n"
                       "f(2, 3, 4), 1, i(3, 1, 5, 2)\n"
                       "f(3), 0, i(3, 0)"),
    .reference = FE_DOC(
        "np.take_along_axis(input[tuple(slice(n if i != dim % input.ndim "
        "else None) for i, n in enumerate(index.shape))], index, dim)"),
    .saves = "index",
    .infer =
        [](OpCall& c) {
          require_elements(c, size_along(c, check_gather(c)), c.in(2).numel,
                           check_gather(c));
          c.out(0, c.in(0).dtype, c.in(2).sizes());
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      Tensor zero = op::zeros(v.sizes(0), g.dtype(), g.device());
      v.set(0, op::scatter_add(zero, v.args[1], v.in(2), g));
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef take_along_dim_op = {
    .name = "take_along_dim",
    .sig = "input: Tensor, indices: Tensor[int], dim: int? = None",
    .doc = FE_DOC(R"(Takes, for each index, the element that it names along dim.

Undoes argsort and argmax: x.take_along_dim(x.argsort(1), 1) is sorted.

Args:
    input: any shape.
    indices: int64 or int32, with as many dimensions as `input`; the shapes
        broadcast but in dim. Negative ones count from the end.
    dim: the dimension; None: both tensors are flattened.

Returns:
    The broadcast shape, of `indices` in dim.

Raises:
    ShapeError: the shapes do not fit.
    IndexOutOfRange: an index is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1, 2], [3, 4]])
    >>> fe.take_along_dim(x, fe.tensor([[-1]]), 1).tolist()
    [[2], [4]]

Source: numpy.take_along_axis.
)"),
    .examples = FE_DOC("f(3, 4), i(4, 3, 2), 1\n"
                       "f(3, 4), i(3, 5, 1) - 3, 0\n"
                       "f(1, 3, 4), i(4, 2, 1, 2), -1\n"
                       "f(3, 4), i(12, 2, 3)"),
    .reference = FE_DOC(
        "np.take_along_axis(input, indices, dim) if dim is not None else "
        "np.take_along_axis(input, indices.ravel(), None)"),
    .decompose = FE_GRAD([](OpCall& c) {
      require_index(c, 1);
      Tensor x = c.tensor(0), index = c.tensor(1);
      if (!c.has(2)) {
        x = op::reshape(x, IntList{-1});
        index = op::reshape(index, IntList{-1});
      }
      if (x.ndim() != index.ndim()) {
        c.fail<ShapeError>("indices of shape ", index.shape(),
                           " must have as many dimensions as input ",
                           x.shape());
      }
      const int d = c.has(2) ? c.dim(2, x.ndim()) : 0;
      IntList x_shape = sizes_of(x.impl()), shape = sizes_of(index.impl());
      for (int i = 0; i < x.ndim(); ++i) {
        if (i == d) continue;
        const int64_t a = x.size(i), b = index.size(i);
        if (a != b && a != 1 && b != 1) {
          c.fail<ShapeError>("indices of shape ", index.shape(),
                             " do not broadcast with input ", x.shape(),
                             " in dimension ", i);
        }
        if (a == 1) x_shape[i] = shape[i];
        if (b == 1) shape[i] = x_shape[i];
      }
      const Int size = x.ndim() ? size_of(x.impl(), d) : Int(1);
      index = op::where(op::lt(index, 0), op::add(index, size), index);
      Results r;
      r.n = 1;
      r[0] = op::gather(op::expand(x, x_shape), d, op::expand(index, shape));
      return r;
    }),
};

extern const OpDef scatter_add_op = {
    .name = "scatter_add",
    .sig = "input: Tensor, dim: int, index: Tensor[int], src: Tensor",
    .doc = FE_DOC(
        R"(Adds each element of `src` to the one that `index` names along dim.

out = input; out[index[i][j][k]][j][k] += src[i][j][k] for dim 0, and so on.

Args:
    input: any shape.
    dim: the dimension that `index` counts in.
    index: int64 or int32, with as many dimensions as `input`, no larger than it
        but in `dim`.
    src: dtype of `input`, no smaller than `index` in any dimension.

Returns:
    Shape of `input`. The order of summation is that of `index`.

Raises:
    ShapeError: the shapes do not fit.
    IndexOutOfRange: an index is negative or too large.

Example:
    >>> import ferrule as fe
    >>> i, x = fe.tensor([0, 2, 0]), fe.tensor([1.0, 2.0, 3.0])
    >>> fe.scatter_add(fe.zeros((3,)), 0, i, x).tolist()
    [4.0, 0.0, 2.0]

Source: torch.scatter_add.
)"),
    .examples = FE_DOC("f(3, 4), 1, i(4, 3, 2), f(3, 2)\n"
                       "f(3, 4), 0, i(3, 5, 4), f(5, 4)\n"
                       "f(2, 3, 4), 1, i(3, 1, 5, 2), f(1, 5, 2)\n"
                       "f(3, 4), 0, i(3, 2, 3), f(5, 4)\n"
                       "f(3), 0, i(3, 0), f(0)"),
    .reference =
        FE_DOC("(lambda out: (np.add.at(out, tuple(index if d == dim % "
               "input.ndim else at for d, at in "
               "enumerate(np.indices(index.shape))), "
               "src[tuple(slice(n) for n in index.shape)]), "
               "out)[1])(input.copy())"),
    .has_inplace = true,
    .autocast = Autocast::widest,
    .saves = "index",
    .infer =
        [](OpCall& c) {
          check_scatter(c);
          require_numbers(c, 0);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, v.grad());
      if (v.needs(3)) set_source(v, op::gather(v.grad(), v.args[1], v.in(2)));
    }),
    .complex = FE_GRAD(by_parts),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef scatter_op = {
    .name = "scatter",
    .sig = "input: Tensor, dim: int, index: Tensor[int], src: Operand",
    .doc = FE_DOC(
        R"(Writes each element of `src` to the place that `index` names along dim.

out = input; out[index[i][j][k]][j][k] = src[i][j][k] for dim 0, and so on.

Args:
    input: any shape.
    dim: the dimension that `index` counts in.
    index: int64 or int32, with as many dimensions as `input`, no larger than it
        but in `dim`.
    src: a number; or a tensor with the dtype of `input`, no smaller than
        `index` in any dimension.

Returns:
    Shape of `input`. Of several elements that go to one place the last stays.

Raises:
    ShapeError: the shapes do not fit.
    IndexOutOfRange: an index is negative or too large.

Example:
    >>> import ferrule as fe
    >>> i = fe.tensor([[1], [0]])
    >>> fe.scatter(fe.zeros((2, 2)), 1, i, 1.0).tolist()
    [[0.0, 1.0], [1.0, 0.0]]

Source: torch.scatter.
)"),
    .examples = FE_DOC("f(3, 4), 1, i(4, 3, 2), f(3, 2)\n"
                       "f(3, 4), 0, i(3, 5, 4), f(5, 4)\n"
                       "f(2, 3, 4), -2, i(3, 1, 5, 2), f(1, 5, 2)\n"
                       "f(3, 4), 0, i(3, 2, 3), f(5, 4)\n"
                       "f(3, 4), 1, i(4, 3, 2), 2.5\n"
                       "f(3), 0, i(3, 0), f(0)"),
    .reference =
        FE_DOC("(lambda out: (out.__setitem__(tuple(index if d == dim % "
               "input.ndim else at for d, at in "
               "enumerate(np.indices(index.shape))), src if np.ndim(src) == 0 "
               "else src[tuple(slice(n) for n in index.shape)]), "
               "out)[1])(input.copy())"),
    .has_inplace = true,
    .saves = "index",
    .infer = check_scatter,
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad(), index = v.in(2);
      if (v.needs(0)) v.set(0, op::scatter(g, v.args[1], index, 0.0));
      if (v.needs(3)) {
        Tensor s = op::gather(g, v.args[1], index);
        set_source(v, op::where(stays(v, index), s, 0.0));
      }
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef scatter_reduce_op = {
    .name = "scatter_reduce",
    .sig = "input: Tensor, dim: int, index: Tensor[int], src: Tensor, reduce: "
           "str, include_self: bool = True",
    .doc = FE_DOC(
        R"(Reduces the elements of `src` that `index` sends to the same place.

Args:
    input: any shape.
    dim: the dimension that `index` counts in.
    index: int64 or int32, with as many dimensions as `input`, no larger than it
        but in `dim`.
    src: dtype of `input`, no smaller than `index` in any dimension.
    reduce: "sum", "prod", "mean", "amax" or "amin".
    include_self: does what stands in `input` take part?

Returns:
    Shape of `input`, the same where nothing was sent to. Means of integers are
    rounded down.

Raises:
    ShapeError: the shapes do not fit.
    ValueError: there is no such reduction.
    IndexOutOfRange: an index is negative or too large.

Example:
    >>> import ferrule as fe
    >>> i, x = fe.tensor([0, 2, 0]), fe.tensor([1.0, 2.0, 3.0])
    >>> fe.scatter_reduce(fe.zeros((3,)), 0, i, x, "amax").tolist()
    [3.0, 0.0, 2.0]

Source: torch.scatter_reduce.
)"),
    .examples = FE_DOC("f(3, 4), 1, i(4, 3, 6), f(3, 6), 'sum'\n"
                       "f(3, 4), 0, i(3, 5, 4), f(5, 4), 'sum', False\n"
                       "f(3, 4), 1, i(4, 3, 6), f(3, 6), 'prod'\n"
                       "f(3, 4), 0, i(3, 5, 4), f(6, 4), 'prod', False\n"
                       "f(3, 4), 1, i(4, 3, 6), f(3, 6), 'mean'\n"
                       "f(3, 4), 0, i(3, 5, 4), f(5, 4), 'mean', False\n"
                       "f(3, 4), 1, i(4, 3, 6), f(3, 6), 'amax'\n"
                       "f(3, 4), 0, i(3, 5, 4), f(5, 4), 'amax', False\n"
                       "f(3, 4), 1, i(4, 3, 6), f(3, 6), 'amin'\n"
                       "f(2, 3, 4), 1, i(3, 1, 5, 2), f(1, 5, 2), 'amin', "
                       "False"),
    .reference = FE_DOC(
        "(lambda at: (lambda count, out: ({'sum': np.add, 'prod': "
        "np.multiply, 'mean': np.add, 'amax': np.maximum, 'amin': "
        "np.minimum}[reduce].at(out, at, src[tuple(slice(n) for n in "
        "index.shape)]), np.add.at(count, at, 1), out / (np.maximum(count, 1) "
        "if reduce == 'mean' else 1))[2])(np.ones(input.shape) if include_self "
        "else np.zeros(input.shape), (lambda o: (include_self or "
        "o.__setitem__(at, {'sum': 0, 'prod': 1, 'mean': 0, 'amax': -np.inf, "
        "'amin': np.inf}[reduce]), o)[1])(input.copy())))(tuple(index if d == "
        "dim % input.ndim else i for d, i in "
        "enumerate(np.indices(index.shape))))"),
    .has_inplace = true,
    .saves = "input index src out",
    .infer =
        [](OpCall& c) {
          check_scatter(c);
          require_numbers(c, 0);
          check_real(c, 0);
          for (std::string_view name : kReduces) {
            if (c.str(4) == name) return;
          }
          c.fail<ValueError>("reduce must be \"sum\", \"prod\", \"mean\", "
                             "\"amax\" or \"amin\", got \"",
                             c.str(4), "\"");
        },
    .vjp = FE_GRAD([](Vjp& v) {
      const std::string_view reduce = v.args[4].str;
      Tensor index = v.in(2);
      if (reduce == "sum") {
        set_self(v, v.grad(), index);
        if (v.needs(3)) {
          set_source(v, op::gather(v.grad(), v.args[1], index));
        }
      } else if (reduce == "mean") {
        mean_vjp(v, index);
      } else if (reduce == "prod") {
        prod_vjp(v, index);
      } else {
        extreme_vjp(v, index);
      }
    }),
    .batch = FE_GRAD(batch_dims),
};

}  // namespace ferrule
