// Matrix products with few rows of A, as fast as B is read: dot products, and
// streams.
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/gemm_pack.h"
#include "runtime/cpu/gemm_plan.h"
#include "runtime/cpu/gemm_tile.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// Multiply-adds worth a visit to another thread where memory sets the pace.
constexpr int64_t kFewWork = 1 << 17;

// ---- Dot products: for few rows of A where the columns of B are dense

constexpr int kDotRows = kTileRows >= 12 ? 4 : 2;
constexpr int kDotCols = 4;

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
template <class T, int rows, int cols>
FE_INLINE void run_dot(int64_t depth, const T* a, int64_t a_row, const T* b,
                       int64_t b_col, T (&out)[rows * cols]) {
  Vec<T> sum[rows * cols] = {};
  auto step = [&](int64_t k, auto... n) {
    Vec<T> a_k[rows];
#pragma GCC unroll 4
    for (int i = 0; i < rows; ++i) a_k[i] = load(a + i * a_row + k, n...);
#pragma GCC unroll 4
    for (int j = 0; j < cols; ++j) {
      const Vec<T> b_k = load(b + j * b_col + k, n...);
#pragma GCC unroll 4
      for (int i = 0; i < rows; ++i) {
        sum[i * cols + j] = fma(a_k[i], b_k, sum[i * cols + j]);
      }
    }
  };
  int64_t k = 0;
  for (; k + lanes<T> <= depth; k += lanes<T>) step(k);
  if (k < depth) step(k, depth - k);
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
template <class T, int rows, int cols>
void dot_tile(const Gemm<T>& g, int64_t i, int64_t j) {
  T sums[rows * cols];
  run_dot<T, rows, cols>(g.k, g.a.data + i * g.a.row, g.a.row,
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

template <class T, int cols>
void dot_columns(const Gemm<T>& g, int64_t j) {
  int64_t i = 0;
  for (; i + kDotRows <= g.m; i += kDotRows)
    dot_tile<T, kDotRows, cols>(g, i, j);
  for (; i < g.m; ++i) dot_tile<T, 1, cols>(g, i, j);
}

// `packed`: room for a copy of A whose rows share no cache lines, or null.
template <class T>
void dot(Gemm<T> g, T* packed) {
  if (packed != nullptr) {
    const int64_t row = padded_row(g.k);
    for (int64_t i = 0; i < g.m; ++i) {
      pack_row(g.a.data + i * g.a.row, g.k, packed + i * row);
    }
    g.a = {packed, row, 1};
  }
  const int64_t work = most(1, g.m * g.k * kDotCols);
  const int64_t grain = kDotCols * most(1, kFewWork / work);
  parallel_for(g.n, grain, [&](int64_t begin, int64_t end) {
    int64_t j = begin;
    for (; j + kDotCols <= end; j += kDotCols) dot_columns<T, kDotCols>(g, j);
    for (; j < end; ++j) dot_columns<T, 1>(g, j);
  });
}

// ---- Streams: B passes by once, a few rows at a time, while a stretch of C
// stays in the first-level cache

constexpr int64_t kStreamCols = 1024;
constexpr int kStreamDepth = 4;

// The first `rows` rows of C += `depth` columns of A times rows of B.
template <class T, int rows, int depth>
void add_rows(const Gemm<T>& g, int64_t k, int64_t from, int64_t cols) {
  const T* b = g.b.data + k * g.b.row + from;
  T* c = g.c + from;
  const int64_t b_row = g.b.row;
  const int64_t c_row = g.c_row;
  Vec<T> a[rows][depth];
#pragma GCC unroll 4
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int d = 0; d < depth; ++d) {
      a[i][d] = splat(g.a.data[i * g.a.row + (k + d) * g.a.col]);
    }
  }
  auto step = [&](int64_t j, auto... n) {
    Vec<T> b_k[depth];
#pragma GCC unroll 4
    for (int d = 0; d < depth; ++d) {
      b_k[d] = load(b + d * b_row + j, n...);
      __builtin_prefetch(b + (d + depth) * b_row + j);
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; ++i) {
      Vec<T> sum = load(c + i * c_row + j, n...);
#pragma GCC unroll 4
      for (int d = 0; d < depth; ++d) sum = fma(a[i][d], b_k[d], sum);
      store(c + i * c_row + j, sum, n...);
    }
  };
  int64_t j = 0;
  for (; j + lanes<T> <= cols; j += lanes<T>) step(j);
  if (j < cols) step(j, cols - j);
}

template <class T, int rows>
void stream_columns(const Gemm<T>& g, int64_t from, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i) {
    const T start = g.row_bias != nullptr ? g.row_bias[i] : T(0);
    T* c = g.c + i * g.c_row + from;
    for (int64_t j = 0; j < cols; ++j) {
      const T sum =
          start + (g.col_bias != nullptr ? g.col_bias[from + j] : T(0));
      c[j] = g.accumulate ? c[j] + sum : sum;
    }
  }
  int64_t k = 0;
  for (; k + kStreamDepth <= g.k; k += kStreamDepth) {
    add_rows<T, rows, kStreamDepth>(g, k, from, cols);
  }
  for (; k < g.k; ++k) add_rows<T, rows, 1>(g, k, from, cols);
}

// At most 4 rows.
template <class T>
void stream(const Gemm<T>& g) {
  const auto run = g.m == 1   ? stream_columns<T, 1>
                   : g.m == 2 ? stream_columns<T, 2>
                   : g.m == 3 ? stream_columns<T, 3>
                              : stream_columns<T, 4>;
  // Short stretches would not be streams.
  const int64_t cols = g.n >= 4 * kStreamCols ? kStreamCols : kStreamCols / 2;
  parallel_for(g.n, cols, [&](int64_t from, int64_t to) {
    for (int64_t j = from; j < to; j += cols) run(g, j, least(to - j, cols));
  });
}

}  // namespace

void gemm_dot(const Gemm<float>& g, float* packed) { dot(g, packed); }
void gemm_dot(const Gemm<double>& g, double* packed) { dot(g, packed); }

void gemm_stream(const Gemm<float>& g) { stream(g); }
void gemm_stream(const Gemm<double>& g) { stream(g); }

}  // namespace ferrule::cpu::FE_ISA
