// The transform of Winograd's tiles of an image, which the convolution and the
// gradient of its weight share. For *.simd.cpp.
#pragma once

#include "runtime/cpu/conv_planes.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {

// B^T d, for one row or column of the tile.
template <class V>
FE_INLINE void spread(V a, V b, V c, V d, V (&to)[4]) {
  to[0] = a - c;
  to[1] = b + c;
  to[2] = c - b;
  to[3] = b - d;
}

FE_INLINE void fill(const Planes& p, const float* from, float* to) {
  fill_planes_f32(p, from, to);
}
FE_INLINE void fill(const Planes& p, const double* from, double* to) {
  fill_planes_f64(p, from, to);
}

// to[x][p] for the 16 products x, `product` elements apart, and `count` tiles p
// of one row. `from` is where the first finds its first element, in planes
// whose phases are `phase` apart.
template <class T>
FE_INLINE void transform_row(const T* from, int64_t phase, int64_t pitch,
                             int64_t count, T* to, int64_t product) {
  for (int64_t p = 0; p < count; p += lanes<T>) {
    Vec<T> columns[4][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const T* const at = from + p + j % 2 * phase + j / 2;
      spread(load(at), load(at + 2 * phase), load(at + pitch),
             load(at + 2 * phase + pitch), columns[j]);
    }
    T* place = to + p;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      Vec<T> row[4];
      spread(columns[0][i], columns[1][i], columns[2][i], columns[3][i], row);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j, place += product) {
        store(place, row[j], count - p);
      }
    }
  }
}

}  // namespace ferrule::cpu::FE_ISA
