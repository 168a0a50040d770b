// The arithmetic of activations on dense tiles.
#include "runtime/cpu/activation.h"

#include <cmath>
#include <utility>

#include "runtime/cpu/simd.h"
#include "runtime/cpu/vecmath.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// exp(x) - 1 without cancellation. With x = n ln 2 + r it is
// 2^n (exp(r) - 1) + (2^n - 1); half of it is computed, so that the largest
// power is a number.
FE_INLINE F32 expm1(F32 x) {
  x = clamp(x, -20.0f, kExpMost);  // below, the result is -1
  const F32 n = round_small(x * 1.44269504088896341f);
  F32 r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  const F32 p =
      polynomial(r, 1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f);
  const F32 half_power = scale_by(splat(0.5f), n);
  const F32 half = fma(half_power, fma(p, r * r, r), half_power - 0.5f);
  return half + half;
}

// log(1 + e) for e in [0, 1]: the logarithm of the rounded sum u, corrected by
// what rounding lost, (1 + e - u) / u.
FE_INLINE F32 log1p_small(F32 e) {
  const F32 u = e + 1.0f;
  return log(u) + (e - (u - 1.0f)) / u;
}

FE_INLINE F64 expm1(F64 x) {
  return each_lane(x, [](double v) { return std::expm1(v); });
}

FE_INLINE F64 log1p_small(F64 e) {
  return each_lane(e, [](double v) { return std::log1p(v); });
}

// log(1 + exp(x)), which is max(x, 0) + log(1 + exp(-|x|)).
template <class V>
FE_INLINE V log1p_exp(V x) {
  return larger(V{}, x) + log1p_small(exp_negative(-abs(x)));
}

// With e = exp(x), tanh(log(1 + e)) is n / (n + 2) for n = e (e + 2), and its
// derivative 4 e (1 + e) / (n + 2)^2. Above 20 it is 1 in any dtype.
template <class V>
struct MishParts {
  V x, e, n;
  FE_INLINE explicit MishParts(V at)
      : x(smaller(splat<Element<V>, width<V>>(20), at)),
        e(exp(x)),
        n(e * (e + Element<V>(2))) {}
  FE_INLINE V gate() const { return n / (n + Element<V>(2)); }
  FE_INLINE V slope() const {
    using T = Element<V>;
    const V d = n + T(2);
    return T(4) * e * (e + T(1)) / (d * d);
  }
};

struct LeakyRelu {
  template <class V>
  FE_INLINE V operator()(V x, V slope) const {
    return x > 0 ? x : x * slope;
  }
};
struct LeakyReluBackward {
  template <class V>
  FE_INLINE V operator()(V g, V x, V slope) const {
    return x > 0 ? g : g * slope;
  }
};
struct HardtanhBackward {
  template <class V>
  FE_INLINE V operator()(V g, V x, V min, V max) const {
    return (x <= min) | (x >= max) ? V{} : g;
  }
};
struct Hardsigmoid {
  template <class V>
  FE_INLINE V operator()(V x) const {
    using T = Element<V>;
    return clamp(x + T(3), T(0), T(6)) / T(6);
  }
};
struct HardsigmoidBackward {
  template <class V>
  FE_INLINE V operator()(V g, V x) const {
    using T = Element<V>;
    return (x <= T(-3)) | (x >= T(3)) ? V{} : g / T(6);
  }
};
struct Hardswish {
  template <class V>
  FE_INLINE V operator()(V x) const {
    using T = Element<V>;
    return x * clamp(x + T(3), T(0), T(6)) / T(6);
  }
};
struct HardswishBackward {
  template <class V>
  FE_INLINE V operator()(V g, V x) const {
    using T = Element<V>;
    const V inside = g * (x / T(3) + T(0.5));
    return x <= T(-3) ? V{} : (x >= T(3) ? g : inside);
  }
};
struct Silu {
  template <class V>
  FE_INLINE V operator()(V x) const {
    return x * sigmoid(x);
  }
};
struct SiluBackward {
  template <class V>
  FE_INLINE V operator()(V g, V x) const {
    using T = Element<V>;
    const V s = sigmoid(x);
    return g * (s * (x * (T(1) - s) + T(1)));
  }
};
struct Mish {
  template <class V>
  FE_INLINE V operator()(V x) const {
    return x * MishParts<V>(x).gate();
  }
};
struct MishBackward {
  template <class V>
  FE_INLINE V operator()(V g, V x) const {
    const MishParts<V> m(x);
    return g * (m.x * m.slope() + m.gate());
  }
};
struct ScaledElu {
  template <class V>
  FE_INLINE V operator()(V x, V alpha, V scale, V input_scale) const {
    const V below = alpha * scale * expm1(x * input_scale);
    return x > 0 ? x * scale : below;
  }
};
struct ScaledEluBackward {
  template <class V>
  FE_INLINE V operator()(V g, V x, V alpha, V scale, V input_scale) const {
    const V below = alpha * scale * input_scale * exp(x * input_scale);
    return g * (x > 0 ? scale : below);
  }
};
struct Softplus {
  template <class V>
  FE_INLINE V operator()(V x, V beta, V threshold) const {
    const V z = x * beta;
    return z > threshold ? x : log1p_exp(z) / beta;
  }
};
struct SoftplusBackward {
  template <class V>
  FE_INLINE V operator()(V g, V x, V beta, V threshold) const {
    const V z = x * beta;
    return z > threshold ? g : g * sigmoid(z);
  }
};

template <class T, class F, size_t... k>
FE_INLINE void map(void* out, const void* const* in, int64_t n,
                   std::index_sequence<k...>) {
  T* o = static_cast<T*>(out);
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const int64_t left = n - i;
    store(o + i, F{}(load(static_cast<const T*>(in[k]) + i, left)...), left);
  }
}

template <class F, class T, size_t inputs>
void loop(void* out, const void* const* in, int64_t n) {
  map<T, F>(out, in, n, std::make_index_sequence<inputs>());
}

template <class T>
TileFn find(Activation op) {
  using enum Activation;
  switch (op) {
    case leaky_relu:
      return loop<LeakyRelu, T, 2>;
    case leaky_relu_backward:
      return loop<LeakyReluBackward, T, 3>;
    case hardtanh_backward:
      return loop<HardtanhBackward, T, 4>;
    case hardsigmoid:
      return loop<Hardsigmoid, T, 1>;
    case hardsigmoid_backward:
      return loop<HardsigmoidBackward, T, 2>;
    case hardswish:
      return loop<Hardswish, T, 1>;
    case hardswish_backward:
      return loop<HardswishBackward, T, 2>;
    case silu:
      return loop<Silu, T, 1>;
    case silu_backward:
      return loop<SiluBackward, T, 2>;
    case mish:
      return loop<Mish, T, 1>;
    case mish_backward:
      return loop<MishBackward, T, 2>;
    case scaled_elu:
      return loop<ScaledElu, T, 4>;
    case scaled_elu_backward:
      return loop<ScaledEluBackward, T, 5>;
    case softplus:
      return loop<Softplus, T, 3>;
    case softplus_backward:
      return loop<SoftplusBackward, T, 4>;
  }
  return nullptr;
}

}  // namespace

TileFn activation_tile(Activation op, DType t) {
  return by_float(t, [op]<class T>(T) { return find<T>(op); });
}

}  // namespace ferrule::cpu::FE_ISA
