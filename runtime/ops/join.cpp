// Tensors joined into one.
#include <algorithm>
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"

namespace ferrule {
namespace {

// A tensor of shape (0,) joins with anything, as in NumPy of old and PyTorch.
bool is_nothing(const TensorImpl* t) { return t->ndim == 1 && t->numel == 0; }

DType joined_dtype(const OpCall& c, const char* verb) {
  auto tensors = c.list(0);
  if (tensors.empty()) {
    c.fail<ValueError>("needs at least one tensor to ", verb);
  }
  DType t = DType::bool_;
  for (size_t k = 0; k < tensors.size(); ++k) {
    if (!tensors[k]) c.fail<DTypeError>("tensor ", k, " of the list is None");
    t = k ? promote(t, tensors[k]->dtype) : tensors[k]->dtype;
  }
  return t;
}

#ifndef FE_RUNTIME_ONLY
// Sizes of tensor `k` of list argument `i`.
IntList entry_sizes(const Vjp& v, int i, int k) {
  Arg entry = v.args[i];
  entry.tag = ArgTag::tensor;
  entry.i += k;
  return Vjp{v.info, &entry, v.state}.sizes(0);
}
#endif

// Entries of shape (0,), which are passed over, have no dimension `dim`.
[[maybe_unused]] Results batch_cat(Batch& b) {
  const auto passed_over = [](const Batched& t) {
    return t.tensor.ndim() - t.batched == 1 && t.tensor.size(t.batched) == 0;
  };
  auto& list = b.list[0];
  if (!std::all_of(list.begin(), list.end(), passed_over)) {
    std::erase_if(list, passed_over);
  }
  return batch_dims(b);
}

}  // namespace

extern const OpDef cat_op = {
    .name = "cat",
    .sig = "tensors: Tensor[], dim: int = 0",
    .doc = FE_DOC(R"(Joins tensors along one of their dimensions.

Args:
    tensors: shapes that are equal but for `dim`. A tensor of shape (0,) is
        passed over.
    dim: the dimension.

Returns:
    The sum of the sizes in `dim`; the dtype that all are promoted to.

Raises:
    ShapeError: other sizes differ.
    ValueError: the list is empty.

Example:
    >>> import ferrule as fe
    >>> fe.cat([fe.tensor([1, 2]), fe.tensor([3])]).tolist()
    [1, 2, 3]

Source: numpy.concatenate.
)"),
    .examples = FE_DOC("[f(2, 3), f(1, 3)]\n"
                       "[f(2, 3), f(2, 1), f(2, 2)], 1\n"
                       "[f(2, 2, 3), f(2, 1, 3)], -2\n"
                       "[f(3)]\n"
                       "[f(0), f(2, 3)], 1\n"
                       "[f(2, 0), f(2, 3)], 1"),
    .reference = FE_DOC("np.concatenate([t for t in tensors if t.shape != (0,)]"
                        " or tensors[:1], dim)"),
    .where = kFunction,
    .infer =
        [](OpCall& c) {
          const DType dtype = joined_dtype(c, "join");
          auto tensors = c.list(0);
          const TensorImpl* like = nullptr;
          for (const TensorImpl* t : tensors) {
            if (!like && !is_nothing(t)) like = t;
          }
          if (!like) like = tensors[0];
          if (like->ndim == 0) {
            c.fail<ShapeError>("0-d tensors cannot be joined; use stack");
          }
          const int d = OpCall::wrap_dim(c, c.i(1), like->ndim);
          Dims shape(like->sizes());
          shape[d] = 0;
          for (size_t k = 0; k < tensors.size(); ++k) {
            const TensorImpl* t = tensors[k];
            if (is_nothing(t)) continue;
            bool fits = t->ndim == like->ndim;
            for (int i = 0; fits && i < t->ndim; ++i) {
              fits = i == d || t->shape[i] == like->shape[i];
            }
            if (!fits) {
              c.fail<ShapeError>("tensor ", k, " has shape ", t->sizes(),
                                 ", which does not fit ", like->sizes(),
                                 " but for dimension ", d);
            }
            shape[d] += t->shape[d];
          }
          c.out(0, dtype, shape);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      const int64_t d = v.args[1].i;
      Int start = 0;
      for (int k = 0; k < v.args[0].n; ++k) {
        const IntList size = entry_sizes(v, 0, k);
        if (size.n == 1 && size.v[0].value == 0) continue;
        const Int length = size.v[d < 0 ? d + size.n : d];
        if (v.needs_list(0, k)) {
          v.set_list(0, k, op::slice(g, d, start, start + length));
        }
        start = start + length;
      }
    }),
    .batch = FE_GRAD(batch_cat),
};

extern const OpDef stack_op = {
    .name = "stack",
    .sig = "tensors: Tensor[], dim: int = 0",
    .doc = FE_DOC(R"(Joins tensors of one shape along a new dimension.

Args:
    tensors: all of the same shape.
    dim: where the new dimension stands in the result.

Returns:
    The size of `dim` is the number of tensors; the dtype is that which all are
    promoted to.

Raises:
    ShapeError: the shapes differ.
    ValueError: the list is empty.

Example:
    >>> import ferrule as fe
    >>> fe.stack([fe.tensor([1, 2]), fe.tensor([3, 4])], 1).tolist()
    [[1, 3], [2, 4]]

Source: numpy.stack.
)"),
    .examples = FE_DOC("[f(2, 3), f(2, 3)]\n"
                       "[f(2), f(2), f(2)], 1\n"
                       "[f(2, 3), f(2, 3)], -1\n"
                       "[f(), f()]"),
    .reference = FE_DOC("np.stack(tensors, dim)"),
    .where = kFunction,
    .infer =
        [](OpCall& c) {
          const DType dtype = joined_dtype(c, "stack");
          auto tensors = c.list(0);
          Dims shape(tensors[0]->sizes());
          for (size_t k = 1; k < tensors.size(); ++k) {
            if (shape == Dims(tensors[k]->sizes())) continue;
            c.fail<ShapeError>("tensor ", k, " has shape ", tensors[k]->sizes(),
                               ", tensor 0 has ", shape, "; all must be equal");
          }
          const int d = OpCall::wrap_dim(c, c.i(1), shape.n + 1);
          shape.insert(d, static_cast<int64_t>(tensors.size()));
          c.out(0, dtype, shape);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      for (int k = 0; k < v.args[0].n; ++k) {
        if (v.needs_list(0, k)) {
          v.set_list(0, k, op::select(g, v.args[1], k));
        }
      }
    }),
    .batch = FE_GRAD(batch_dims),
};

}  // namespace ferrule
