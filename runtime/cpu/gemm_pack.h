// Copies blocks of A and B into the order that register tiles read them in. For
// *.simd.cpp.
#pragma once

#include "runtime/cpu/gemm_kinds.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {

// lanes x lanes elements, transposed by repeated interleaving of the first half
// of the rows with the second.
template <class V>
FE_INLINE void transpose(V (&rows)[width<V>]) {
  constexpr int kWidth = width<V>;
#pragma GCC unroll 4
  for (int stage = 1; stage < kWidth; stage *= 2) {
    V next[kWidth];
#pragma GCC unroll 16
    for (int i = 0; i < kWidth / 2; ++i) {
      constexpr int kHalf = kWidth / 2;
      next[2 * i] = in_turn<0>(rows[i], rows[i + kHalf]);
      next[2 * i + 1] = in_turn<kHalf>(rows[i], rows[i + kHalf]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) rows[i] = next[i];
  }
}

// to[k * to_row + j] = from[k + j * from_col], for j < cols, k < depth; zeros
// up to the full vector. `cols` is at most a vector's.
template <class T>
[[gnu::noinline]] void pack_transposed(const T* from, int64_t from_col,
                                       int64_t depth, int64_t cols, T* to,
                                       int64_t to_row) {
  constexpr int kLanes = lanes<T>;
  for (int64_t k = 0; k < depth; k += kLanes) {
    const int64_t left = depth - k;
    Vec<T> rows[kLanes];
    if (cols >= kLanes && left >= kLanes) {
#pragma GCC unroll 16
      for (int j = 0; j < kLanes; ++j) rows[j] = load(from + j * from_col + k);
    } else {
      for (int64_t j = 0; j < kLanes; ++j) {
        rows[j] = j < cols ? load(from + j * from_col + k, left) : Vec<T>{};
      }
    }
    transpose(rows);
    if (left >= kLanes) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(to + (k + i) * to_row, rows[i]);
    } else {
      for (int64_t i = 0; i < left; ++i) store(to + (k + i) * to_row, rows[i]);
    }
  }
}

// depth x cols of a matrix into rows of `width` elements, zeros beyond `cols`.
// `width` is whole vectors. Dense rows are fetched `ahead` elements ahead, or
// eight rows.
template <class T>
[[gnu::noinline]] void pack_panel(const T* from, int64_t row, int64_t col,
                                  int64_t depth, int64_t cols, T* to,
                                  int64_t width, int64_t ahead = 0) {
  if (col == 1) {
    if (ahead == 0) ahead = 8 * row;
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t j = 0; j < width; j += lanes<T>) {
        const int64_t left = cols > j ? cols - j : 0;
        __builtin_prefetch(from + k * row + j + ahead);
        store(to + k * width + j, load(from + k * row + j, left));
      }
    }
  } else if (row == 1) {
    for (int64_t j = 0; j < width; j += lanes<T>) {
      pack_transposed(from + j * col, col, depth, cols - j, to + j, width);
    }
  } else {
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t j = 0; j < width; ++j) {
        to[k * width + j] = j < cols ? from[k * row + j * col] : T(0);
      }
    }
  }
}

// c[j * c_col + i] = from[i * from_row + j], or += if `add`, for i < rows and
// j < cols. All of `from`, whole vectors, can be read.
template <class T>
[[gnu::noinline]] void store_transposed(const T* from, int64_t from_row,
                                        int64_t rows, int64_t cols, T* c,
                                        int64_t c_col, bool add) {
  constexpr int kLanes = lanes<T>;
  for (int64_t i = 0; i < rows; i += kLanes) {
    for (int64_t j = 0; j < cols; j += kLanes) {
      Vec<T> v[kLanes] = {};
      for (int64_t r = 0; r < kLanes && i + r < rows; ++r) {
        v[r] = load(from + (i + r) * from_row + j);
      }
      transpose(v);
      for (int64_t r = 0; r < kLanes && j + r < cols; ++r) {
        T* to = c + (j + r) * c_col + i;
        store(to, add ? v[r] + load(to, rows - i) : v[r], rows - i);
      }
    }
  }
}

// ---- Words of elements of S, see gemm_kinds.h. Words that are not full have
// zeros.

template <class T, class S>
constexpr int64_t words_of(int64_t depth) {
  constexpr int64_t kGroup = Kind<T, S>::group;
  return (depth + kGroup - 1) / kGroup;
}

// A row of A: whole vectors.
template <class T, class S>
[[gnu::noinline]] void pack_words_of_row(const S* from, int64_t depth, T* to) {
  using K = Kind<T, S>;
  constexpr int kStep = lanes<T> * K::group;
  for (int64_t k = 0; k < depth; k += kStep, to += lanes<T>) {
    store(to, K::for_a(K::load(from + k, depth - k)));
  }
}

// As pack_panel(), of A or B. A vector of words more follows if they have an
// offset: what it adds to the sums.
template <class T, class S>
[[gnu::noinline]] void pack_words(const S* from, int64_t row, int64_t col,
                                  int64_t depth, int64_t cols, T* to,
                                  int64_t width, bool of_a) {
  using K = Kind<T, S>;
  constexpr int kLanes = lanes<T>;
  constexpr int64_t kGroup = K::group;
  const int64_t words = words_of<T, S>(depth);
  for (int64_t j = 0; j < width; j += kLanes) {
    const S* const f = from + j * col;
    const int64_t n = cols - j < kLanes ? cols - j : kLanes;
    Vec<T> sum{};
    const auto put = [&](int64_t w, Vec<T> v) {
      if constexpr (K::offset) {
        if (!of_a) sum = K::step(splat(T(0x01010101)), v, sum);
      }
      store(to + w * width + j, of_a ? K::for_a(v) : v);
    };
    if (n <= 0) {
      for (int64_t w = 0; w < words; ++w) put(w, Vec<T>{});
    } else if (row == 1 && col != 1) {
      for (int64_t w = 0; w < words; w += kLanes) {
        Vec<T> v[kLanes] = {};
        for (int64_t i = 0; i < n; ++i) {
          v[i] = K::load(f + i * col + w * kGroup, depth - w * kGroup);
        }
        transpose(v);
        for (int64_t i = 0; i < kLanes && w + i < words; ++i) put(w + i, v[i]);
      }
    } else if (col == 1) {
      for (int64_t w = 0; w < words; ++w) {
        __builtin_prefetch(f + (w * kGroup + 8) * row);
        put(w, K::rows(f + w * kGroup * row, row, depth - w * kGroup, n));
      }
    } else {
      for (int64_t w = 0; w < words; ++w) {
        S dense[kGroup * kLanes] = {};
        const int64_t left = depth - w * kGroup;
        for (int64_t k = 0; k < kGroup && k < left; ++k) {
          for (int64_t i = 0; i < n; ++i) {
            dense[k * kLanes + i] = f[(w * kGroup + k) * row + i * col];
          }
        }
        put(w, K::rows(dense, kLanes, left, n));
      }
    }
    if constexpr (K::offset) {
      if (!of_a) store(to + words * width + j, sum * T(-128));
    }
  }
}

// A panel of B, as pack_words() does it, of dense rows of `kTileCols` elements.
// Those of the next panel come near meanwhile.
template <class T, class S>
[[gnu::noinline]] void pack_full_words(const S* from, int64_t row,
                                       int64_t depth, T* to) {
  using K = Kind<T, S>;
  Vec<T> sum[kTileVectors] = {};
  const auto put = [&](int v, Vec<T> words) {
    if constexpr (K::offset) {
      sum[v] = K::step(splat(T(0x01010101)), words, sum[v]);
    }
    store(to + v * lanes<T>, words);
  };
  int64_t k = 0;
  for (; k + K::group <= depth; k += K::group, to += kTileCols<T>) {
    Vec<T> words[kTileVectors];
    K::full_rows(from + k * row, row, words);
    for (int i = 0; i < K::group; ++i) {
      __builtin_prefetch(from + (k + i) * row + kTileCols<T>);
    }
    for (int v = 0; v < kTileVectors; ++v) put(v, words[v]);
  }
  if (k < depth) {
    for (int v = 0; v < kTileVectors; ++v) {
      put(v, K::rows(from + k * row + v * lanes<T>, row, depth - k, lanes<T>));
    }
    to += kTileCols<T>;
  }
  if constexpr (K::offset) {
    for (int v = 0; v < kTileVectors; ++v) {
      store(to + v * lanes<T>, sum[v] * T(-128));
    }
  }
}

// n elements, as they are.
template <class T>
[[gnu::noinline]] void pack_row(const T* from, int64_t n, T* to) {
  for (int64_t i = 0; i < n; i += lanes<T>) {
    store(to + i, load(from + i, n - i), n - i);
  }
}

}  // namespace ferrule::cpu::FE_ISA
