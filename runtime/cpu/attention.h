// The arithmetic of attention on a block of scores.
//
// Scores are kept in base 2: the query comes with scale * log2(e), and the
// probabilities are 2^(score - max), which spares exp a multiplication and
// leaves its range reduction exact.
#pragma once

#include <cstdint>

#include "ferrule/dtype.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// A mask's elements beside a block of scores; strides in elements.
struct MaskBlock {
  const void* data = nullptr;  // null: none
  int64_t row = 0;
  int64_t col = 0;
  bool boolean =
      false;  // False hides a key; otherwise the scores' dtype, added
};

// Scores of `rows` queries and `cols` keys, dense.
struct ScoreBlock {
  void* scores;
  int64_t rows;
  int64_t cols;
  // Row r sees the keys before visible + r.
  int64_t visible;
  MaskBlock mask;
};

FE_SIMD(
    // One step of the online softmax: scores become 2^(score - top), where top
    // is the largest score of its row so far; total is their sum, and what was
    // summed before, total and out (rows of `width`), is scaled to the new top.
    // `first`: nothing was.
    void softmax_step(const ScoreBlock& b, bool first, void* top, void* total,
                      void* out, int64_t width, DType t);
    // Divides out by total; `top` becomes log(sum(exp(scores))).
    void softmax_end(int64_t rows, void* top, const void* total, void* out,
                     int64_t width, DType t);
    // Scores become probabilities P = 2^(score - log2e * logsumexp), and the
    // block `slope`, dO V^T, becomes P (scale * slope - offset).
    void softmax_slope(const ScoreBlock& b, const void* logsumexp,
                       const void* offset, void* slope, double scale, DType t);
    // to[r] = scale * (sum of a[r] b[r]), rows of `width`.
    void row_dots(int64_t rows, const void* a, int64_t a_row, const void* b,
                  int64_t b_row, int64_t width, double scale, void* to,
                  DType t);
    // Rows of `width`, `row` apart, times a factor; densely to `to`.
    void scale_rows(int64_t rows, const void* from, int64_t row, int64_t width,
                    double factor, void* to, DType t);)

}  // namespace ferrule::cpu
