// Visits the rows of tensors, as softmax, losses and norms need them: dense,
// and in the dtype of the arithmetic. Rows go to threads in chunks that only
// their number and length decide.
#pragma once

#include <span>

#include "runtime/core/function_ref.h"
#include "runtime/cpu/cursor.h"

namespace ferrule::cpu {

inline constexpr int kMaxRowTensors = 3;

struct RowPlan {
  int64_t rows = 1;
  int64_t length = 1;
  int64_t inner = 1;  // elements from one to the next of a row
  int dim = -1;       // the rows lie along this dimension; -1: the last ones
  DType dtype = DType::f32;
  bool past_caches = false;  // the visitor looks at Row::past_caches

  // Along one dimension of a shape; or the last elements, `length` at a time.
  RowPlan(std::span<const int64_t> shape, int dim, DType t);
  RowPlan(int64_t numel, int64_t length, DType t);

  int64_t grain() const;
  int64_t chunks() const;  // at most kMaxRowChunks
  // Scratch for rows that have to be copied, of `tensors` dense tensors;
  // `same`: all have the dtype of the arithmetic.
  int64_t scratch_bytes(int tensors, bool same) const;
};

struct Row {
  int64_t index;
  int64_t chunk;
  void* out;  // null where there is no result
  // Null, or where to put the row instead, and past the caches (stream.h);
  // `out` is memory to compute in then.
  void* past_caches;
  const void* in[kMaxRowTensors];
};

// Calls visit for every row; what it puts at Row::out is then written. Tensors
// are dense; `out` may be null, and so may be inputs.
void each_row(const RowPlan& plan, const TensorImpl* out,
              std::span<const TensorImpl* const> in, void* scratch,
              FunctionRef<void(const Row&)> visit);

// All elements of a dense tensor in dtype t: its own memory, or `buffer`.
const void* dense_values(const TensorImpl& tensor, DType t, void* buffer);

constexpr int64_t align64(int64_t n) { return (n + 63) & ~int64_t{63}; }

}  // namespace ferrule::cpu
