// CPU kernel of recurrence: step by step, a block of hidden units at a time,
// first its products and then the functions of its gates.
#include "runtime/cpu/recurrence_panels.h"

namespace ferrule {
namespace cpu {
namespace {

template <class T>
class Forward {
 public:
  explicit Forward(const OpCall& c)
      : s_(c, c.out_impl(0), 6), slots_(s_.units(), unit_bytes(), s_.grain()) {}

  int64_t scratch_bytes() const { return panel_bytes() + slots_.total(); }

  void run(const OpCall& c) {
    weight_ = c.in(4).ptr<T>();
    panels_ = static_cast<T*>(c.scratch);
    if (s_.copies()) copy_panels();
    char* const scratch = static_cast<char*>(c.scratch) + panel_bytes();
    const int64_t state = s_.batch * s_.hidden;
    T* const out = c.out_impl(0).ptr<T>();
    T* const cells = c.out_impl(1).ptr<T>();
    T* const gates = c.out_impl(2).ptr<T>();
    const T* bias = c.is_tensor(5) ? c.in(5).ptr<T>() : nullptr;
    const T* h = c.in(2).ptr<T>();
    const T* cell = c.is_tensor(3) ? c.in(3).ptr<T>() : nullptr;
    for (int64_t k = 0; k < s_.steps; ++k) {
      const int64_t t = s_.step(k);
      const Step step{c.in(1).ptr<T>() + t * s_.gates * state,
                      h,
                      s_.mode == Recurrent::lstm ? cell : h,
                      bias,
                      gates + t * s_.kept * state,
                      s_.mode == Recurrent::lstm ? cells + t * state : nullptr,
                      out + t * state};
      slots_.each_unit(scratch, [&](int64_t unit, char* own) {
        run_block(step, RecurrentBlock(s_, unit), own);
      });
      h = step.out;
      cell = step.cells;
    }
  }

 private:
  // What a step reads and writes, from the first element on.
  struct Step {
    const T *x, *h, *prev, *bias;
    T *gates, *cells, *out;
  };

  int64_t panel_bytes() const {
    return s_.copies() ? s_.gates * s_.across() * block_elements<T>(s_.hidden) *
                             static_cast<int64_t>(sizeof(T))
                       : 0;
  }

  // Columns [col, col + cols) of gate `g`'s weights, transposed: (hidden,
  // cols).
  MatrixView<T> weights(int64_t g, int64_t col) const {
    return {weight_ + (g * s_.hidden + col) * s_.hidden, 1, s_.hidden};
  }
  const T* packed(int64_t g, int64_t col) const {
    return s_.copies() ? panels_ + (g * s_.across() + col / s_.kCols) *
                                       block_elements<T>(s_.hidden)
                       : nullptr;
  }

  void copy_panels() const {
    pack_blocks(s_.gates * s_.across(), s_.hidden, panels_, [&](int64_t i) {
      const int64_t col = i % s_.across() * s_.kCols;
      Gemm<T> g{.n = std::min(s_.kCols, s_.hidden - col), .k = s_.hidden};
      g.b = weights(i / s_.across(), col);
      return g;
    });
  }

  // h W^T + b of one gate.
  PanelProduct<T> product(const Step& step, const RecurrentBlock& b, int64_t g,
                          T* share) const {
    const int64_t n = s_.hidden;
    return {.depth = n,
            .a = {step.h + b.row * n, n, 1},
            .b = weights(g, b.col),
            .b_packed = packed(g, b.col),
            .c = share + g * s_.kCols,
            .c_row = s_.gates * s_.kCols,
            .bias = step.bias ? step.bias + g * n + b.col : nullptr};
  }

  // Scratch of a unit: the shares of its gates, and the products'.
  int64_t share_bytes() const {
    return s_.kRows * s_.gates * s_.kCols * static_cast<int64_t>(sizeof(T));
  }
  int64_t unit_bytes() const {
    if (s_.batch == 0 || s_.hidden == 0) return 0;
    const PanelProduct<T> any = product({}, RecurrentBlock(s_, 0), 0, nullptr);
    return share_bytes() + any.scratch_bytes(s_);
  }

  void run_block(const Step& step, const RecurrentBlock& b,
                 char* scratch) const {
    const int64_t n = s_.hidden;
    T* const share = reinterpret_cast<T*>(scratch);
    const auto at = [&](auto* p, int64_t width) {
      return p ? p + b.row * width * n + b.col : p;
    };
    fetch_block(at(step.x, s_.gates), b, s_.gates, n);
    fetch_block(at(step.prev, 1), b, 1, n);
    for (int64_t g = 0; g < s_.gates; ++g) {
      product(step, b, g, share).run(b.rows, b.cols, scratch + share_bytes());
    }
    FE_BEST(step_block)
    ({s_.mode, b.rows, b.cols, n, at(step.x, s_.gates), share, at(step.prev, 1),
      at(step.gates, s_.kept), at(step.cells, 1), at(step.out, 1)},
     sizeof(T) == 8 ? DType::f64 : DType::f32);
  }

  RecurrentSizes s_;
  const T* weight_ = nullptr;
  T* panels_ = nullptr;
  Slots slots_;
};

int64_t recurrence_scratch(const OpCall& c) {
  return by_float(c, [&]<class T>(T) { return Forward<T>(c).scratch_bytes(); });
}

void recurrence(OpCall& c) {
  by_float(c, [&]<class T>(T) { Forward<T>(c).run(c); });
}

}  // namespace
}  // namespace cpu

extern const KernelDef recurrence_cpu = {
    .name = "recurrence",
    .run = cpu::recurrence,
    .scratch = cpu::recurrence_scratch,
};

}  // namespace ferrule
