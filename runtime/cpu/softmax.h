// The arithmetic of softmax, its logarithm and cross entropy on one row.
#pragma once

#include <cstdint>

#include "ferrule/dtype.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// log(sum(exp(x))) = max + log_sum, kept apart for accuracy.
struct LogSumExp {
  double max;
  double log_sum;
};

// What cross entropy takes from a row of n classes: the target's share of class
// c is weight[c] * (scale * target[c] + offset). Null weights are 1, null
// targets 0. Arrays have the dtype of the row.
struct ClassTargets {
  const void* target;
  const void* weight;
  double scale;
  double offset;
};

// Where a row of a result is put: at `past_caches` if that is not null, as
// Row says.
struct RowResult {
  void* out;
  void* past_caches;
};

FE_SIMD(void softmax_row(const RowResult& result, const void* x, int64_t n,
                         bool log, DType t);
        // From the gradient and the result of the forward function.
        void softmax_backward_row(const RowResult& result, const void* grad,
                                  const void* y, int64_t n, bool log, DType t);
        LogSumExp log_sum_exp_row(const void* x, int64_t n, DType t);
        // -sum(share * log p), and the sum of the shares.
        double cross_entropy_row(const void* x, const ClassTargets& q,
                                 LogSumExp total, int64_t n, DType t);
        double class_share_row(const ClassTargets& q, int64_t n, DType t);
        // out = by * (shares * p - share).
        void cross_entropy_backward_row(void* out, const void* x,
                                        const ClassTargets& q, LogSumExp total,
                                        double shares, double by, int64_t n,
                                        DType t);)

}  // namespace ferrule::cpu
