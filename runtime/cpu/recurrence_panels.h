// What the kernels of recurrence and of its gradient share: sizes, blocks, and
// the recurrent weights cut into narrow panels.
//
// Every step multiplies by the same weights. They are copied once, into panels
// so narrow and multiplied in pieces so shallow that the matrix product reads
// them where they are. What a block of hidden units needs for its step stands
// in the first-level cache when the gates' functions are computed right after.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ferrule/op.h"
#include "runtime/cpu/gemm.h"
#include "runtime/cpu/operands.h"
#include "runtime/cpu/recurrence.h"
#include "runtime/cpu/slots.h"

namespace ferrule::cpu {

// Sizes, and the blocks of a step: some rows of the batch times some hidden
// units.
struct RecurrentSizes {
  static constexpr int64_t kRows = 64;
  static constexpr int64_t kCols = kStepCols;
  // From so many steps on it pays to copy the weights.
  static constexpr int64_t kCopySteps = 4;
  // Multiply-adds worth a visit to another thread.
  static constexpr int64_t kUnitWork = 1 << 17;

  Recurrent mode;
  int64_t steps, batch, hidden;
  int64_t gates, kept;  // see Mode in runtime/ops/recurrence.cpp
  bool reverse;

  // `output`: of shape (steps, batch, hidden).
  RecurrentSizes(const OpCall& c, const TensorImpl& output, int reverse_arg)
      : steps(output.shape[0]),
        batch(output.shape[1]),
        hidden(output.shape[2]),
        reverse(c.b(reverse_arg)) {
    const auto name = c.str(0);
    mode = name == "lstm"   ? Recurrent::lstm
           : name == "gru"  ? Recurrent::gru
           : name == "tanh" ? Recurrent::tanh
                            : Recurrent::relu;
    gates = mode == Recurrent::lstm ? 4 : mode == Recurrent::gru ? 3 : 1;
    kept = gates > 1 ? 4 : 0;
  }

  bool copies() const { return steps >= kCopySteps; }
  // The k-th step that is computed.
  int64_t step(int64_t k) const { return reverse ? steps - 1 - k : k; }
  int64_t across() const { return (hidden + kCols - 1) / kCols; }
  int64_t units() const { return (batch + kRows - 1) / kRows * across(); }
  int64_t grain() const {
    const int64_t work = std::min(batch, kRows) * kCols * hidden * gates;
    return kUnitWork / std::max<int64_t>(1, work);
  }
};

struct RecurrentBlock {
  int64_t row, rows, col, cols;

  RecurrentBlock(const RecurrentSizes& s, int64_t unit)
      : row(unit / s.across() * s.kRows),
        rows(std::min(s.kRows, s.batch - row)),
        col(unit % s.across() * s.kCols),
        cols(std::min(s.kCols, s.hidden - col)) {}
};

// c (rows x cols) = a b + bias, or += a b: b is `depth` deep.
template <class T>
struct PanelProduct {
  // A piece of a panel, which the product reads in place.
  static constexpr int64_t kDepth =
      (32 << 10) / static_cast<int64_t>(RecurrentSizes::kCols * sizeof(T));

  int64_t depth;
  MatrixView<T> a;
  MatrixView<T> b;
  T* c;
  int64_t c_row;
  const T* bias = nullptr;
  bool accumulate = false;

  // The piece that begins at k.
  Gemm<T> piece(int64_t rows, int64_t cols, int64_t k) const {
    Gemm<T> g;
    g.m = rows;
    g.n = cols;
    g.k = std::min(kDepth, depth - k);
    g.a = {a.data + k * a.col, a.row, a.col};
    g.b = {b.data + k * b.row, b.row, b.col};
    g.c = c;
    g.c_row = c_row;
    g.col_bias = k == 0 ? bias : nullptr;
    g.accumulate = accumulate || k > 0;
    return g;
  }
  void run(int64_t rows, int64_t cols, void* scratch) const {
    for (int64_t k = 0; k < depth; k += kDepth) {
      gemm(piece(rows, cols, k), scratch);
    }
  }
  // For blocks of all sizes that occur.
  int64_t scratch_bytes(const RecurrentSizes& s) const {
    int64_t most = 0;
    for (int64_t rows : {std::min(s.batch, s.kRows), s.batch % s.kRows}) {
      for (int64_t cols : {std::min(s.hidden, s.kCols), s.hidden % s.kCols}) {
        for (int64_t k = 0; k < depth && rows * cols > 0; k += kDepth) {
          most = std::max(most, gemm_scratch_bytes(piece(rows, cols, k)));
        }
      }
    }
    return most;
  }
};

}  // namespace ferrule::cpu
