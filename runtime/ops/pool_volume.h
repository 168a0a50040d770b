// Pooling of volumes by that of images: over height and width, then over depth.
#pragma once

#include <utility>

#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"
#include "runtime/ops/spatial.h"

namespace ferrule {

#ifndef FE_RUNTIME_ONLY

// Product of the sizes [first, end).
inline Int product(const Numbers& sizes, int first, int end) {
  Int n = 1;
  for (int i = first; i < end; ++i) n = n * sizes[i];
  return n;
}

// A volume (N, C, D, H, W) or (C, D, H, W) as images (N * C * D, H, W).
inline Tensor as_planes(const Tensor& x) {
  const Numbers in = sizes_of(x.impl());
  return op::reshape(
      x, IntList{product(in, 0, in.n - 2), in[in.n - 2], in[in.n - 1]});
}

// Pooled planes (N * C * D, H', W') of a volume of sizes `in` as images
// (N * C, D, H' * W'), whose columns run along depth.
inline Tensor as_columns(const Tensor& planes, const Numbers& in) {
  const Numbers out = sizes_of(planes.impl());
  return op::reshape(
      planes, IntList{product(in, 0, in.n - 3), in[in.n - 3], out[1] * out[2]});
}

// Pooled columns (N * C, D', H' * W') as a volume. `planes`: (.., H', W').
inline Tensor as_volume(const Tensor& columns, const Tensor& planes,
                        IntList in) {
  in[in.n - 3] = size_of(columns.impl(), 1);
  in[in.n - 2] = size_of(planes.impl(), 1);
  in[in.n - 1] = size_of(planes.impl(), 2);
  return op::reshape(columns, in);
}

// Both stages of an op that gives a value: over_planes takes H and W of an
// image, over_columns takes H (the depth) and leaves W.
template <class OverPlanes, class OverColumns>
Tensor pool_volume(const Tensor& x, const OverPlanes& over_planes,
                   const OverColumns& over_columns) {
  const Numbers in = sizes_of(x.impl());
  const Tensor planes = over_planes(as_planes(x));
  return as_volume(over_columns(as_columns(planes, in)), planes, in);
}

// The same for stages that give values and indices; an index of the result is
// (d * H + h) * W + w. -1 says that there is no such element; only where
// `may_miss` can it occur.
template <class OverPlanes, class OverColumns>
Results pool_volume_indexed(const Tensor& x, const OverPlanes& over_planes,
                            const OverColumns& over_columns, bool may_miss) {
  const Numbers in = sizes_of(x.impl());
  Results planes = over_planes(as_planes(x));
  Results columns = over_columns(as_columns(planes[0], in));
  const Numbers plane = sizes_of(planes[0].impl());
  const Numbers out = sizes_of(columns[0].impl());
  const Int area = plane[1] * plane[2], volumes = out[0];
  // d * (H' * W') + column
  const Tensor at = op::reshape(columns[1], IntList{volumes, out[1] * out[2]});
  const Tensor within =
      op::gather(op::reshape(planes[1], IntList{volumes, in[in.n - 3] * area}),
                 1, may_miss ? op::clamp(at, 0) : at);
  Tensor index = op::add(
      op::mul(op::floor_divide(at, area), in[in.n - 2] * in[in.n - 1]), within);
  if (may_miss) {
    const Tensor found = op::logical_and(op::ge(at, 0), op::ge(within, 0));
    index = op::where(found, index, -1);
  }
  index = op::reshape(index, out);
  Results r;
  r.n = 2;
  r[0] = as_volume(columns[0], planes[0], in);
  r[1] = as_volume(index, planes[0], in);
  return r;
}

// (N, C, L) as images of height 1, and back.
inline Tensor as_row(const Tensor& x) { return op::unsqueeze(x, -2); }
inline Tensor as_line(const Tensor& x) { return op::squeeze(x, IntList{-2}); }
inline Results as_lines(Results r) {
  for (int i = 0; i < r.n; ++i) r[i] = as_line(r[i]);
  return r;
}

#endif

}  // namespace ferrule
