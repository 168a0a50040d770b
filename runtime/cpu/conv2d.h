// What the three kernels of convolution share: the shape of a group, and how
// work is cut.
//
// A kernel takes a few images at a time: first they are copied into planes
// (conv_planes.h), then tiles multiply them (conv_tile.h). Both are loops over
// units that follow from the shape alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/conv_planes.h"
#include "runtime/cpu/conv_tile.h"
#include "runtime/cpu/operands.h"

namespace ferrule::cpu {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_to(int64_t n, int64_t multiple) {
  return ceil_div(n, multiple) * multiple;
}

struct ConvGroups {
  Conv2dShape s;
  int64_t in_group;   // channels of the input in a group
  int64_t out_group;  // channels of the result
  int64_t taps;       // elements of the kernel
  int64_t positions;  // of the result

  explicit ConvGroups(const Conv2dShape& shape)
      : s(shape),
        in_group(s.in_channels / s.groups),
        out_group(s.out_channels / s.groups),
        taps(s.h.kernel * s.w.kernel),
        positions(s.h.out * s.w.out) {}

  bool depthwise() const { return in_group == 1 && s.groups > 1; }
  // The input is as good as its planes.
  bool pointwise() const {
    auto trivial = [](const Window& w) {
      return w.kernel == 1 && w.stride == 1 && w.padding == 0;
    };
    return trivial(s.h) && trivial(s.w);
  }
  int64_t in_plane() const { return s.h.in * s.w.in; }
};

// offset[k]: where channel and element k of the kernel find their first input.
inline void kernel_offsets(const ConvGroups& m, const Planes& planes,
                           int64_t* offset) {
  const Window& h = m.s.h;
  const Window& w = m.s.w;
  for (int64_t c = 0; c < m.in_group; ++c) {
    for (int64_t i = 0; i < h.kernel; ++i) {
      for (int64_t j = 0; j < w.kernel; ++j) {
        const int64_t y = i * h.dilation;
        const int64_t x = j * w.dilation;
        *offset++ =
            c * planes.elements() + planes.index(y % h.stride, x % w.stride,
                                                 y / h.stride, x / w.stride);
      }
    }
  }
}

// Images whose copies are made at a time: few enough to stay in a cache.
inline int64_t images_at_once(int64_t batch, int64_t bytes_of_one) {
  constexpr int64_t kBytes = 8 << 20;
  return std::clamp<int64_t>(kBytes / std::max<int64_t>(bytes_of_one, 1), 1,
                             std::max<int64_t>(batch, 1));
}

// Pieces that work worth `multiply_adds` is cut into, at least `have`.
inline int64_t pieces_of(double multiply_adds, int64_t have) {
  constexpr double kPiece = 1 << 20;
  constexpr double kMost = 64;
  const auto wanted =
      static_cast<int64_t>(std::clamp(multiply_adds / kPiece, 1.0, kMost));
  return ceil_div(wanted, std::max<int64_t>(have, 1));
}

// One image's product, rows x positions, cut into blocks of both.
struct ProductCut {
  int64_t block, blocks;          // of positions
  int64_t row_block, row_blocks;  // of rows

  // `channels` planes are read at every position, and `units` products are
  // made at a time.
  ProductCut(int64_t rows, int64_t depth, int64_t positions, int64_t channels,
             int64_t units, int64_t itemsize) {
    constexpr int64_t kNear = 384 << 10;  // bytes, in the second-level cache
    constexpr int64_t kLeast = 256;       // positions that A is read for
    constexpr int64_t kLeastRows = 28;
    const double work = 1.0 * rows * depth * positions * units;
    const int64_t pieces = pieces_of(work, units);
    block = std::clamp(kNear / std::max<int64_t>(channels * itemsize, 1),
                       kMostTilePositions, kMostProductPositions);
    block = std::min(block, std::max(kLeast, ceil_div(positions, pieces)));
    block = round_to(block, kMostTilePositions);
    blocks = ceil_div(positions, block);
    const int64_t parts =
        std::clamp<int64_t>(ceil_div(pieces, std::max<int64_t>(blocks, 1)), 1,
                            std::max<int64_t>(rows / kLeastRows, 1));
    row_block = ceil_div(rows, parts);
    row_blocks = row_block > 0 ? ceil_div(rows, row_block) : 0;
  }

  int64_t count() const { return blocks * row_blocks; }

  // Confines `p`, which is the whole product, to piece i.
  template <class T>
  ConvProduct<T> piece(ConvProduct<T> p, int64_t i) const {
    const int64_t row = i / blocks * row_block;
    p.begin = i % blocks * block;
    p.end = std::min(p.end, p.begin + block);
    p.rows = std::min(p.rows - row, row_block);
    p.a += row * p.depth;
    if (p.bias != nullptr) p.bias += row;
    p.out += row * p.out_plane;
    return p;
  }
};

// Copies `count` images or gradients, one after the other, into planes.
template <class T>
void copy_planes(const Planes& planes, const T* from, int64_t count, T* to) {
  constexpr int64_t kGrain = 1 << 14;  // elements
  const int64_t size = planes.h.source * planes.w.source;
  const int64_t grain =
      std::max<int64_t>(1, kGrain / std::max<int64_t>(planes.elements(), 1));
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      fill_planes(planes, from + i * size, to + i * planes.elements());
    }
  });
}

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

}  // namespace ferrule::cpu
