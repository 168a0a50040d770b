// Views of parts, and their gradients: tensors that are zero elsewhere.
#include <algorithm>

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

// Python's slice with a positive step: first element and number of elements.
struct Part {
  int64_t start, length;
};

// Arguments dim, start, end, step stand from `first` on.
Part find_part(const OpCall& c, int first, int64_t size) {
  const int64_t step = c.i(first + 3);
  if (step < 1) {
    c.fail<ValueError>("step must be 1 or more, got ", step,
                       "; for a negative one, flip the dimension");
  }
  auto bound = [&](int arg, int64_t fallback) {
    if (!c.has(arg)) return fallback;
    const int64_t i = c.i(arg);
    return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size);
  };
  const int64_t start = bound(first + 1, 0);
  const int64_t end = std::max(bound(first + 2, size), start);
  return {start, (end - start) / step + ((end - start) % step != 0)};
}

// A dimension of `shape`, which for a 0-d tensor there is none of.
int part_dim(const OpCall& c, int arg, std::span<const int64_t> shape) {
  if (shape.empty()) {
    c.fail<ShapeError>("a 0-d tensor has no dimension to take a part of");
  }
  return OpCall::wrap_dim(c, c.i(arg), static_cast<int>(shape.size()));
}

int64_t find_index(const OpCall& c, int arg, int dim,
                   std::span<const int64_t> shape) {
  const int64_t i = c.i(arg), n = shape[dim];
  if (i < -n || i >= n) {
    if (n == 0) {
      c.fail<IndexError>("index ", i, " is out of range for dimension ", dim,
                         " of shape ", shape, ", which is empty");
    }
    c.fail<IndexError>("index ", i, " is out of range for dimension ", dim,
                       " of shape ", shape, "; valid: ", -n, "..", n - 1);
  }
  return i < 0 ? i + n : i;
}

void require_grad_shape(const OpCall& c, const Dims& want) {
  if (want == Dims(c.in(0).sizes())) return;
  c.fail<ShapeError>("grad must have shape ", want, ", got ", c.in(0).sizes());
}

// The geometry (size, stride, offset), whose arguments stand from `first` on,
// must stay inside `numel` elements. Returns its shape.
Dims check_geometry(const OpCall& c, int first, int64_t numel) {
  Dims size = shape_of(c, first), stride = dims_of(c, first + 1);
  const int64_t offset = c.i(first + 2);
  if (size.n != stride.n) {
    c.fail<ShapeError>("size ", size, " and stride ", stride,
                       " must have the same length");
  }
  const bool empty = checked_numel(size) == 0;
  int64_t last = offset;
  for (int i = 0; i < size.n; ++i) {
    if (stride[i] < 0) {
      c.fail<ValueError>("strides must be 0 or more, got ", stride);
    }
    last =
        apply(IntOp::add, last,
              apply(IntOp::mul, stride[i], std::max<int64_t>(size[i], 1) - 1));
  }
  if (offset < 0 || offset > numel || (!empty && last >= numel)) {
    c.fail<ShapeError>("size ", size, ", stride ", stride, " and offset ",
                       offset, " reach element ", last,
                       " of a tensor that has ", numel);
  }
  return size;
}

// Samples lie one behind the other.
[[maybe_unused]] Results batch_strided(Batch& b, int size, int stride,
                                       Int elements) {
  for (int i = 0; i < b.info.schema.n; ++i) {
    if (b.has(i)) b.set(i, b.whole(i));
  }
  b.ints[size].insert(b.ints[size].begin(), b.size);
  b.ints[stride].insert(b.ints[stride].begin(), elements);
  return b.run();
}
[[maybe_unused]] Int elements_of(std::span<const Int> sizes) {
  Int n = 1;
  for (const Int size : sizes) n = n * size;
  return n;
}
[[maybe_unused]] Results batch_as_strided(Batch& b) {
  const IntList sizes = b.sizes(0);
  return batch_strided(b, 1, 2, elements_of({sizes.begin(), sizes.end()}));
}
[[maybe_unused]] Results batch_as_strided_dx(Batch& b) {
  const Int elements = elements_of(b.ints[1]);
  b.ints[1].insert(b.ints[1].begin(), b.size);
  return batch_strided(b, 2, 3, elements);
}
[[maybe_unused]] Results batch_strided_write(Batch& b) {
  const IntList sizes = b.sizes(0);
  return batch_strided(b, 2, 3, elements_of({sizes.begin(), sizes.end()}));
}

// The gradient of a part: `add` adds it to what was gathered so far, so that
// the gradients of all parts of a tensor cost as much as that of the whole;
// `alone` makes a tensor of it that is zero elsewhere.
template <class... A>
[[maybe_unused]] void set_part(Vjp& v, const OpDef& add, const OpDef& alone,
                               const A&... part) {
  if (!v.needs(0)) return;
  Tensor sum = v.take_sum(0);
  v.set(0, sum ? v.over_sum(add, std::move(sum), part...)
               : alone(v.grad(), v.sizes(0), part...));
}

void require_part_shape(const OpCall& c, const Dims& want) {
  if (want == Dims(c.in(1).sizes())) return;
  c.fail<ShapeError>("src must have shape ", want, ", got ", c.in(1).sizes());
}

void infer_part_add(OpCall& c) {
  if (c.in(0).dtype != c.in(1).dtype) {
    c.fail<DTypeError>("input is ", c.in(0).dtype, " and src ", c.in(1).dtype,
                       "; they must have one dtype");
  }
  c.compute = c.in(0).dtype;
  c.out_like(0, 0);
}

// The gradient lacks the dimension.
[[maybe_unused]] Results batch_select_dx(Batch& b) {
  b.set(0, b.whole(0));
  b.ints[1].insert(b.ints[1].begin(), b.size);
  b.args[2] = Arg(shifted(Int(b.args[2].i, b.args[2].n)));
  return b.run();
}

[[maybe_unused]] Results batch_select_add(Batch& b) {
  for (int i : {0, 1}) b.set(i, b.whole(i));
  b.args[2] = Arg(shifted(Int(b.args[2].i, b.args[2].n)));
  return b.run();
}

}  // namespace

extern const OpDef slice_op = {
    .name = "slice",
    .sig = "input: Tensor, dim: int, start: int? = None, end: int? = None, "
           "step: int = 1",
    .doc = FE_DOC(R"(Part of one dimension: x[..., start:end:step, ...].

Args:
    input: one dimension or more.
    dim: the dimension.
    start, end: as in Python: None is the border, negative numbers count from
        the end, numbers beyond the border mean the border.
    step: 1 or more.

Returns:
    A view.

Raises:
    IndexOutOfRange: there is no such dimension.
    ValueError: the step is not positive.

Example:
    >>> import ferrule as fe
    >>> fe.ops.slice(fe.arange(6), 0, 1, None, 2).tolist()
    [1, 3, 5]

Source: the Python language reference, slicings.
)"),
    .examples = FE_DOC("f(5, 3), 0\n"
                       "f(5, 3), 0, 1, 4, 2\n"
                       "f(2, 6), -1, -5, None, 3\n"
                       "f(4), 0, 3, 1\n"
                       "f(4), 0, -9, 9"),
    .reference = FE_DOC("np.moveaxis(np.moveaxis(input, dim, 0)"
                        "[start:end:step], 0, dim)"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          const TensorImpl& x = c.in(0);
          const int d = part_dim(c, 1, x.sizes());
          const Part p = find_part(c, 1, x.shape[d]);
          Dims shape(x.sizes()), strides(x.steps());
          shape[d] = p.length;
          // Of one element or none the stride does not matter: it is kept.
          if (p.length > 1) strides[d] *= c.i(4);
          const int64_t first = p.length ? p.start * x.strides[d] : 0;
          c.view(0, 0, shape, strides, x.offset + first);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      const Arg* a = v.args;
      set_part(v, op::slice_add, op::slice_dx, a[1], a[2], a[3], a[4]);
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef slice_dx_op = {
    .name = "slice_dx",
    .sig = "grad: Tensor, input_size: int[], dim: int, start: int? = None, "
           "end: int? = None, step: int = 1",
    .doc = FE_DOC(R"(Gradient of slice: zeros with `grad` in the part.

Args:
    grad: shape of the part.
    input_size: shape of the input of slice.
    dim, start, end, step: as there.

Returns:
    Shape `input_size`.

Raises:
    ShapeError: `grad` has not the shape of the part.

Example:
    >>> import ferrule as fe
    >>> fe.ops.slice_dx(fe.ones((2,)), (4,), 0, 1, None, 2).tolist()
    [0.0, 1.0, 0.0, 1.0]

Source: the chain rule.
)"),
    .examples = FE_DOC("f(2, 3), (5, 3), 0, 1, 4, 2\nf(2, 2), (2, 6), -1, -5, "
                       "None, 3\nf(0), (4,), 0, 3, 1"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          Dims size = shape_of(c, 1);
          checked_numel(size);
          const int d = part_dim(c, 2, size);
          Dims part = size;
          part[d] = find_part(c, 2, size[d]).length;
          require_grad_shape(c, part);
          c.out(0, c.in(0).dtype, size);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      const Arg* a = v.args;
      v.set(0, op::slice(v.grad(), a[2], a[3], a[4], a[5]));
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef narrow_op = {
    .name = "narrow",
    .sig = "input: Tensor, dim: int, start: int, length: int",
    .doc = FE_DOC(R"(The elements start .. start + length of one dimension.

Args:
    input: one dimension or more.
    dim: the dimension.
    start: the first element; negative numbers count from the end.
    length: how many.

Returns:
    A view.

Raises:
    IndexOutOfRange: there is no such dimension, or the part reaches beyond it.

Example:
    >>> import ferrule as fe
    >>> fe.narrow(fe.arange(6), 0, 2, 3).tolist()
    [2, 3, 4]

Source: torch.narrow.
)"),
    .examples = FE_DOC("f(5, 3), 0, 1, 3\nf(2, 6), -1, -3, 2\nf(4), 0, 4, 0"),
    .reference = FE_DOC("np.take(input, np.arange(length) + start "
                        "+ (start < 0) * input.shape[dim], dim)"),
    .infer =
        [](OpCall& c) {
          const TensorImpl& x = c.in(0);
          const int d = part_dim(c, 1, x.sizes());
          const int64_t n = x.shape[d], length = c.i(3);
          int64_t start = c.i(2);
          if (start < 0) start += n;
          if (start < 0 || start > n || length < 0 || length > n - start) {
            c.fail<IndexError>("start ", c.i(2), " with length ", length,
                               " is out of range for dimension ", d,
                               " of shape ", x.sizes());
          }
          Dims shape(x.sizes());
          shape[d] = length;
          const int64_t first = length ? start * x.strides[d] : 0;
          c.view(0, 0, shape, x.steps(), x.offset + first);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      const int64_t d = v.args[1].i;
      Int start(v.args[2].i, v.args[2].n);
      if (start.value < 0) {
        start = start + v.size(0, static_cast<int>(d < 0 ? d + v.ndim(0) : d));
      }
      const Int end = start + Int(v.args[3].i, v.args[3].n);
      set_part(v, op::slice_add, op::slice_dx, Arg(d), Arg(start), Arg(end));
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef select_op = {
    .name = "select",
    .sig = "input: Tensor, dim: int, index: int",
    .doc = FE_DOC(R"(One element of one dimension, which is left out.

Args:
    input: one dimension or more.
    dim: the dimension.
    index: which element; negative numbers count from the end.

Returns:
    A view with one dimension less.

Raises:
    IndexOutOfRange: there is no such dimension or element.

Example:
    >>> import ferrule as fe
    >>> fe.select(fe.tensor([[1, 2], [3, 4]]), 1, 0).tolist()
    [1, 3]

Source: torch.select.
)"),
    .examples = FE_DOC("f(5, 3), 0, 1\nf(2, 3, 4), -1, -2\nf(3), 0, 2"),
    .reference = FE_DOC("np.take(input, index, dim)"),
    .infer =
        [](OpCall& c) {
          const TensorImpl& x = c.in(0);
          const int d = part_dim(c, 1, x.sizes());
          const int64_t i = find_index(c, 2, d, x.sizes());
          Dims shape(x.sizes()), strides(x.steps());
          shape.erase(d);
          strides.erase(d);
          c.view(0, 0, shape, strides, x.offset + i * x.strides[d]);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      set_part(v, op::select_add, op::select_dx, v.args[1], v.args[2]);
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef select_dx_op = {
    .name = "select_dx",
    .sig = "grad: Tensor, input_size: int[], dim: int, index: int",
    .doc = FE_DOC(R"(Gradient of select: zeros with `grad` at the index.

Args:
    grad: shape of the selection.
    input_size: shape of the input of select.
    dim, index: as there.

Returns:
    Shape `input_size`.

Raises:
    ShapeError: `grad` has not the shape of the selection.

Example:
    >>> import ferrule as fe
    >>> fe.ops.select_dx(fe.tensor([1.0, 2.0]), (2, 2), 0, 1).tolist()
    [[0.0, 0.0], [1.0, 2.0]]

Source: the chain rule.
)"),
    .examples = FE_DOC("f(3), (5, 3), 0, 1\nf(2, 3), (2, 3, 4), -1, -2"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          Dims size = shape_of(c, 1);
          checked_numel(size);
          const int d = part_dim(c, 2, size);
          find_index(c, 3, d, size);
          Dims part = size;
          part.erase(d);
          require_grad_shape(c, part);
          c.out(0, c.in(0).dtype, size);
        },
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, op::select(v.grad(), v.args[2], v.args[3])); }),
    .batch = FE_GRAD(batch_select_dx),
};

extern const OpDef slice_add_op = {
    .name = "slice_add",
    .sig = "input: Tensor, src: Tensor, dim: int, start: int? = None, "
           "end: int? = None, step: int = 1",
    .doc = FE_DOC(R"(Adds to a part of a tensor.

Args:
    input: one dimension or more.
    src: shape of the part, dtype of `input`.
    dim, start, end, step: the part, as in slice.

Returns:
    `input`, with `src` added to the part.

Raises:
    ShapeError: `src` has not the shape of the part.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> fe.ops.slice_add(fe.ones(4), fe.tensor([1.0, 2.0]), 0, 1, None, 2).tolist()
    [1.0, 2.0, 1.0, 3.0]

Source: the gradient of slice, added to a sum.
)"),
    .examples = FE_DOC("f(5, 3), f(2, 3), 0, 1, 4, 2\n"
                       "f(2, 6), f(2, 2), -1, -5, None, 3\n"
                       "f(4), f(0), 0, 3, 1"),
    .reference = FE_DOC("input + np.moveaxis(np.moveaxis(src, dim, -1) @ "
                        "np.eye(input.shape[dim])[start:end:step], -1, dim)"),
    .where = kInternal,
    .has_inplace = true,
    .infer =
        [](OpCall& c) {
          Dims part(c.in(0).sizes());
          const int d = part_dim(c, 2, part);
          part[d] = find_part(c, 2, part[d]).length;
          require_part_shape(c, part);
          infer_part_add(c);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      const Arg* a = v.args;
      v.set(0, v.grad());
      if (v.needs(1)) v.set(1, op::slice(v.grad(), a[2], a[3], a[4], a[5]));
    }),
    .complex = FE_GRAD([](OpCall& c) {
      const Tensor x = c.tensor(0);
      return one(
          op::add(x, op::slice_dx(c.tensor(1), sizes_of(x.impl()), c.args[2],
                                  c.args[3], c.args[4], c.args[5])));
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef select_add_op = {
    .name = "select_add",
    .sig = "input: Tensor, src: Tensor, dim: int, index: int",
    .doc = FE_DOC(R"(Adds to one element of one dimension.

Args:
    input: one dimension or more.
    src: the shape without the dimension, dtype of `input`.
    dim, index: as in select.

Returns:
    `input`, with `src` added at the index.

Raises:
    ShapeError: `src` has not the shape of the selection.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> fe.ops.select_add(fe.ones(2, 2), fe.tensor([1.0, 2.0]), 0, 1).tolist()
    [[1.0, 1.0], [2.0, 3.0]]

Source: the gradient of select, added to a sum.
)"),
    .examples = FE_DOC("f(5, 3), f(3), 0, 1\nf(2, 3, 4), f(2, 3), -1, -2"),
    .reference = FE_DOC("input + np.moveaxis(np.multiply.outer(src, "
                        "np.eye(input.shape[dim])[index]), -1, dim)"),
    .where = kInternal,
    .has_inplace = true,
    .infer =
        [](OpCall& c) {
          Dims part(c.in(0).sizes());
          const int d = part_dim(c, 2, part);
          find_index(c, 3, d, part);
          part.erase(d);
          require_part_shape(c, part);
          infer_part_add(c);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, v.grad());
      if (v.needs(1)) v.set(1, op::select(v.grad(), v.args[2], v.args[3]));
    }),
    .complex = FE_GRAD([](OpCall& c) {
      const Tensor x = c.tensor(0);
      return one(op::add(x, op::select_dx(c.tensor(1), sizes_of(x.impl()),
                                          c.args[2], c.args[3])));
    }),
    .batch = FE_GRAD(batch_select_add),
};

extern const OpDef as_strided_op = {
    .name = "as_strided",
    .sig = "input: Tensor, size: int[], stride: int[], offset: int = 0",
    .doc =
        FE_DOC(R"(Any strided look at the elements of a tensor, in their order.

Args:
    input: any shape; its elements are numbered row by row.
    size: the new shape.
    stride: steps between the elements, 0 or more.
    offset: number of the first element.

Returns:
    A view where `input` is contiguous, else a copy.

Raises:
    ShapeError: the look reaches beyond the elements of `input`.

Example:
    >>> import ferrule as fe
    >>> fe.ops.as_strided(fe.arange(5), (3, 2), (1, 1), 1).tolist()
    [[1, 2], [2, 3], [3, 4]]

Source: numpy.lib.stride_tricks.as_strided, but safe: it sees `input` only.
)"),
    .examples = FE_DOC("f(3, 4), (2, 2), (4, 1), 1\n"
                       "f(6), (4, 3), (1, 1)\n"
                       "f(5), (2, 5), (0, 1)\n"
                       "f(4), (0, 2), (1, 1), 4"),
    .reference = FE_DOC("input.reshape(-1)[offset + sum((i * s for i, s in "
                        "zip(np.indices(size), stride)), "
                        "np.zeros(size, int))]"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          const TensorImpl& x = c.in(0);
          Dims size = check_geometry(c, 1, x.numel);
          if (x.contiguous) {
            c.view(0, 0, size, dims_of(c, 2), x.offset + c.i(3));
          } else {
            c.out(0, x.dtype, size);
          }
        },
    .vjp = FE_GRAD([](Vjp& v) {
      const Arg* a = v.args;
      v.set(0, op::as_strided_dx(v.grad(), v.sizes(0), a[1], a[2], a[3]));
    }),
    .batch = FE_GRAD(batch_as_strided),
};

extern const OpDef as_strided_dx_op = {
    .name = "as_strided_dx",
    .sig = "grad: Tensor, input_size: int[], size: int[], stride: int[], "
           "offset: int = 0",
    .doc = FE_DOC(R"(Gradient of as_strided: sums over all looks at an element.

Args:
    grad: shape `size`.
    input_size: shape of the input of as_strided.
    size, stride, offset: as there.

Returns:
    Shape `input_size`.

Raises:
    ShapeError: `grad` has not the shape `size`.

Example:
    >>> import ferrule as fe
    >>> fe.ops.as_strided_dx(fe.ones((2, 2)), (3,), (2, 2), (1, 1)).tolist()
    [1.0, 2.0, 1.0]

Source: the chain rule.
)"),
    .examples = FE_DOC("f(2, 2), (3, 4), (2, 2), (4, 1), 1\n"
                       "f(4, 3), (6,), (4, 3), (1, 1)\n"
                       "f(2, 5), (5,), (2, 5), (0, 1)"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          Dims input = shape_of(c, 1);
          require_grad_shape(c, check_geometry(c, 2, checked_numel(input)));
          if (!is_float(c.in(0).dtype)) {
            c.fail<DTypeError>("grad must be a floating-point tensor, got ",
                               c.in(0).dtype);
          }
          c.out(0, c.in(0).dtype, input);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::as_strided(v.grad(), v.args[2], v.args[3], v.args[4]));
    }),
    .complex = FE_GRAD(by_parts),
    .batch = FE_GRAD(batch_as_strided_dx),
};

// What an in-place write through a view means for the whole: autograd records
// it for the root of the view.
extern const OpDef strided_write_op = {
    .name = "strided_write",
    .sig = "root: Tensor, src: Tensor, size: int[], stride: int[], offset: int",
    .doc = FE_DOC(R"(A copy of `root` in which a strided part is replaced.

Args:
    root: any shape; its elements are numbered row by row.
    src: shape `size`, the dtype of `root`.
    size, stride, offset: the part, as for as_strided, but no element of `root`
        may occur twice in it.

Returns:
    Shape of `root`.

Raises:
    ShapeError: the part reaches beyond `root`, or `src` has another shape.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> x, y = fe.zeros((4,)), fe.ones((2,))
    >>> fe.ops.strided_write(x, y, (2,), (2,), 1).tolist()
    [0.0, 1.0, 0.0, 1.0]

Source: functionalisation of in-place writes, as in torch.as_strided_scatter.
)"),
    .examples = FE_DOC("f(3, 4), f(2, 2), (2, 2), (4, 1), 1\n"
                       "f(6), f(3), (3,), (2,), 0\n"
                       "f(2, 3), f(3, 2), (3, 2), (1, 3), 0"),
    .where = kInternal,
    .has_inplace = true,
    .infer =
        [](OpCall& c) {
          require_same_dtype(c, {0, 1});
          Dims size = check_geometry(c, 2, c.in(0).numel);
          if (!(size == Dims(c.in(1).sizes()))) {
            c.fail<ShapeError>("src must have shape ", size, ", got ",
                               c.in(1).sizes());
          }
          c.out_like(0, 0);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      const Arg* a = v.args;
      if (v.needs(1)) {
        const bool over = v.needs(0) && v.may_overwrite();
        const Tensor part = op::as_strided(v.grad(), a[2], a[3], a[4]);
        v.set(1, over ? op::clone(part) : part);
      }
      if (v.needs(0)) {
        const Tensor zero =
            op::zeros(v.sizes(1), v.grad().dtype(), v.grad().device());
        v.set(0, v.over_grad(op::strided_write, zero, a[2], a[3], a[4]));
      }
    }),
    .batch = FE_GRAD(batch_strided_write),
};

}  // namespace ferrule
