// The loop over a batch that the decompositions share which iterate: they fail
// where an element is not finite, and where they do not converge.
#pragma once

#include "runtime/cpu/linalg.h"

namespace ferrule::cpu {

inline int64_t iterations_scratch(const OpCall& c, const Batch& batch) {
  return batch.total() +
         matrices(c.in(0)) * static_cast<int64_t>(sizeof(int32_t));
}

// Calls visit.operator()<T>(i, arena, scale) for every matrix; it works on the
// matrix times `scale`, and returns whether it converged.
template <class Visit>
void iterate(OpCall& c, const Batch& batch, const Visit& visit) {
  const TensorImpl& t = c.in(0);
  const int64_t numel = t.shape[t.ndim - 2] * t.shape[t.ndim - 1];
  auto* info =
      reinterpret_cast<int32_t*>(static_cast<char*>(c.scratch) + batch.total());
  by_number(t, [&]<class T>(T) {
    batch.each(c.scratch, [&](int64_t i, Arena& arena) {
      const double scale = scale_for<T>(t, i * numel, numel);
      if (std::isnan(scale)) {
        info[i] = -1;
      } else {
        info[i] = visit.template operator()<T>(i, arena, scale) ? 0 : 1;
      }
    });
  });
  report_failures(c, info, matrices(t));
}

}  // namespace ferrule::cpu
