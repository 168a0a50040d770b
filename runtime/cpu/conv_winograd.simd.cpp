// The transforms of Winograd's convolution, and the products between them.
#include "runtime/cpu/conv_winograd.h"

#include "runtime/cpu/conv_winograd_tile.h"
#include "runtime/cpu/epilogue.h"
#include "runtime/cpu/gemm_pack.h"
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

// taps[t][l] = from[l * step + t], l < n.
template <class T>
FE_INLINE void load_taps(const T* from, int64_t step, int64_t n,
                         Vec<T> (&taps)[9]) {
  constexpr int kLanes = lanes<T>;
#pragma GCC unroll 3
  for (int first = 0; first < 9; first += kLanes) {
    const int count = 9 - first < kLanes ? 9 - first : kLanes;
    Vec<T> block[kLanes] = {};
    if (n >= kLanes) {
#pragma GCC unroll 16
      for (int l = 0; l < kLanes; ++l) {
        block[l] = load(from + l * step + first, count);
      }
    } else {
      for (int64_t l = 0; l < n; ++l) {
        block[l] = load(from + l * step + first, count);
      }
    }
    transpose(block);
#pragma GCC unroll 16
    for (int t = 0; t < count; ++t) taps[first + t] = block[t];
  }
}

template <class T>
void transform_weight(const WinogradWeight<T>& w) {
  for (int64_t r = 0; r < w.rows; ++r) {
    for (int64_t c = 0; c < w.cols; c += lanes<T>) {
      const int64_t n = least(w.cols - c, lanes<T>);
      Vec<T> taps[9];
      load_taps(w.from + r * w.from_row + c * w.from_col, w.from_col, n, taps);
      const auto tap = [&](int t) { return taps[w.flipped ? 8 - t : t]; };
      Vec<T> columns[3][4];
      for (int j = 0; j < 3; ++j) {
        expand(tap(j), tap(3 + j), tap(6 + j), columns[j]);
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

// Calls visit(image, row, col, count, at) for the parts of rows of tiles that
// make up tiles [begin, end), of which `at` come before.
template <class T, class Visit>
FE_INLINE void each_part(const WinogradTiles<T>& t, int64_t begin, int64_t end,
                         const Visit& visit) {
  int64_t row = begin / t.tile_cols;
  int64_t col = begin - row * t.tile_cols;
  int64_t image = row / t.tile_rows;
  row -= image * t.tile_rows;
  for (int64_t at = 0; at < end - begin; col = 0) {
    const int64_t count = least(t.tile_cols - col, end - begin - at);
    visit(image, row, col, count, at);
    at += count;
    if (++row == t.tile_rows) {
      row = 0;
      ++image;
    }
  }
}

// The transformed input: [x][c][p] for `n` tiles p, of which the last are left
// as they are if there are fewer.
template <class T>
void transform_input(const WinogradTiles<T>& t, int64_t n) {
  const int64_t product = t.spread_product;
  const int64_t plane = t.planes.h.source * t.planes.w.source;
  const int64_t pitch = t.planes.w.size;
  for (int64_t c = t.in_begin; c < t.in_end; ++c) {
    T* const to = t.spread + c * n;
    int64_t first_row = 0;
    int64_t phase = 0;
    int64_t copied = -1;  // the image of which rows were copied
    each_part(t, t.begin, t.end,
              [&](int64_t image, int64_t row, int64_t col, int64_t count,
                  int64_t at) {
                if (image != copied) {
                  const int64_t left = t.end - t.begin - at + col;
                  const int64_t rows =
                      least((left + t.tile_cols - 1) / t.tile_cols,
                            t.tile_rows - row);
                  Planes p = t.planes;
                  p.h.first += 2 * row;
                  p.h.size = rows + 1;
                  fill(p, t.input + image * t.input_image + c * plane, t.copy);
                  copied = image;
                  first_row = row;
                  phase = p.h.size * pitch;
                }
                transform_row(t.copy + (row - first_row) * pitch + col, phase,
                              pitch, count, to + at, product);
              });
  }
}

// sums[x][row - first][p] for rows [first, first + rows) of the result.
template <class T>
void multiply(const WinogradTiles<T>& t, int64_t first, int64_t rows,
              int64_t n) {
  constexpr int64_t kCols = kTileCols<T>;
  alignas(64) static constexpr T kZeros[kCols] = {};
  // The transforms have errors of their own; short parts make up for them.
  constexpr int64_t kPart = 64;
  const int64_t part = equal_part(t.in_channels, kPart);
  const int64_t row_tiles = (rows + kTileRows - 1) / kTileRows;
  Tile<T> m{};
  m.depth = t.in_channels;
  m.a_row = t.weight_row;
  m.a_col = 1;
  m.b_row = n;
  m.c_row = n;
  m.cols = kCols;
  m.col_init = m.row_init = kZeros;
  for (int x = 0; x < kWinogradProducts; ++x) {
    for (int64_t i = 0; i < row_tiles; ++i) {
      // Split evenly, so that no tile is left with a few.
      const int64_t row = rows * i / row_tiles;
      const int64_t row_end = rows * (i + 1) / row_tiles;
      m.a = t.weight + x * t.weight_product + (first + row) * t.weight_row;
      // The next rows come near meanwhile: they may be in memory only.
      m.fetch = m.a + (row_end - row) * t.weight_row;
      m.fetch_row = kCols;
      for (int64_t p = 0; p < n; p += kCols) {
        m.b = t.spread + x * t.spread_product + p;
        m.c = t.sums + (x * rows + row) * n + p;
        run_in_parts(tile_function<T>(row_end - row, kTileVectors), m, part);
      }
    }
  }
}

// A^T m: two rows of the result, or two elements of one.
template <class V>
FE_INLINE void gather(V a, V b, V c, V d, V (&to)[2]) {
  to[0] = a + b + c;
  to[1] = b - c - d;
}

// Both lines of the result of `count` tiles, whose products are `product`
// apart, in whole vectors.
template <class T>
void transform_sums(const T* from, int64_t product, T bias, int64_t count,
                    T* lines, int64_t line) {
  constexpr int kLanes = lanes<T>;
  for (int64_t p = 0; p < count; p += kLanes) {
    Vec<T> columns[4][2];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const T* const m = from + j * product + p;
      gather(load(m), load(m + 4 * product), load(m + 8 * product),
             load(m + 12 * product), columns[j]);
    }
#pragma GCC unroll 2
    for (int k = 0; k < 2; ++k) {
      Vec<T> y[2];
      gather(columns[0][k], columns[1][k], columns[2][k], columns[3][k], y);
      y[0] += bias;
      y[1] += bias;
      T* const to = lines + k * line + 2 * p;
      [&]<int... l>(std::integer_sequence<int, l...>) {
        store(to,
              __builtin_shufflevector(y[0], y[1], (l / 2 + l % 2 * kLanes)...));
        store(to + kLanes,
              __builtin_shufflevector(
                  y[0], y[1], (kLanes / 2 + l / 2 + l % 2 * kLanes)...));
      }(std::make_integer_sequence<int, kLanes>());
    }
  }
}

// What follows on n elements of a channel.
template <class T>
FE_INLINE void finish(const WinogradTiles<T>& t, int64_t channel, T* to,
                      int64_t n) {
  if constexpr (sizeof(T) == sizeof(float)) {
    finish_rows(*t.epilogue, t.channel + channel, 1, to, 0, n);
  }
}

template <class T>
void run_tiles(const WinogradTiles<T>& t) {
  constexpr int64_t kCols = kTileCols<T>;
  const bool finishes = t.epilogue != nullptr;
  alignas(64) T lines[2][2 * kCols];
  const int64_t n = (t.end - t.begin + kCols - 1) / kCols * kCols;
  const int64_t plane = t.height * t.width;
  transform_input(t, n);
  for (int64_t first = t.out_begin; first < t.out_end; first += t.sum_rows) {
    const int64_t rows = least(t.sum_rows, t.out_end - first);
    multiply(t, first, rows, n);
    for (int64_t i = 0; i < rows; ++i) {
      const T bias = t.bias != nullptr ? t.bias[first + i] : T(0);
      for (int64_t p = 0; p < t.end - t.begin; p += kCols) {
        const int64_t begin = t.begin + p;
        const int64_t end = least(begin + kCols, t.end);
        transform_sums(t.sums + i * n + p, rows * n, bias, end - begin,
                       lines[0], 2 * kCols);
        // What is added lies as the result does; all else is done here.
        const bool here = finishes && t.epilogue->addend == nullptr;
        for (int k = 0; here && k < 2; ++k) {
          finish(t, first + i, lines[k], 2 * (end - begin));
        }
        each_part(t, begin, end,
                  [&](int64_t image, int64_t row, int64_t col, int64_t count,
                      int64_t at) {
                    const int64_t width = least(2 * count, t.width - 2 * col);
                    T* to = t.out + image * t.out_image + (first + i) * plane +
                            2 * row * t.width + 2 * col;
                    for (int k = 0; k < 2 && 2 * row + k < t.height; ++k) {
                      const T* const from = &lines[k][2 * at];
                      for (int64_t v = 0; v < width; v += lanes<T>) {
                        store(to + v, load(from + v, width - v), width - v);
                      }
                      if (finishes && !here) finish(t, first + i, to, width);
                      to += t.width;
                    }
                  });
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
