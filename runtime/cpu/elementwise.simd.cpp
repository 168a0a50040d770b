// The arithmetic of elementwise ops on dense tiles.
#include "runtime/cpu/elementwise.h"

#include "runtime/cpu/simd.h"
#include "runtime/cpu/stream.h"
#include "runtime/cpu/vecmath.h"

namespace ferrule::cpu::FE_ISA {
namespace {

constexpr int64_t kBlock = 64;

// How a loop over a tile is written.
enum class Loop {
  compact,      // one body, for functions of many instructions
  fast,         // one for whole vectors and one for the rest
  past_caches,  // for whole lines; see Tile
};

// out[i] = f(a[i], b[i]...)
template <Loop loop, class T, class F, class... B>
FE_INLINE void map(T* out, int64_t n, F f, const T* a, const B*... b) {
  int64_t i = 0;
  if constexpr (loop == Loop::past_caches) {
    for (; i < n; i += lanes<T>) {
      __builtin_prefetch(a + i + kFetchAhead / sizeof(T));
      stream(out + i, f(load(a + i), load(b + i)...));
    }
    return;
  }
  if constexpr (loop == Loop::fast) {
    for (; i + lanes<T> <= n; i += lanes<T>) {
      store(out + i, f(load(a + i), load(b + i)...));
    }
  }
  for (; i < n; i += lanes<T>) {
    store(out + i, f(load(a + i, n - i), load(b + i, n - i)...), n - i);
  }
}

template <class V>
constexpr bool is_floating = std::is_floating_point_v<Element<V>>;

// Integers wrap: they are computed unsigned.
template <class V>
FE_INLINE auto wrapping(V v) {
  if constexpr (is_floating<V>) {
    return v;
  } else {
    return bits<Vec<uint64_t>>(v);
  }
}

FE_INLINE F32 normal_cdf(F32 x) {
  return (quick_erf(x * 0.70710678118654752440f) + 1.0f) * 0.5f;
}

FE_INLINE F64 normal_cdf(F64 x) {
  return (erf(x * 0.70710678118654752440) + 1.0) * 0.5;
}

// The tanh approximation of GELU: x (1 + tanh(inner)) / 2.
template <class V>
FE_INLINE V gelu_inner(V x) {
  using T = Element<V>;
  return T(0.79788456080286535588) * (x + T(0.044715) * (x * x * x));
}

template <Unary op, class V>
FE_INLINE V unary(V x) {
  using T = Element<V>;
  using enum Unary;
  if constexpr (op == neg) {
    if constexpr (is_floating<V>)
      return -x;
    else
      return bits<V>(-wrapping(x));
  } else if constexpr (op == abs) {
    if constexpr (is_floating<V>)
      return FE_ISA::abs(x);
    else
      return x < 0 ? bits<V>(-wrapping(x)) : x;
  } else if constexpr (op == sign) {
    const V one = splat<T>(1);
    const V s = x > 0 ? one : (x < 0 ? -one : V{});
    return x == x ? s : x;
  } else if constexpr (op == relu) {
    return x < 0 ? V{} : x;  // keeps NaN
  } else if constexpr (op == square) {
    return bits<V>(wrapping(x) * wrapping(x));
  } else if constexpr (op == floor) {
    return round_to<Rounding::down>(x);
  } else if constexpr (op == ceil) {
    return round_to<Rounding::up>(x);
  } else if constexpr (op == trunc) {
    return round_to<Rounding::to_zero>(x);
  } else if constexpr (op == round) {
    return round_to<Rounding::to_even>(x);
  } else if constexpr (op == reciprocal) {
    return T(1) / x;
  } else if constexpr (op == rsqrt) {
    return T(1) / FE_ISA::sqrt(x);
  } else if constexpr (op == exp) {
    return FE_ISA::exp(x);
  } else if constexpr (op == log) {
    return FE_ISA::log(x);
  } else if constexpr (op == sqrt) {
    return FE_ISA::sqrt(x);
  } else if constexpr (op == sigmoid) {
    return FE_ISA::sigmoid(x);
  } else if constexpr (op == tanh) {
    return FE_ISA::tanh(x);
  } else if constexpr (op == erf) {
    return FE_ISA::erf(x);
  } else if constexpr (op == sin) {
    return FE_ISA::sin(x);
  } else if constexpr (op == cos) {
    return FE_ISA::cos(x);
  } else if constexpr (op == gelu) {
    return x * normal_cdf(x);
  } else {
    static_assert(op == gelu_tanh);
    return T(0.5) * x * (FE_ISA::tanh(gelu_inner(x)) + T(1));
  }
}

// The derivative of GELU.
template <class V>
FE_INLINE V gelu_slope(V x) {
  using T = Element<V>;
  const V density = exp(x * x * T(-0.5)) * T(0.39894228040143267794);
  // Where the density is 0 so is the product, at infinity too.
  const V spread = density == T(0) ? V{} : x * density;
  return normal_cdf(x) + spread;
}

template <class V>
FE_INLINE V gelu_tanh_slope(V x) {
  using T = Element<V>;
  const V t = tanh(gelu_inner(x));
  const V inner_slope =
      T(0.79788456080286535588) * (T(3 * 0.044715) * (x * x) + T(1));
  const V slope = T(1) - t * t;
  const V spread = slope == T(0) ? V{} : x * slope * inner_slope;
  return T(0.5) * (t + T(1) + spread);
}

template <Binary op, class V>
FE_INLINE V binary(V a, V b) {
  using T = Element<V>;
  using enum Binary;
  if constexpr (op == add) {
    return bits<V>(wrapping(a) + wrapping(b));
  } else if constexpr (op == sub) {
    return bits<V>(wrapping(a) - wrapping(b));
  } else if constexpr (op == mul) {
    return bits<V>(wrapping(a) * wrapping(b));
  } else if constexpr (op == div) {
    return a / b;
  } else if constexpr (op == pow) {
    return FE_ISA::pow(a, b);
  } else if constexpr (op == maximum) {
    return max(a, b);
  } else if constexpr (op == minimum) {
    return min(a, b);
  } else if constexpr (op == relu_backward) {  // gradient, result
    return b <= T(0) ? V{} : a;
  } else if constexpr (op == sigmoid_backward) {
    return a * ((T(1) - b) * b);
  } else if constexpr (op == tanh_backward) {
    return a * (T(1) - b * b);
  } else if constexpr (op == gelu_backward) {  // gradient, input
    return a * gelu_slope(b);
  } else {
    static_assert(op == gelu_tanh_backward);
    return a * gelu_tanh_slope(b);
  }
}

constexpr bool is_cheap(Unary op) { return op < Unary::exp; }
constexpr bool is_cheap(Binary op) { return op < Binary::pow; }

template <Loop loop, Unary op, class T>
void unary_loop(void* out, const void* const* in, int64_t n) {
  map<loop>(
      static_cast<T*>(out), n, [](Vec<T> x) { return unary<op>(x); },
      static_cast<const T*>(in[0]));
}

template <Loop loop, Binary op, class T>
void binary_loop(void* out, const void* const* in, int64_t n) {
  map<loop>(
      static_cast<T*>(out), n,
      [](Vec<T> a, Vec<T> b) { return binary<op>(a, b); },
      static_cast<const T*>(in[0]), static_cast<const T*>(in[1]));
}

// Only float has loops that write past the caches, and not in small builds.
template <class T>
constexpr bool kWritesPastCaches = std::is_same_v<T, float> && !kSmall;

template <Unary op, class T>
Tile unary_loops() {
  constexpr Loop kLoop = is_cheap(op) ? Loop::fast : Loop::compact;
  if constexpr (!kWritesPastCaches<T>) return unary_loop<kLoop, op, T>;
  return {unary_loop<kLoop, op, T>, unary_loop<Loop::past_caches, op, T>};
}

template <Binary op, class T>
Tile binary_loops() {
  constexpr Loop kLoop = is_cheap(op) ? Loop::fast : Loop::compact;
  if constexpr (!kWritesPastCaches<T>) return binary_loop<kLoop, op, T>;
  return {binary_loop<kLoop, op, T>, binary_loop<Loop::past_caches, op, T>};
}

// Masks of whole lanes (0 or -1) and bools, a block at a time.
template <class M>
[[gnu::noinline]] void to_bools(uint8_t* out, const M* mask, int64_t n) {
  uint8_t bytes[kBlock];
#pragma GCC unroll 1
  for (int64_t k = 0; k < kBlock; ++k) bytes[k] = mask[k] & 1;
  std::memcpy(out, bytes, n);
}

template <class M>
[[gnu::noinline]] void from_bools(M* mask, const uint8_t* in, int64_t n) {
  uint8_t bytes[kBlock] = {};
  std::memcpy(bytes, in, n);
#pragma GCC unroll 1
  for (int64_t k = 0; k < kBlock; ++k) mask[k] = bytes[k];
}

template <Binary op, class V>
FE_INLINE Mask<V> compare(V a, V b) {
  using enum Binary;
  if constexpr (op == eq) return a == b;
  if constexpr (op == ne) return a != b;
  if constexpr (op == lt) return a < b;
  if constexpr (op == le) return a <= b;
  if constexpr (op == abs_eq) return FE_ISA::abs(a) == b;
  if constexpr (op == abs_lt) return FE_ISA::abs(a) < b;
}

template <Binary op, class T>
void compare_loop(void* out, const void* const* in, int64_t n) {
  using M = Element<Mask<Vec<T>>>;
  const auto* a = static_cast<const T*>(in[0]);
  const auto* b = static_cast<const T*>(in[1]);
  alignas(64) M mask[kBlock] = {};
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t length = n - i < kBlock ? n - i : kBlock;
#pragma GCC unroll 1
    for (int64_t k = 0; k < length; k += lanes<T>) {
      const int64_t left = length - k;
      store(mask + k,
            compare<op>(load(a + i + k, left), load(b + i + k, left)));
    }
    to_bools(static_cast<uint8_t*>(out) + i, mask, length);
  }
}

// By squaring. A negative exponent is reported by the caller; here it counts
// as its reciprocal's whole part.
int64_t integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0;
  }
  uint64_t power = 1;
  uint64_t square = static_cast<uint64_t>(base);
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) power *= square;
    square *= square;
  }
  return static_cast<int64_t>(power);
}

[[maybe_unused]] void integer_power_loop(void* out, const void* const* in,
                                         int64_t n) {
  auto* o = static_cast<int64_t*>(out);
  const auto* a = static_cast<const int64_t*>(in[0]);
  const auto* b = static_cast<const int64_t*>(in[1]);
  for (int64_t i = 0; i < n; ++i) o[i] = integer_power(a[i], b[i]);
}

template <class T>
void where_loop(void* out, const void* const* in, int64_t n) {
  auto* o = static_cast<T*>(out);
  const auto* a = static_cast<const T*>(in[1]);
  const auto* b = static_cast<const T*>(in[2]);
  alignas(64) T mask[kBlock];
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t length = n - i < kBlock ? n - i : kBlock;
    from_bools(mask, static_cast<const uint8_t*>(in[0]) + i, length);
#pragma GCC unroll 1
    for (int64_t k = 0; k < length; k += lanes<T>) {
      const int64_t left = length - k;
      const Vec<T> yes = load(a + i + k, left);
      const Vec<T> no = load(b + i + k, left);
      store(o + i + k, load(mask + k) != 0 ? yes : no, left);
    }
  }
}

template <class T>
void clamp_loop(void* out, const void* const* in, int64_t n) {
  auto* o = static_cast<T*>(out);
  const T* p[3];
  for (int k = 0; k < 3; ++k) p[k] = static_cast<const T*>(in[k]);
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const int64_t left = n - i;
    const Vec<T> raised = max(load(p[0] + i, left), load(p[1] + i, left));
    store(o + i, min(raised, load(p[2] + i, left)), left);
  }
}

template <class T>
void normalize_loop(void* out, const void* const* in, int64_t n) {
  auto* o = static_cast<T*>(out);
  const T* p[4];
  for (int k = 0; k < 4; ++k) p[k] = static_cast<const T*>(in[k]);
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const int64_t left = n - i;
    const auto centred = load(p[0] + i, left) - load(p[1] + i, left);
    store(o + i, centred * load(p[2] + i, left) + load(p[3] + i, left), left);
  }
}

template <class T>
void normalize_backward_loop(void* out, const void* const* in, int64_t n) {
  auto* o = static_cast<T*>(out);
  const T* p[6];
  for (int k = 0; k < 6; ++k) p[k] = static_cast<const T*>(in[k]);
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const int64_t left = n - i;
    const auto centred = load(p[1] + i, left) - load(p[2] + i, left);
    const auto slope = load(p[0] + i, left) * load(p[5] + i, left);
    const auto rest = slope - load(p[3] + i, left);
    store(o + i, rest - centred * load(p[4] + i, left), left);
  }
}

template <class T>
Tile find_unary(Unary op) {
  using enum Unary;
  switch (op) {
    case neg:
      return unary_loops<neg, T>();
    case abs:
      return unary_loops<abs, T>();
    case sign:
      return unary_loops<sign, T>();
    case relu:
      return unary_loops<relu, T>();
    case square:
      return unary_loops<square, T>();
    default:
      break;
  }
  if constexpr (std::is_floating_point_v<T>) {
    switch (op) {
      case floor:
        return unary_loops<floor, T>();
      case ceil:
        return unary_loops<ceil, T>();
      case trunc:
        return unary_loops<trunc, T>();
      case round:
        return unary_loops<round, T>();
      case reciprocal:
        return unary_loops<reciprocal, T>();
      case rsqrt:
        return unary_loops<rsqrt, T>();
      case exp:
        return unary_loops<exp, T>();
      case log:
        return unary_loops<log, T>();
      case sqrt:
        return unary_loops<sqrt, T>();
      case sigmoid:
        return unary_loops<sigmoid, T>();
      case tanh:
        return unary_loops<tanh, T>();
      case erf:
        return unary_loops<erf, T>();
      case sin:
        return unary_loops<sin, T>();
      case cos:
        return unary_loops<cos, T>();
      case gelu:
        return unary_loops<gelu, T>();
      case gelu_tanh:
        return unary_loops<gelu_tanh, T>();
      default:
        break;
    }
  }
  return nullptr;
}

template <class T>
Tile find_binary(Binary op) {
  using enum Binary;
  switch (op) {
    case add:
      return binary_loops<add, T>();
    case sub:
      return binary_loops<sub, T>();
    case mul:
      return binary_loops<mul, T>();
    case maximum:
      return binary_loops<maximum, T>();
    case minimum:
      return binary_loops<minimum, T>();
    case eq:
      return compare_loop<eq, T>;
    case ne:
      return compare_loop<ne, T>;
    case lt:
      return compare_loop<lt, T>;
    case le:
      return compare_loop<le, T>;
    default:
      break;
  }
  if constexpr (std::is_floating_point_v<T>) {
    switch (op) {
      case abs_eq:
        return compare_loop<abs_eq, T>;
      case abs_lt:
        return compare_loop<abs_lt, T>;
      case pow:
        return binary_loops<pow, T>();
      case div:
        return binary_loops<div, T>();
      case relu_backward:
        return binary_loops<relu_backward, T>();
      case sigmoid_backward:
        return binary_loops<sigmoid_backward, T>();
      case tanh_backward:
        return binary_loops<tanh_backward, T>();
      case gelu_backward:
        return binary_loops<gelu_backward, T>();
      case gelu_tanh_backward:
        return binary_loops<gelu_tanh_backward, T>();
      default:
        break;
    }
  } else if (op == pow) {
    return integer_power_loop;
  }
  return nullptr;
}

}  // namespace

Tile unary_tile(Unary op, DType t) {
  return by_number(t, [op]<class T>(T) { return find_unary<T>(op); });
}

Tile binary_tile(Binary op, DType t) {
  return by_number(t, [op]<class T>(T) { return find_binary<T>(op); });
}

TileFn where_tile(int64_t itemsize) {
  return itemsize == 4 ? where_loop<int32_t> : where_loop<int64_t>;
}

TileFn clamp_tile(DType t) {
  return by_number(t, []<class T>(T) -> TileFn { return clamp_loop<T>; });
}

TileFn normalize_tile(DType t) {
  return by_float(t, []<class T>(T) -> TileFn { return normalize_loop<T>; });
}

TileFn normalize_backward_tile(DType t) {
  return by_float(
      t, []<class T>(T) -> TileFn { return normalize_backward_loop<T>; });
}

}  // namespace ferrule::cpu::FE_ISA
