// Kernels of optimizer steps: all elements of all parameters in one loop.
#include <algorithm>
#include <cmath>

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/cursor.h"
#include "runtime/cpu/optim_tiles.h"
#include "runtime/cpu/row_order.h"

namespace ferrule::cpu {
namespace {

constexpr int kMaxState = 3;

// The tensors of one parameter: itself, then its state; all dense. `grad` may
// have any strides.
struct Slot {
  const TensorImpl* tensors[1 + kMaxState] = {};
  const TensorImpl* grad = nullptr;
};

// A dense piece of one of the tensors, as T: its own memory where it is of that
// dtype, else a copy that is written back.
template <class T>
class Piece {
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
void run_slot(const Slot& slot, DType computed, int64_t begin, int64_t end,
              const Step& step) {
  const TensorImpl& g = *slot.grad;
  Reader grad(g, layout_of(g, row_order(g.ndim)), computed);
  grad.seek(begin);
  TileBuffer grad_tile;
  Piece<T> pieces[1 + kMaxState];
  for (int64_t i = begin; i < end; i += kTile) {
    const int64_t n = std::min(kTile, end - i);
    T* at[1 + kMaxState];
    for (int k = 0; k <= kMaxState; ++k) {
      at[k] = pieces[k].open(slot.tensors[k], computed, i, n);
    }
    step(at, static_cast<const T*>(grad.next(n, &grad_tile)), n);
    for (Piece<T>& piece : pieces) piece.close(n);
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
      Slot slot;
      slot.grad = grads[k];
      slot.tensors[0] = params[k];
      for (size_t s = 0; s < state.size(); ++s) {
        const auto list = c.list(state[s]);
        if (!list.empty()) slot.tensors[1 + s] = list[k];
      }
      if (params[k]->dtype == DType::f64) {
        run_slot<double>(slot, DType::f64, from, to, step_f64);
      } else {
        run_slot<float>(slot, DType::f32, from, to, step_f32);
      }
    }
  });
}

template <class T>
SgdTile<T> sgd_options(const OpCall& c) {
  return {
      .param = nullptr,
      .grad = nullptr,
      .buffer = nullptr,
      .lr = static_cast<T>(c.f(3)),
      .momentum = static_cast<T>(c.f(4)),
      .undamped = static_cast<T>(1 - c.f(5)),
      .weight_decay = static_cast<T>(c.f(6)),
      .nesterov = c.b(7),
      .maximize = c.b(8),
      .first = c.b(9),
  };
}

template <class T>
SgdTile<T> bind(SgdTile<T> tile, T* const* at, const T* grad) {
  tile.param = at[0];
  tile.grad = grad;
  tile.buffer = at[1];
  return tile;
}

void sgd_step(OpCall& c) {
  const int kBuffers[] = {2};
  const std::span<const int> state(kBuffers, c.f(4) == 0 ? 0 : 1);
  const auto f32 = sgd_options<float>(c);
  const auto f64 = sgd_options<double>(c);
  each_param(
      c, state,
      [&](float* const* at, const float* grad, int64_t n) {
        FE_BEST(sgd_f32)(bind(f32, at, grad), n);
      },
      [&](double* const* at, const double* grad, int64_t n) {
        FE_BEST(sgd_f64)(bind(f64, at, grad), n);
      });
}

// By squaring: the same on every machine, which the C library's pow is not.
double power(double x, int64_t n) {
  double r = 1;
  for (; n > 0; n >>= 1, x *= x) {
    if (n & 1) r *= x;
  }
  return r;
}

template <class T>
AdamTile<T> adam_options(const OpCall& c, int64_t t) {
  const double lr = c.f(6), beta1 = c.f(7), beta2 = c.f(8), decay = c.f(10);
  const bool decoupled = c.b(13);
  return {
      .param = nullptr,
      .grad = nullptr,
      .exp_avg = nullptr,
      .exp_avg_sq = nullptr,
      .max_exp_avg_sq = nullptr,
      .keep = static_cast<T>(decoupled ? 1 - lr * decay : 1.0),
      .weight_decay = static_cast<T>(decoupled ? 0.0 : decay),
      .weight1 = static_cast<T>(1 - beta1),
      .beta1 = static_cast<T>(beta1),
      .beta2 = static_cast<T>(beta2),
      .weight2 = static_cast<T>(1 - beta2),
      .step_size = static_cast<T>(lr / (1 - power(beta1, t))),
      .correction2 = static_cast<T>(std::sqrt(1 - power(beta2, t))),
      .eps = static_cast<T>(c.f(9)),
      .maximize = c.b(12),
  };
}

template <class T>
AdamTile<T> bind(AdamTile<T> tile, T* const* at, const T* grad) {
  tile.param = at[0];
  tile.grad = grad;
  tile.exp_avg = at[1];
  tile.exp_avg_sq = at[2];
  tile.max_exp_avg_sq = at[3];
  return tile;
}

void adam_step(OpCall& c) {
  const int64_t t = ++*c.in(5).ptr<int64_t>();
  const int kAll[] = {2, 3, 4};
  const std::span<const int> state(kAll, c.b(11) ? 3 : 2);
  const auto f32 = adam_options<float>(c, t);
  const auto f64 = adam_options<double>(c, t);
  each_param(
      c, state,
      [&](float* const* at, const float* grad, int64_t n) {
        FE_BEST(adam_f32)(bind(f32, at, grad), n);
      },
      [&](double* const* at, const double* grad, int64_t n) {
        FE_BEST(adam_f64)(bind(f64, at, grad), n);
      });
}

}  // namespace
}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef sgd_step_cpu = {
    .name = "sgd_step",
    .run = cpu::sgd_step,
    .contiguous = false,
};
extern const KernelDef adam_step_cpu = {
    .name = "adam_step",
    .run = cpu::adam_step,
    .contiguous = false,
};

}  // namespace ferrule
