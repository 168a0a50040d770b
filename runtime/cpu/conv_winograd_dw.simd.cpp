// The transforms of the weight's gradient, see conv_winograd_dw.h.
#include "runtime/cpu/conv_winograd_dw.h"

#include "runtime/cpu/conv_winograd_tile.h"
#include "runtime/cpu/gemm_pack.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// A g, for one row or column of a tile of the gradient.
template <class V>
FE_INLINE void stretch(V a, V b, V (&to)[4]) {
  to[0] = a;
  to[1] = a + b;
  to[2] = a - b;
  to[3] = -b;
}

// As transform_row(), of the gradient.
template <class T>
FE_INLINE void stretch_row(const T* from, int64_t phase, int64_t count, T* to,
                           int64_t product) {
  for (int64_t p = 0; p < count; p += lanes<T>) {
    Vec<T> columns[2][4];
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      const T* const at = from + p + j * phase;
      stretch(load(at), load(at + 2 * phase), columns[j]);
    }
    T* place = to + p;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      Vec<T> row[4];
      stretch(columns[0][i], columns[1][i], row);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j, place += product) {
        store(place, row[j], count - p);
      }
    }
  }
}

template <class T>
void spread_channel(const WinogradSpread<T>& s) {
  const int64_t pitch = s.planes.w.size;
  const int64_t phase = s.planes.h.size * pitch;
  fill(s.planes, s.from, s.copy);
  T* to = s.to;
  for (int64_t row = 0; row < s.tile_rows; ++row, to += s.tile_cols) {
    const T* const from = s.copy + row * pitch;
    if (s.gradient) {
      stretch_row(from, phase, s.tile_cols, to, s.to_product);
    } else {
      transform_row(from, phase, pitch, s.tile_cols, to, s.to_product);
    }
  }
}

// G^T m, for one row or column of the sums.
template <class V>
FE_INLINE void contract(V a, V b, V c, V d, V (&to)[3]) {
  using T = Element<V>;
  const V half = (b + c) * T(0.5);
  to[0] = a + half;
  to[1] = (b - c) * T(0.5);
  to[2] = half + d;
}

template <class T>
void make_kernels(const WinogradKernels<T>& k) {
  constexpr int kLanes = lanes<T>;
  for (int64_t c = 0; c < k.count; c += kLanes) {
    const int64_t n = k.count - c;
    const T* const from = k.from + c;
    Vec<T> columns[4][3];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      Vec<T> sum[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        sum[i] = load(from + (4 * i + j) * k.product, n);
      }
      contract(sum[0], sum[1], sum[2], sum[3], columns[j]);
    }
    // Element t of the kernel in all lanes' kernels.
    Vec<T> taps[kLanes < 9 ? 9 : kLanes] = {};
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      Vec<T> row[3];
      contract(columns[0][i], columns[1][i], columns[2][i], columns[3][i], row);
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j) taps[3 * i + j] = row[j];
    }
    T* to = k.to + 9 * c;
    if constexpr (kLanes < 9) {
      for (int64_t l = 0; l < kLanes && l < n; ++l) {
        for (int t = 0; t < 9; ++t) *to++ = taps[t][l];
      }
    } else {
      transpose(taps);
      for (int64_t l = 0; l < kLanes && l < n; ++l, to += 9) {
        store(to, taps[l], 9);
      }
    }
  }
}

}  // namespace

void winograd_spread_f32(const WinogradSpread<float>& s) { spread_channel(s); }
void winograd_spread_f64(const WinogradSpread<double>& s) { spread_channel(s); }
void winograd_kernels_f32(const WinogradKernels<float>& k) { make_kernels(k); }
void winograd_kernels_f64(const WinogradKernels<double>& k) { make_kernels(k); }

}  // namespace ferrule::cpu::FE_ISA
