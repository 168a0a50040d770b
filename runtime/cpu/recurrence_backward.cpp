// CPU kernel of recurrence's gradient: back through the steps. What comes from
// the next step to a block of hidden units is a product with all its gates; the
// block's own gates follow at once.
#include "runtime/cpu/recurrence_panels.h"

namespace ferrule {
namespace cpu {
namespace {

template <class T>
class Backward {
 public:
  explicit Backward(const OpCall& c)
      : s_(c, c.in(7), 10), slots_(s_.units(), unit_bytes(), s_.grain()) {}

  int64_t scratch_bytes() const { return panel_bytes() + slots_.total(); }

  void run(const OpCall& c) {
    weight_ = c.in(6).ptr<T>();
    panels_ = static_cast<T*>(c.scratch);
    if (s_.copies()) copy_panels();
    char* const scratch = static_cast<char*>(c.scratch) + panel_bytes();
    T* const input_grad = c.out_impl(0).ptr<T>();
    const bool gru = s_.mode == Recurrent::gru;
    T* const shares = gru ? c.out_impl(1).ptr<T>() : input_grad;
    const int64_t state = s_.batch * s_.hidden;
    const auto step_of = [&](int arg, int64_t t, int64_t width) -> const T* {
      return c.is_tensor(arg) ? c.in(arg).ptr<T>() + t * width * state
                              : nullptr;
    };
    Step step{};
    step.dh = c.out_impl(2).ptr<T>();
    step.dc = c.out_impl(3).ptr<T>();
    const int first = gru ? 4 : 5;   // h0 or c0
    const int states = gru ? 7 : 8;  // outputs or cells
    for (int64_t k = s_.steps - 1; k >= -1; --k) {
      step.next = k + 1 < s_.steps ? shares + s_.step(k + 1) * s_.gates * state
                                   : nullptr;
      step.last = k < 0;
      if (k >= 0) {
        const int64_t t = s_.step(k);
        step.out_grad = step_of(1, t, 1);
        step.cells_grad = step_of(2, t, 1);
        step.gates_grad = step_of(3, t, s_.kept);
        step.out = step_of(7, t, 1);
        step.cells = step_of(8, t, 1);
        step.gates = step_of(9, t, s_.kept);
        step.prev =
            k > 0 ? step_of(states, s_.step(k - 1), 1) : step_of(first, 0, 1);
        step.input_grad = input_grad + t * s_.gates * state;
        step.hidden_grad = shares + t * s_.gates * state;
      }
      slots_.each_unit(scratch, [&](int64_t unit, char* own) {
        run_block(step, RecurrentBlock(s_, unit), own);
      });
    }
  }

 private:
  // What a step reads and writes, from the first element on.
  struct Step {
    const T* next;  // gradients of the next step's h W^T; null: there is none
    bool last;      // nothing but dh is left to do
    const T *out_grad, *cells_grad, *gates_grad;
    const T *out, *cells, *gates, *prev;
    T *dh, *dc, *input_grad, *hidden_grad;
  };

  int64_t depth() const { return s_.gates * s_.hidden; }
  int64_t panel_bytes() const {
    return s_.copies() ? s_.across() * block_elements<T>(depth()) *
                             static_cast<int64_t>(sizeof(T))
                       : 0;
  }

  // Columns of the weights: (gates hidden, cols).
  MatrixView<T> weights(int64_t col) const {
    return {weight_ + col, s_.hidden, 1};
  }
  const T* packed(int64_t col) const {
    return s_.copies() ? panels_ + col / s_.kCols * block_elements<T>(depth())
                       : nullptr;
  }

  void copy_panels() const {
    pack_blocks(s_.across(), depth(), panels_, [&](int64_t i) {
      const int64_t col = i * s_.kCols;
      Gemm<T> g{.n = std::min(s_.kCols, s_.hidden - col), .k = depth()};
      g.b = weights(col);
      return g;
    });
  }

  PanelProduct<T> product(const Step& step, const RecurrentBlock& b) const {
    const int64_t n = s_.hidden;
    return {.depth = depth(),
            .a = {step.next + b.row * depth(), depth(), 1},
            .b = weights(b.col),
            .b_packed = packed(b.col),
            .c = step.dh + b.row * n + b.col,
            .c_row = n,
            // A GRU has left the share of h' = ... + z h there.
            .accumulate = s_.mode == Recurrent::gru};
  }

  int64_t unit_bytes() const {
    if (s_.batch == 0 || s_.hidden == 0) return 0;
    return product({}, RecurrentBlock(s_, 0)).scratch_bytes(s_);
  }

  void run_block(const Step& step, const RecurrentBlock& b,
                 void* scratch) const {
    const int64_t n = s_.hidden;
    const auto at = [&](auto* p, int64_t width) {
      return p ? p + b.row * width * n + b.col : p;
    };
    const bool lstm = s_.mode == Recurrent::lstm;
    if (!step.last) {
      fetch_block(at(step.gates, s_.kept), b, s_.kept, n);
      fetch_block(at(step.cells, 1), b, 1, n);
      fetch_block(at(step.prev, 1), b, 1, n);
      fetch_block(at(step.out_grad, 1), b, 1, n);
    }
    if (step.next != nullptr) {
      product(step, b).run(b.rows, b.cols, scratch);
    } else {
      for (int64_t r = 0; r < b.rows; ++r) {
        std::fill_n(at(step.dh, 1) + r * n, b.cols, T(0));
        if (lstm) std::fill_n(at(step.dc, 1) + r * n, b.cols, T(0));
      }
    }
    if (step.last) return;
    FE_BEST(step_grad_block)
    ({s_.mode, b.rows, b.cols, n, at(step.out_grad, 1), at(step.cells_grad, 1),
      at(step.gates_grad, s_.kept), at(step.gates, s_.kept), at(step.prev, 1),
      at(step.cells, 1), at(step.out, 1), at(step.dh, 1), at(step.dc, 1),
      at(step.input_grad, s_.gates), at(step.hidden_grad, s_.gates)},
     sizeof(T) == 8 ? DType::f64 : DType::f32);
  }

  RecurrentSizes s_;
  const T* weight_ = nullptr;
  T* panels_ = nullptr;
  Slots slots_;
};

int64_t recurrence_backward_scratch(const OpCall& c) {
  return by_float(c,
                  [&]<class T>(T) { return Backward<T>(c).scratch_bytes(); });
}

void recurrence_backward(OpCall& c) {
  by_float(c, [&]<class T>(T) { Backward<T>(c).run(c); });
}

}  // namespace
}  // namespace cpu

extern const KernelDef recurrence_backward_cpu = {
    .name = "recurrence_backward",
    .run = cpu::recurrence_backward,
    .scratch = cpu::recurrence_backward_scratch,
};

}  // namespace ferrule
