// Copies images into planes, see conv_planes.h. Only the data members of Planes
// are used here, for the reason that isa.h gives.
#include "runtime/cpu/conv_planes.h"

#include "runtime/core/built.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// A row that is copied at once.
constexpr int64_t kFewVectors = 4;

constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t clamp(int64_t n, int64_t most) {
  return n < 0 ? 0 : n > most ? most : n;
}
// n / by, rounded up, for any n; by > 0. Small planes notice a division.
constexpr int64_t ceil_div(int64_t n, int64_t by) {
  if (by <= 2) return (n + by - 1) >> (by - 1);
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

// Elements [from, end) of a phase lie inside of the source; element 0 is that
// with the number `first`.
struct Phase {
  int64_t first, from, end;

  FE_INLINE Phase(const PlaneAxis& axis, int64_t phase)
      : first(phase + axis.first),
        from(clamp(ceil_div(-first, axis.step), axis.size)),
        end(clamp(ceil_div(axis.source - first, axis.step), axis.size)) {
    if (end < from) end = from;
  }
};

// As copy_row() for rows of a few vectors of one phase: each also clears the
// margin behind it and that before the next one.
template <class T, int step>
FE_INLINE void copy_few(const Planes& p, const Phase& rows, const Phase& cols,
                        const T* source, const T* source_end, T* to,
                        const T* to_end) {
  constexpr int kLanes = lanes<T>;
  using Inside = Mask<Vec<T>>;
  Inside inside[kFewVectors];
  for (int v = 0; v < kFewVectors; ++v) {
    using Index = Element<Inside>;
    inside[v] = iota<Index, kLanes>() <
                static_cast<Index>(cols.end - cols.from - v * kLanes);
  }
  const int64_t size = p.w.size;
  const int64_t from_step = p.h.step * p.w.source;
  const T* from = source + (rows.from * p.h.step + rows.first) * p.w.source +
                  cols.from * step + cols.first;
  to += rows.from * size + cols.from;
  const int64_t whole = ceil_div(size, kLanes) * kLanes;
  for (int64_t i = rows.from; i < rows.end; ++i) {
    // Is all that whole vectors touch there?
    if (source_end - from >= whole * step && to_end - to >= whole) {
      for (int64_t v = 0; v * kLanes < size; ++v) {
        const T* const at = from + v * kLanes * step;
        const Vec<T> x =
            step == 1 ? load(at) : evens<T>(load(at), load(at + kLanes));
        store(to + v * kLanes, bits<Vec<T>>(bits<Inside>(x) & inside[v]));
      }
    } else {
      copy_row(from, step, cols.end - cols.from, to);
      zero(to + cols.end - cols.from, size - cols.end);
      zero(to + size - cols.from,
           least(cols.from, to_end - to - size + cols.from));
    }
    from += from_step;
    to += size;
  }
}

template <class T>
void fill(const Planes& p, const T* source, T* to) {
  const int64_t size = p.w.size;
  const bool few = !kSmall && size <= kFewVectors * lanes<T>;
  const T* const source_end = source + p.h.source * p.w.source;
  const T* const to_end = to + p.h.phases * p.w.phases * p.h.size * size;
  for (int64_t phase_h = 0; phase_h < p.h.phases; ++phase_h) {
    const Phase rows(p.h, phase_h);
    for (int64_t phase_w = 0; phase_w < p.w.phases; ++phase_w) {
      const Phase cols(p.w, phase_w);
      zero(to, rows.from * size + cols.from);
      if (few && p.w.step == 1) {
        copy_few<T, 1>(p, rows, cols, source, source_end, to, to_end);
      } else if (few && p.w.step == 2) {
        copy_few<T, 2>(p, rows, cols, source, source_end, to, to_end);
      } else {
        for (int64_t i = rows.from; i < rows.end; ++i) {
          const T* const from =
              source + (i * p.h.step + rows.first) * p.w.source;
          T* const row = to + i * size;
          zero(row, cols.from);
          copy_row(from + cols.from * p.w.step + cols.first, p.w.step,
                   cols.end - cols.from, row + cols.from);
          zero(row + cols.end, size - cols.end);
        }
      }
      zero(to + rows.end * size, (p.h.size - rows.end) * size);
      to += p.h.size * size;
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
