// What the batching rules of indexing ops share.
#pragma once

#include "ferrule/batch.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {

// (size, 1, ..): the number of the sample, beside indices of so many
// dimensions.
inline Tensor number_of_sample(const Batch& b, int ndim) {
  IntList shape{b.size};
  while (shape.n < ndim + 1) shape.push(1);
  const Arg device = device_of(b.in[0].tensor);
  return op::reshape(op::arange(0, b.size, 1, DType::i64, device), shape);
}

// A position a sample, as gather and scatter want it: one for each element of
// `like`, which has the samples in front.
inline Tensor spread(const Batch& b, int dim, const Tensor& like) {
  const Tensor index = b.whole(2);
  IntList shape{b.size}, sizes = sizes_of(like.impl());
  while (shape.n < like.ndim()) shape.push(1);
  shape[dim] = index.ndim() > 1 ? b.dim(2, 0) : Int(1);
  sizes[dim] = shape[dim];
  return op::expand(op::reshape(index, shape), sizes);
}

// index_select, index_add, index_copy, index_fill: all have the positions in
// argument 2, and a tensor like the input, if any, in 3. If positions differ by
// sample, `each` gets the dimension.
inline Results batch_positions(Batch& b, Results (*each)(Batch&, int dim)) {
  const int ndim = b.ndim(0);
  if (b.batched(2) && ndim == 0) return {};
  for (int i : {0, 3}) {
    if (!b.has(i)) continue;
    const Tensor t = b.whole(i);
    b.set(i, ndim > 0 ? t : op::reshape(t, IntList{b.size, 1}));
  }
  b.args[1] = Arg(shifted(Int(b.args[1].i, b.args[1].n)));
  if (!b.batched(2)) return b.run();
  const int64_t dim = b.args[1].i;
  return each(b, static_cast<int>(dim < 0 ? dim + ndim + 1 : dim));
}

}  // namespace ferrule
