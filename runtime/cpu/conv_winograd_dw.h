// The gradient of the weight for what conv_winograd.h convolves, in fewer
// multiplications.
//
// That convolution is linear in the kernel, so its transpose is the gradient:
// the 2 x 2 elements of a tile of the result's gradient become 16 numbers, as
// do the 4 x 4 elements of the input that they meet, 16 matrix products sum
// over the tiles, and a last transform makes the 3 x 3 elements of each kernel
// of the sums. Infinite elements make NaN of all that is summed up with their
// tile.
#pragma once

#include "runtime/cpu/conv2d.h"
#include "runtime/cpu/conv_winograd.h"
#include "runtime/cpu/gemm.h"

namespace ferrule::cpu {

// The transform of one channel of one image.
template <class T>
struct WinogradSpread {
  bool gradient = false;  // of 2 x 2 elements, otherwise of 4 x 4
  Planes planes;
  const T* from = nullptr;
  T* copy = nullptr;  // room for the planes, and more that is read
  int64_t tile_rows = 0;
  int64_t tile_cols = 0;
  T* to = nullptr;  // product x of tile p: to[x * to_product + p]
  int64_t to_product = 0;
};

// A row of kernels made of products that are `product` elements apart.
template <class T>
struct WinogradKernels {
  const T* from = nullptr;
  int64_t product = 0;
  int64_t count = 0;
  T* to = nullptr;  // 9 elements each
};

FE_SIMD(void winograd_spread_f32(const WinogradSpread<float>& s);
        void winograd_spread_f64(const WinogradSpread<double>& s);
        void winograd_kernels_f32(const WinogradKernels<float>& k);
        void winograd_kernels_f64(const WinogradKernels<double>& k);)

inline void run(const WinogradSpread<float>& s) {
  FE_BEST(winograd_spread_f32)(s);
}
inline void run(const WinogradSpread<double>& s) {
  FE_BEST(winograd_spread_f64)(s);
}
inline void run(const WinogradKernels<float>& k) {
  FE_BEST(winograd_kernels_f32)(k);
}
inline void run(const WinogradKernels<double>& k) {
  FE_BEST(winograd_kernels_f64)(k);
}

template <class T>
struct WinogradWeightGradient {
  ConvGroups m;
  int64_t tile_rows, tile_cols;  // of an image
  int64_t tiles;
  int64_t images;  // at a time

  explicit WinogradWeightGradient(const Conv2dShape& s)
      : m(s),
        tile_rows((s.h.out + 1) / 2),
        tile_cols((s.w.out + 1) / 2),
        tiles(tile_rows * tile_cols) {
    constexpr int64_t kBytes = 8 << 20;  // of transformed images, about
    const int64_t one = products_bytes((m.in_group + m.out_group) * tiles);
    images = std::clamp<int64_t>(kBytes / std::max<int64_t>(one, 1), 1,
                                 std::max<int64_t>(m.s.batch, 1));
  }

  // Does it pay? The last transform costs what some tiles save.
  bool fits() const {
    constexpr int64_t kChannels = 64;
    constexpr int64_t kTiles = 40;
    auto three = [](const Window& x) {
      return x.kernel == 3 && x.stride == 1 && x.dilation == 1 && x.out >= 4;
    };
    return !kSmall && three(m.s.h) && three(m.s.w) && m.in_group >= kChannels &&
           m.out_group >= kChannels && tiles >= kTiles;
  }
  int64_t scratch_bytes() const {
    return input_bytes() + grad_bytes() + sum_bytes() + gemm_bytes() +
           std::max(parts(input_planes(), m.in_group).scratch_bytes(),
                    parts(grad_planes(), m.out_group).scratch_bytes());
  }

  void run(const Operands<T>& x) const {
    T* const input = reinterpret_cast<T*>(x.scratch);
    T* const grad = input + input_bytes() / sizeof(T);
    T* const sums = grad + grad_bytes() / sizeof(T);
    char* const memory = reinterpret_cast<char*>(sums) + sum_bytes();
    char* const copies = memory + gemm_bytes();
    const int64_t kernels = m.out_group * m.in_group;
    for (int64_t group = 0; group < m.s.groups; ++group) {
      for (int64_t first = 0; first < m.s.batch; first += images) {
        const int64_t count = std::min(images, m.s.batch - first);
        const int64_t unit = first * m.s.groups + group;
        spread(input_planes(), x.in[1] + unit * m.in_group * m.in_plane(),
               m.in_group, m.in_plane(), count, input, copies);
        spread(grad_planes(), x.in[0] + unit * m.out_group * m.positions,
               m.out_group, m.positions, count, grad, copies);
        gemm_batch(
            product(count, first > 0, grad, input, sums), kWinogradProducts,
            [&](int64_t i) {
              return GemmOffset{product_step(m.out_group * count * tiles) * i,
                                product_step(m.in_group * count * tiles) * i,
                                product_step(kernels) * i};
            },
            memory);
      }
      parallel_for(m.out_group, 4, [&](int64_t row, int64_t end) {
        for (; row < end; ++row) {
          cpu::run(WinogradKernels<T>{
              .from = sums + row * m.in_group,
              .product = product_step(kernels),
              .count = m.in_group,
              .to = x.out + (group * m.out_group + row) * m.in_group * 9});
        }
      });
    }
  }

 private:
  // From one product's elements to the next's: were that whole pages, all of
  // them would be written to the same lines of the cache.
  static int64_t product_step(int64_t elements) {
    return round_to(elements, 1024) + 5 * kMostLanes;
  }
  static int64_t products_bytes(int64_t elements) {
    return kWinogradProducts * product_step(elements) * int64_t{sizeof(T)};
  }
  int64_t input_bytes() const {
    return align64(products_bytes(m.in_group * images * tiles));
  }
  int64_t grad_bytes() const {
    return align64(products_bytes(m.out_group * images * tiles));
  }
  int64_t sum_bytes() const {
    return align64(products_bytes(m.out_group * m.in_group));
  }
  int64_t gemm_bytes() const {
    int64_t most = 0;
    for (const int64_t count : {images, m.s.batch % images}) {
      for (const bool add : {false, true}) {
        if (count == 0) continue;
        const auto g = product(count, add, nullptr, nullptr, nullptr);
        most = std::max(most, gemm_batch_scratch_bytes(g, kWinogradProducts));
      }
    }
    return align64(most);
  }
  // The first of the products of so many images.
  Gemm<T> product(int64_t count, bool add, const T* grad, const T* input,
                  T* to) const {
    Gemm<T> g{.m = m.out_group, .n = m.in_group, .k = count * tiles};
    g.a = {grad, g.k, 1};
    g.b = {input, 1, g.k};
    g.c = to;
    g.c_row = m.in_group;
    g.accumulate = add;
    return g;
  }

  // Even and odd elements apart.
  static PlaneAxis axis(int64_t source, int64_t padding, int64_t size) {
    return {.source = source,
            .step = 2,
            .first = -padding,
            .phases = 2,
            .size = size};
  }
  Planes input_planes() const {
    return {axis(m.s.h.in, m.s.h.padding, tile_rows + 1),
            axis(m.s.w.in, m.s.w.padding, tile_cols + 1)};
  }
  Planes grad_planes() const {
    return {axis(m.s.h.out, 0, tile_rows), axis(m.s.w.out, 0, tile_cols)};
  }
  // A unit is a channel of all images at a time.
  Parts parts(const Planes& planes, int64_t channels) const {
    return {channels,
            align64((planes.elements() + kMostTilePositions) * sizeof(T))};
  }

  // to[x][channel][image][tile] for `count` images.
  void spread(const Planes& planes, const T* from, int64_t channels,
              int64_t plane, int64_t count, T* to, char* copies) const {
    parts(planes, channels).run(copies, [&](int64_t channel, char* own) {
      WinogradSpread<T> s{.gradient = planes.h.size == tile_rows,
                          .planes = planes,
                          .copy = reinterpret_cast<T*>(own),
                          .tile_rows = tile_rows,
                          .tile_cols = tile_cols,
                          .to_product = product_step(channels * count * tiles)};
      for (int64_t i = 0; i < count; ++i) {
        s.from = from + (i * m.s.groups * channels + channel) * plane;
        s.to = to + (channel * count + i) * tiles;
        cpu::run(s);
      }
    });
  }
};

}  // namespace ferrule::cpu
