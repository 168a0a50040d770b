// Rows of softmax and cross entropy, in vectors.
#include "runtime/cpu/softmax.h"

#include <cmath>
#include <limits>

#include "runtime/cpu/arithmetic.h"
#include "runtime/cpu/reduce_tree.h"
#include "runtime/cpu/simd.h"
#include "runtime/cpu/stream.h"
#include "runtime/cpu/vecmath.h"

namespace ferrule::cpu::FE_ISA {
namespace {

template <class T>
const T* as(const void* p) {
  return static_cast<const T*>(p);
}

// A NaN is passed over: the sums over exp(x - largest) find it.
template <class T>
T largest(const T* x, int64_t n) {
  return reduce_run<T>(
      n, -std::numeric_limits<T>::infinity(),
      [](auto a, auto b) { return larger(b, a); },
      [&](int64_t i, int64_t left) { return load(x + i, left); });
}

// The next elements of the longest of several passes over a row: so the rows
// that follow are fetched while this one is computed.
template <class T>
FE_INLINE Vec<T> load_and_fetch(const T* from, int64_t left) {
  __builtin_prefetch(from + kFetchAhead / sizeof(T));
  return load(from, left);
}

template <class T>
struct Result {
  T* out;  // to compute in
  T* row;  // where the row goes in the end
  bool past_caches;

  explicit Result(const RowResult& r)
      : out(static_cast<T*>(r.out)),
        row(static_cast<T*>(r.past_caches ? r.past_caches : r.out)),
        past_caches(r.past_caches != nullptr) {}

  template <class F>
  FE_INLINE void write(int64_t n, F f) const {
    FE_ISA::write(row, n, past_caches, f);
  }
};

struct Add {
  template <class V>
  FE_INLINE V operator()(V a, V b) const {
    return a + b;
  }
};

template <class T>
FE_INLINE Vec<T> only_first(Vec<T> v, int64_t left) {
  if (left >= lanes<T>) return v;
  using M = Mask<Vec<T>>;
  return iota<Element<M>>() < static_cast<Element<M>>(left) ? v : Vec<T>{};
}

// Sum of e(i), in one body because e is long: lanes over stretches of 1024,
// then the stretches.
template <class T, class E>
FE_INLINE T sum_long(int64_t n, E e) {
  constexpr int64_t kStretch = 1024;
  Vec<T> total{};
  for (int64_t first = 0; first < n; first += kStretch) {
    const int64_t last = n - first < kStretch ? n : first + kStretch;
    Vec<T> part{};
    for (int64_t i = first; i < last; i += lanes<T>) {
      part += only_first<T>(e(i, n - i), n - i);
    }
    total += part;
  }
  return sum(total);
}

template <class T>
void softmax(const Result<T>& result, const T* x, int64_t n) {
  T* const out = result.out;
  const Vec<T> top = splat<T>(largest(x, n));
  const T total = sum_long<T>(n, [&](int64_t i, int64_t left) {
    const Vec<T> e = exp_negative(load_and_fetch(x + i, left) - top);
    store(out + i, e, left);
    return e;
  });
  // e / total by its reciprocal and one step of correction, which leaves half a
  // unit in the last place as a division would, and takes a third of its time.
  const Vec<T> all = splat<T>(total);
  const Vec<T> inverse = T(1) / all;
  result.write(n, [&](int64_t i, int64_t left) {
    const Vec<T> e = load(out + i, left);
    const Vec<T> q = e * inverse;
    return fma(fma(-q, all, e), inverse, q);
  });
}

template <class T>
LogSumExp log_sum_exp(const T* x, int64_t n) {
  const T top = largest(x, n);
  const T total = sum_long<T>(n, [&](int64_t i, int64_t left) {
    return exp_negative(load_and_fetch(x + i, left) - top);
  });
  return {static_cast<double>(top), ::log(static_cast<double>(total))};
}

template <class T>
void log_softmax(const Result<T>& result, const T* x, int64_t n) {
  const LogSumExp total = log_sum_exp(x, n);
  const T top = static_cast<T>(total.max);
  const T rest = static_cast<T>(total.log_sum);
  result.write(n, [&](int64_t i, int64_t left) {
    return load(x + i, left) - top - rest;
  });
}

template <class T>
void softmax_backward(const Result<T>& result, const T* grad, const T* y,
                      int64_t n) {
  const T dot = reduce_run<T>(n, T(0), Add{}, [&](int64_t i, int64_t left) {
    return load_and_fetch(grad + i, left) * load_and_fetch(y + i, left);
  });
  result.write(n, [&](int64_t i, int64_t left) {
    return load(y + i, left) * (load(grad + i, left) - dot);
  });
}

template <class T>
void log_softmax_backward(const Result<T>& result, const T* grad, const T* y,
                          int64_t n) {
  const T total = reduce_run<T>(n, T(0), Add{}, [&](int64_t i, int64_t left) {
    return load_and_fetch(grad + i, left);
  });
  result.write(n, [&](int64_t i, int64_t left) {
    return load(grad + i, left) - exp(load_and_fetch(y + i, left)) * total;
  });
}

template <class T>
FE_INLINE Vec<T> share(const ClassTargets& q, int64_t i, int64_t left) {
  Vec<T> v = splat<T>(static_cast<T>(q.offset));
  if (q.target) {
    v = v + load(as<T>(q.target) + i, left) * static_cast<T>(q.scale);
  }
  if (q.weight) v = v * load(as<T>(q.weight) + i, left);
  return v;
}

template <class T>
double cross_entropy(const T* x, const ClassTargets& q, LogSumExp total,
                     int64_t n) {
  const T top = static_cast<T>(total.max);
  const T rest = static_cast<T>(total.log_sum);
  return sum_long<T>(n, [&](int64_t i, int64_t left) {
    return share<T>(q, i, left) * (top - load(x + i, left) + rest);
  });
}

template <class T>
void cross_entropy_backward(T* out, const T* x, const ClassTargets& q,
                            LogSumExp total, double shares, double by,
                            int64_t n) {
  const T top = static_cast<T>(total.max);
  const T rest = static_cast<T>(total.log_sum);
  const T factor = static_cast<T>(by);
  const T all = static_cast<T>(shares);
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const int64_t left = n - i;
    const Vec<T> p = exp(load(x + i, left) - top - rest);
    store(out + i, (p * all - share<T>(q, i, left)) * factor, left);
  }
}

}  // namespace

void softmax_row(const RowResult& result, const void* x, int64_t n, bool log,
                 DType t) {
  by_float(t, [&]<class T>(T) {
    const Result<T> typed(result);
    log ? log_softmax(typed, as<T>(x), n) : softmax(typed, as<T>(x), n);
  });
}

void softmax_backward_row(const RowResult& result, const void* grad,
                          const void* y, int64_t n, bool log, DType t) {
  by_float(t, [&]<class T>(T) {
    const Result<T> typed(result);
    (log ? log_softmax_backward<T> : softmax_backward<T>)(typed, as<T>(grad),
                                                          as<T>(y), n);
  });
}

LogSumExp log_sum_exp_row(const void* x, int64_t n, DType t) {
  return by_float(t, [&]<class T>(T) { return log_sum_exp(as<T>(x), n); });
}

double cross_entropy_row(const void* x, const ClassTargets& q, LogSumExp total,
                         int64_t n, DType t) {
  return by_float(
      t, [&]<class T>(T) { return cross_entropy(as<T>(x), q, total, n); });
}

double class_share_row(const ClassTargets& q, int64_t n, DType t) {
  return by_float(t, [&]<class T>(T) -> double {
    return sum_long<T>(
        n, [&](int64_t i, int64_t left) { return share<T>(q, i, left); });
  });
}

void cross_entropy_backward_row(void* out, const void* x, const ClassTargets& q,
                                LogSumExp total, double shares, double by,
                                int64_t n, DType t) {
  by_float(t, [&]<class T>(T) {
    cross_entropy_backward(static_cast<T*>(out), as<T>(x), q, total, shares, by,
                           n);
  });
}

}  // namespace ferrule::cpu::FE_ISA
