// Elements chosen by the integers (or bools) of another tensor.
#include <algorithm>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/cpu/nonzero.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void require_index(const OpCall& c, int arg) {
  const DType t = c.in(arg).dtype;
  if (t == DType::i64 || t == DType::i32) return;
  c.fail<DTypeError>("'", c.info.schema.params[arg].name,
                     "' must be int64 or int32, got ", t,
                     "; convert it with .long()");
}

void require_addable(const OpCall& c, int arg) {
  if (is_integer(c.in(arg).dtype) || is_float(c.in(arg).dtype)) return;
  c.fail<DTypeError>("tensors of ", c.in(arg).dtype,
                     " cannot be added up; convert them first");
}

// gather and scatter_add: `index` is no larger than `input` but along dim.
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

// index_select and index_add: `index` is a list of positions along dim.
int check_positions(const OpCall& c) {
  require_index(c, 2);
  if (c.in(2).ndim > 1) {
    c.fail<ShapeError>("index must have one dimension, got shape ",
                       c.in(2).sizes());
  }
  return c.dim(1, c.in(0).ndim);
}

// Shape of the elements of input (or of a 0-d one, seen as one element) that
// are chosen.
Dims chosen_shape(const OpCall& c, int d) {
  Dims shape(c.in(0).sizes());
  if (shape.n > 0) shape[d] = c.in(2).numel;
  return shape;
}

void infer_index_add(OpCall& c) {
  const int d = check_positions(c);
  require_same_dtype(c, {0, 3});
  require_addable(c, 0);
  const Dims want = chosen_shape(c, d);
  if (!(want == Dims(c.in(3).sizes()))) {
    c.fail<ShapeError>("source must have shape ", want, " for input ",
                       c.in(0).sizes(), " and ", c.in(2).numel,
                       " positions in dimension ", d, ", got ",
                       c.in(3).sizes());
  }
  c.out_like(0, 0);
}

// The padding row, counted from 0; -1: none.
int64_t find_padding(const OpCall& c, int arg, int64_t rows) {
  if (!c.has(arg)) return -1;
  const int64_t i = c.i(arg);
  if (i < -rows || i >= rows) {
    c.fail<IndexError>("padding_idx ", i, " is out of range for ", rows,
                       " rows; valid: ", -rows, "..", rows - 1);
  }
  return i < 0 ? i + rows : i;
}

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
          check_gather(c);
          c.out(0, c.in(0).dtype, c.in(2).sizes());
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      Tensor zero = op::zeros(v.sizes(0), g.dtype(), g.device());
      v.set(0, op::scatter_add(zero, v.args[1], v.in(2), g));
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
    src: shape of `index`, dtype of `input`.

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
                       "f(3), 0, i(3, 0), f(0)"),
    .reference =
        FE_DOC("(lambda out: (np.add.at(out, tuple(index if d == dim % "
               "input.ndim else at for d, at in "
               "enumerate(np.indices(index.shape))), src), "
               "out)[1])(input.copy())"),
    .saves = "index",
    .infer =
        [](OpCall& c) {
          check_gather(c);
          require_same_dtype(c, {0, 3});
          require_addable(c, 0);
          if (!(Dims(c.in(3).sizes()) == Dims(c.in(2).sizes()))) {
            c.fail<ShapeError>("src must have the shape of index, ",
                               c.in(2).sizes(), ", got ", c.in(3).sizes());
          }
          c.out_like(0, 0);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, v.grad());
      if (v.needs(3)) v.set(3, op::gather(v.grad(), v.args[1], v.in(2)));
    }),
    .complex = FE_GRAD(by_parts),
};

extern const OpDef index_select_op = {
    .name = "index_select",
    .sig = "input: Tensor, dim: int, index: Tensor[int]",
    .doc = FE_DOC(R"(The elements of one dimension that `index` lists.

Args:
    input: any shape.
    dim: the dimension.
    index: shape (n,), int64 or int32.

Returns:
    The size of `dim` is n.

Raises:
    IndexOutOfRange: an index is negative or too large.

Example:
    >>> import ferrule as fe
    >>> fe.index_select(fe.tensor([5, 6, 7]), 0, fe.tensor([2, 0])).tolist()
    [7, 5]

Source: numpy.take.
)"),
    .examples = FE_DOC("f(4, 3), 0, i(4, 5)\n"
                       "f(2, 4, 3), 1, i(4, 2)\n"
                       "f(2, 3), -1, i(3, 4)\n"
                       "f(4, 3), 0, i(4, 0)"),
    .reference = FE_DOC("np.take(input, index, dim)"),
    .saves = "index",
    .infer =
        [](OpCall& c) {
          const int d = check_positions(c);
          if (c.in(0).ndim == 0 && c.in(2).numel != 1) {
            c.fail<ShapeError>("a 0-d input has one element, index lists ",
                               c.in(2).numel);
          }
          c.out(0, c.in(0).dtype, chosen_shape(c, d));
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      Tensor zero = op::zeros(v.sizes(0), g.dtype(), g.device());
      v.set(0, op::index_add(zero, v.args[1], v.in(2), g));
    }),
};

extern const OpDef index_add_op = {
    .name = "index_add",
    .sig = "input: Tensor, dim: int, index: Tensor[int], source: Tensor",
    .doc = FE_DOC(R"(Adds the slices of `source` to those that `index` lists.

Args:
    input: any shape.
    dim: the dimension.
    index: shape (n,), int64 or int32.
    source: shape of `input` with n in `dim`, dtype of `input`.

Returns:
    Shape of `input`. The order of summation is that of `index`.

Raises:
    ShapeError: the shapes do not fit.
    IndexOutOfRange: an index is negative or too large.

Example:
    >>> import ferrule as fe
    >>> x, i = fe.tensor([1.0, 2.0]), fe.tensor([1, 1])
    >>> fe.index_add(x, 0, i, fe.tensor([10.0, 20.0])).tolist()
    [1.0, 32.0]

Source: torch.index_add.
)"),
    .examples = FE_DOC("f(4, 3), 0, i(4, 5), f(5, 3)\n"
                       "f(2, 4, 3), 1, i(4, 2), f(2, 2, 3)\n"
                       "f(2, 3), -1, i(3, 4), f(2, 4)\n"
                       "f(4, 3), 0, i(4, 0), f(0, 3)"),
    .reference =
        FE_DOC("(lambda out: (np.add.at(np.moveaxis(out, dim, 0), index, "
               "np.moveaxis(source, dim, 0)), out)[1])(input.copy())"),
    .saves = "index",
    .infer = infer_index_add,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, v.grad());
      if (v.needs(3)) v.set(3, op::index_select(v.grad(), v.args[1], v.in(2)));
    }),
    .complex = FE_GRAD(by_parts),
};

extern const OpDef embedding_op = {
    .name = "embedding",
    .sig = "input: Tensor[int], weight: Tensor, padding_idx: int? = None",
    .doc = FE_DOC(R"(Rows of a table.

Args:
    input: numbers of rows, int64 or int32, any shape.
    weight: the table, shape (rows, size).
    padding_idx: this row gets no gradient; negative ones count from the end.

Returns:
    Shape (*input.shape, size).

Raises:
    IndexOutOfRange: a number is negative or too large.
    ShapeError: `weight` has not two dimensions.

Example:
    >>> import ferrule as fe
    >>> table = fe.tensor([[0.0, 0.0], [1.0, 2.0]])
    >>> fe.nn.functional.embedding(fe.tensor([1, 0]), table).tolist()
    [[1.0, 2.0], [0.0, 0.0]]

Source: torch.nn.functional.embedding.
)"),
    .examples = FE_DOC("i(4, 2, 3), f(4, 5)\n"
                       "i(3, 6), f(4, 3), 3\n"
                       "i(3, 6), f(4, 3), -1\n"
                       "i(4, 0), f(4, 3)"),
    .reference = FE_DOC("weight[input]"),
    .where = kFunctional,
    .saves = "input",
    .infer =
        [](OpCall& c) {
          require_index(c, 0);
          if (c.in(1).ndim != 2) {
            c.fail<ShapeError>("weight must have shape (rows, size), got ",
                               c.in(1).sizes());
          }
          find_padding(c, 2, c.in(1).shape[0]);
          Dims shape(c.in(0).sizes());
          shape.push(c.in(1).shape[1]);
          c.out(0, c.in(1).dtype, shape);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(1, op::embedding_dw(v.grad(), v.in(0), v.size(1, 0), v.args[2]));
    }),
};

extern const OpDef embedding_dw_op = {
    .name = "embedding_dw",
    .sig = "grad: Tensor, input: Tensor[int], num_embeddings: int, "
           "padding_idx: int? = None",
    .doc = FE_DOC(R"(Gradient of embedding in its table: adds up the rows.

Args:
    grad: shape (*input.shape, size).
    input: numbers of rows, int64 or int32.
    num_embeddings: number of rows of the table.
    padding_idx: this row stays 0.

Returns:
    Shape (num_embeddings, size). The order of summation is that of `input`.

Raises:
    IndexOutOfRange: a number is negative or too large.
    ShapeError: the shapes do not fit.

Example:
    >>> import ferrule as fe
    >>> g = fe.tensor([[1.0], [2.0]])
    >>> fe.ops.embedding_dw(g, fe.tensor([1, 1]), 3).tolist()
    [[0.0], [3.0], [0.0]]

Source: the chain rule.
)"),
    .examples = FE_DOC("f(2, 3, 5), i(4, 2, 3), 4\n"
                       "f(6, 3), i(4, 6), 4, 1\n"
                       "f(6, 3), i(4, 6), 4, -1\n"
                       "f(0, 3), i(4, 0), 4"),
    .where = kInternal,
    .saves = "input",
    .infer =
        [](OpCall& c) {
          require_index(c, 1);
          require_addable(c, 0);
          const TensorImpl &g = c.in(0), &index = c.in(1);
          if (g.ndim != index.ndim + 1 ||
              !std::equal(index.shape, index.shape + index.ndim, g.shape)) {
            c.fail<ShapeError>("grad must have the shape of input, ",
                               index.sizes(), ", and one dimension more, got ",
                               g.sizes());
          }
          const int64_t rows = c.i(2);
          if (rows < 0) {
            c.fail<ValueError>("num_embeddings must be 0 or more, got ", rows);
          }
          find_padding(c, 3, rows);
          c.out(0, g.dtype, Dims{rows, g.shape[g.ndim - 1]});
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor index = v.in(1);
      Tensor g = op::embedding(index, v.grad());
      if (v.has(3)) {
        Int padding(v.args[3].i, v.args[3].n);
        if (padding.value < 0) {
          padding = padding + Int(v.args[2].i, v.args[2].n);
        }
        Tensor kept = op::unsqueeze(op::ne(index, padding), -1);
        g = op::where(kept, g, 0.0);
      }
      v.set(0, g);
    }),
};

extern const OpDef masked_fill_op = {
    .name = "masked_fill",
    .sig = "input: Tensor, mask: Tensor[bool], value: Operand",
    .doc = FE_DOC(R"(Puts a number where a mask is True.

Args:
    input: any shape.
    mask: bool; the shapes broadcast.
    value: the number, converted to the dtype of `input`; also a 0-d tensor.

Returns:
    The broadcast shape, the dtype of `input`.

Raises:
    ShapeError: the shapes do not broadcast, or `value` has dimensions.
    DTypeError: `value` is complex and `input` is not.
    ValueError: the dtype of `input` cannot hold an integer so large.

Example:
    >>> import ferrule as fe
    >>> fe.masked_fill(fe.tensor([1, 2]), fe.tensor([True, False]), 9).tolist()
    [9, 2]

Source: torch.masked_fill.
)"),
    .examples = FE_DOC("f(2, 3), b(2, 3), 0.5\n"
                       "f(2, 3), b(3), -1.0\n"
                       "f(3), b(2, 1), 2"),
    .reference = FE_DOC("np.where(mask, value, input)"),
    .has_inplace = true,
    .saves = "mask",
    .infer =
        [](OpCall& c) {
          if (c.is_tensor(2) && c.in(2).ndim != 0) {
            c.fail<ShapeError>("value must be a number or a 0-d tensor, got "
                               "shape ",
                               c.in(2).sizes(), "; use where");
          }
          c.compute = c.in(0).dtype;
          check_in_range(c, 2, c.compute);
          if (c.is_tensor(2) && is_complex(c.in(2).dtype) &&
              !is_complex(c.compute)) {
            c.fail<DTypeError>("a complex value does not fit into a tensor of ",
                               c.compute);
          }
          c.out(0, c.compute, broadcast(c, c.in(0).sizes(), c.in(1).sizes()));
        },
    .vjp = FE_GRAD([](Vjp& v) {
      if (v.needs(0)) v.set(0, op::masked_fill(v.grad(), v.in(1), 0.0));
      if (v.needs(2)) v.set(2, op::where(v.in(1), v.grad(), 0.0));
    }),
};

// Its size is only known from the data: it is counted while the result is
// shaped, and no graph can hold it.
extern const OpDef nonzero_op = {
    .name = "nonzero",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Where the elements are that are not zero.

Args:
    input: any shape.

Returns:
    Shape (n, ndim), int64: the indices of each such element, in their order.

Raises:
    RuntimeError: while capturing, where the data that decide n are not known.

Example:
    >>> import ferrule as fe
    >>> fe.nonzero(fe.tensor([[0, 3], [5, 0]])).tolist()
    [[0, 1], [1, 0]]

Source: numpy.argwhere.
)"),
    .examples = FE_DOC("b(3, 4)\nb(2, 3, 2)\ni(2, 7)\nb(0)"),
    .reference = FE_DOC("np.argwhere(input)"),
    .data_dependent = true,
    .infer =
        [](OpCall& c) {
          if (!c.device.is_cpu()) {
            c.fail<DeviceError>("runs on the CPU only, got ", c.device,
                                "; move the tensor with .to(\"cpu\")");
          }
          const TensorImpl& x = c.in(0);
          c.out(0, DType::i64, Dims{cpu::count_nonzero(x), x.ndim});
        },
};

}  // namespace ferrule
