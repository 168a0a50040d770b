// Folding dense tiles: a run into one value, or rows into a row.
#include "runtime/cpu/reduce.h"

#include <limits>

#include "runtime/cpu/reduce_tree.h"
#include "runtime/cpu/simd.h"

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
  FE_INLINE V operator()(V a, V b) const {
    using T = Element<V>;
    if constexpr (fold == Fold::max) {
      return FE_ISA::max(a, b);
    } else if constexpr (fold == Fold::min) {
      return FE_ISA::min(a, b);
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
  for (int64_t r = 0; r < runs; ++r) {
    Vec<T> centre{};
    if constexpr (centred<fold>) {
      centre = splat<T>(static_cast<const T*>(in.centre)[r]);
    }
    static_cast<T*>(out)[r] = reduce_run<T>(
        n, neutral<fold, T>(), Combine<fold>{}, [&](int64_t i, int64_t left) {
          const T* other = fold == Fold::product ? b + i : nullptr;
          return element<fold, T>(a + i, other, centre, left);
        });
    a += n;
    if constexpr (fold == Fold::product) b += n;
  }
}

template <Fold fold, class T>
void rows_loop(void* out, const FoldInput& in, int64_t rows, int64_t n) {
  T* o = static_cast<T*>(out);
  const auto row = [](const void* p, int64_t offset) {
    return reinterpret_cast<const T*>(static_cast<const char*>(p) + offset);
  };
  for (int64_t j = 0; j < n; j += lanes<T>) {
    const int64_t left = n - j;
    Vec<T> sum = load(o + j, left);
    Vec<T> centre{};
    if constexpr (centred<fold>) {
      centre = load(static_cast<const T*>(in.centre) + j, left);
    }
    for (int64_t r = 0; r < rows; ++r) {
      const T* a = row(in.a, r * in.a_step) + j;
      const T* b = nullptr;
      if constexpr (fold == Fold::product) b = row(in.b, r * in.b_step) + j;
      sum = Combine<fold>{}(sum, element<fold, T>(a, b, centre, left));
    }
    store(o + j, sum, left);
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
  if (t == DType::f32) return find_run<float>(fold);
  return t == DType::f64 ? find_run<double>(fold) : find_run<int64_t>(fold);
}

FoldRowsFn fold_rows(Fold fold, DType t) {
  if (t == DType::f32) return find_rows<float>(fold);
  return t == DType::f64 ? find_rows<double>(fold) : find_rows<int64_t>(fold);
}

int64_t find_first(const void* in, const void* value, int64_t n, DType t) {
  if (t == DType::f32) return find_loop<float>(in, value, n);
  return t == DType::f64 ? find_loop<double>(in, value, n)
                         : find_loop<int64_t>(in, value, n);
}

}  // namespace ferrule::cpu::FE_ISA
