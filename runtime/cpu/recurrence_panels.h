// What the kernels of recurrence and of its gradient share: sizes, blocks, and
// the recurrent weights cut into narrow panels.
//
// Every step multiplies by the same weights. They are packed once, for a block
// of hidden units at a time, whose products stand in the first-level cache when
// the gates' functions are computed right after.
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

// c (rows x cols) = a b + bias, or += a b: b is `depth` deep, and packed or
// not.
template <class T>
struct PanelProduct {
  int64_t depth;
  MatrixView<T> a;
  MatrixView<T> b;
  const T* b_packed;
  T* c;
  int64_t c_row;
  const T* bias = nullptr;
  bool accumulate = false;

  Gemm<T> gemm_of(int64_t rows, int64_t cols) const {
    Gemm<T> g{.m = rows, .n = cols, .k = depth};
    g.a = a;
    g.b = b;
    g.c = c;
    g.c_row = c_row;
    g.col_bias = bias;
    g.accumulate = accumulate;
    g.b_packed = b_packed;
    return g;
  }
  void run(int64_t rows, int64_t cols, void* scratch) const {
    gemm(gemm_of(rows, cols), scratch);
  }
  // For blocks of all sizes that occur.
  int64_t scratch_bytes(const RecurrentSizes& s) const {
    int64_t most = 0;
    for (int64_t rows : {std::min(s.batch, s.kRows), s.batch % s.kRows}) {
      for (int64_t cols : {std::min(s.hidden, s.kCols), s.hidden % s.kCols}) {
        if (rows * cols == 0) continue;
        most = std::max(most, gemm_scratch_bytes(gemm_of(rows, cols)));
      }
    }
    return most;
  }
};

// Brings `parts` blocks near, one behind the other in rows of all `parts` times
// `hidden`: they come while products are computed. Null: there is none.
template <class T>
void fetch_block(const T* from, const RecurrentBlock& b, int64_t parts,
                 int64_t hidden) {
  if (from == nullptr) return;
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));
  for (int64_t r = 0; r < b.rows; ++r) {
    for (int64_t p = 0; p < parts; ++p) {
      const T* row = from + (r * parts + p) * hidden;
      for (int64_t i = 0; i < b.cols; i += kLine) {
        __builtin_prefetch(row + i, 0, 2);
      }
    }
  }
}

// The packed weights of one block of hidden units.
template <class T>
int64_t block_elements(int64_t depth) {
  return packed_b_bytes<T>(depth, RecurrentSizes::kCols) /
         static_cast<int64_t>(sizeof(T));
}

// Packs `count` blocks: block(i) has the matrix, b and its n columns.
template <class T, class Block>
void pack_blocks(int64_t count, int64_t depth, T* to, const Block& block) {
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      pack_b(block(i), to + i * block_elements<T>(depth));
    }
  });
}

}  // namespace ferrule::cpu
