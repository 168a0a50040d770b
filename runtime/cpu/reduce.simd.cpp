// Folding dense tiles: a run into one value, or rows into a row.
#include "runtime/cpu/reduce.h"

#include <limits>

#include "runtime/cpu/reduce_tree.h"
#include "runtime/cpu/simd.h"
#include "runtime/cpu/stream.h"

namespace ferrule::cpu::FE_ISA {
namespace {

template <Fold fold, class T>
constexpr T neutral() {
  using Limits = std::numeric_limits<T>;
  if constexpr (fold == Fold::max) {
    return std::is_floating_point_v<T> ? -Limits::infinity() : Limits::min();
  } else if constexpr (fold == Fold::min) {
    return std::is_floating_point_v<T> ? Limits::infinity() : Limits::max();
  } else {
    return T(0);
  }
}

template <Fold fold>
struct Combine {
  template <class V>
  FE_INLINE V operator()(V a, V b) const {  // a: what was folded so far
    using T = Element<V>;
    if constexpr (fold == Fold::max) {
      return FE_ISA::max(b, a);
    } else if constexpr (fold == Fold::min) {
      return FE_ISA::min(b, a);
    } else if constexpr (std::is_integral_v<T>) {  // wraps
      using U = Vec<uint64_t, width<V>>;
      return bits<V>(bits<U>(a) + bits<U>(b));
    } else {
      return a + b;
    }
  }
};

// The element that goes into the fold.
template <Fold fold, class T>
FE_INLINE Vec<T> element(const T* a, const T* b, Vec<T> centre, int64_t left) {
  const Vec<T> x = load(a, left);
  if constexpr (fold == Fold::square) {
    const Vec<T> d = x - centre;
    return d * d;
  } else if constexpr (fold == Fold::product) {
    return x * (load(b, left) - centre);
  } else {
    return x;
  }
}

template <Fold fold>
constexpr bool centred = fold == Fold::square || fold == Fold::product;

template <Fold fold, class T>
void run_loop(void* out, const FoldInput& in, int64_t runs, int64_t n) {
  const T* a = static_cast<const T*>(in.a);
  const T* b = static_cast<const T*>(in.b);
  const int64_t ahead = in.from_memory ? kFetchAhead / sizeof(T) : 0;
  for (int64_t r = 0; r < runs; ++r) {
    Vec<T> centre{};
    if constexpr (centred<fold>) {
      centre = splat<T>(static_cast<const T*>(in.centre)[r]);
    }
    static_cast<T*>(out)[r] = reduce_run<T>(
        n, neutral<fold, T>(), Combine<fold>{}, [&](int64_t i, int64_t left) {
          __builtin_prefetch(a + i + ahead);
          const T* other = fold == Fold::product ? b + i : nullptr;
          return element<fold, T>(a + i, other, centre, left);
        });
    a += n;
    if constexpr (fold == Fold::product) b += n;
  }
}

// out[j] folded with `rows` rows, whose elements at j stand a_step apart; the
// order of the rows is that of memory whatever `rows` is.
template <Fold fold, int rows, class T>
FE_INLINE void fold_some_rows(T* out, const char* a, const char* b,
                              const FoldInput& in, int64_t n) {
  const auto at = [](const char* p, int64_t offset) {
    return reinterpret_cast<const T*>(p + offset);
  };
  [[maybe_unused]] const int64_t ahead =
      in.from_memory ? kFetchAhead / sizeof(T) : 0;
  const auto folded = [&](Vec<T> sum, int64_t j, int64_t left) {
    Vec<T> centre{};
    if constexpr (centred<fold>) {
      centre = load(static_cast<const T*>(in.centre) + j, left);
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
      const T* x = at(a, r * in.a_step) + j;
      const T* y = x;  // not read where there is no second operand
      if constexpr (fold == Fold::product) y = at(b, r * in.b_step) + j;
      if constexpr (rows == 1) __builtin_prefetch(x + ahead);
      sum = Combine<fold>{}(sum, element<fold, T>(x, y, centre, left));
    }
    return sum;
  };
  int64_t j = 0;
  for (; j + lanes<T> <= n; j += lanes<T>) {
    store(out + j, folded(load(out + j), j, lanes<T>));
  }
  if (j < n) store(out + j, folded(load(out + j), j, n - j));
}

// A few rows at a time: `out`, which stays in the cache, is read and written
// once for all of them.
template <Fold fold, class T>
void rows_loop(void* out, const FoldInput& in, int64_t rows, int64_t n) {
  constexpr int kAtOnce = 4;
  T* o = static_cast<T*>(out);
  const char* a = static_cast<const char*>(in.a);
  const char* b =
      fold == Fold::product ? static_cast<const char*>(in.b) : nullptr;
  int64_t r = 0;
  for (; r + kAtOnce <= rows && !in.from_memory; r += kAtOnce) {
    fold_some_rows<fold, kAtOnce>(o, a, b, in, n);
    a += kAtOnce * in.a_step;
    if (b) b += kAtOnce * in.b_step;
  }
  for (; r < rows; ++r) {
    fold_some_rows<fold, 1>(o, a, b, in, n);
    a += in.a_step;
    if (b) b += in.b_step;
  }
}

template <class T>
int64_t find_loop(const void* in, const void* value, int64_t n) {
  const T* x = static_cast<const T*>(in);
  const T wanted = *static_cast<const T*>(value);
  const Vec<T> all = splat<T>(wanted);
  const bool nan = wanted != wanted;
  int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) {
    const Vec<T> v = load(x + i);
    if (any(nan ? v != v : v == all)) break;
  }
  for (; i < n; ++i) {
    if (nan ? x[i] != x[i] : x[i] == wanted) break;
  }
  return i;
}

template <class T>
FoldRunFn find_run(Fold fold) {
  using enum Fold;
  if constexpr (std::is_floating_point_v<T>) {
    if (fold == square) return run_loop<square, T>;
    if (fold == product) return run_loop<product, T>;
  }
  return fold == max   ? run_loop<max, T>
         : fold == min ? run_loop<min, T>
                       : run_loop<sum, T>;
}

template <class T>
FoldRowsFn find_rows(Fold fold) {
  using enum Fold;
  if constexpr (std::is_floating_point_v<T>) {
    if (fold == square) return rows_loop<square, T>;
    if (fold == product) return rows_loop<product, T>;
  }
  return fold == max   ? rows_loop<max, T>
         : fold == min ? rows_loop<min, T>
                       : rows_loop<sum, T>;
}

}  // namespace

FoldRunFn fold_run(Fold fold, DType t) {
  return by_number(t, [fold]<class T>(T) { return find_run<T>(fold); });
}

FoldRunFn sum_run(DType t) {
  return by_number(
      t, []<class T>(T) -> FoldRunFn { return run_loop<Fold::sum, T>; });
}

FoldRowsFn fold_rows(Fold fold, DType t) {
  return by_number(t, [fold]<class T>(T) { return find_rows<T>(fold); });
}

int64_t find_first(const void* in, const void* value, int64_t n, DType t) {
  return by_number(t, [&]<class T>(T) { return find_loop<T>(in, value, n); });
}

}  // namespace ferrule::cpu::FE_ISA
