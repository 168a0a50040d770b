// Views of other shapes. Nothing is computed but sizes and strides; reshape
// alone copies, where the strides leave no other way.
#include <utility>

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/graph/passes/simplify.h"
#include "runtime/ops/checks.h"

namespace ferrule {
namespace {

// The shape asked for, with -1 replaced by what is left.
Dims find_shape(const OpCall& c) {
  Dims shape = dims_of(c, 1);
  const int64_t numel = c.in(0).numel;
  int free = -1;
  Dims known;
  for (int i = 0; i < shape.n; ++i) {
    if (shape[i] == -1) {
      if (free >= 0) {
        c.fail<ShapeError>("only one size may be -1, got ", shape);
      }
      free = i;
    } else if (shape[i] < 0) {
      c.fail<ShapeError>("negative size ", shape[i], " in shape ", shape);
    } else {
      known.push(shape[i]);
    }
  }
  const int64_t rest = checked_numel(known);
  if (free >= 0) {
    if (rest == 0) {
      c.fail<ShapeError>("cannot find the -1 in shape ", shape,
                         ": beside a size of 0 it could be anything");
    }
    if (numel % rest == 0) shape[free] = numel / rest;
  }
  if (free >= 0 ? numel % rest != 0 : numel != rest) {
    c.fail<ShapeError>("shape ", c.in(0).sizes(), " with ", numel,
                       " elements does not fit into shape ", shape);
  }
  return shape;
}

// Strides that show the elements of `t` in the same order in another shape;
// false where there are none. Runs of dimensions that lie densely inside each
// other may be cut anew (PyTorch's computeStride).
bool find_strides(const TensorImpl& t, const Dims& shape, Dims& strides) {
  strides = contiguous_strides(shape);
  if (t.contiguous) return true;
  int to = shape.n - 1;
  int64_t old_run = 1, new_run = 1;
  int64_t base = 1;
  bool open = false;
  for (int from = t.ndim - 1; from >= 0; --from) {
    if (t.shape[from] == 1) continue;
    if (!open) {
      base = t.strides[from];
      open = true;
    }
    old_run *= t.shape[from];
    int next = from - 1;
    while (next >= 0 && t.shape[next] == 1) --next;
    if (next >= 0 && t.strides[next] == old_run * base) continue;
    while (to >= 0 && (new_run < old_run || shape[to] == 1)) {
      strides[to] = new_run * base;
      new_run *= shape[to];
      --to;
    }
    if (new_run != old_run) return false;
    old_run = new_run = 1;
    open = false;
  }
  return true;
}

void infer_permute(OpCall& c) {
  const TensorImpl& x = c.in(0);
  auto dims = c.ints(1);
  if (static_cast<int>(dims.size()) != x.ndim) {
    c.fail<ShapeError>("dims ", dims_of(c, 1), " must name each of the ",
                       x.ndim, " dimensions of shape ", x.sizes(), " once");
  }
  Dims shape, strides;
  uint32_t seen = 0;
  for (const Int& i : dims) {
    const int d = OpCall::wrap_dim(c, i.value, x.ndim);
    if (seen >> d & 1) {
      c.fail<ValueError>("dims ", dims_of(c, 1), " name dimension ", d,
                         " twice");
    }
    seen |= 1u << d;
    shape.push(x.shape[d]);
    strides.push(x.strides[d]);
  }
  c.view(0, 0, shape, strides, x.offset);
}

void infer_expand(OpCall& c) {
  const TensorImpl& x = c.in(0);
  Dims shape = dims_of(c, 1);
  const int lead = shape.n - x.ndim;
  if (lead < 0) {
    c.fail<ShapeError>("size ", shape, " has fewer dimensions than shape ",
                       x.sizes());
  }
  Dims strides(shape);
  for (int i = 0; i < shape.n; ++i) {
    const int64_t have = i < lead ? 1 : x.shape[i - lead];
    if (i >= lead && shape[i] == -1) shape[i] = have;
    if (shape[i] < 0) {
      c.fail<ShapeError>("negative size ", shape[i], " in size ", dims_of(c, 1),
                         i < lead ? "; a new dimension has no size that -1 "
                                    "could keep"
                                  : "");
    }
    if (shape[i] != have && have != 1) {
      c.fail<ShapeError>("cannot expand shape ", x.sizes(), " to ",
                         dims_of(c, 1), ": dimension ", i - lead, " is ", have,
                         ", only a 1 can grow");
    }
    strides[i] = i < lead || have != shape[i] ? 0 : x.strides[i - lead];
  }
  checked_numel(shape);
  c.view(0, 0, shape, strides, x.offset);
}

void infer_squeeze(OpCall& c) {
  const TensorImpl& x = c.in(0);
  uint32_t drop = 0;
  if (c.has(1)) {
    for (const Int& i : c.ints(1)) {
      const int d = OpCall::wrap_dim(c, i.value, x.ndim);
      if (drop >> d & 1) {
        c.fail<ValueError>("dim ", dims_of(c, 1), " names dimension ", d,
                           " twice");
      }
      drop |= 1u << d;
    }
  } else {
    drop = ~0u;
  }
  Dims shape, strides;
  for (int i = 0; i < x.ndim; ++i) {
    if (x.shape[i] == 1 && (drop >> i & 1)) continue;
    shape.push(x.shape[i]);
    strides.push(x.strides[i]);
  }
  c.view(0, 0, shape, strides, x.offset);
}

[[maybe_unused]] Results batch_expand(Batch& b) {
  b.in[0].tensor = b.aligned(0, static_cast<int>(b.ints[1].size()));
  b.ints[1].insert(b.ints[1].begin(), b.size);
  return b.run();
}
[[maybe_unused]] Results batch_permute(Batch& b) {
  for (Int& d : b.ints[1]) d = shifted(d);
  b.ints[1].insert(b.ints[1].begin(), 0);
  return b.run();
}

// A permutation of a permutation is one; that of nothing is none.
void simplify_permute(Simplify& s) {
  std::vector<Int>& dims = s.node.args[1].ints;
  const auto rank = static_cast<int64_t>(dims.size());
  const auto wrapped = [&](Int d) { return d.value < 0 ? d + rank : d; };
  if (const Node* inner = s.same_op()) {
    for (Int& d : dims) d = wrapped(inner->args[1].ints[wrapped(d).value]);
    last_counts(s);
  }
  int64_t next = 0;
  for (const Int& d : dims) {
    if (wrapped(d).value != next++) return;
  }
  identity(s);
}

}  // namespace

extern const OpDef reshape_op = {
    .name = "reshape",
    .sig = "input: Tensor, shape: int[]",
    .doc = FE_DOC(R"(The same elements in the same order in another shape.

Args:
    input: any shape.
    shape: the new sizes; one of them may be -1, which is found from the others.

Returns:
    Shape `shape`: a view where the strides of `input` allow it, else a copy.

Raises:
    ShapeError: the number of elements is not the same.

Example:
    >>> import ferrule as fe
    >>> fe.reshape(fe.tensor([[1, 2], [3, 4]]), (-1,)).tolist()
    [1, 2, 3, 4]

Source: numpy.reshape.
)"),
    .examples = FE_DOC("f(2, 3), (3, 2)\n"
                       "f(2, 3, 4), (-1, 4)\n"
                       "f(6), (1, 2, 3)\n"
                       "f(1), ()\n"
                       "f(0, 3), (3, 0)"),
    .reference = FE_DOC("np.reshape(input, shape)"),
    .infer =
        [](OpCall& c) {
          Dims shape = find_shape(c), strides;
          if (find_strides(c.in(0), shape, strides)) {
            c.view(0, 0, shape, strides, c.in(0).offset);
          } else {
            c.out(0, c.in(0).dtype, shape);
          }
        },
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, op::reshape(v.grad(), v.sizes(0))); }),
    .simplify = last_counts,
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef transpose_op = {
    .name = "transpose",
    .sig = "input: Tensor, dim0: int, dim1: int",
    .doc = FE_DOC(R"(Exchanges two dimensions.

Args:
    input: any shape.
    dim0, dim1: the dimensions; negative ones count from the end.

Returns:
    A view.

Raises:
    IndexOutOfRange: there is no such dimension.

Example:
    >>> import ferrule as fe
    >>> fe.transpose(fe.tensor([[1, 2], [3, 4]]), 0, 1).tolist()
    [[1, 3], [2, 4]]

Source: numpy.swapaxes.
)"),
    .examples = FE_DOC("f(2, 3), 0, 1\nf(2, 3, 4), -1, 0\nf(3), 0, 0"),
    .reference = FE_DOC("np.swapaxes(input, dim0, dim1)"),
    .aliases = FE_DOC("swapaxes swapdims"),
    .infer =
        [](OpCall& c) {
          const TensorImpl& x = c.in(0);
          Dims shape(x.sizes()), strides(x.steps());
          const int a = c.dim(1, x.ndim), b = c.dim(2, x.ndim);
          if (x.ndim > 0) {
            std::swap(shape[a], shape[b]);
            std::swap(strides[a], strides[b]);
          }
          c.view(0, 0, shape, strides, x.offset);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::transpose(v.grad(), v.args[1], v.args[2]));
    }),
    .simplify = involution,
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef permute_op = {
    .name = "permute",
    .sig = "input: Tensor, dims: int[]",
    .doc = FE_DOC(R"(Puts the dimensions into another order.

Args:
    input: any shape.
    dims: every dimension once; dimension i of the result is dims[i] of `input`.

Returns:
    A view.

Raises:
    ShapeError: `dims` has another length than the shape.
    ValueError: a dimension is named twice.

Example:
    >>> import ferrule as fe
    >>> fe.permute(fe.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)

Source: numpy.transpose.
)"),
    .examples = FE_DOC("f(2, 3, 4), (2, 0, 1)\nf(2, 3), (-1, 0)\nf(3), (0,)"),
    .reference = FE_DOC("np.transpose(input, dims)"),
    .infer = infer_permute,
    .vjp = FE_GRAD([](Vjp& v) {
      const Arg& dims = v.args[1];
      IntList inverse;
      inverse.n = dims.n;
      for (int i = 0; i < dims.n; ++i) {
        const int64_t d = dims.ints[i].value;
        inverse[static_cast<int>(d < 0 ? d + dims.n : d)] = i;
      }
      v.set(0, op::permute(v.grad(), inverse));
    }),
    .simplify = simplify_permute,
    .batch = FE_GRAD(batch_permute),
};

extern const OpDef expand_op = {
    .name = "expand",
    .sig = "input: Tensor, size: int[]",
    .doc = FE_DOC(R"(Repeats dimensions of size 1, without copying.

Args:
    input: any shape.
    size: the new sizes; -1 keeps one. It may have more dimensions than the
        input: the new ones come first.

Returns:
    A view whose repeated elements share memory: write into a clone of it.

Raises:
    ShapeError: a dimension that is not 1 would change.

Example:
    >>> import ferrule as fe
    >>> fe.expand(fe.tensor([[1], [2]]), (-1, 3)).tolist()
    [[1, 1, 1], [2, 2, 2]]

Source: numpy.broadcast_to.
)"),
    .examples = FE_DOC("f(2, 1), (2, 3)\n"
                       "f(3), (2, 3)\n"
                       "f(1, 3), (4, -1, -1)\n"
                       "f(1), (0,)\n"
                       "f(), (2, 2)"),
    .reference = FE_DOC(
        "np.broadcast_to(input, [input.shape[i - len(size)] if n == -1 else n "
        "for i, n in enumerate(size)])"),
    .infer = infer_expand,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, v.grad()); }),
    .batch = FE_GRAD(batch_expand),
};

extern const OpDef squeeze_op = {
    .name = "squeeze",
    .sig = "input: Tensor, dim: int[]? = None",
    .doc = FE_DOC(R"(Leaves out dimensions of size 1.

Args:
    input: any shape.
    dim: which ones, if their size is 1; None: all of size 1.

Returns:
    A view.

Raises:
    IndexOutOfRange: there is no such dimension.

Example:
    >>> import ferrule as fe
    >>> fe.squeeze(fe.zeros((1, 3, 1))).shape
    (3,)

Source: torch.squeeze.
)"),
    .examples = FE_DOC("f(1, 3, 1)\nf(1, 3, 1), (-1,)\nf(2, 1), (0, 1)"),
    .reference = FE_DOC(
        "input.reshape([n for i, n in enumerate(input.shape) if n != 1 or "
        "dim is not None and i not in [d % input.ndim for d in dim]])"),
    .infer = infer_squeeze,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, op::reshape(v.grad(), v.sizes(0))); }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef unsqueeze_op = {
    .name = "unsqueeze",
    .sig = "input: Tensor, dim: int",
    .doc = FE_DOC(R"(Puts in a dimension of size 1.

Args:
    input: any shape.
    dim: where it stands in the result; negative ones count from the end.

Returns:
    A view.

Raises:
    IndexOutOfRange: the result has no such dimension.

Example:
    >>> import ferrule as fe
    >>> fe.unsqueeze(fe.zeros((2, 3)), -1).shape
    (2, 3, 1)

Source: numpy.expand_dims.
)"),
    .examples = FE_DOC("f(2, 3), 0\nf(2, 3), -1\nf(), 0"),
    .reference = FE_DOC("np.expand_dims(input, dim)"),
    .infer =
        [](OpCall& c) {
          const TensorImpl& x = c.in(0);
          const int d = c.dim(1, x.ndim + 1);
          Dims shape(x.sizes()), strides(x.steps());
          strides.insert(d, d < x.ndim ? shape[d] * strides[d] : 1);
          shape.insert(d, 1);
          c.view(0, 0, shape, strides, x.offset);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::squeeze(v.grad(), IntList{Int(v.args[1].i)}));
    }),
    .batch = FE_GRAD(batch_dims),
};

}  // namespace ferrule
