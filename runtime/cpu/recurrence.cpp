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
    return s_.copies() ? align64(s_.gates * s_.hidden * s_.hidden *
                                 static_cast<int64_t>(sizeof(T)))
                       : 0;
  }

  // Columns [col, col + cols) of gate `g`'s weights, transposed: (hidden,
  // cols).
  MatrixView<T> panel(int64_t g, int64_t col, int64_t cols) const {
    const int64_t first = (g * s_.hidden + col) * s_.hidden;
    if (s_.copies()) return {panels_ + first, cols, 1};
    return {weight_ + first, 1, s_.hidden};
  }

  void copy_panels() const {
    const int64_t n = s_.hidden;
    parallel_for(s_.gates * s_.across(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t col = p % s_.across() * s_.kCols;
        const int64_t cols = std::min(s_.kCols, n - col);
        const T* from = weight_ + (p / s_.across() * n + col) * n;
        T* to = panels_ + (p / s_.across() * n + col) * n;
        for (int64_t k = 0; k < n; ++k) {
          for (int64_t j = 0; j < cols; ++j) *to++ = from[j * n + k];
        }
      }
    });
  }

  // h W^T + b of one gate.
  PanelProduct<T> product(const Step& step, const RecurrentBlock& b, int64_t g,
                          T* share) const {
    const int64_t n = s_.hidden;
    return {.depth = n,
            .a = {step.h + b.row * n, n, 1},
            .b = panel(g, b.col, b.cols),
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
