// Max pooling: a lane of a vector is a window.
#include "runtime/cpu/max_pool.h"

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// from[0], from[step], ...: n elements, or a vector if there are more. kStep is
// the step, or 0: any.
template <int kStep, class T>
FE_INLINE Vec<T> load_strided(const T* from, int64_t step, int64_t n) {
  constexpr int kLanes = lanes<T>;
  if constexpr (kStep == 1) {
    return load(from, n);
  } else if constexpr (kStep == 2) {
    // The last element that is read is the last that is wanted.
    const int64_t span = 2 * n - 1;
    const Vec<T> a = load(from, span);
    const Vec<T> b =
        load(from + kLanes - 1, span < kLanes ? 0 : span - (kLanes - 1));
    return [&]<int... i>(std::integer_sequence<int, i...>) {
      return __builtin_shufflevector(a, b,
                                     (2 * i < kLanes ? 2 * i : 2 * i + 1)...);
    }(std::make_integer_sequence<int, kLanes>());
  }
  Vec<T> v{};
  for (int64_t i = 0; i < kLanes && i < n; ++i) v[i] = from[i * step];
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

// Windows from o on of the line that starts at `first`, as many as there are
// lanes.
template <int kStep, class T>
FE_INLINE void windows(const MaxWindows& w, const T* first,
                       int64_t index_of_first, int64_t o, T* best,
                       int64_t* index) {
  using Place = Mask<Vec<T>>;
  const int64_t n = w.count - o;
  first += o * w.step;
  Vec<T> top = load_strided<kStep>(first, w.step, n);
  Place place{};
  for (int64_t i = 0; i < w.rows; ++i) {
    for (int64_t j = i == 0; j < w.cols; ++j) {
      const int64_t at = i * w.row_step + j * w.col_step;
      const Vec<T> x = load_strided<kStep>(first + at, w.step, n);
      const auto take = (x > top) | ((x != x) & (top == top));
      top = select(take, x, top);
      place = select(take, splat(static_cast<Element<Place>>(at)), place);
    }
  }
  store(best + o, top, n);
  store_places(index + o, place, index_of_first + o * w.step, w.step, n);
}

// One window, of any size.
template <class T>
FE_INLINE void window(const MaxWindows& w, const T* first,
                      int64_t index_of_first, int64_t o, T* best,
                      int64_t* index) {
  first += o * w.step;
  T top = *first;
  int64_t place = 0;
  for (int64_t i = 0; i < w.rows; ++i) {
    for (int64_t j = 0; j < w.cols; ++j) {
      const int64_t at = i * w.row_step + j * w.col_step;
      const T x = first[at];
      if (!(x > top) && !(x != x && top == top)) continue;
      top = x;
      place = at;
    }
  }
  best[o] = top;
  index[o] = index_of_first + o * w.step + place;
}

template <class T>
void all_windows(const MaxWindows& w, T* best, int64_t* index) {
  const auto each_line = [&](auto visit) {
    for (int64_t i = 0; i < w.lines; ++i) {
      visit(static_cast<const T*>(w.first) + i * w.line_step,
            w.index + i * w.line_step, best + i * w.out_step,
            index + i * w.out_step);
    }
  };
  const int64_t extent = (w.rows - 1) * w.row_step + (w.cols - 1) * w.col_step;
  if (sizeof(T) == 4 && extent > INT32_MAX) {
    each_line([&](const T* first, int64_t at, T* b, int64_t* k) {
      for (int64_t o = 0; o < w.count; ++o) window(w, first, at, o, b, k);
    });
    return;
  }
  // The last vector is a whole one if need be with windows of the one before.
  const int64_t last = w.count - lanes<T>;
  const auto run = [&]<int kStep>(std::integral_constant<int, kStep>) {
    each_line([&](const T* first, int64_t at, T* b, int64_t* k) {
      for (int64_t o = 0; o < w.count; o += lanes<T>) {
        windows<kStep>(w, first, at, last > 0 && last < o ? last : o, b, k);
      }
    });
  };
  if (w.step == 1 || w.count == 1) {
    run(std::integral_constant<int, 1>());
  } else if (w.step == 2) {
    run(std::integral_constant<int, 2>());
  } else {
    run(std::integral_constant<int, 0>());
  }
}

}  // namespace

void max_windows_f32(const MaxWindows& w, float* best, int64_t* index) {
  all_windows(w, best, index);
}

void max_windows_f64(const MaxWindows& w, double* best, int64_t* index) {
  all_windows(w, best, index);
}

}  // namespace ferrule::cpu::FE_ISA
