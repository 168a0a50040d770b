// Copies images into planes, see conv_planes.h. Only the data members of Planes
// are used here, for the reason that isa.h gives.
#include "runtime/cpu/conv_planes.h"

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

constexpr int64_t clamp(int64_t n, int64_t most) {
  return n < 0 ? 0 : n > most ? most : n;
}
// n / by, rounded up, for any n; by > 0.
constexpr int64_t ceil_div(int64_t n, int64_t by) {
  return n > 0 ? (n + by - 1) / by : -(-n / by);
}

// The even elements of two vectors.
template <class T>
FE_INLINE Vec<T> evens(Vec<T> a, Vec<T> b) {
  return [&]<int... l>(std::integer_sequence<int, l...>) {
    return __builtin_shufflevector(a, b, (2 * l)...);
  }(std::make_integer_sequence<int, lanes<T>>());
}

// to[i] = from[i * step], n elements.
template <class T>
FE_INLINE void copy_row(const T* from, int64_t step, int64_t n, T* to) {
  constexpr int kLanes = lanes<T>;
  int64_t i = 0;
  if (step == 1) {
    for (; i + kLanes <= n; i += kLanes) store(to + i, load(from + i));
    if (i < n) store(to + i, load(from + i, n - i), n - i);
  } else if (step == 2) {
    for (; i + kLanes < n; i += kLanes) {
      const T* const at = from + 2 * i;
      store(to + i, evens<T>(load(at), load(at + kLanes)));
    }
    if (i < n) {  // nothing behind the last element is read
      const T* const at = from + 2 * i;
      const int64_t left = 2 * (n - i) - 1;
      const Vec<T> rest =
          left > kLanes ? load(at + kLanes, left - kLanes) : Vec<T>{};
      store(to + i, evens<T>(load(at, left), rest), n - i);
    }
  } else {
    for (; i < n; ++i) to[i] = from[i * step];
  }
}

template <class T>
FE_INLINE void zero(T* to, int64_t n) {
  int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) store(to + i, Vec<T>{});
  if (i < n) store(to + i, Vec<T>{}, n - i);
}

template <class T>
void fill(const Planes& p, const T* source, T* to) {
  for (int64_t phase_h = 0; phase_h < p.h.phases; ++phase_h) {
    for (int64_t phase_w = 0; phase_w < p.w.phases; ++phase_w) {
      // Columns [from, end) lie inside of the source.
      const int64_t before = -(phase_w + p.w.first);
      const int64_t from = clamp(ceil_div(before, p.w.step), p.w.size);
      const int64_t end =
          clamp(ceil_div(p.w.source + before, p.w.step), p.w.size);
      // Of small images it costs less to clear all than to clear the margins.
      const bool small = p.w.size <= 2 * lanes<T>;
      if (small) zero(to, p.h.size * p.w.size);
      for (int64_t i = 0; i < p.h.size; ++i, to += p.w.size) {
        const int64_t row = i * p.h.step + phase_h + p.h.first;
        const bool outside = row < 0 || row >= p.h.source || end <= from;
        if (!small) {
          zero(to, outside ? p.w.size : from);
          if (!outside) zero(to + end, p.w.size - end);
        }
        if (outside) continue;
        copy_row(source + row * p.w.source - before + from * p.w.step, p.w.step,
                 end - from, to + from);
      }
    }
  }
}

}  // namespace

void fill_planes_f32(const Planes& p, const float* from, float* to) {
  fill(p, from, to);
}
void fill_planes_f64(const Planes& p, const double* from, double* to) {
  fill(p, from, to);
}

}  // namespace ferrule::cpu::FE_ISA
