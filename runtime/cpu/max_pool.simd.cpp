// Compares one element of many windows with the largest so far, in vectors.
#include "runtime/cpu/max_pool.h"

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// from[0], from[stride], ...: n elements, or a vector if there are more.
template <class T>
FE_INLINE Vec<T> load_strided(const T* from, int64_t stride, int64_t n) {
  constexpr int kLanes = lanes<T>;
  if (stride == 1) return load(from, n);
  if (stride == 2 && n >= kLanes) {
    // The last element that is read is the last that is wanted.
    const Vec<T> a = load(from);
    const Vec<T> b = load(from + kLanes - 1);
    return [&]<int... i>(std::integer_sequence<int, i...>) {
      return __builtin_shufflevector(a, b,
                                     (2 * i < kLanes ? 2 * i : 2 * i + 1)...);
    }(std::make_integer_sequence<int, kLanes>());
  }
  Vec<T> v{};
  for (int64_t i = 0; i < kLanes && i < n; ++i) v[i] = from[i * stride];
  return v;
}

template <class T>
void max_row(const T* in, int64_t stride, int64_t n, int64_t k, T* best,
             Element<Mask<Vec<T>>>* element) {
  using Index = Element<Mask<Vec<T>>>;
  const auto this_one = splat(static_cast<Index>(k));
  for (int64_t o = 0; o < n; o += lanes<T>) {
    const Vec<T> x = load_strided(in + o * stride, stride, n - o);
    const Vec<T> b = load(best + o, n - o);
    const Vec<Index> e = load(element + o, n - o);
    const auto take = (e < 0) | (x > b) | ((x != x) & (b == b));
    store(best + o, select(take, x, b), n - o);
    store(element + o, select(take, this_one, e), n - o);
  }
}

}  // namespace

void max_row_f32(const float* in, int64_t stride, int64_t n, int64_t k,
                 float* best, void* element) {
  max_row(in, stride, n, k, best, static_cast<int32_t*>(element));
}

void max_row_f64(const double* in, int64_t stride, int64_t n, int64_t k,
                 double* best, void* element) {
  max_row(in, stride, n, k, best, static_cast<int64_t*>(element));
}

}  // namespace ferrule::cpu::FE_ISA
