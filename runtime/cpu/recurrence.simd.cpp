// Steps of recurrent layers, in vectors.
#include "runtime/cpu/recurrence.h"

#include "runtime/cpu/arithmetic.h"
#include "runtime/cpu/simd.h"
#include "runtime/cpu/vecmath.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// The gates' functions in float: shorter than those of vecmath.h, within 4 ULP.
// With the general ones a third of a step's time went into functions.

// e^x for x clamped to where neither it nor its inverse leaves the range. The
// coefficients are the best ones of degree 5 on [-log(2) / 2, log(2) / 2] with
// p(0) = 1.
FE_INLINE F32 exp_clamped(F32 x) {
  x = clamp(x, -87.0f, 87.0f);
  const F32 shifted = fma(x, splat(1.44269504088896341f), splat(0x1.8p23f));
  const F32 n = shifted - 0x1.8p23f;
  F32 r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  const F32 p =
      polynomial(r, 8.2902294747e-3f, 4.1898390099e-2f, 1.6667640063e-1f,
                 4.9999146149e-1f, 9.9999970544e-1f, 1.0f);
  return p * bits<F32>((bits<I32>(shifted) << 23) + 0x3f800000);
}

FE_INLINE F32 sigmoid_gate(F32 x) { return 1.0f / (1.0f + exp_clamped(-x)); }

FE_INLINE F32 tanh_gate(F32 x) {
  const F32 t = abs(x);
  const F32 z = x * x;
  const F32 p =
      polynomial(z, -5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f,
                 1.33314422036e-1f, -3.33332819422e-1f);
  const F32 large = 1.0f - 2.0f / (exp_clamped(t + t) + 1.0f);
  return t < 0.625f ? fma(p * z, x, x) : copysign(large, x);
}

FE_INLINE F64 sigmoid_gate(F64 x) { return sigmoid(x); }
FE_INLINE F64 tanh_gate(F64 x) { return tanh(x); }

// One row's elements, a vector at a time; `tail` of them end within the vector,
// past which loads are zeros.
template <class T, bool tail>
struct Lane {
  int64_t i, left;
  FE_INLINE Vec<T> of(const T* p) const {
    if constexpr (tail) {
      return load(p + i, left);
    } else {
      return load(p + i);
    }
  }
  FE_INLINE void put(T* p, Vec<T> v) const {
    if constexpr (tail) {
      store(p + i, v, left);
    } else {
      store(p + i, v);
    }
  }
  // Zero where there is no tensor.
  FE_INLINE Vec<T> maybe(const T* p) const { return p ? of(p) : Vec<T>{}; }
};

// Calls what row(r) gives for every vector of row r.
template <class T, class Row>
FE_INLINE void each_row(int64_t rows, int64_t cols, Row row) {
  for (int64_t r = 0; r < rows; ++r) {
    auto body = row(r);
    int64_t i = 0;
    for (; i + lanes<T> <= cols; i += lanes<T>) body(Lane<T, false>{i, 0});
    if (i < cols) body(Lane<T, true>{i, cols - i});
  }
}

// The start of row r, of `width` elements; null stays null.
template <class T>
FE_INLINE T* row_of(void* p, int64_t r, int64_t width) {
  return p ? static_cast<T*>(p) + r * width : nullptr;
}
template <class T>
FE_INLINE const T* row_of(const void* p, int64_t r, int64_t width) {
  return p ? static_cast<const T*>(p) + r * width : nullptr;
}
template <class T>
FE_INLINE const T* gate(const T* p, int k, int64_t n) {
  return p ? p + k * n : nullptr;
}

template <class T>
void lstm(const StepBlock& b) {
  const int64_t n = b.hidden;
  each_row<T>(b.rows, b.cols, [&](int64_t r) {
    const T* x = row_of<T>(b.x, r, 4 * n);
    const T* share = row_of<T>(b.share, r, 4 * kStepCols);
    const T* prev = row_of<T>(b.prev, r, n);
    T* gates = row_of<T>(b.gates, r, 4 * n);
    T* cells = row_of<T>(b.cells, r, n);
    T* out = row_of<T>(b.out, r, n);
    return [=](const auto& l) {
      const auto sum = [&](int k) {
        return l.of(x + k * n) + l.of(share + k * kStepCols);
      };
      const Vec<T> i = sigmoid_gate(sum(0));
      const Vec<T> f = sigmoid_gate(sum(1));
      const Vec<T> g = tanh_gate(sum(2));
      const Vec<T> o = sigmoid_gate(sum(3));
      const Vec<T> c = fma(f, l.of(prev), i * g);
      l.put(gates, i);
      l.put(gates + n, f);
      l.put(gates + 2 * n, g);
      l.put(gates + 3 * n, o);
      l.put(cells, c);
      l.put(out, o * tanh_gate(c));
    };
  });
}

template <class T>
void gru(const StepBlock& b) {
  const int64_t n = b.hidden;
  each_row<T>(b.rows, b.cols, [&](int64_t r) {
    const T* x = row_of<T>(b.x, r, 3 * n);
    const T* share = row_of<T>(b.share, r, 3 * kStepCols);
    const T* prev = row_of<T>(b.prev, r, n);
    T* gates = row_of<T>(b.gates, r, 4 * n);
    T* out = row_of<T>(b.out, r, n);
    return [=](const auto& l) {
      const Vec<T> reset = sigmoid_gate(l.of(x) + l.of(share));
      const Vec<T> z = sigmoid_gate(l.of(x + n) + l.of(share + kStepCols));
      const Vec<T> last = l.of(share + 2 * kStepCols);
      const Vec<T> g = tanh_gate(fma(reset, last, l.of(x + 2 * n)));
      l.put(gates, reset);
      l.put(gates + n, z);
      l.put(gates + 2 * n, g);
      l.put(gates + 3 * n, last);
      l.put(out, fma(z, l.of(prev) - g, g));
    };
  });
}

template <class T, bool is_tanh>
void simple(const StepBlock& b) {
  const int64_t n = b.hidden;
  each_row<T>(b.rows, b.cols, [&](int64_t r) {
    const T* x = row_of<T>(b.x, r, n);
    const T* share = row_of<T>(b.share, r, kStepCols);
    T* out = row_of<T>(b.out, r, n);
    return [=](const auto& l) {
      const Vec<T> s = l.of(x) + l.of(share);
      if constexpr (is_tanh) {
        l.put(out, tanh_gate(s));
      } else {
        l.put(out, s < T(0) ? Vec<T>{} : s);  // a NaN stays
      }
    };
  });
}

template <class T>
void lstm_grad(const StepGradBlock& b) {
  const int64_t n = b.hidden;
  each_row<T>(b.rows, b.cols, [&](int64_t r) {
    const T* out_grad = row_of<T>(b.out_grad, r, n);
    const T* cells_grad = row_of<T>(b.cells_grad, r, n);
    const T* gates_grad = row_of<T>(b.gates_grad, r, 4 * n);
    const T* gates = row_of<T>(b.gates, r, 4 * n);
    const T* prev = row_of<T>(b.prev, r, n);
    const T* cells = row_of<T>(b.cells, r, n);
    const T* dh_next = row_of<T>(b.dh, r, n);
    T* dc_next = row_of<T>(b.dc, r, n);
    T* to = row_of<T>(b.input_grad, r, 4 * n);
    return [=](const auto& l) {
      const Vec<T> i = l.of(gates);
      const Vec<T> f = l.of(gates + n);
      const Vec<T> g = l.of(gates + 2 * n);
      const Vec<T> o = l.of(gates + 3 * n);
      const Vec<T> y = tanh_gate(l.of(cells));
      const Vec<T> dh = l.of(dh_next) + l.maybe(out_grad);
      const Vec<T> dc =
          fma(dh * o, T(1) - y * y, l.of(dc_next)) + l.maybe(cells_grad);
      const Vec<T> di = dc * g + l.maybe(gate(gates_grad, 0, n));
      const Vec<T> df = dc * l.of(prev) + l.maybe(gate(gates_grad, 1, n));
      const Vec<T> dg = dc * i + l.maybe(gate(gates_grad, 2, n));
      const Vec<T> d_o = dh * y + l.maybe(gate(gates_grad, 3, n));
      l.put(to, di * (i * (T(1) - i)));
      l.put(to + n, df * (f * (T(1) - f)));
      l.put(to + 2 * n, dg * (T(1) - g * g));
      l.put(to + 3 * n, d_o * (o * (T(1) - o)));
      l.put(dc_next, dc * f);
    };
  });
}

template <class T>
void gru_grad(const StepGradBlock& b) {
  const int64_t n = b.hidden;
  each_row<T>(b.rows, b.cols, [&](int64_t r) {
    const T* out_grad = row_of<T>(b.out_grad, r, n);
    const T* gates_grad = row_of<T>(b.gates_grad, r, 4 * n);
    const T* gates = row_of<T>(b.gates, r, 4 * n);
    const T* prev = row_of<T>(b.prev, r, n);
    T* dh_next = row_of<T>(b.dh, r, n);
    T* to = row_of<T>(b.input_grad, r, 3 * n);
    T* share = row_of<T>(b.hidden_grad, r, 3 * n);
    return [=](const auto& l) {
      const Vec<T> reset = l.of(gates);
      const Vec<T> z = l.of(gates + n);
      const Vec<T> g = l.of(gates + 2 * n);
      const Vec<T> dh = l.of(dh_next) + l.maybe(out_grad);
      const Vec<T> dz = dh * (l.of(prev) - g) + l.maybe(gate(gates_grad, 1, n));
      const Vec<T> dg =
          (dh - dh * z + l.maybe(gate(gates_grad, 2, n))) * (T(1) - g * g);
      const Vec<T> dr =
          dg * l.of(gates + 3 * n) + l.maybe(gate(gates_grad, 0, n));
      const Vec<T> ar = dr * (reset * (T(1) - reset));
      const Vec<T> az = dz * (z * (T(1) - z));
      l.put(to, ar);
      l.put(to + n, az);
      l.put(to + 2 * n, dg);
      l.put(share, ar);
      l.put(share + n, az);
      l.put(share + 2 * n, dg * reset + l.maybe(gate(gates_grad, 3, n)));
      l.put(dh_next, dh * z);
    };
  });
}

template <class T, bool is_tanh>
void simple_grad(const StepGradBlock& b) {
  const int64_t n = b.hidden;
  each_row<T>(b.rows, b.cols, [&](int64_t r) {
    const T* out_grad = row_of<T>(b.out_grad, r, n);
    const T* out = row_of<T>(b.out, r, n);
    const T* dh_next = row_of<T>(b.dh, r, n);
    T* to = row_of<T>(b.input_grad, r, n);
    return [=](const auto& l) {
      const Vec<T> dh = l.of(dh_next) + l.maybe(out_grad);
      const Vec<T> y = l.of(out);
      if constexpr (is_tanh) {
        l.put(to, dh * (T(1) - y * y));
      } else {
        l.put(to, y > T(0) ? dh : Vec<T>{});
      }
    };
  });
}

template <class T>
void step(const StepBlock& b) {
  switch (b.mode) {
    case Recurrent::lstm:
      return lstm<T>(b);
    case Recurrent::gru:
      return gru<T>(b);
    case Recurrent::tanh:
      return simple<T, true>(b);
    case Recurrent::relu:
      return simple<T, false>(b);
  }
}

template <class T>
void step_grad(const StepGradBlock& b) {
  switch (b.mode) {
    case Recurrent::lstm:
      return lstm_grad<T>(b);
    case Recurrent::gru:
      return gru_grad<T>(b);
    case Recurrent::tanh:
      return simple_grad<T, true>(b);
    case Recurrent::relu:
      return simple_grad<T, false>(b);
  }
}

}  // namespace

void step_block(const StepBlock& b, DType t) {
  by_float(t, [&]<class T>(T) { step<T>(b); });
}

void step_grad_block(const StepGradBlock& b, DType t) {
  by_float(t, [&]<class T>(T) { step_grad<T>(b); });
}

}  // namespace ferrule::cpu::FE_ISA
