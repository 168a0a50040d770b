// Checks of the arguments of optimizer steps: lists of tensors that belong
// together, counters, and options.
#pragma once

#include <span>

#include "ferrule/op.h"

namespace ferrule {

// The lists belong together: tensor k of each has the shape and the dtype of
// parameter k. An absent gradient leaves its parameter alone.
inline void check_lists(OpCall& c, std::span<const int> lists) {
  auto params = c.list(0);
  const auto& names = c.info.schema.params;
  for (size_t k = 0; k < params.size(); ++k) {
    if (!params[k]) c.fail<DTypeError>("params[", k, "] is None");
    if (!is_float(params[k]->dtype)) {
      c.fail<DTypeError>("params[", k,
                         "] must be a floating-point tensor, got ",
                         params[k]->dtype);
    }
  }
  for (int i : lists) {
    auto list = c.list(i);
    if (list.size() != params.size()) {
      c.fail<ValueError>(names[i].name, " has ", list.size(), " tensors for ",
                         params.size(), " params");
    }
    for (size_t k = 0; k < params.size(); ++k) {
      if (!list[k]) {
        if (i == 1) continue;
        c.fail<DTypeError>(names[i].name, "[", k, "] is None");
      }
      if (Dims(list[k]->sizes()) == Dims(params[k]->sizes()) &&
          list[k]->dtype == params[k]->dtype) {
        continue;
      }
      c.fail<ShapeError>(names[i].name, "[", k, "] is ", list[k]->dtype, " ",
                         list[k]->sizes(), ", but params[", k, "] is ",
                         params[k]->dtype, " ", params[k]->sizes());
    }
  }
}

// What is written must be dense: the kernel walks all tensors as one.
inline void require_dense(const OpCall& c, int arg) {
  auto list = c.list(arg);
  for (size_t k = 0; k < list.size(); ++k) {
    if (!list[k] || list[k]->contiguous) continue;
    c.fail<ShapeError>(c.info.schema.params[arg].name, "[", k, "] of shape ",
                       list[k]->sizes(), " has strides ", list[k]->steps(),
                       "; it is written in place and must be contiguous");
  }
}

inline void require_at_least_0(const OpCall& c, int arg) {
  if (c.f(arg) >= 0) return;
  c.fail<ValueError>(c.info.schema.params[arg].name, " must be 0 or more, got ",
                     c.f(arg));
}

// The number of steps so far.
inline void require_step(const OpCall& c, int arg) {
  const TensorImpl& step = c.in(arg);
  if (step.dtype == DType::i64 && step.numel == 1) return;
  c.fail<DTypeError>("step must be int64 of shape (), got ", step.dtype, " ",
                     step.sizes());
}

// What runs along with the steps and is no count.
inline void require_scalar(const OpCall& c, int arg) {
  const TensorImpl& t = c.in(arg);
  if (t.dtype == DType::f64 && t.numel == 1) return;
  c.fail<DTypeError>(c.info.schema.params[arg].name,
                     " must be float64 of shape (), got ", t.dtype, " ",
                     t.sizes());
}

// The learning rate: a number, or a tensor where it is an input of the graph.
inline void require_rate(const OpCall& c, int arg) {
  if (c.is_tensor(arg)) require_scalar(c, arg);
}

inline void require_below_1(const OpCall& c, int arg) {
  if (c.f(arg) >= 0 && c.f(arg) < 1) return;
  c.fail<ValueError>(c.info.schema.params[arg].name, " must be in [0, 1), got ",
                     c.f(arg));
}

}  // namespace ferrule
