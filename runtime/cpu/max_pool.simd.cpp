// Max pooling: a lane of a vector is a window.
#include "runtime/cpu/max_pool.h"

#include <limits>

#include "runtime/cpu/conv_part.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// from[0], from[2], ...: n elements, or a vector if there are more. The last
// element that is read is the last that is wanted.
template <class T>
FE_INLINE Vec<T> load_pairs(const T* from, int64_t n) {
  constexpr int kLanes = lanes<T>;
  const int64_t span = 2 * n - 1;
  const Vec<T> a = load(from, span);
  const Vec<T> b =
      load(from + kLanes - 1, span < kLanes ? 0 : span - (kLanes - 1));
  return [&]<int... i>(std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(a, b,
                                   (2 * i < kLanes ? 2 * i : 2 * i + 1)...);
  }(std::make_integer_sequence<int, kLanes>());
}

// from[0], from[step], ...
template <class T>
FE_INLINE Vec<T> load_strided(const T* from, int64_t step, int64_t n) {
  Vec<T> v{};
  for (int64_t i = 0; i < lanes<T> && i < n; ++i) v[i] = from[i * step];
  return v;
}

// Adds start, start + step, ... to the lanes and writes the first n of them.
template <class V>
FE_INLINE void store_places(int64_t* to, V places, int64_t start, int64_t step,
                            int64_t n) {
  constexpr int kHalf = width<V> / 2;
  if constexpr (width<V> > lanes<int64_t>) {
    store_places(to, low(places), start, step, n);
    if (n <= kHalf) return;
    store_places(to + kHalf, high(places), start + kHalf * step, step,
                 n - kHalf);
  } else {
    store(to, convert<int64_t>(places) + (iota<int64_t>() * step + start), n);
  }
}

// What was seen of as many windows as there are lanes: the largest elements,
// of equal ones the first, and where they stand, counted from each window's
// first. If one was a NaN, the sum is, too, and the rest is not to be used.
template <class T>
struct Best {
  Vec<T> value = splat(-std::numeric_limits<T>::infinity());
  Mask<Vec<T>> place{};
  Vec<T> sum{};

  FE_INLINE void see(Vec<T> x, int64_t at, bool places) {
    using Place = Element<Mask<Vec<T>>>;
    if (places) {
      place = select(x > value, splat(static_cast<Place>(at)), place);
    }
    value = larger(x, value);
    sum += x;
  }
};

// load(from) gives an element of every window, the first of them at `from`.
template <class T, class Load>
FE_INLINE Best<T> windows(const MaxWindows& w, const T* first, bool places,
                          const Load& load) {
  Best<T> best;
  for (int64_t i = 0; i < w.rows; ++i) {
    for (int64_t j = 0; j < w.cols; ++j) {
      const int64_t at = i * w.row_step + j * w.col_step;
      best.see(load(first + at), at, places);
    }
  }
  return best;
}

// Windows of two or three columns side by side, which share what is loaded, at
// a step of 2.
template <class T>
FE_INLINE Best<T> windows_of_pairs(const MaxWindows& w, const T* first,
                                   bool places) {
  constexpr int kLanes = lanes<T>;
  Best<T> best;
  for (int64_t i = 0; i < w.rows; ++i) {
    const int64_t at = i * w.row_step;
    const Vec<T> a = load(first + at);
    const Vec<T> b = load(first + at + kLanes);
    const Vec<T> even = every_other<0>(a, b);
    best.see(even, at, places);
    best.see(every_other<1>(a, b), at + 1, places);
    if (w.cols == 2) continue;
    best.see(shift_in(even, splat(first[at + 2 * kLanes])), at + 2, places);
  }
  return best;
}

// Visits the windows of all lines, a vector at a time: best_of(first, n) gives
// the first n of those that start at `first`. The last vector of a line is a
// whole one if need be with windows of the one before. False: there may be
// NaNs.
template <class T, class BestOf>
FE_INLINE bool by_vectors(const MaxWindows& w, T* best, int64_t* index,
                          const BestOf& best_of) {
  Vec<T> sum{};
  const int64_t last = w.count - lanes<T>;
  for (int64_t i = 0; i < w.lines; ++i) {
    for (int64_t o = 0; o < w.count; o += lanes<T>) {
      const int64_t from = last > 0 && last < o ? last : o;
      const int64_t n = w.count - from;
      const int64_t at = i * w.line_step + from * w.step;
      const int64_t to = i * w.out_step + from;
      const Best<T> top = best_of(static_cast<const T*>(w.first) + at, n);
      sum += top.sum;
      store(best + to, top.value, n);
      if (index) store_places(index + to, top.place, w.index + at, w.step, n);
    }
  }
  return !any(sum != sum);
}

// The same one by one, of any size and with NaNs: the first of them is taken.
template <class T>
void one_by_one(const MaxWindows& w, T* best, int64_t* index) {
  for (int64_t i = 0; i < w.lines; ++i) {
    for (int64_t o = 0; o < w.count; ++o) {
      const int64_t at = i * w.line_step + o * w.step;
      const int64_t to = i * w.out_step + o;
      const T* first = static_cast<const T*>(w.first) + at;
      int64_t place = 0;
      for (int64_t k = 0; k < w.rows; ++k) {
        for (int64_t l = 0; l < w.cols; ++l) {
          const int64_t here = k * w.row_step + l * w.col_step;
          const T x = first[here], top = first[place];
          if (!(x <= top) && top == top) place = here;
        }
      }
      best[to] = first[place];
      if (index) index[to] = w.index + at + place;
    }
  }
}

template <class T>
bool all_by_vectors(const MaxWindows& w, T* best, int64_t* index) {
  const bool places = index != nullptr;
  const auto run = [&](auto load) {
    return by_vectors(w, best, index, [&](const T* first, int64_t n) {
      return windows(w, first, places,
                     [&](const T* from) { return load(from, n); });
    });
  };
  if constexpr (sizeof(T) == 4) {
    if (w.count == 1) {
      return run([](const T* from, int64_t) { return splat(*from); });
    }
    if (w.step == 1) {
      return run([](const T* from, int64_t n) { return load(from, n); });
    }
    const bool side_by_side = w.col_step == 1 && (w.cols == 2 || w.cols == 3);
    if (w.step == 2 && side_by_side && w.count >= lanes<T>) {
      const auto pairs = [&](bool with_places) {
        return [&w, with_places](const T* first, int64_t) {
          return windows_of_pairs(w, first, with_places);
        };
      };
      if (places) return by_vectors(w, best, index, pairs(true));
      return by_vectors<T>(w, best, nullptr, pairs(false));
    }
    if (w.step == 2) {
      return run([](const T* from, int64_t n) { return load_pairs(from, n); });
    }
  }
  return run(
      [&](const T* from, int64_t n) { return load_strided(from, w.step, n); });
}

template <class T>
void all_windows(const MaxWindows& w, T* best, int64_t* index) {
  // Places within a window are counted in integers of the element's size.
  const int64_t extent = (w.rows - 1) * w.row_step + (w.cols - 1) * w.col_step;
  const bool countable = sizeof(T) == 8 || extent <= INT32_MAX;
  if (countable && all_by_vectors(w, best, index)) return;
  one_by_one(w, best, index);
}

}  // namespace

void max_windows_f32(const MaxWindows& w, float* best, int64_t* index) {
  all_windows(w, best, index);
}

void max_windows_f64(const MaxWindows& w, double* best, int64_t* index) {
  all_windows(w, best, index);
}

}  // namespace ferrule::cpu::FE_ISA
