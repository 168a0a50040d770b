// Matrix products with few rows of A, as fast as B is read: dot products, and
// streams. For *.simd.cpp.
#pragma once

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/gemm_pack.h"
#include "runtime/cpu/gemm_plan.h"
#include "runtime/cpu/gemm_tile.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
// Multiply-adds worth a visit to another thread where memory sets the pace.
inline constexpr int64_t kFewWork = 1 << 17;

// ---- Dot products: for few rows of A where the columns of B are dense

inline constexpr int kDotRows = kSmall ? 1 : kTileRows >= 12 ? 4 : 2;
inline constexpr int kDotCols = 4;

// Vectors of the sums of two vectors, which hold `group` sums each: lane i of
// either belongs to sum i % group.
template <int group, class V>
FE_INLINE V join_sums(V a, V b) {
  constexpr int kWidth = width<V>;
  const auto half = [&]<int... i>(int, std::integer_sequence<int, i...>,
                                  auto at) {
    constexpr int kFrom = decltype(at)::value;
    return __builtin_shufflevector(
        a, b,
        (kFrom + i / (2 * group) * group + i % group +
         (i % (2 * group) < group ? 0 : kWidth))...);
  };
  constexpr auto kLanes = std::make_integer_sequence<int, kWidth>();
  return half(0, kLanes, std::integral_constant<int, 0>()) +
         half(0, kLanes, std::integral_constant<int, kWidth / 2>());
}

// The sums of `count` vectors: lane i belongs to v[i % count].
template <int count, class V>
FE_INLINE V sum_each(const V* v) {
  if constexpr (count == 1) {
    return v[0];
  } else {
    constexpr int kHalf = count / 2;
    return join_sums<kHalf>(sum_each<kHalf>(v), sum_each<kHalf>(v + kHalf));
  }
}

// C[rows, cols] = sum over k of A[i, k] B[k, j], both with stride 1 along k,
// plus the biases.
template <class T, class S, int rows, int cols>
FE_INLINE void run_dot(int64_t depth, const S* a, int64_t a_row, const S* b,
                       int64_t b_col, T (&out)[rows * cols]) {
  using K = Kind<T, S>;
  constexpr int kStep = lanes<T> * K::group;
  Vec<T> sum[rows * cols] = {};
  [[maybe_unused]] Vec<T> b_sum[cols] = {};
  auto step = [&](int64_t k, auto... n) {
    Vec<T> a_k[rows];
#pragma GCC unroll 4
    for (int i = 0; i < rows; ++i) {
      a_k[i] = K::for_a(K::load(a + i * a_row + k, n...));
    }
#pragma GCC unroll 4
    for (int j = 0; j < cols; ++j) {
      const Vec<T> b_k = K::load(b + j * b_col + k, n...);
      if constexpr (K::offset) {
        b_sum[j] = K::step(splat(T(0x01010101)), b_k, b_sum[j]);
      }
#pragma GCC unroll 4
      for (int i = 0; i < rows; ++i) {
        sum[i * cols + j] = K::step(a_k[i], b_k, sum[i * cols + j]);
      }
    }
  };
  int64_t k = 0;
  for (; k + kStep <= depth; k += kStep) step(k);
  if (k < depth) step(k, depth - k);
  if constexpr (K::offset) {
#pragma GCC unroll 16
    for (int i = 0; i < rows * cols; ++i) sum[i] -= b_sum[i % cols] * T(128);
  }
  if constexpr (rows * cols % lanes<T> == 0) {
#pragma GCC unroll 8
    for (int i = 0; i < rows * cols; i += lanes<T>) {
      store(out + i, sum_each<lanes<T>>(sum + i));
    }
  } else {
    for (int i = 0; i < rows * cols; ++i) out[i] = FE_ISA::sum(sum[i]);
  }
}

// Columns [j, j + cols) of C, rows of it from i on.
template <class T, class S, int rows, int cols>
void dot_tile(const Gemm<T, S>& g, int64_t i, int64_t j) {
  T sums[rows * cols];
  run_dot<T, S, rows, cols>(g.k, g.a.data + i * g.a.row, g.a.row,
                            g.b.data + j * g.b.col, g.b.col, sums);
  for (int r = 0; r < rows; ++r) {
    T* c = g.c + (i + r) * g.c_row + j;
    for (int s = 0; s < cols; ++s) {
      T sum = sums[r * cols + s];
      if (g.col_bias != nullptr) sum += g.col_bias[j + s];
      if (g.row_bias != nullptr) sum += g.row_bias[i + r];
      c[s] = g.accumulate ? c[s] + sum : sum;
    }
  }
}

template <class T, class S, int cols>
void dot_columns(const Gemm<T, S>& g, int64_t j) {
  int64_t i = 0;
  for (; i + kDotRows <= g.m; i += kDotRows)
    dot_tile<T, S, kDotRows, cols>(g, i, j);
  for (; i < g.m; ++i) dot_tile<T, S, 1, cols>(g, i, j);
}

// `packed`: room for a copy of A whose rows share no cache lines, or null.
template <class T, class S>
void dot(Gemm<T, S> g, S* packed) {
  if (packed != nullptr) {
    const int64_t row = padded_row(g.k);
    for (int64_t i = 0; i < g.m; ++i) {
      __builtin_memcpy(packed + i * row, g.a.data + i * g.a.row,
                       static_cast<size_t>(g.k) * sizeof(S));
    }
    g.a = {packed, row, 1};
  }
  const int64_t work = most(1, g.m * g.k * kDotCols);
  const int64_t grain = kDotCols * most(1, kFewWork / work);
  parallel_for(g.n, grain, [&](int64_t begin, int64_t end) {
    int64_t j = begin;
    for (; j + kDotCols <= end; j += kDotCols)
      dot_columns<T, S, kDotCols>(g, j);
    for (; j < end; ++j) dot_columns<T, S, 1>(g, j);
  });
}

// ---- Streams: B passes by once, a few rows at a time, while a stretch of C
// stays in the first-level cache

template <class T>
inline constexpr int64_t kStreamCols = 4096 / static_cast<int64_t>(sizeof(T));
inline constexpr int kStreamDepth = 4;

// Sums of `cols` columns. They are apart from C, whose rows may share cache
// lines with one another and with those of B.
template <class T, int rows>
struct StreamSums {
  alignas(64) T at[rows][kStreamCols<T> + 16];
};

// sums += `depth` columns of A times rows of B. The next rows are fetched, but
// not into the first-level cache, where they might drive these out.
template <class T, class S, int rows, int depth>
void add_rows(const Gemm<T, S>& g, int64_t k, int64_t from, int64_t cols,
              StreamSums<T, rows>& sums) {
  const S* b = g.b.data + k * g.b.row + from;
  const int64_t b_row = g.b.row;
  Vec<T> a[rows][depth];
#pragma GCC unroll 4
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int d = 0; d < depth; ++d) {
      a[i][d] = splat<T>(widened(g.a.data[i * g.a.row + (k + d) * g.a.col]));
    }
  }
  auto step = [&](int64_t j, auto... n) {
    Vec<T> b_k[depth];
#pragma GCC unroll 4
    for (int d = 0; d < depth; ++d) {
      b_k[d] = widened(b + d * b_row + j, n...);
      __builtin_prefetch(b + (d + depth) * b_row + j, 0, 2);
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; ++i) {
      Vec<T> sum = load(sums.at[i] + j);
#pragma GCC unroll 4
      for (int d = 0; d < depth; ++d) sum = fma(a[i][d], b_k[d], sum);
      store(sums.at[i] + j, sum);
    }
  };
  int64_t j = 0;
  for (; j + lanes<T> <= cols; j += lanes<T>) step(j);
  if (j < cols) step(j, cols - j);
}

template <class T, class S, int rows>
void stream_columns(const Gemm<T, S>& g, int64_t from, int64_t cols) {
  StreamSums<T, rows> sums;
  for (int64_t i = 0; i < rows; ++i) {
    const T start = g.row_bias != nullptr ? g.row_bias[i] : T(0);
    for (int64_t j = 0; j < cols; ++j) {
      sums.at[i][j] =
          start + (g.col_bias != nullptr ? g.col_bias[from + j] : T(0));
    }
  }
  int64_t k = 0;
  for (; k + kStreamDepth <= g.k; k += kStreamDepth) {
    add_rows<T, S, rows, kStreamDepth>(g, k, from, cols, sums);
  }
  for (; k < g.k; ++k) add_rows<T, S, rows, 1>(g, k, from, cols, sums);
  for (int64_t i = 0; i < rows; ++i) {
    T* c = g.c + i * g.c_row + from;
    for (int64_t j = 0; j < cols; ++j) {
      c[j] = g.accumulate ? c[j] + sums.at[i][j] : sums.at[i][j];
    }
  }
}

// At most 4 rows; in small builds one after the other.
template <class T, class S>
void stream_rows(const Gemm<T, S>& g, int64_t from, int64_t cols) {
  if constexpr (kSmall) {
    Gemm<T, S> row = g;
    for (int64_t i = 0; i < g.m; ++i) {
      row.a.data = g.a.data + i * g.a.row;
      row.c = g.c + i * g.c_row;
      if (g.row_bias != nullptr) row.row_bias = g.row_bias + i;
      stream_columns<T, S, 1>(row, from, cols);
    }
  } else {
    const auto run = g.m == 1   ? stream_columns<T, S, 1>
                     : g.m == 2 ? stream_columns<T, S, 2>
                     : g.m == 3 ? stream_columns<T, S, 3>
                                : stream_columns<T, S, 4>;
    run(g, from, cols);
  }
}

template <class T, class S>
void stream(const Gemm<T, S>& g) {
  // Short stretches would not be streams.
  constexpr int64_t kMost = kStreamCols<T>;
  const int64_t cols = g.n >= 4 * kMost ? kMost : kMost / 2;
  parallel_for(g.n, cols, [&](int64_t from, int64_t to) {
    for (int64_t j = from; j < to; j += cols) {
      stream_rows(g, j, least(to - j, cols));
    }
  });
}

}  // namespace ferrule::cpu::FE_ISA
