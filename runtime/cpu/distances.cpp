// The kernel of distances between all pairs of vectors.
#include <algorithm>
#include <cmath>

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/operands.h"

namespace ferrule {
namespace cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;  // differences worth a thread

template <class T>
T distance(const T* a, const T* b, int64_t n, T p) {
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const T d = std::abs(a[i] - b[i]);
    if (p == 2) {
      sum += d * d;
    } else if (p == 1) {
      sum += d;
    } else if (p == 0) {
      sum += d != 0;
    } else if (std::isinf(p)) {
      sum = d > sum || d != d ? d : sum;
    } else {
      sum += std::pow(d, p);
    }
  }
  if (p == 2) return std::sqrt(sum);
  const bool whole = p == 0 || p == 1 || std::isinf(p);
  return whole ? sum : std::pow(sum, 1 / p);
}

void cdist_direct(OpCall& c) {
  const TensorImpl &a = c.in(0), &b = c.in(1), &out = c.out_impl();
  if (out.numel == 0) return;
  const int64_t rows = a.shape[a.ndim - 2], columns = b.shape[b.ndim - 2];
  const int64_t n = a.shape[a.ndim - 1];
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 2);
    const auto p = static_cast<T>(c.f(2));
    const int64_t grain = kGrain / std::max<int64_t>(1, columns * n);
    parallel_for(out.numel / columns, std::max<int64_t>(1, grain),
                 [&](int64_t i, int64_t end) {
                   for (; i < end; ++i) {
                     const T* left = x.in[0] + i * n;
                     const T* right = x.in[1] + i / rows * columns * n;
                     for (int64_t k = 0; k < columns; ++k, right += n) {
                       x.out[i * columns + k] = distance(left, right, n, p);
                     }
                   }
                 });
    x.finish();
  });
}

}  // namespace
}  // namespace cpu

extern const KernelDef cdist_direct_cpu = {
    .name = "cdist_direct",
    .run = cpu::cdist_direct,
    .scratch = [](const OpCall& c) { return cpu::operand_bytes(c, 2); },
};

}  // namespace ferrule
