// NormPlanes of batch and group normalisation, in vectors.
#include "runtime/cpu/norm_planes.h"

#include "runtime/cpu/arithmetic.h"
#include "runtime/cpu/reduce_tree.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// Elements that share accumulators; what they sum to is added in float64.
constexpr int64_t kBlock = 2048;

struct Add {
  template <class V>
  FE_INLINE V operator()(V a, V b) const {
    return a + b;
  }
};

FE_INLINE int64_t smaller_of(int64_t a, int64_t b) { return a < b ? a : b; }

// `element(i, left)`: i counts from the start of the first plane.
template <class T, class Get>
FE_INLINE double sum_planes(const NormPlanes& p, Get element) {
  const int64_t together = p.length < kBlock ? kBlock / p.length : 1;
  double total = 0;
  for (int64_t first = 0; first < p.count; first += together) {
    const int64_t last = smaller_of(first + together, p.count);
    for (int64_t begin = 0; begin < p.length; begin += kBlock) {
      const int64_t n = smaller_of(p.length - begin, kBlock);
      RunFold<T, Add> block(T(0), Add{});
      for (int64_t k = first; k < last; ++k) {
        const int64_t start = k * p.step + begin;
        block.add(n, [&](int64_t i, int64_t left) {
          return element(start + i, left);
        });
      }
      total += block.result();
    }
  }
  return total;
}

// Calls visit(channel, i, left...) for every vector, in the order of memory;
// those without `left` are whole.
template <class T, class Visit>
FE_INLINE void each_vector(const NormPlanes& p, int64_t channels, Visit visit) {
  for (int64_t k = 0; k < p.count; ++k) {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t start = k * p.step + c * p.length;
      int64_t i = 0;
      for (; i + lanes<T> <= p.length; i += lanes<T>) visit(c, start + i);
      if (i < p.length) visit(c, start + i, p.length - i);
    }
  }
}

template <class T>
const T* as(const void* p) {
  return static_cast<const T*>(p);
}
template <class T>
double sum(const NormPlanes& p, const T* x) {
  return sum_planes<T>(
      p, [&](int64_t i, int64_t left) { return load(x + i, left); });
}

template <class T>
double squares(const NormPlanes& p, const T* x, T centre) {
  return sum_planes<T>(p, [&](int64_t i, int64_t left) {
    const Vec<T> d = load(x + i, left) - centre;
    return d * d;
  });
}

template <class T>
double products(const NormPlanes& p, const T* grad, const T* x, T centre) {
  return sum_planes<T>(p, [&](int64_t i, int64_t left) {
    return load(grad + i, left) * (load(x + i, left) - centre);
  });
}

template <class T>
void forward(const NormPlanes& p, const NormalizedPlanes& n) {
  const T* x = as<T>(n.x);
  const T* mean = as<T>(n.mean);
  const T* scale = as<T>(n.scale);
  const T* shift = as<T>(n.shift);
  T* out = static_cast<T*>(n.out);
  each_vector<T>(p, n.channels, [&](int64_t c, int64_t i, auto... left) {
    const Vec<T> centred = load(x + i, left...) - mean[c];
    store(out + i, centred * scale[c] + shift[c], left...);
  });
}

template <class T>
void backward(const NormPlanes& p, const NormalizedPlanesBackward& n) {
  const T* grad = as<T>(n.grad);
  const T* x = as<T>(n.x);
  const T* mean = as<T>(n.mean);
  const T* sum = as<T>(n.sum);
  const T* product = as<T>(n.product);
  const T* scale = as<T>(n.scale);
  T* out = static_cast<T*>(n.out);
  each_vector<T>(p, n.channels, [&](int64_t c, int64_t i, auto... left) {
    const Vec<T> centred = load(x + i, left...) - mean[c];
    const Vec<T> slope = load(grad + i, left...) * scale[c];
    store(out + i, slope - sum[c] - centred * product[c], left...);
  });
}

}  // namespace

double sum_of_planes(const NormPlanes& p, const void* x, DType t) {
  return by_float(t, [&]<class T>(T) { return sum(p, as<T>(x)); });
}

double squares_of_planes(const NormPlanes& p, const void* x, const void* centre,
                         DType t) {
  return by_float(
      t, [&]<class T>(T) { return squares(p, as<T>(x), *as<T>(centre)); });
}

double products_of_planes(const NormPlanes& p, const void* grad, const void* x,
                          const void* centre, DType t) {
  return by_float(t, [&]<class T>(T) {
    return products(p, as<T>(grad), as<T>(x), *as<T>(centre));
  });
}

void normalize_planes(const NormPlanes& p, const NormalizedPlanes& n, DType t) {
  by_float(t, [&]<class T>(T) { forward<T>(p, n); });
}

void normalize_planes_backward(const NormPlanes& p,
                               const NormalizedPlanesBackward& n, DType t) {
  by_float(t, [&]<class T>(T) { backward<T>(p, n); });
}

}  // namespace ferrule::cpu::FE_ISA
