// The register tile: a few rows of A times a few vectors of B, summed over one
// block's depth. For *.simd.cpp.
#pragma once

#include "runtime/core/built.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {

// The largest tile: its sums, a row of B and one element of A fill the
// registers, of which there are 32 or 16. There is a function for each number
// of rows: small builds have fewer of them, where a panel of fewer rows fills
// its vectors. Sums have the same bits.
#if defined(__AVX512F__)
inline constexpr int kFillingRows = 14;
#elif defined(__aarch64__)
inline constexpr int kFillingRows = 12;
#elif defined(__AVX2__)
inline constexpr int kFillingRows = 6;
#else
inline constexpr int kFillingRows = 4;
#endif
inline constexpr int kTileRows = kSmall && lanes<float> == 4 ? 4 : kFillingRows;
inline constexpr int kTileVectors = 2;
template <class T>
inline constexpr int kTileCols = kTileVectors * lanes<T>;

// C is fetched while a tile so deep is summed.
inline constexpr int64_t kFetchDepth = 64;

template <class T>
struct Tile {
  int64_t depth;
  const T* a;
  int64_t a_row;
  int64_t a_col;
  const T* b;  // rows of whole vectors
  int64_t b_row;
  T* c;
  int64_t c_row;
  int64_t cols;       // of C to write
  const T* col_init;  // what sums start with: col_init[j] + row_init[i * step]
  const T* row_init;
  int64_t row_init_step;
  bool add;  // to C, instead of overwriting it
  // What to bring near meanwhile, a row of B's width at each step; by default
  // what is left of B.
  const T* fetch = nullptr;
  int64_t fetch_row = 0;
  // Where B goes as it is read, into rows as wide as the tile, or null. Only
  // tiles of kTileVectors of elements as they are do that.
  T* b_copy = nullptr;
};

template <class T>
[[gnu::noinline]] void store_part(const Tile<T>& t, const T* sums, int rows,
                                  int stride) {
  for (int i = 0; i < rows; ++i) {
    T* c = t.c + i * t.c_row;
    for (int64_t j = 0; j < t.cols; j += lanes<T>) {
      Vec<T> sum = load(sums + i * stride + j);
      if (t.add) sum += load(c + j, t.cols - j);
      store(c + j, sum, t.cols - j);
    }
  }
}

// What a tile adds to its sums.
template <class T>
struct MultiplyAdd {
  FE_INLINE static Vec<T> step(Vec<T> a, Vec<T> b, Vec<T> sum) {
    return fma(a, b, sum);
  }
};

// Rows of A are addressed as three to a pointer, so that the pointers stay in
// registers.
template <class T, int rows, int vectors, class Op = MultiplyAdd<T>>
void run_tile(const Tile<T>& t) {
  constexpr int kLanes = lanes<T>;
  constexpr int kPointers = (rows + 2) / 3;
  const int64_t a_row = t.a_row;
  const int64_t a_col = t.a_col;
  const int64_t b_row = t.b_row;
  const T* a[kPointers];
  Vec<T> sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < kPointers; ++i) a[i] = t.a + 3 * i * a_row;
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
    const Vec<T> start = splat(t.row_init[i * t.row_init_step]);
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      sum[i][v] = start + load(t.col_init + v * kLanes);
    }
  }
  if (t.depth >= kFetchDepth) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        __builtin_prefetch(t.c + i * t.c_row + v * kLanes, 1);
      }
    }
  }
  const T* b = t.b;
  const T* fetch = t.fetch != nullptr ? t.fetch : b + 8 * b_row;
  const int64_t fetch_row = t.fetch != nullptr ? t.fetch_row : b_row;
  const auto sum_up = [&](auto use) {
    for (int64_t k = 0; k < t.depth; ++k) {
      Vec<T> b_k[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) b_k[v] = load(b + v * kLanes);
      use(k, b_k);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const Vec<T> a_ik = splat(a[i / 3][i % 3 * a_row]);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
          sum[i][v] = Op::step(a_ik, b_k[v], sum[i][v]);
        }
      }
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        __builtin_prefetch(fetch + v * kLanes);
      }
      b += b_row;
      fetch += fetch_row;
#pragma GCC unroll 16
      for (int i = 0; i < kPointers; ++i) a[i] += a_col;
    }
  };
  constexpr bool kCopies =
      vectors == kTileVectors && std::is_same_v<Op, MultiplyAdd<T>>;
  if (kCopies && t.b_copy != nullptr) {
    sum_up([&](int64_t k, const Vec<T>(&b_k)[vectors]) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        store(t.b_copy + (k * vectors + v) * kLanes, b_k[v]);
      }
    });
  } else {
    sum_up([](int64_t, const Vec<T>(&)[vectors]) {});
  }
  if (t.cols == vectors * kLanes) {
    // One branch for all sums: stores to C might change `t`, for all the
    // compiler knows.
    const auto each_sum = [&, c_row = t.c_row](T* c, auto visit) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i, c += c_row) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) visit(c + v * kLanes, sum[i][v]);
      }
    };
    if (t.add) {
      each_sum(t.c, [](T* c, Vec<T> s) { store(c, s + load(c)); });
    } else {
      each_sum(t.c, [](T* c, Vec<T> s) { store(c, s); });
    }
  } else {
    alignas(kVectorBytes) T part[rows * vectors * kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        store(part + (i * vectors + v) * kLanes, sum[i][v]);
      }
    }
    store_part(t, part, rows, vectors * kLanes);
  }
}

// The same where the machine multiplies 2 x 2 words at a time, which `Op` then
// has an instruction for: see gemm_tile_pairs.h.
template <class Op>
concept MultipliesPairs = requires { &Op::step_pairs; };
template <class T, int rows, int vectors, class Op>
void run_pair_tile(const Tile<T>& t);

template <class T>
using TileFunction = void (*)(const Tile<T>&);

template <class T, int rows, int vectors, class Op>
constexpr TileFunction<T> tile_of() {
  if constexpr (MultipliesPairs<Op>) {
    return run_pair_tile<T, rows, vectors, Op>;
  } else {
    return run_tile<T, rows, vectors, Op>;
  }
}

// The function of a tile, 1 <= rows <= kTileRows, 1 <= vectors <= kTileVectors.
template <class T, class Op = MultiplyAdd<T>>
TileFunction<T> tile_function(int64_t rows, int64_t vectors) {
  static constexpr auto kFunctions = []<int... i>(
                                         std::integer_sequence<int, i...>) {
    struct {
      TileFunction<T> of[kTileVectors][kTileRows];
    } table{{{tile_of<T, i + 1, 1, Op>()...}, {tile_of<T, i + 1, 2, Op>()...}}};
    return table;
  }(std::make_integer_sequence<int, kTileRows>());
  return kFunctions.of[vectors - 1][rows - 1];
}

// Sums of floats are made in parts (of at most kSumPart products, in general),
// which are added up: the error of a sum in one go grows with the root of its
// length, that of a sum of parts with the roots of a part's length and of their
// number.

// The length of equal parts of at most `most`; the last may be shorter.
FE_INLINE int64_t equal_part(int64_t depth, int64_t most) {
  if (depth <= most) return depth;
  const int64_t count = (depth + most - 1) / most;
  return (depth + count - 1) / count;
}

// Calls part(first, length) for parts of up to `most`, all but the last equal.
// No depth is a part, too: sums of nothing.
template <class Part>
FE_INLINE void in_parts(int64_t depth, int64_t most, const Part& part) {
  const int64_t length = equal_part(depth, most);
  int64_t k = 0;
  do {
    part(k, depth - k < length ? depth - k : length);
    k += length;
  } while (k < depth);
}

// Runs a tile, its sums in parts of `length`.
template <class T>
void run_in_parts(TileFunction<T> run, const Tile<T>& whole, int64_t length) {
  if (!std::is_floating_point_v<T> || whole.depth <= length) {
    return run(whole);
  }
  alignas(kVectorBytes) static constexpr T kZeros[kTileCols<T>] = {};
  Tile<T> t = whole;
  t.depth = length;
  run(t);
  t.col_init = t.row_init = kZeros;
  t.row_init_step = 0;
  t.add = true;
  for (int64_t k = length; k < whole.depth; k += length) {
    t.depth = whole.depth - k < length ? whole.depth - k : length;
    t.a = whole.a + k * whole.a_col;
    t.b = whole.b + k * whole.b_row;
    if (whole.fetch != nullptr) t.fetch = whole.fetch + k * whole.fetch_row;
    if (whole.b_copy != nullptr) t.b_copy = whole.b_copy + k * kTileCols<T>;
    run(t);
  }
}

}  // namespace ferrule::cpu::FE_ISA
