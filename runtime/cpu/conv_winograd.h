// Convolutions with a kernel of 3 x 3 and stride 1 in fewer multiplications.
//
// Winograd's F(2x2, 3x3): the 2 x 2 elements of the result in a tile depend on
// 4 x 4 elements of the input. Both these and the kernel are transformed into
// 16 numbers, which are multiplied one by one and summed over the channels, in
// 16 matrix products; a last transform gives the tile. That takes 16
// multiply-adds where there were 36, and as the transforms only add and halve,
// and the sums are shorter, errors are no larger than those of the direct sum:
// tests/python/test_conv.py compares the two.
//
// Source: A. Lavin, S. Gray, "Fast algorithms for convolutional neural
// networks", CVPR 2016, section 4.1.
#pragma once

#include "runtime/core/built.h"
#include "runtime/cpu/conv2d.h"

namespace ferrule::cpu {

inline constexpr int kWinogradProducts = 16;

// The transform of a kernel matrix: element (row, col, tap) is from[row *
// from_row + col * from_col + tap], or the tap from the other end if `flipped`.
template <class T>
struct WinogradWeight {
  const T* from = nullptr;
  int64_t from_row = 0;
  int64_t from_col = 0;
  bool flipped = false;
  int64_t rows = 0;
  int64_t cols = 0;
  T* to = nullptr;  // product x, row r, column c: to[x * to_product + ...
  int64_t to_product = 0;
  int64_t to_row = 0;  // ... r * to_row + c]
};

// Tiles [begin, end) of one group of all images, counted along rows.
template <class T>
struct WinogradTiles {
  int64_t in_channels = 0;
  int64_t tile_rows = 0;  // of an image
  int64_t tile_cols = 0;
  int64_t begin = 0;
  int64_t end = 0;
  // What is done of them: input channels [in_begin, in_end) are transformed,
  // and then [out_begin, out_end) of the result are made.
  int64_t in_begin = 0;
  int64_t in_end = 0;
  int64_t out_begin = 0;
  int64_t out_end = 0;
  Planes planes;              // of some rows of tiles, but for their number
  const T* input = nullptr;   // dense planes of the first image
  int64_t input_image = 0;    // elements from one image to the next
  const T* weight = nullptr;  // as made by WinogradWeight
  int64_t weight_product = 0;
  int64_t weight_row = 0;
  const T* bias = nullptr;     // or null
  T* copy = nullptr;           // scratch for planes, ...
  T* spread = nullptr;         // ... for the transformed input, its products
  int64_t spread_product = 0;  // so far apart,
  T* sums = nullptr;           // ... and for products of `sum_rows` channels
  int64_t sum_rows = 0;
  T* out = nullptr;  // dense planes of the first image
  int64_t out_image = 0;
  int64_t height = 0;  // of the result
  int64_t width = 0;
  const Epilogue* epilogue = nullptr;  // what follows on the result, or null
  int64_t channel = 0;                 // of the group's first
};

FE_SIMD(void winograd_weight_f32(const WinogradWeight<float>& w);
        void winograd_weight_f64(const WinogradWeight<double>& w);
        void winograd_f32(const WinogradTiles<float>& t);
        void winograd_f64(const WinogradTiles<double>& t);)

inline void run(const WinogradWeight<float>& w) {
  FE_BEST(winograd_weight_f32)(w);
}
inline void run(const WinogradWeight<double>& w) {
  FE_BEST(winograd_weight_f64)(w);
}
inline void run(const WinogradTiles<float>& t) { FE_BEST(winograd_f32)(t); }
inline void run(const WinogradTiles<double>& t) { FE_BEST(winograd_f64)(t); }

// The whole convolution, of `channels` in a group to `out` in a group.
template <class T>
struct Winograd {
  int64_t batch, groups, channels, out;
  Window h, w;
  int64_t tile_rows, tile_cols;  // of an image
  int64_t tiles;                 // of a group
  int64_t block;                 // of them at a time
  int64_t sum_rows;              // channels of the result at a time

  Winograd(int64_t batch, int64_t groups, int64_t channels, int64_t out,
           const Window& h, const Window& w)
      : batch(batch),
        groups(groups),
        channels(channels),
        out(out),
        h(h),
        w(w),
        tile_rows((h.out + 1) / 2),
        tile_cols((w.out + 1) / 2),
        tiles(batch * tile_rows * tile_cols) {
    block = rows_in(512 << 10, channels, kMostTilePositions);
    block = std::min(block / kMostTilePositions, int64_t{4});
    block = std::max(block, int64_t{1}) * kMostTilePositions;
    sum_rows = std::clamp<int64_t>(rows_in(256 << 10, block, 1), 1, out);
  }

  // Does it pay? The kernel's transform costs what some tiles save. (Small
  // builds do without: their results differ by rounding.)
  bool fits() const {
    constexpr int64_t kChannels = 12;
    constexpr int64_t kTiles = 32;
    auto three = [](const Window& x) {
      return x.kernel == 3 && x.stride == 1 && x.dilation == 1 &&
             x.padding >= 0 && x.out >= 4;
    };
    return !kSmall && three(h) && three(w) && channels >= kChannels &&
           out >= kChannels && tiles >= kTiles;
  }

  int64_t blocks() const { return ceil_div(tiles, block); }
  int64_t units() const { return groups * blocks(); }
  // Few units are not one thread's each: all share the channels of every one.
  bool shared() const { return units() <= 4; }
  // Of the kernel, transformed, and of what run() needs beside it.
  int64_t weight_bytes() const {
    return align64(kWinogradProducts * weight_product() * sizeof(T));
  }
  int64_t scratch_bytes() const {
    if (!shared()) return parts().scratch_bytes();
    return units() * spread_bytes() +
           std::max(in_parts().scratch_bytes(), out_parts().scratch_bytes());
  }

  // `weight` tells how the kernel of group 0 is read; the next group's is
  // `group_elements` further.
  void transform(WinogradWeight<T> weight, int64_t group_elements,
                 T* transformed) const {
    weight.to_product = weight_product();
    weight.to_row = weight_row();
    weight.cols = channels;
    parallel_for(groups * out, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        WinogradWeight<T> one = weight;
        one.from += row / out * group_elements + row % out * weight.from_row;
        one.rows = 1;
        one.to = transformed + row * weight_row();
        cpu::run(one);
      }
    });
  }

  void run(const T* input, const T* transformed, const T* bias, T* result,
           char* scratch, const Epilogue* epilogue = nullptr) const {
    WinogradTiles<T> all{.in_channels = channels,
                         .tile_rows = tile_rows,
                         .tile_cols = tile_cols};
    all.planes = {axis(h, 0), axis(w, tile_cols)};
    all.input_image = groups * channels * h.in * w.in;
    all.weight_product = weight_product();
    all.weight_row = weight_row();
    all.spread_product = spread_product();
    all.sum_rows = sum_rows;
    all.out_image = groups * out * h.out * w.out;
    all.height = h.out;
    all.width = w.out;
    all.epilogue = epilogue;
    const auto tiles_of = [&](int64_t unit) {
      const int64_t group = unit / blocks();
      WinogradTiles<T> t = all;
      t.begin = unit % blocks() * block;
      t.end = std::min(t.begin + block, tiles);
      t.input = input + group * channels * h.in * w.in;
      t.channel = group * out;
      t.weight = transformed + group * out * weight_row();
      if (bias != nullptr) t.bias = bias + group * out;
      t.out = result + group * out * h.out * w.out;
      return t;
    };
    if (!shared()) {
      parts().run(scratch, [&](int64_t unit, char* own) {
        WinogradTiles<T> t = tiles_of(unit);
        t.in_end = channels;
        t.out_end = out;
        t.spread = reinterpret_cast<T*>(own);
        t.copy = t.spread + spread_elements();
        t.sums = t.copy + copy_elements();
        cpu::run(t);
      });
      return;
    }
    char* const more = scratch + units() * spread_bytes();
    const auto run_part = [&](const Parts& parts, const auto& confine) {
      const int64_t count = parts.units / units();
      parts.run(more, [&](int64_t i, char* own) {
        WinogradTiles<T> t = tiles_of(i / count);
        t.spread = reinterpret_cast<T*>(scratch + i / count * spread_bytes());
        t.copy = t.sums = reinterpret_cast<T*>(own);
        confine(t, i % count, count);
        cpu::run(t);
      });
    };
    run_part(in_parts(), [&](auto& t, int64_t part, int64_t count) {
      t.in_begin = channels * part / count;
      t.in_end = channels * (part + 1) / count;
    });
    run_part(out_parts(), [&](auto& t, int64_t part, int64_t count) {
      t.out_begin = out * part / count;
      t.out_end = out * (part + 1) / count;
    });
  }

 private:
  // Units, each by one thread.
  Parts parts() const {
    return {units(),
            align64((copy_elements() + spread_elements() + sum_elements()) *
                    sizeof(T))};
  }
  // Some channels of the input, or of the result, of a unit.
  Parts in_parts() const {
    constexpr int64_t kChannels = 16;
    return {units() * ceil_div(channels, kChannels),
            align64(copy_elements() * sizeof(T))};
  }
  Parts out_parts() const {
    constexpr int64_t kLeast = 4;  // parts of a unit
    const int64_t count = std::max(ceil_div(out, sum_rows), kLeast);
    return {units() * count, align64(sum_elements() * sizeof(T))};
  }

  // Rows of `width` elements for each product, in so many bytes.
  static int64_t rows_in(int64_t bytes, int64_t width, int64_t least) {
    const int64_t row = kWinogradProducts * width * int64_t{sizeof(T)};
    return std::max(bytes / std::max<int64_t>(row, 1), least);
  }
  // Even and odd elements apart, as many as `count` tiles read.
  static PlaneAxis axis(const Window& x, int64_t count) {
    return {.source = x.in,
            .step = 2,
            .first = -x.padding,
            .phases = 2,
            .size = count + 1};
  }
  // Of one channel, for as many rows of tiles as a block has of an image.
  int64_t copy_elements() const {
    const int64_t rows = std::min(tile_rows, block / tile_cols + 2);
    return round_to(4 * (rows + 1) * (tile_cols + 1) + kMostTilePositions,
                    kMostLanes);
  }
  // Products, too, must not be a power of two apart: all 16 are written in
  // turn.
  int64_t spread_product() const { return channels * block + kMostLanes; }
  int64_t spread_elements() const {
    return kWinogradProducts * spread_product();
  }
  int64_t spread_bytes() const {
    return align64(spread_elements() * sizeof(T));
  }
  int64_t sum_elements() const { return kWinogradProducts * sum_rows * block; }
  // Rows of the transformed kernel, which must not be a power of two apart.
  int64_t weight_row() const { return round_to(channels, kMostLanes) + 16; }
  int64_t weight_product() const {
    return groups * out * weight_row() + kMostLanes;
  }
};

}  // namespace ferrule::cpu
