// Checks that the definitions of indexing ops share.
#pragma once

#include "ferrule/op.h"
#include "runtime/ops/checks.h"

namespace ferrule {

inline void require_index(const OpCall& c, int arg) {
  const DType t = c.in(arg).dtype;
  if (t == DType::i64 || t == DType::i32) return;
  c.fail<DTypeError>("'", c.info.schema.params[arg].name,
                     "' must be int64 or int32, got ", t,
                     "; convert it with .long()");
}

// What embedding_dw adds up in its own loops.
inline void require_addable(const OpCall& c, int arg) {
  if (is_integer(c.in(arg).dtype) || is_float(c.in(arg).dtype)) return;
  c.fail<DTypeError>("tensors of ", c.in(arg).dtype,
                     " cannot be added up; convert them first");
}

// `index` is a list of positions along dim.
inline int check_positions(const OpCall& c) {
  require_index(c, 2);
  if (c.in(2).ndim > 1) {
    c.fail<ShapeError>("index must have one dimension, got shape ",
                       c.in(2).sizes());
  }
  return c.dim(1, c.in(0).ndim);
}

// Shape of the elements of input (or of a 0-d one, seen as one element) that
// are chosen.
inline Dims chosen_shape(const OpCall& c, int d) {
  Dims shape(c.in(0).sizes());
  if (shape.n > 0) shape[d] = c.in(2).numel;
  return shape;
}

// Numbers, and not bools, can be added up.
inline void require_numbers(const OpCall& c, int arg) {
  if (c.in(arg).dtype != DType::bool_) return;
  c.fail<DTypeError>("tensors of bool cannot be added up; convert them first");
}

// No index is in range of an empty dimension.
inline void require_elements(const OpCall& c, int64_t size, int64_t indices,
                             int dim) {
  if (size > 0 || indices == 0) return;
  c.fail<IndexError>("dimension ", dim, " of shape ", c.in(0).sizes(),
                     " is empty: no index is in range");
}

// A number, or a tensor that holds one.
inline void require_single(const OpCall& c, int arg) {
  if (!c.is_tensor(arg) || c.in(arg).ndim == 0) return;
  c.fail<ShapeError>("'", c.info.schema.params[arg].name,
                     "' must be a number or a 0-d tensor, got shape ",
                     c.in(arg).sizes());
}

}  // namespace ferrule
