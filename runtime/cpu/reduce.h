// Reductions over any set of dimensions, in an order that only the shape
// decides: the same bits for every number of threads and for all strides.
//
//   const Reduction r(*c.args[0].tensor, mask, DType::f32);
//   r.run(Fold::sum, {.a = &x}, sums, scratch);  // r.count() sums
//
// If the last dimension is reduced, each result folds runs of kFoldBlock
// elements (reduce_tree.h), whose values are combined pairwise. Else whole rows
// are folded into a row of accumulators, kFoldRows at a time.
#pragma once

#include <cstdint>
#include <span>

#include "ferrule/op.h"
#include "runtime/cpu/cursor.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

enum class Fold : uint8_t {
  sum,  // a; f32, f64, i64
  max,  // a, NaN wins; the same
  min,
  square,   // (a - centre)^2; f32, f64
  product,  // a (b - centre)
};

// Dense pieces of what is folded. `centre` is one value a result.
struct FoldInput {
  const void* a = nullptr;
  const void* b = nullptr;
  const void* centre = nullptr;
  int64_t a_step = 0;  // bytes from row to row
  int64_t b_step = 0;
  // Not from the nearer caches: what comes next is fetched, and rows are read
  // one after the other, not some side by side.
  bool from_memory = false;
};
// out[r] from n elements in a row, for every r < runs; runs follow each other.
using FoldRunFn = void (*)(void* out, const FoldInput& in, int64_t runs,
                           int64_t n);
// out[j] = combine(out[j], element[r][j]) for r < rows, j < n. Behind out[n -
// 1] there is room to the end of a vector: the next row would have to wait for
// a store of less than that.
using FoldRowsFn = void (*)(void* out, const FoldInput& in, int64_t rows,
                            int64_t n);

FE_SIMD(FoldRunFn fold_run(Fold fold, DType t);
        // fold_run(Fold::sum, t), for code that needs no other fold.
        FoldRunFn sum_run(DType t); FoldRowsFn fold_rows(Fold fold, DType t);
        // Index of the first element equal to `value` (the first NaN if it is
        // one), or n.
        int64_t find_first(const void* in, const void* value, int64_t n,
                           DType t);)

inline constexpr int64_t kFoldBlock = 2048;
inline constexpr int64_t kFoldRows = 32;

// What is folded: tensors of the reduction's shape, and one number a result.
struct FoldOperands {
  const TensorImpl* a = nullptr;
  const TensorImpl* b = nullptr;
  const void* centre = nullptr;
};

class Reduction {
 public:
  // Over the dimensions in `mask`; t is f32, f64 or i64.
  Reduction(std::span<const int64_t> shape, uint32_t mask, DType t);

  int64_t results() const { return results_; }
  // Elements that make one result.
  int64_t count() const { return count_; }
  int64_t scratch_bytes() const;
  // Writes results() values of the dtype; count() > 0 for max and min.
  void run(Fold fold, const FoldOperands& in, void* out, void* scratch) const;
  // For results of `max` or `min`: index of the first such element.
  void find(const TensorImpl& in, const void* values, int64_t* out) const;

 private:
  template <class T>
  void run_as(Fold fold, const FoldOperands& in, T* out, T* scratch) const;
  template <class T>
  void run_by_runs(Fold fold, const FoldOperands& in, T* parts) const;
  template <class T>
  void run_by_rows(Fold fold, const FoldOperands& in, T* parts) const;
  Order order(bool by_runs) const;

  Dims shape_;
  uint32_t mask_;
  DType dtype_;
  int64_t results_ = 1;
  int64_t count_ = 1;
  int first_column_ = 0;  // trailing dimensions that form the rows
  int64_t columns_ = 0;   // length of the rows; 0: by runs
  int64_t parts_ = 1;     // pieces of a result that threads share
  int64_t part_ = 1;      // elements (or rows) in one
};

}  // namespace ferrule::cpu
