// The transforms of Winograd's convolution, and the products between them.
#include "runtime/cpu/conv_winograd.h"
#include "runtime/cpu/gemm_tile.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// G g, for one row or column of the kernel.
template <class V>
FE_INLINE void expand(V a, V b, V c, V (&to)[4]) {
  using T = Element<V>;
  const V outer = (a + c) * T(0.5);
  const V inner = b * T(0.5);
  to[0] = a;
  to[1] = outer + inner;
  to[2] = outer - inner;
  to[3] = c;
}

template <class T>
void transform_weight(const WinogradWeight<T>& w) {
  for (int64_t r = 0; r < w.rows; ++r) {
    for (int64_t c = 0; c < w.cols; c += lanes<T>) {
      alignas(kVectorBytes) T taps[9][lanes<T>] = {};
      const T* from = w.from + r * w.from_row + c * w.from_col;
      const int64_t n = least(w.cols - c, lanes<T>);
      for (int64_t l = 0; l < n; ++l, from += w.from_col) {
        for (int t = 0; t < 9; ++t) taps[w.flipped ? 8 - t : t][l] = from[t];
      }
      Vec<T> columns[3][4];
      for (int j = 0; j < 3; ++j) {
        expand(load(taps[j]), load(taps[3 + j]), load(taps[6 + j]), columns[j]);
      }
      T* to = w.to + r * w.to_row + c;
      for (int i = 0; i < 4; ++i) {
        Vec<T> row[4];
        expand(columns[0][i], columns[1][i], columns[2][i], row);
        for (int j = 0; j < 4; ++j, to += w.to_product) store(to, row[j], n);
      }
    }
  }
}

// B^T d, for one row or column of the tile.
template <class V>
FE_INLINE void spread(V a, V b, V c, V d, V (&to)[4]) {
  to[0] = a - c;
  to[1] = b + c;
  to[2] = c - b;
  to[3] = b - d;
}

// to[x][c][p] for the 16 products x, all channels c and `n` tiles p.
template <class T>
void transform_input(const WinogradTiles<T>& t, int64_t n, T* to) {
  const int64_t product = t.in_channels * n;
  for (int64_t c = 0; c < t.in_channels; ++c) {
    for (int64_t p = 0; p < n; p += lanes<T>) {
      const T* const at = t.planes + c * t.channel + t.begin + p;
      Vec<T> columns[4][4];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const T* const from = at + j % 2 * t.phase + j / 2;
        spread(load(from), load(from + 2 * t.phase), load(from + t.pitch),
               load(from + 2 * t.phase + t.pitch), columns[j]);
      }
      T* place = to + c * n + p;
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        Vec<T> row[4];
        spread(columns[0][i], columns[1][i], columns[2][i], columns[3][i], row);
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j, place += product) store(place, row[j]);
      }
    }
  }
}

// The sums of all products for some rows and one panel of tiles.
template <class T>
struct Sums {
  alignas(64) T at[kWinogradProducts][kTileRows][kTileCols<T>];
};

// A^T m: two rows of the result, or two elements of one.
template <class V>
FE_INLINE void gather(V a, V b, V c, V d, V (&to)[2]) {
  to[0] = a + b + c;
  to[1] = b - c - d;
}

// The result of row i, both lines of its tiles side by side.
template <class T>
void transform_sums(const Sums<T>& sums, int64_t i, T bias,
                    T (&lines)[2][2 * kTileCols<T>]) {
  constexpr int kLanes = lanes<T>;
  for (int64_t p = 0; p < kTileCols<T>; p += kLanes) {
    Vec<T> columns[4][2];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      auto m = [&](int k) { return load(&sums.at[4 * k + j][i][p]); };
      gather(m(0), m(1), m(2), m(3), columns[j]);
    }
#pragma GCC unroll 2
    for (int k = 0; k < 2; ++k) {
      Vec<T> y[2];
      gather(columns[0][k], columns[1][k], columns[2][k], columns[3][k], y);
      y[0] += bias;
      y[1] += bias;
      [&]<int... l>(std::integer_sequence<int, l...>) {
        store(&lines[k][2 * p],
              __builtin_shufflevector(y[0], y[1], (l / 2 + l % 2 * kLanes)...));
        store(&lines[k][2 * p + kLanes],
              __builtin_shufflevector(
                  y[0], y[1], (kLanes / 2 + l / 2 + l % 2 * kLanes)...));
      }(std::make_integer_sequence<int, kLanes>());
    }
  }
}

// Tiles [p, end) of one plane of the result.
template <class T>
void write_lines(const WinogradTiles<T>& t, int64_t p, int64_t end, T* out,
                 const T (&lines)[2][2 * kTileCols<T>]) {
  int64_t r = p / t.pitch;
  int64_t j = p - r * t.pitch;
  for (int64_t at = 0; p < end; ++r, j = 0) {
    const int64_t step = least(t.pitch - j, end - p);
    const int64_t n = least(2 * step, t.width - 2 * j);
    for (int64_t k = 0; k < 2 && 2 * r + k < t.height; ++k) {
      T* const to = out + (2 * r + k) * t.width + 2 * j;
      for (int64_t v = 0; v < n; v += lanes<T>) {
        store(to + v, load(&lines[k][2 * at + v], n - v), n - v);
      }
    }
    p += step;
    at += step;
  }
}

template <class T>
void run_tiles(const WinogradTiles<T>& t) {
  constexpr int64_t kCols = kTileCols<T>;
  alignas(64) static constexpr T kZeros[kCols] = {};
  Sums<T> sums;
  alignas(64) T lines[2][2 * kCols];
  const int64_t n = (t.end - t.begin + kCols - 1) / kCols * kCols;
  transform_input(t, n, t.scratch);
  const int64_t row_tiles = (t.out_channels + kTileRows - 1) / kTileRows;
  for (int64_t i = 0; i < row_tiles; ++i) {
    // Split evenly, so that no tile is left with a few.
    const int64_t row = t.out_channels * i / row_tiles;
    const int64_t rows = t.out_channels * (i + 1) / row_tiles - row;
    const TileFunction<T> multiply = tile_function<T>(rows, kTileVectors);
    for (int64_t p = 0; p < n; p += kCols) {
      Tile<T> m{};
      m.depth = t.in_channels;
      m.a_row = t.weight_row;
      m.a_col = 1;
      m.b_row = n;
      m.c_row = kCols;
      m.cols = kCols;
      m.col_init = m.row_init = kZeros;
      for (int x = 0; x < kWinogradProducts; ++x) {
        m.a = t.weight + x * t.weight_product + row * t.weight_row;
        m.b = t.scratch + x * t.in_channels * n + p;
        m.c = sums.at[x][0];
        multiply(m);
      }
      const int64_t begin = t.begin + p;
      const int64_t end = least(begin + kCols, t.end);
      for (int64_t k = 0; k < rows; ++k) {
        const T bias = t.bias != nullptr ? t.bias[row + k] : T(0);
        transform_sums(sums, k, bias, lines);
        write_lines(t, begin, end, t.out + (row + k) * t.height * t.width,
                    lines);
      }
    }
  }
}

}  // namespace

void winograd_weight_f32(const WinogradWeight<float>& w) {
  transform_weight(w);
}
void winograd_weight_f64(const WinogradWeight<double>& w) {
  transform_weight(w);
}
void winograd_f32(const WinogradTiles<float>& t) { run_tiles(t); }
void winograd_f64(const WinogradTiles<double>& t) { run_tiles(t); }

}  // namespace ferrule::cpu::FE_ISA
