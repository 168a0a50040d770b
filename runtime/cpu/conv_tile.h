// The products that convolutions are made of. None needs its operands copied
// into a matrix: an element of the kernel is an offset into planes that hold
// the image (conv_planes.h).
#pragma once

#include <cstdint>

#include "runtime/cpu/isa.h"

namespace ferrule {
struct Epilogue;
}
namespace ferrule::cpu {

// No instruction set's tile is wider, in positions; planes that tiles read are
// followed by as much memory.
inline constexpr int64_t kMostTilePositions = 64;
// From so many positions on no tile is wider than they are.
inline constexpr int64_t kLeastInPlace = 48;
// Positions that a product may have beyond whole vectors.
inline constexpr int64_t kMostRests = 4;
// Vectors of all instruction sets divide rows of so many elements.
inline constexpr int64_t kMostLanes = 16;

// result[i, p] = bias[i] + sum over k of a[i, k] b[offset[k] + p] for positions
// p in [begin, end), of which those with p % pitch < cols are written; then for
// `rests` positions more, which would be few for a vector of their own, from
// what was gathered of B for them (ConvGather).
template <class T>
struct ConvProduct {
  int64_t rows = 0;
  int64_t depth = 0;
  const T* a = nullptr;  // rows of `depth` elements
  const T* b = nullptr;
  const int64_t* offset = nullptr;
  int64_t readable = 0;     // positions in memory; more than a tile has
  const T* bias = nullptr;  // or null
  int64_t begin = 0;
  int64_t end = 0;
  int64_t pitch = 0;
  int64_t cols = 0;
  bool by_rows = false;     // no tile spans two rows; begin is that of a row
  const T* rest = nullptr;  // position end + r: rest[r * depth + k]
  int64_t rests = 0;        // at most kMostRests
  // Position (r, c) of row i: out[i * out_plane + r * out_row + c * out_col].
  T* out = nullptr;
  int64_t out_plane = 0;
  int64_t out_row = 0;
  int64_t out_col = 1;
  // What follows on the result, whose channels are the rows; or null. Only
  // where out_col is 1.
  const Epilogue* epilogue = nullptr;
  int64_t channel = 0;  // of row 0
};

// to[k * to_row + p] = from[offset[k] + r * pitch + c] for k < count and
// positions p = r * cols + c below `dense`; rest[q * rest_row + k] for `rests`
// positions more.
template <class T>
struct ConvGather {
  int64_t count = 0;
  const T* from = nullptr;
  const int64_t* offset = nullptr;
  int64_t pitch = 0;
  int64_t cols = 0;
  int64_t dense = 0;
  T* to = nullptr;  // or null
  int64_t to_row = 0;
  T* rest = nullptr;
  int64_t rest_row = 0;
  int64_t rests = 0;
};

// c[k, o] = sum over (r, j) of a[offset[k] + r * pitch + j] b[r * width + j,
// o], or += that.
template <class T>
struct ConvOuter {
  int64_t rows = 0;  // of c
  const T* a = nullptr;
  const int64_t* offset = nullptr;
  int64_t pitch = 0;
  int64_t height = 0;
  int64_t width = 0;
  const T* b = nullptr;  // rows of `cols` elements
  int64_t cols = 0;      // a multiple of kMostLanes
  T* c = nullptr;        // rows of `cols` elements
  bool add = false;
};

// c[k] += sum over (r, j) of a[offset[k] + r * pitch + j] b[r * width + j].
template <class T>
struct ConvDots {
  int64_t count = 0;
  const T* a = nullptr;
  const int64_t* offset = nullptr;
  int64_t pitch = 0;
  int64_t height = 0;
  int64_t width = 0;
  const T* b = nullptr;
  T* c = nullptr;
};

// to[j * to_row + i] = from[i * from_row + j], i < rows, j < cols; if `pad`,
// zeros for i up to a multiple of kMostLanes.
template <class T>
struct ConvTranspose {
  const T* from = nullptr;
  int64_t from_row = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  T* to = nullptr;
  int64_t to_row = 0;
  bool pad = false;
};

FE_SIMD(void conv_product_f32(const ConvProduct<float>& p);
        void conv_product_f64(const ConvProduct<double>& p);
        void conv_gather_f32(const ConvGather<float>& g);
        void conv_gather_f64(const ConvGather<double>& g);
        void conv_outer_f32(const ConvOuter<float>& p);
        void conv_outer_f64(const ConvOuter<double>& p);
        void conv_dots_f32(const ConvDots<float>& p);
        void conv_dots_f64(const ConvDots<double>& p);
        void conv_transpose_f32(const ConvTranspose<float>& t);
        void conv_transpose_f64(const ConvTranspose<double>& t);)

inline void run(const ConvProduct<float>& p) { FE_BEST(conv_product_f32)(p); }
inline void run(const ConvProduct<double>& p) { FE_BEST(conv_product_f64)(p); }
inline void run(const ConvGather<float>& g) { FE_BEST(conv_gather_f32)(g); }
inline void run(const ConvGather<double>& g) { FE_BEST(conv_gather_f64)(g); }
inline void run(const ConvOuter<float>& p) { FE_BEST(conv_outer_f32)(p); }
inline void run(const ConvOuter<double>& p) { FE_BEST(conv_outer_f64)(p); }
inline void run(const ConvDots<float>& p) { FE_BEST(conv_dots_f32)(p); }
inline void run(const ConvDots<double>& p) { FE_BEST(conv_dots_f64)(p); }
inline void run(const ConvTranspose<float>& t) {
  FE_BEST(conv_transpose_f32)(t);
}
inline void run(const ConvTranspose<double>& t) {
  FE_BEST(conv_transpose_f64)(t);
}

}  // namespace ferrule::cpu
