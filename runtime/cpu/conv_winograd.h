// Convolutions with a kernel of 3 x 3 and stride 1 in fewer multiplications.
//
// Winograd's F(2x2, 3x3): the 2 x 2 elements of the result in a tile depend on
// 4 x 4 elements of the input. Both these and the kernel are transformed into
// 16 numbers, which are multiplied one by one and summed over the channels, in
// 16 matrix products; a last transform gives the tile. That takes 16
// multiply-adds where there were 36, and as the transforms only add and halve,
// and the sums are shorter, errors are no larger than without: for 64 channels
// 2.7e-7 of the result's size against 4.5e-7 (root mean square, float32).
//
// Source: A. Lavin, S. Gray, "Fast algorithms for convolutional neural
// networks", CVPR 2016, section 4.1.
#pragma once

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

// Tiles [begin, end) of one group of one image; counted along the rows of
// planes, of which there is one for even and odd rows and columns each.
template <class T>
struct WinogradTiles {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  const T* planes = nullptr;
  int64_t channel = 0;  // elements from one to the next
  int64_t phase = 0;
  int64_t pitch = 0;
  const T* weight = nullptr;  // as made by WinogradWeight
  int64_t weight_product = 0;
  int64_t weight_row = 0;
  const T* bias = nullptr;  // or null
  int64_t begin = 0;
  int64_t end = 0;
  T* scratch = nullptr;  // see Winograd::piece_elements
  T* out = nullptr;      // out_channels dense planes
  int64_t height = 0;    // of the result
  int64_t width = 0;
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
  Planes planes;
  int64_t tiles;  // of an image, those at the ends of rows included
  int64_t block;  // of them at a time
  Units units;

  Winograd(int64_t batch, int64_t groups, int64_t channels, int64_t out,
           const Window& h, const Window& w)
      : batch(batch),
        groups(groups),
        channels(channels),
        out(out),
        h(h),
        w(w),
        planes{axis(h), axis(w)},
        tiles(((h.out + 1) / 2 - 1) * planes.pitch() + (w.out + 1) / 2),
        block(block_of(channels)),
        units(batch, groups, channels, planes.elements() * sizeof(T)) {
    units.most_pieces = pieces();
    units.piece_bytes =
        align64(kWinogradProducts * channels * block * sizeof(T));
  }

  // Does it pay? The kernel's transform costs what some tiles save.
  bool fits() const {
    constexpr int64_t kChannels = 12;
    constexpr int64_t kTiles = 32;
    auto three = [](const Window& x) {
      return x.kernel == 3 && x.stride == 1 && x.dilation == 1 &&
             x.padding >= 0 && x.out >= 4;
    };
    return three(h) && three(w) && channels >= kChannels && out >= kChannels &&
           batch * tiles >= kTiles;
  }

  static PlaneAxis axis(const Window& x) {
    return {.source = x.in,
            .step = 2,
            .first = -x.padding,
            .phases = 2,
            .size = (x.out + 1) / 2 + 1};
  }
  // So many that what they are transformed into stays in a cache.
  static int64_t block_of(int64_t channels) {
    constexpr int64_t kBytes = 512 << 10;
    const int64_t most =
        kBytes / (kWinogradProducts * std::max<int64_t>(channels, 1) *
                  int64_t{sizeof(T)});
    return std::clamp<int64_t>(most / kMostTilePositions * kMostTilePositions,
                               kMostTilePositions, 4 * kMostTilePositions);
  }
  int64_t pieces() const { return ceil_div(tiles, block); }

  // Rows of the transformed kernel, which must not be a power of two apart.
  int64_t weight_row() const { return round_to(channels, kMostLanes) + 16; }
  int64_t weight_elements() const {
    return kWinogradProducts * groups * out * weight_row();
  }
  int64_t weight_bytes() const {
    return align64(weight_elements() * sizeof(T));
  }
  int64_t scratch_bytes() const {
    return weight_bytes() + units.scratch_bytes();
  }

  // `weight` tells how the kernel of group 0 is read; the next group's is
  // `group_elements` further.
  void run(const T* input, WinogradWeight<T> weight, int64_t group_elements,
           const T* bias, T* result, char* scratch) const {
    T* const transformed = reinterpret_cast<T*>(scratch);
    weight.to_product = groups * out * weight_row();
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
    WinogradTiles<T> all{.in_channels = channels, .out_channels = out};
    all.channel = planes.elements();
    all.phase = planes.phase_elements();
    all.pitch = planes.pitch();
    all.weight_product = weight.to_product;
    all.weight_row = weight_row();
    all.height = h.out;
    all.width = w.out;
    units.run(
        scratch + weight_bytes(), 1,
        [&](int64_t unit, int64_t c, char* to) {
          fill_planes(planes, input + (unit * channels + c) * h.in * w.in,
                      reinterpret_cast<T*>(to));
        },
        [&](int64_t) { return pieces(); },
        [&](int64_t, int64_t piece, int64_t unit, const char* copy, char* own) {
          const int64_t row = unit % groups * out;
          WinogradTiles<T> t = all;
          t.planes = reinterpret_cast<const T*>(copy);
          t.weight = transformed + row * weight_row();
          if (bias != nullptr) t.bias = bias + row;
          t.begin = piece * block;
          t.end = std::min(t.begin + block, tiles);
          t.scratch = reinterpret_cast<T*>(own);
          t.out = result + unit * out * h.out * w.out;
          cpu::run(t);
        });
  }
};

}  // namespace ferrule::cpu
