// The loop of the optimizers: all elements of all parameters at once.
#pragma once

#include <algorithm>
#include <span>

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/cursor.h"
#include "runtime/cpu/row_order.h"

namespace ferrule::cpu {

inline constexpr int kMaxState = 3;

// The learning rate: a number, or a tensor where it is an input of the graph.
inline double rate(const OpCall& c, int arg) {
  return c.is_tensor(arg) ? *c.in(arg).ptr<double>() : c.number(arg);
}

// The tensors of one parameter: itself, then its state; all dense. `grad` may
// have any strides.
struct ParamSlot {
  const TensorImpl* tensors[1 + kMaxState] = {};
  const TensorImpl* grad = nullptr;
};

// A dense piece of one of the tensors, as T: its own memory where it is of that
// dtype, else a copy that is written back.
template <class T>
class StatePiece {
 public:
  T* open(const TensorImpl* t, DType computed, int64_t first, int64_t n) {
    if (!t) return nullptr;
    memory_ = t->bytes() + first * itemsize(t->dtype);
    if (t->dtype == computed) return reinterpret_cast<T*>(memory_);
    back_ = Route(computed, t->dtype);
    Route(t->dtype, computed).convert(copy_.bytes, memory_, n);
    return reinterpret_cast<T*>(copy_.bytes);
  }
  void close(int64_t n) {
    if (back_.n > 0) back_.convert(memory_, copy_.bytes, n);
    back_.n = 0;
  }

 private:
  TileBuffer copy_;
  char* memory_ = nullptr;
  Route back_;
};

// Elements [begin, end) of one parameter, tile by tile.
template <class T, class Step>
void run_slot(const ParamSlot& slot, DType computed, int64_t begin, int64_t end,
              const Step& step) {
  const TensorImpl& g = *slot.grad;
  Reader grad(g, layout_of(g, row_order(g.ndim)), computed);
  grad.seek(begin);
  TileBuffer grad_tile;
  StatePiece<T> pieces[1 + kMaxState];
  for (int64_t i = begin; i < end; i += kTile) {
    const int64_t n = std::min(kTile, end - i);
    T* at[1 + kMaxState];
    for (int k = 0; k <= kMaxState; ++k) {
      at[k] = pieces[k].open(slot.tensors[k], computed, i, n);
    }
    step(at, static_cast<const T*>(grad.next(n, &grad_tile)), n);
    for (StatePiece<T>& piece : pieces) piece.close(n);
  }
}

// Argument `state[k]` is list k of state; an empty list: none. One loop over
// the elements of all parameters that have a gradient, as if they were one.
template <class StepF32, class StepF64>
void each_param(const OpCall& c, std::span<const int> state,
                const StepF32& step_f32, const StepF64& step_f64) {
  const auto params = c.list(0), grads = c.list(1);
  int64_t total = 0;
  for (size_t k = 0; k < params.size(); ++k) {
    if (grads[k]) total += params[k]->numel;
  }
  constexpr int64_t kGrain = 16 * kTile;
  parallel_for(total, kGrain, [&](int64_t begin, int64_t end) {
    int64_t first = 0;  // of parameter k in the whole
    for (size_t k = 0; k < params.size() && first < end; ++k) {
      if (!grads[k]) continue;
      const int64_t n = params[k]->numel;
      const int64_t from = std::max(begin - first, int64_t{0});
      const int64_t to = std::min(end - first, n);
      first += n;
      if (from >= to) continue;
      ParamSlot slot;
      slot.grad = grads[k];
      slot.tensors[0] = params[k];
      for (size_t s = 0; s < state.size(); ++s) {
        const auto list = c.list(state[s]);
        if (!list.empty()) slot.tensors[1 + s] = list[k];
      }
      by_float(params[k]->dtype, [&]<class T>(T) {
        if constexpr (std::is_same_v<T, double>) {
          run_slot<T>(slot, DType::f64, from, to, step_f64);
        } else {
          run_slot<T>(slot, DType::f32, from, to, step_f32);
        }
      });
    }
  });
}

// By squaring: the same on every machine, which the C library's pow is not.
inline double power(double x, int64_t n) {
  double r = 1;
  for (; n > 0; n >>= 1, x *= x) {
    if (n & 1) r *= x;
  }
  return r;
}

}  // namespace ferrule::cpu
