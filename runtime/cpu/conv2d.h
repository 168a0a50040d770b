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
#include "runtime/cpu/conv_depthwise.h"
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

// Where every channel is a group: calls visit(begin, end) for planes of the
// result, some of which follow one another. Plane i is made from plane i /
// m.out_group of the input.
template <class Visit>
void each_depthwise_range(const ConvGroups& m, const Visit& visit) {
  constexpr int64_t kGrain = 1 << 14;  // multiply-adds
  const int64_t work = m.out_group * m.positions * m.taps;
  parallel_for(m.s.batch * m.s.groups, kGrain / std::max<int64_t>(work, 1),
               [&](int64_t begin, int64_t end) {
                 visit(begin * m.out_group, end * m.out_group);
               });
}

// Calls visit(plane, output): the planes of the input and of the result that
// belong together.
template <class Visit>
void each_depthwise(const ConvGroups& m, const Visit& visit) {
  each_depthwise_range(m, [&](int64_t begin, int64_t end) {
    for (int64_t output = begin; output < end; ++output) {
      visit(output / m.out_group, output);
    }
  });
}

// What all three kernels tell of a plane.
inline DepthwisePlane depthwise_plane(const Conv2dShape& s) {
  return {.kernel = s.h.kernel,
          .stride = s.h.stride,
          .pad_h = s.h.padding,
          .pad_w = s.w.padding,
          .in_h = s.h.in,
          .in_w = s.w.in,
          .out_h = s.h.out,
          .out_w = s.w.out};
}

// offset[k]: where channel and element k of the kernel find their first input.
inline void kernel_offsets(const ConvGroups& m, const Planes& planes,
                           int64_t* offset) {
  const Window& h = m.s.h;
  const Window& w = m.s.w;
  int64_t* next = offset;
  for (int64_t i = 0; i < h.kernel; ++i) {
    for (int64_t j = 0; j < w.kernel; ++j) {
      const int64_t y = i * h.dilation;
      const int64_t x = j * w.dilation;
      *next++ =
          planes.index(y % h.stride, x % w.stride, y / h.stride, x / w.stride);
    }
  }
  for (int64_t k = m.taps; k < m.taps * m.in_group; ++k) {
    offset[k] = offset[k - m.taps] + planes.elements();
  }
}

// Pieces of `piece` multiply-adds that work is cut into, at least `have`.
inline int64_t pieces_of(double multiply_adds, int64_t have,
                         double piece = 1 << 20) {
  constexpr double kMost = 32;
  const auto wanted =
      static_cast<int64_t>(std::clamp(multiply_adds / piece, 1.0, kMost));
  return ceil_div(wanted, std::max<int64_t>(have, 1));
}

// One image's product, rows x positions, cut evenly into blocks of both. Their
// number is even, if there are several: of three pieces, one of two threads has
// two.
struct ProductCut {
  int64_t rows, positions;
  int64_t step;        // positions are cut at multiples of it
  int64_t blocks = 0;  // of positions
  int64_t parts = 0;   // of rows
  bool by_parts;       // pieces that follow one another have the same rows

  // `channels` planes are read at every position, `depth` elements of A in
  // every row; at least `pieces` are wanted. Of the two operands, a thread
  // leaves some of the larger one to the others.
  ProductCut(int64_t rows, int64_t positions, int64_t depth, int64_t channels,
             int64_t pieces, int64_t itemsize, int64_t step = kMostLanes)
      : rows(rows),
        positions(positions),
        step(step),
        by_parts(rows * depth > positions * channels) {
    if (rows == 0 || positions == 0) return;
    constexpr int64_t kNear = 384 << 10;  // bytes, in the second-level cache
    constexpr int64_t kLeast = 256;       // positions that A is read for
    constexpr int64_t kMost = 512;
    constexpr int64_t kLeastRows = 24;
    const int64_t most =
        std::clamp(kNear / std::max<int64_t>(channels * itemsize, 1),
                   kMostTilePositions, kMost);
    blocks = std::max({ceil_div(positions, most),
                       std::min(pieces, positions / kLeast), int64_t{1}});
    blocks = std::min(even(blocks), steps());
    int64_t most_parts = std::max<int64_t>(rows / kLeastRows, 1);
    if (blocks % 2 == 1 && most_parts > 1) most_parts -= most_parts % 2;
    parts = std::min(even(ceil_div(pieces, blocks)), most_parts);
  }

  int64_t count() const { return blocks * parts; }

  // Confines `p`, which is the whole product, to piece i.
  template <class T>
  ConvProduct<T> piece(ConvProduct<T> p, int64_t i) const {
    const int64_t block = by_parts ? i % blocks : i / parts;
    const int64_t part = by_parts ? i / blocks : i % parts;
    const int64_t row = rows * part / parts;
    p.begin = steps() * block / blocks * step;
    if (block + 1 < blocks) {
      p.end = steps() * (block + 1) / blocks * step;
      p.rests = 0;
    }
    p.rows = rows * (part + 1) / parts - row;
    p.a += row * p.depth;
    if (p.bias != nullptr) p.bias += row;
    p.channel += row;
    p.out += row * p.out_plane;
    return p;
  }

 private:
  int64_t steps() const { return ceil_div(positions, step); }
  static int64_t even(int64_t n) { return n > 1 ? n + n % 2 : n; }
};

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

// The loop over units, one group of one image each. With many of them each
// makes its own copy of its image just before it uses it; with few, all threads
// first copy some images, and then share the work on them.
struct Units {
  static constexpr int64_t kMany = 16;
  static constexpr int64_t kBytes = 8 << 20;  // of copies, so that caches do
  static constexpr int64_t kCopy = 1 << 16;   // bytes worth a visit

  int64_t batch, groups, channels;
  int64_t channel_bytes;  // of a channel's copy; 0: nothing is copied
  int64_t more_bytes;     // of a unit, after the copies
  bool many;
  int64_t images;  // at a time

  Units(int64_t batch, int64_t groups, int64_t channels, int64_t channel_bytes,
        int64_t more_bytes = 0)
      : batch(batch),
        groups(groups),
        channels(channels),
        channel_bytes(channel_bytes),
        more_bytes(more_bytes),
        many(batch * groups >= kMany),
        images(
            std::clamp<int64_t>(kBytes / std::max<int64_t>(groups * bytes(), 1),
                                1, std::max<int64_t>(batch, 1))) {
    if (bytes() == 0) images = batch;
  }

  // Tiles read past the end.
  int64_t copy_bytes() const {
    if (channel_bytes == 0) return 0;
    return align64(channels * channel_bytes +
                   kMostTilePositions * int64_t{sizeof(double)});
  }
  int64_t bytes() const { return copy_bytes() + align64(more_bytes); }
  int64_t scratch_bytes() const {
    return many ? Parts{batch * groups, bytes()}.scratch_bytes()
                : images * groups * bytes();
  }
  // Pieces that the work on a unit, of so many multiply-adds, is cut into.
  int64_t pieces(double work) const {
    constexpr double kPiece = 1 << 19;
    return many ? 1
                : pieces_of(work * images * groups, images * groups, kPiece);
  }

  // For every unit copy(unit, channel, to) for all of its channels, then for
  // every stage work(stage, piece, unit, copies) for all pieces(stage).
  template <class Copy, class Pieces, class Work>
  void run(char* scratch, int64_t stages, const Copy& copy,
           const Pieces& pieces, const Work& work) const {
    if (many) {
      const Parts parts{batch * groups, bytes()};
      parts.run(scratch, [&](int64_t unit, char* own) {
        for (int64_t c = 0; channel_bytes > 0 && c < channels; ++c) {
          copy(unit, c, own + c * channel_bytes);
        }
        for (int64_t stage = 0; stage < stages; ++stage) {
          const int64_t count = pieces(stage);
          for (int64_t i = 0; i < count; ++i) work(stage, i, unit, own);
        }
      });
      return;
    }
    for (int64_t first = 0; first < batch; first += images) {
      const int64_t units = std::min(images, batch - first) * groups;
      const int64_t base = first * groups;
      if (channel_bytes > 0) {
        parallel_for(units * channels, kCopy / channel_bytes,
                     [&](int64_t begin, int64_t end) {
                       for (int64_t i = begin; i < end; ++i) {
                         const int64_t unit = i / channels;
                         const int64_t c = i % channels;
                         copy(base + unit, c,
                              scratch + unit * bytes() + c * channel_bytes);
                       }
                     });
      }
      for (int64_t stage = 0; stage < stages; ++stage) {
        const int64_t count = pieces(stage);
        parallel_for(units * count, 1, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t unit = i / count;
            work(stage, i % count, base + unit, scratch + unit * bytes());
          }
        });
      }
    }
  }
};

}  // namespace ferrule::cpu
