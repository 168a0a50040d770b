// Register tiles of convolution, and the loops over them.
#include "runtime/cpu/conv_tile.h"

#include "runtime/cpu/epilogue.h"
#include "runtime/cpu/gemm_pack.h"
#include "runtime/cpu/gemm_tile.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Rows are split evenly over tiles, so that none is left with a few.
struct RowTiles {
  int64_t rows;
  int64_t most = kTileRows;  // of a tile

  int64_t count() const { return ceil_div(rows, most); }
  int64_t begin(int64_t tile) const {
    return rows / count() * tile + least(tile, rows % count());
  }
};

// ---- Dot products

// Elements of the kernel that are summed up at a time, so that sums do not wait
// for one another.
constexpr int kMostDots = kSmall ? 3 : 9;

template <class T, int count>
void dots_of(const ConvDots<T>& d, int64_t first) {
  Vec<T> sum[count] = {};
  for (int64_t r = 0; r < d.height; ++r) {
    const T* const a = d.a + r * d.pitch;
    const T* const b = d.b + r * d.width;
    // What lies beyond the row is not multiplied, not even by 0: it might be
    // infinite.
    auto step = [&](int64_t j, auto... n) {
      const Vec<T> b_j = load(b + j, n...);
#pragma GCC unroll 9
      for (int k = 0; k < count; ++k) {
        sum[k] = fma(load(a + d.offset[first + k] + j, n...), b_j, sum[k]);
      }
    };
    int64_t j = 0;
    for (; j + lanes<T> <= d.width; j += lanes<T>) step(j);
    if (j < d.width) step(j, d.width - j);
  }
#pragma GCC unroll 9
  for (int k = 0; k < count; ++k) d.c[first + k] += FE_ISA::sum(sum[k]);
}

template <class T>
void dots(const ConvDots<T>& d) {
  static constexpr auto kDots = []<int... i>(std::integer_sequence<int, i...>) {
    struct {
      void (*of[kMostDots])(const ConvDots<T>&, int64_t first);
    } table{{dots_of<T, i + 1>...}};
    return table;
  }(std::make_integer_sequence<int, kMostDots>());
  for (int64_t k = 0; k < d.count; k += kMostDots) {
    kDots.of[least(d.count - k, kMostDots) - 1](d, k);
  }
}

// ---- Product

// Tiles are kTileRows x kTileVectors, but where an odd number of vectors is
// left over: those would be a tile that reads twice as much for each
// multiplication.
constexpr int kWideVectors = 3;
constexpr int kWideRows = kTileRows * kTileVectors / kWideVectors;
// What is summed in one go, see in_parts().
constexpr int64_t kProductPart = 128;
// One row makes up for the others by its length: sums must not wait for one
// another.
constexpr int kRowVectors = 4;
// Positions whose results are still in the first-level cache.
constexpr int64_t kFinishPositions = 128;
// From so many steps on a tile takes as long as fetching what it writes to.
constexpr int64_t kLongDepth = 64;

template <class T>
struct ProductTile {
  int64_t depth = 0;
  const T* a;
  int64_t a_row;
  const T* b;
  const int64_t* offset;
  const T* start;  // of the sums, one for each row, or null: they are added to
  T* out;          // ... what is there
  int64_t out_row;
  const T* fetch;  // what is brought near meanwhile, a line at each step
};

// The sums of `rows` rows at as many positions as `vectors` hold. Both operands
// are read where they lie: what a step needs of A stays in the first-level
// cache until the rows' next elements are needed, and what it needs of B comes
// from the second-level one in time. Rows of A are addressed as three to a
// pointer, so that the pointers stay in registers.
template <class T, int rows, int vectors>
void product_tile(const ProductTile<T>& t) {
  constexpr int kPointers = (rows + 2) / 3;
  const int64_t a_row = t.a_row;
  const int64_t* const offset = t.offset;
  [[maybe_unused]] const T* fetch = t.fetch;
  const T* a[kPointers];
  Vec<T> sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < kPointers; ++i) a[i] = t.a + 3 * i * a_row;
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      sum[i][v] = t.start != nullptr ? splat(t.start[i]) : Vec<T>{};
    }
  }
  for (int64_t k = 0; k < t.depth; ++k) {
    const T* const from = t.b + offset[k];
    Vec<T> b_k[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) b_k[v] = load(from + v * lanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const Vec<T> a_ik = splat(a[i / 3][i % 3 * a_row]);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        sum[i][v] = fma(a_ik, b_k[v], sum[i][v]);
      }
    }
    if constexpr (vectors >= kTileVectors) {
      __builtin_prefetch(fetch, 0, 2);
      fetch += 64 / sizeof(T);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kPointers; ++i) ++a[i];
  }
  // In registers, for stores might change `t`.
  T* out = t.out;
  const int64_t out_row = t.out_row;
  const auto write = [&](auto value) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i, out += out_row) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        T* const to = out + v * lanes<T>;
        store(to, value(to, sum[i][v]));
      }
    }
  };
  if (t.start != nullptr) {
    write([](const T*, Vec<T> x) { return x; });
  } else {
    write([](const T* to, Vec<T> x) { return load(to) + x; });
  }
}

template <class T>
using ProductFunction = void (*)(const ProductTile<T>&);

// Of `vectors` vectors: a function for each number of rows.
template <class T, int vectors, int rows>
const ProductFunction<T>* product_functions() {
  static constexpr auto kTiles =
      []<int... i>(std::integer_sequence<int, i...>) {
        struct {
          ProductFunction<T> of[rows];
        } table{{product_tile<T, i + 1, vectors>...}};
        return table;
      }(std::make_integer_sequence<int, rows>());
  return kTiles.of;
}

template <class T>
ProductFunction<T> product_function(int64_t rows, int64_t vectors) {
  switch (vectors) {
    case 1:
      return product_functions<T, 1, kTileRows>()[rows - 1];
    case kTileVectors:
      return product_functions<T, kTileVectors, kTileRows>()[rows - 1];
    case kWideVectors:
      return product_functions<T, kWideVectors, kWideRows>()[rows - 1];
    default:
      return product_tile<T, 1, kRowVectors>;
  }
}

// Writes positions [p, end) of a tile whose sums, `width` a row, begin at
// position `start`.
template <class T>
void write_tile(const ConvProduct<T>& c, int64_t row, int64_t rows, int64_t p,
                int64_t end, int64_t start, const T* sums, int64_t width) {
  int64_t r = p / c.pitch;
  int64_t j = p - r * c.pitch;
  for (; p < end; ++r, j = 0) {
    const int64_t step = least(c.pitch - j, end - p);
    const int64_t n = least(step, c.cols - j);
    const T* from = sums + (p - start);
    T* to = c.out + row * c.out_plane + r * c.out_row + j * c.out_col;
    for (int64_t i = 0; i < rows && n > 0; ++i) {
      if (c.out_col == 1) {
        for (int64_t v = 0; v < n; v += lanes<T>) {
          store(to + v, load(from + v, n - v), n - v);
        }
      } else {
        for (int64_t v = 0; v < n; ++v) to[v * c.out_col] = from[v];
      }
      from += width;
      to += c.out_plane;
    }
    p += step;
  }
}

// The positions beyond whole vectors, for rows that a tile has just read:
// vectors lie along the depth.
template <class T>
void product_rests(const ConvProduct<T>& c, int64_t row, int64_t rows,
                   const T* start) {
  int64_t offset[kTileRows];
  T sums[kTileRows];
  for (int64_t i = 0; i < rows; ++i) offset[i] = i * c.depth;
  for (int64_t r = 0; r < c.rests; ++r) {
    for (int64_t i = 0; i < rows; ++i) sums[i] = start[i];
    dots(ConvDots<T>{.count = rows,
                     .a = c.a + row * c.depth,
                     .offset = offset,
                     .height = 1,
                     .width = c.depth,
                     .b = c.rest + r * c.depth,
                     .c = sums});
    T* to = c.out + row * c.out_plane + c.end + r;
    for (int64_t i = 0; i < rows; ++i, to += c.out_plane) *to = sums[i];
  }
}

// What follows on n elements of each of so many rows.
template <class T>
FE_INLINE void finish_elements(const ConvProduct<T>& c, int64_t row,
                               int64_t rows, T* to, int64_t n) {
  if constexpr (sizeof(T) == sizeof(float)) {
    finish_rows(*c.epilogue, c.channel + row, rows, to, c.out_plane, n);
  }
}

// What follows on the elements of so many rows that were made for positions
// [begin, end). Their place in the result has no gaps.
template <class T>
void finish(const ConvProduct<T>& c, int64_t row, int64_t rows, int64_t begin,
            int64_t end) {
  // Elements of the result before position p.
  const auto place = [&](int64_t p) {
    return p / c.pitch * c.cols + least(p % c.pitch, c.cols);
  };
  const int64_t rests = end == c.end ? c.rests : 0;
  const int64_t from = place(begin);
  finish_elements(c, row, rows, c.out + row * c.out_plane + from,
                  place(end) - from + rests);
}

// Asks for what `rows` rows of the result, and the addend, hold at positions
// [p, p + width). They may be in another core's cache, which takes longer than
// the tile.
template <class T>
FE_INLINE void fetch_result(const ConvProduct<T>& c, int64_t row, int64_t rows,
                            int64_t p, int64_t width) {
  constexpr int64_t kLine = 64 / sizeof(T);
  const int64_t r = p / c.pitch;
  const T* to = c.out + row * c.out_plane + r * c.out_row + (p - r * c.pitch);
  for (int64_t i = 0; i < rows; ++i, to += c.out_plane) {
    for (int64_t v = 0; v < width; v += kLine) __builtin_prefetch(to + v, 1);
    if constexpr (sizeof(T) == sizeof(float)) {
      if (c.epilogue == nullptr || c.epilogue->addend == nullptr) continue;
      const T* const added = c.epilogue->added + (to - c.epilogue->result);
      for (int64_t v = 0; v < width; v += kLine) __builtin_prefetch(added + v);
    }
  }
}

// All rows at positions [begin, end), in tiles of `vectors` vectors.
template <class T>
void product_tiles(const ConvProduct<T>& c, int64_t begin, int64_t end,
                   int64_t vectors) {
  alignas(64) T sums[kTileRows * kTileCols<T>];
  static_assert(kRowVectors <= kTileRows * kTileVectors);
  T start[kTileRows];
  const int64_t width = vectors * lanes<T>;
  const RowTiles tiles{c.rows, vectors == kWideVectors ? kWideRows : kTileRows};
  for (int64_t t = 0; t < tiles.count(); ++t) {
    const int64_t row = tiles.begin(t);
    const int64_t rows = tiles.begin(t + 1) - row;
    const ProductFunction<T> run = product_function<T>(rows, vectors);
    for (int64_t i = 0; i < rows; ++i) {
      start[i] = c.bias != nullptr ? c.bias[row + i] : T(0);
    }
    ProductTile<T> tile{.a_row = c.depth};
    int64_t done = begin;
    for (int64_t p = begin; p < end; p += width) {
      // A tile starts where as much can be read as it is wide.
      const int64_t at = least(p, c.readable - width);
      const int64_t r = p / c.pitch;
      const int64_t j = p - r * c.pitch;
      // Does it lie within one row of the result?
      const bool whole =
          p + width <= end && j + width <= c.cols && c.out_col == 1;
      tile.b = c.b + at;
      tile.out = whole ? c.out + row * c.out_plane + r * c.out_row + j : sums;
      tile.out_row = whole ? c.out_plane : width;
      if (c.out_col == 1 && c.depth >= kLongDepth) {
        fetch_result(c, row, rows, p, width);
      }
      in_parts(c.depth, kProductPart, [&](int64_t k, int64_t length) {
        tile.depth = length;
        tile.a = c.a + row * c.depth + k;
        tile.offset = c.offset + k;
        tile.start = k == 0 ? start : nullptr;
        tile.fetch = c.a + (row + rows) * c.depth + k * (64 / sizeof(T));
        run(tile);
      });
      if (!whole) {
        write_tile(c, row, rows, p, least(p + width, end), at, sums, width);
      }
      if (c.epilogue == nullptr) continue;
      const int64_t next = p + width;
      if (whole && done == p) {
        // What a tile has just stored needs no wait, and the next tile's
        // multiplications begin meanwhile.
        finish_elements(c, row, rows, tile.out, width);
      } else if (next < end && next - done >= kFinishPositions) {
        finish(c, row, rows, done, next);
      } else {
        continue;
      }
      done = next;
    }
    if (c.rests > 0 && end == c.end) product_rests(c, row, rows, start);
    if (c.epilogue != nullptr && done < end + c.rests) {
      finish(c, row, rows, done, end);
    }
  }
}

// All rows at positions [begin, end).
template <class T>
void product_positions(const ConvProduct<T>& c, int64_t begin, int64_t end) {
  const int64_t count = ceil_div(end - begin, lanes<T>);
  if (c.rows == 1 && c.readable >= kRowVectors * lanes<T>) {
    return product_tiles(c, begin, end, kRowVectors);
  }
  if (count == 1) return product_tiles(c, begin, end, 1);
  const int64_t pairs = count % 2 == 0 ? count : count - kWideVectors;
  const int64_t wide = least(begin + pairs * lanes<T>, end);
  if (begin < wide) product_tiles(c, begin, wide, kTileVectors);
  if (wide < end) product_tiles(c, wide, end, kWideVectors);
}

template <class T>
void product(const ConvProduct<T>& c) {
  if (c.by_rows) {
    for (int64_t p = c.begin; p < c.end; p += c.pitch) {
      product_positions(c, p, p + c.cols);
    }
  } else {
    product_positions(c, c.begin, c.end);
  }
}

template <class T>
void gather(const ConvGather<T>& g) {
  int64_t rest[kMostRests];
  for (int64_t q = 0; q < g.rests; ++q) {
    const int64_t p = g.dense + q;
    rest[q] = p / g.cols * g.pitch + p % g.cols;
  }
  for (int64_t k = 0; k < g.count; ++k) {
    const T* const from = g.from + g.offset[k];
    for (int64_t q = 0; q < g.rests; ++q) {
      g.rest[q * g.rest_row + k] = from[rest[q]];
    }
  }
  if (g.to == nullptr) return;
  // Whole vectors: what lies beyond a row is overwritten by the next one, but
  // for the last, whose next one may be another thread's.
  const auto copy = [&](int64_t k, auto put) {
    const T* from = g.from + g.offset[k];
    T* const to = g.to + k * g.to_row;
    for (int64_t p = 0; p < g.dense; p += g.cols, from += g.pitch) {
      for (int64_t v = p; v < p + g.cols; v += lanes<T>) {
        put(to + v, load(from + v - p), g.dense - v);
      }
    }
  };
  for (int64_t k = 0; k + 1 < g.count; ++k) {
    copy(k, [](T* to, Vec<T> v, int64_t) { store(to, v); });
  }
  copy(g.count - 1, [](T* to, Vec<T> v, int64_t n) {
    if (n > 0) store(to, v, n);
  });
}

// ---- Outer product

// Rows of the gradient that a tile sums up at a time, so that they stay near.
constexpr int64_t kOuterPositions = 512;

// Rows [row, row + rows) of c, columns [col, col + vectors), for the positions
// of rows [r, r_end) of the plane.
template <class T, int rows, int vectors>
void outer_tile(const ConvOuter<T>& o, int64_t row, int64_t col, int64_t r,
                int64_t r_end, bool add) {
  Vec<T> sum[rows][vectors];
  T* const c = o.c + row * o.cols + col;
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      sum[i][v] = add ? load(c + i * o.cols + v * lanes<T>) : Vec<T>{};
    }
  }
  const T* b = o.b + r * o.width * o.cols + col;
  for (; r < r_end; ++r) {
    const T* a[rows];
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      a[i] = o.a + o.offset[row + i] + r * o.pitch;
    }
    for (int64_t j = 0; j < o.width; ++j) {
      Vec<T> b_j[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) b_j[v] = load(b + v * lanes<T>);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const Vec<T> a_ij = splat(a[i][j]);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
          sum[i][v] = fma(a_ij, b_j[v], sum[i][v]);
        }
      }
      b += o.cols;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      store(c + i * o.cols + v * lanes<T>, sum[i][v]);
    }
  }
}

template <class T>
using OuterTile = void (*)(const ConvOuter<T>&, int64_t row, int64_t col,
                           int64_t r, int64_t r_end, bool add);

template <class T>
OuterTile<T> outer_tile_of(int64_t rows, int64_t vectors) {
  static constexpr auto kTiles =
      []<int... i>(std::integer_sequence<int, i...>) {
        struct {
          OuterTile<T> of[kTileVectors][kTileRows];
        } table{{{outer_tile<T, i + 1, 1>...}, {outer_tile<T, i + 1, 2>...}}};
        return table;
      }(std::make_integer_sequence<int, kTileRows>());
  return kTiles.of[vectors - 1][rows - 1];
}

template <class T>
void outer(const ConvOuter<T>& o) {
  const RowTiles tiles{o.rows};
  const int64_t block = kOuterPositions / o.width + 1;
  for (int64_t r = 0; r < o.height; r += block) {
    const int64_t r_end = least(r + block, o.height);
    for (int64_t col = 0; col < o.cols; col += kTileCols<T>) {
      const int64_t vectors = least(o.cols - col, kTileCols<T>) / lanes<T>;
      for (int64_t t = 0; t < tiles.count(); ++t) {
        const int64_t row = tiles.begin(t);
        outer_tile_of<T>(tiles.begin(t + 1) - row, vectors)(
            o, row, col, r, r_end, o.add || r > 0);
      }
    }
  }
}

// ---- Transposition

template <class T>
void transpose_rows(const ConvTranspose<T>& t) {
  constexpr int64_t kLanes = lanes<T>;
  const int64_t to_rows =
      t.pad ? ceil_div(t.rows, kMostLanes) * kMostLanes : t.rows;
  for (int64_t j = 0; j < t.cols; j += kLanes) {
    for (int64_t i = 0; i < to_rows; i += kLanes) {
      Vec<T> block[kLanes] = {};
      for (int64_t k = 0; k < kLanes && i + k < t.rows; ++k) {
        block[k] = load(t.from + (i + k) * t.from_row + j, t.cols - j);
      }
      transpose(block);
      for (int64_t k = 0; k < kLanes && j + k < t.cols; ++k) {
        store(t.to + (j + k) * t.to_row + i, block[k], to_rows - i);
      }
    }
  }
}

}  // namespace

void conv_product_f32(const ConvProduct<float>& p) { product(p); }
void conv_product_f64(const ConvProduct<double>& p) { product(p); }
void conv_gather_f32(const ConvGather<float>& g) { gather(g); }
void conv_gather_f64(const ConvGather<double>& g) { gather(g); }
void conv_outer_f32(const ConvOuter<float>& p) { outer(p); }
void conv_outer_f64(const ConvOuter<double>& p) { outer(p); }
void conv_dots_f32(const ConvDots<float>& p) { dots(p); }
void conv_dots_f64(const ConvDots<double>& p) { dots(p); }
void conv_transpose_f32(const ConvTranspose<float>& t) { transpose_rows(t); }
void conv_transpose_f64(const ConvTranspose<double>& t) { transpose_rows(t); }

}  // namespace ferrule::cpu::FE_ISA
