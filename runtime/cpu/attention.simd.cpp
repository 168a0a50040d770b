// The arithmetic of attention on blocks of scores, in vectors.
#include "runtime/cpu/attention.h"

#include <cmath>
#include <limits>

#include "runtime/cpu/arithmetic.h"
#include "runtime/cpu/simd.h"
#include "runtime/cpu/vecmath.h"

namespace ferrule::cpu::FE_ISA {
namespace {

constexpr double kLog2e = 1.44269504088896340736;
constexpr double kLn2 = 0.69314718055994530942;

template <class T>
constexpr T kInf = std::numeric_limits<T>::infinity();

// 2^x to 1.5 ULP for x below 127; zero below -126. (Of scores less their
// maximum, so more range is not needed.) The coefficients are the best ones of
// degree 5 on [-1/2, 1/2] with p(0) = 1.
FE_INLINE F32 exp2(F32 x) {
  constexpr float kLeast = -126.0f;
  const F32 t = x < kLeast ? splat(kLeast) : x;
  const F32 shifted = t + 0x1.8p23f;  // the integer is in its last bits
  const F32 r = t - (shifted - 0x1.8p23f);
  const F32 p =
      polynomial(r, 1.3264727161e-3f, 9.6715126582e-3f, 5.5507337434e-2f,
                 2.4022242085e-1f, 6.9314697760e-1f, 1.0f);
  const F32 power = p * bits<F32>((bits<I32>(shifted) << 23) + 0x3f800000);
  return x < kLeast ? F32{} : power;
}

FE_INLINE F64 exp2(F64 x) {
  return each_lane(x, [](double v) { return ::exp2(v); });
}

template <class T>
FE_INLINE T exp2_one(T x) {
  return exp2(splat(x))[0];
}

// Calls body(i) for whole vectors of n elements and body(i, left) for the rest.
template <class T, class Body>
FE_INLINE void each_vector(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) body(i);
  if (i < n) body(i, n - i);
}

// What the mask adds to `lanes` scores of one row, in base 2; anything past n.
template <class T>
FE_INLINE Vec<T> mask_at(const MaskBlock& m, int64_t row, int64_t i,
                         int64_t n) {
  const int64_t at = row * m.row + i * m.col;
  const auto left = static_cast<int>(n - i < lanes<T> ? n - i : lanes<T>);
  Vec<T> v{};
  if (m.boolean) {
    const auto* shown = static_cast<const uint8_t*>(m.data) + at;
    for (int k = 0; k < left; ++k) v[k] = shown[k * m.col] ? T(0) : -kInf<T>;
    return v;
  }
  const T* add = static_cast<const T*>(m.data) + at;
  v = m.col == 1 ? load(add, left) : splat(*add);
  return v * T(kLog2e);
}

// Adds the mask to the first n scores of a row.
template <class T>
[[gnu::noinline]] void add_mask(const MaskBlock& m, int64_t row, T* s,
                                int64_t n) {
  for (int64_t i = 0; i < n; i += lanes<T>) {
    store(s + i, load(s + i, n - i) + mask_at<T>(m, row, i, n), n - i);
  }
}

// How many scores row r sees: they come first. They are masked.
template <class T>
FE_INLINE int64_t shown(const ScoreBlock& b, int64_t r, T* s) {
  int64_t n = b.visible + r;
  n = n < 0 ? 0 : n > b.cols ? b.cols : n;
  if (b.mask.data != nullptr) add_mask(b.mask, r, s, n);
  return n;
}

// Calls body(i, x, left...) for the vectors of the first n scores of a row of
// `cols`. Whole ones are told no `left`; of the last one that many lanes are in
// the row, and those past n are -infinity.
template <class T, class Body>
FE_INLINE void each_shown(const T* s, int64_t n, int64_t cols, Body body) {
  using Index = Element<Mask<Vec<T>>>;
  int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) body(i, load(s + i));
  if (i == n) return;
  const auto seen = iota<Index>() < splat(static_cast<Index>(n - i));
  const Vec<T> x = load(s + i, cols - i);
  body(i, select(seen, x, splat(-kInf<T>)), cols - i);
}

// What the row does not see: from the vector after the last that it does.
template <class T>
FE_INLINE void hide(T* s, int64_t n, int64_t cols) {
  int64_t i = (n + lanes<T> - 1) / lanes<T> * lanes<T>;
  for (; i < cols; i += lanes<T>) store(s + i, Vec<T>{}, cols - i);
}

// The largest of n scores and `least`. A NaN may be passed over: it comes back
// in the sum.
template <class T>
FE_INLINE T largest(const T* s, int64_t n, int64_t cols, T least) {
  Vec<T> top = splat(least);
  each_shown(s, n, cols,
             [&](int64_t, Vec<T> x, auto...) { top = x > top ? x : top; });
  return reduce(top, [](auto x, auto y) { return x > y ? x : y; });
}

template <class T>
FE_INLINE void scale_row(T* x, int64_t n, T by) {
  each_vector<T>(n, [&](int64_t i, auto... left) {
    store(x + i, load(x + i, left...) * by, left...);
  });
}

template <class T>
void step(const ScoreBlock& b, bool first, T* top, T* total, T* out,
          int64_t width) {
  T* s = static_cast<T*>(b.scores);
  for (int64_t r = 0; r < b.rows; ++r, s += b.cols, out += width) {
    const int64_t n = shown(b, r, s);
    const T before = first ? -kInf<T> : top[r];
    const T now = largest(s, n, b.cols, before);
    const T base = now == -kInf<T> ? T(0) : now;  // nothing shown so far
    Vec<T> sum{};
    each_shown(s, n, b.cols, [&](int64_t i, Vec<T> x, auto... left) {
      const Vec<T> e = exp2(x - base);
      store(s + i, e, left...);
      sum += e;
    });
    hide(s, n, b.cols);
    const T here = FE_ISA::sum(sum);
    top[r] = now;
    if (first) {
      total[r] = here;
    } else if (now == before) {
      total[r] += here;
    } else {
      const T factor = exp2_one(before - base);
      total[r] = total[r] * factor + here;
      scale_row(out, width, factor);
    }
  }
}

template <class T>
void end(int64_t rows, T* top, const T* total, T* out, int64_t width) {
  for (int64_t r = 0; r < rows; ++r, out += width) {
    if (total[r] == 0) {
      each_vector<T>(width, [&](int64_t i, auto... left) {
        store(out + i, Vec<T>{}, left...);
      });
      top[r] = kInf<T>;
      continue;
    }
    each_vector<T>(width, [&](int64_t i, auto... left) {
      store(out + i, load(out + i, left...) / total[r], left...);
    });
    const auto sum = static_cast<double>(total[r]);
    top[r] = static_cast<T>(static_cast<double>(top[r]) * kLn2 + ::log(sum));
  }
}

template <class T>
void slope(const ScoreBlock& b, const T* logsumexp, const T* offset, T* slope,
           T scale) {
  T* s = static_cast<T*>(b.scores);
  for (int64_t r = 0; r < b.rows; ++r, s += b.cols, slope += b.cols) {
    const int64_t n = shown(b, r, s);
    const T base = logsumexp[r] * T(kLog2e);
    const Vec<T> less = splat(-offset[r]);
    each_shown(s, n, b.cols, [&](int64_t i, Vec<T> x, auto... left) {
      const Vec<T> p = exp2(x - base);
      const Vec<T> d = fma(load(slope + i, left...), splat(scale), less);
      store(s + i, p, left...);
      // A key that is not seen gets no gradient, whatever its value is.
      store(slope + i, p == 0 ? Vec<T>{} : p * d, left...);
    });
    hide(s, n, b.cols);
    hide(slope, n, b.cols);
  }
}

template <class T>
void dots(int64_t rows, const T* a, int64_t a_row, const T* b, int64_t b_row,
          int64_t width, T scale, T* to) {
  for (int64_t r = 0; r < rows; ++r, a += a_row, b += b_row) {
    Vec<T> sum{};
    each_vector<T>(width, [&](int64_t i, auto... left) {
      sum = fma(load(a + i, left...), load(b + i, left...), sum);
    });
    to[r] = FE_ISA::sum(sum) * scale;
  }
}

template <class T>
void scaled(int64_t rows, const T* from, int64_t row, int64_t width, T factor,
            T* to) {
  for (int64_t r = 0; r < rows; ++r, from += row, to += width) {
    each_vector<T>(width, [&](int64_t i, auto... left) {
      store(to + i, load(from + i, left...) * factor, left...);
    });
  }
}

template <class T>
T* as(void* p) {
  return static_cast<T*>(p);
}
template <class T>
const T* as(const void* p) {
  return static_cast<const T*>(p);
}

}  // namespace

void softmax_step(const ScoreBlock& b, bool first, void* top, void* total,
                  void* out, int64_t width, DType t) {
  by_float(t, [&]<class T>(T) {
    step(b, first, as<T>(top), as<T>(total), as<T>(out), width);
  });
}

void softmax_end(int64_t rows, void* top, const void* total, void* out,
                 int64_t width, DType t) {
  by_float(t, [&]<class T>(T) {
    end(rows, as<T>(top), as<T>(total), as<T>(out), width);
  });
}

void softmax_slope(const ScoreBlock& b, const void* logsumexp,
                   const void* offset, void* slopes, double scale, DType t) {
  by_float(t, [&]<class T>(T) {
    slope(b, as<T>(logsumexp), as<T>(offset), as<T>(slopes),
          static_cast<T>(scale));
  });
}

void row_dots(int64_t rows, const void* a, int64_t a_row, const void* b,
              int64_t b_row, int64_t width, double scale, void* to, DType t) {
  by_float(t, [&]<class T>(T) {
    dots(rows, as<T>(a), a_row, as<T>(b), b_row, width, static_cast<T>(scale),
         as<T>(to));
  });
}

void scale_rows(int64_t rows, const void* from, int64_t row, int64_t width,
                double factor, void* to, DType t) {
  by_float(t, [&]<class T>(T) {
    scaled(rows, as<T>(from), row, width, static_cast<T>(factor), as<T>(to));
  });
}

}  // namespace ferrule::cpu::FE_ISA
