// The arithmetic of one step of a recurrent layer, on a block of its batch and
// of its hidden units. See runtime/ops/recurrence.cpp for the formulas.
#pragma once

#include <cstdint>

#include "ferrule/dtype.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

enum class Recurrent : uint8_t { lstm, gru, tanh, relu };

// Hidden units of a block, at most: enough that memory is read in pieces of a
// few cache lines.
inline constexpr int64_t kStepCols = 64;

// Pointers are to the block's first element of one dtype. A row of batch holds
// the gates of `hidden` units, one after the other: `x` and the gradients of
// gates 4, 3 or 1, `gates` 4, the others 1.
struct StepBlock {
  Recurrent mode;
  int64_t rows, cols, hidden;
  const void* x;      // the inputs' share
  const void* share;  // h W^T + b, rows of kStepCols for each of x's gates
  const void* prev;  // LSTM: cells before the step; GRU: hidden state before it
  void* gates;       // what is kept of them
  void* cells;       // LSTM: the new ones
  void* out;         // hidden state
};

struct StepGradBlock {
  Recurrent mode;
  int64_t rows, cols, hidden;
  const void *out_grad, *cells_grad, *gates_grad;  // null: zero
  const void *gates, *prev, *cells, *out;          // as above, after the step
  void* dh;           // from the next step; GRU: becomes z dh
  void* dc;           // LSTM: from the next step; becomes that of `prev`
  void* input_grad;   // of x
  void* hidden_grad;  // GRU: of h W^T + b
};

FE_SIMD(void step_block(const StepBlock& b, DType t);
        void step_grad_block(const StepGradBlock& b, DType t);)

}  // namespace ferrule::cpu
