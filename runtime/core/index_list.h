// Geometry of input[indices], shared by the definitions of indexing ops and by
// their kernels on every device.
#pragma once

#include <algorithm>
#include <span>

#include "ferrule/op.h"

namespace ferrule {

// Index tensors, each counting in one dimension of `input`. They broadcast
// with each other; the dimensions of what they broadcast to stand, in the
// result, where the indexed ones stood, or first if those are not side by side.
struct IndexList {
  Dims input;  // shape; (1) for a 0-d tensor
  int n = 0;   // how many dimensions are indexed
  const TensorImpl* index[kMaxRank];
  int dim[kMaxRank];
  Dims indexed;  // shape of the indices, broadcast
  int first = 0;
  Dims result;
  // Indices count from the end when they are negative; else those are errors.
  bool wraps = true;

  // Of `input` by a list that has a tensor, or null for "all", for each of the
  // first dimensions.
  IndexList(const OpCall& c, std::span<const int64_t> shape,
            std::span<TensorImpl* const> list)
      : input(shape) {
    if (list.size() > shape.size()) {
      c.fail<IndexError>(list.size(), " indices for a tensor of shape ", shape);
    }
    for (size_t d = 0; d < list.size(); ++d) {
      if (!list[d]) continue;
      if (!is_integer(list[d]->dtype)) {
        c.fail<DTypeError>(
            "an index must be a tensor of integers, got ", list[d]->dtype,
            list[d]->dtype == DType::bool_
                ? "; a mask is meant for x[mask], or for mask.nonzero()"
                : "; convert it with .long()");
      }
      index[n] = list[d];
      dim[n++] = static_cast<int>(d);
    }
    if (n == 0) c.fail<ValueError>("the list of indices has no tensor");
    for (int k = 0; k < n; ++k) broadcast_with(c, *index[k]);
    const bool adjacent = dim[n - 1] - dim[0] + 1 == n;
    place(adjacent ? dim[0] : 0);
  }

  // Of the one dimension `d` by a list of positions, as in index_select.
  IndexList(std::span<const int64_t> shape, int d, const TensorImpl& positions)
      : input(shape), n(1), wraps(false) {
    if (input.n == 0) input.push(1);
    index[0] = &positions;
    dim[0] = d;
    indexed.push(positions.numel);
    place(d);
  }

  bool is_indexed(int d) const { return std::find(dim, dim + n, d) != dim + n; }

 private:
  void broadcast_with(const OpCall& c, const TensorImpl& t) {
    const Dims before = indexed;
    indexed.n = std::max(before.n, static_cast<int>(t.ndim));
    for (int i = 1; i <= indexed.n; ++i) {
      const int64_t a = i <= before.n ? before[before.n - i] : 1;
      const int64_t b = i <= t.ndim ? t.shape[t.ndim - i] : 1;
      if (a != b && a != 1 && b != 1) shape_mismatch(c);
      indexed[indexed.n - i] = a == 1 ? b : a;
    }
  }
  [[noreturn]] [[gnu::cold]] void shape_mismatch(const OpCall& c) const {
    std::string shapes;
    for (int k = 0; k < n; ++k) {
      shapes += concat(k == 0      ? ""
                       : k + 1 < n ? ", "
                                   : " and ",
                       index[k]->sizes());
    }
    c.fail<IndexError>("the indices have shapes ", shapes,
                       ", which do not broadcast");
  }

  void place(int at) {
    first = at;
    for (int d = 0, rest = 0; d <= input.n; ++d) {
      if (rest == first && result.n == first) {
        for (int64_t s : indexed) result.push(s);
      }
      if (d == input.n || is_indexed(d)) continue;
      result.push(input[d]);
      ++rest;
    }
  }
};

}  // namespace ferrule
