// The arithmetic of batch and group normalisation on the planes of channels.
#pragma once

#include <cstdint>

#include "ferrule/dtype.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// Of one channel: `count` runs of `length` elements, `step` elements from one
// to the next. The runs of the next channel follow its own.
struct NormPlanes {
  int64_t count;
  int64_t length;
  int64_t step;
};

// Of `channels` channels; arrays of elements start at the first one's, the
// others have one number a channel. All have the same dtype.
struct NormalizedPlanes {
  int64_t channels;
  void* out;  // (x - mean) * scale + shift
  const void* x;
  const void* mean;
  const void* scale;
  const void* shift;
};

struct NormalizedPlanesBackward {
  int64_t channels;
  void* out;  // grad * scale - sum - (x - mean) * product
  const void* grad;
  const void* x;
  const void* mean;
  const void* sum;
  const void* product;
  const void* scale;
};

FE_SIMD(
    // Sums over the planes of a channel, of blocks of elements in the dtype, of
    // blocks in float64: of x, of (x - centre)^2, of grad * (x - centre).
    double sum_of_planes(const NormPlanes& p, const void* x, DType t);
    double squares_of_planes(const NormPlanes& p, const void* x,
                             const void* centre, DType t);
    double products_of_planes(const NormPlanes& p, const void* grad,
                              const void* x, const void* centre, DType t);
    void normalize_planes(const NormPlanes& p, const NormalizedPlanes& n,
                          DType t);
    void normalize_planes_backward(const NormPlanes& p,
                                   const NormalizedPlanesBackward& n, DType t);)

}  // namespace ferrule::cpu
