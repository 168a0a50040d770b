// What the three kernels of convolution share: the cut into parts, each with
// scratch of its own, and blocks of positions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/core/thread_pool.h"
#include "runtime/core/window.h"
#include "runtime/cpu/operands.h"

namespace ferrule::cpu {

// Runs visit(unit, scratch) for all units, on several threads. At most kParts
// of them run at a time; each part has `bytes` of scratch.
struct Parts {
  static constexpr int64_t kParts = 32;
  int64_t units;
  int64_t bytes;

  int64_t grain() const { return (units + kParts - 1) / kParts; }
  int64_t scratch_bytes() const { return chunk_count(units, grain()) * bytes; }

  template <class Visit>
  void run(char* scratch, const Visit& visit) const {
    const int64_t size = chunk_size(units, grain());
    parallel_for(units, grain(), [&](int64_t begin, int64_t end) {
      char* own = scratch + begin / size * bytes;
      for (int64_t unit = begin; unit < end; ++unit) visit(unit, own);
    });
  }
};

// The matrix form of a convolution, see im2col.h.
struct ConvMatrix {
  Conv2dShape s;
  int64_t in_group;   // channels of the input in a group
  int64_t out_group;  // channels of the result
  int64_t taps;       // elements of the kernel
  int64_t positions;  // of the result
  bool in_place;      // the input is the matrix

  explicit ConvMatrix(const Conv2dShape& shape)
      : s(shape),
        in_group(s.in_channels / s.groups),
        out_group(s.out_channels / s.groups),
        taps(s.h.kernel * s.w.kernel),
        positions(s.h.out * s.w.out) {
    auto trivial = [](const Window& w) {
      return w.kernel == 1 && w.stride == 1 && w.padding == 0;
    };
    in_place = trivial(s.h) && trivial(s.w);
  }

  bool depthwise() const { return in_group == 1 && s.groups > 1; }
  int64_t in_plane() const { return s.h.in * s.w.in; }

  // Positions in a block, so that `rows` of the matrix fill half of a
  // second-level cache.
  int64_t block(int64_t rows, int64_t itemsize) const {
    constexpr int64_t kBytes = 1 << 19;
    const int64_t most = kBytes / (itemsize * std::max<int64_t>(rows, 1));
    return std::clamp<int64_t>(most / 64 * 64, 64,
                               std::max<int64_t>(positions, 64));
  }
};

inline int64_t blocks_of(int64_t n, int64_t size) {
  return (n + size - 1) / size;
}

}  // namespace ferrule::cpu
