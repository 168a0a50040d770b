// Elementwise calls that follow on each other, as one: what lies between them
// exists a tile at a time, in the nearest cache. The tile functions are those
// of the calls alone, and an element does not depend on its neighbours, so the
// bits are the same.
//
//   TileProgram p(calls);          // in order
//   if (p.fits()) p.run();         // the result of the last one
#pragma once

#include <span>
#include <vector>

#include "runtime/cpu/elementwise.h"

namespace ferrule::cpu {

class TileProgram {
 public:
  static constexpr int kMaxOperands = 12;
  static constexpr int kMaxBuffers = 8;

  // Can the call stand in a program? Its result is as large as those of the
  // others; operands may be smaller.
  static bool takes(const OpCall& c);

  // Results of calls but the last are read by later ones only. The calls'
  // headers are borrowed.
  explicit TileProgram(std::span<const OpCall* const> calls);

  // False: it needs more operands or buffers than there are; drop calls.
  bool fits() const {
    return operands_.size() <= kMaxOperands && buffers_ <= kMaxBuffers;
  }
  std::span<const Input> operands() const { return operands_; }
  void run() const;

 private:
  class Builder;
  // A tile function, or, where there is none, a conversion.
  struct Step {
    TileFn fn = nullptr;
    Route route;
    DType from = DType::f32, to = DType::f32;  // of the conversion
    int n = 0;                                 // operands
    int in[kMaxInputs] = {};                   // operands first, then buffers
    int out = -1;                              // a buffer; -1: the result
    bool over_input = false;                   // it may be one of the operands'
  };
  struct Memory;

  static void convert(const Step& step, void* to, const void* from, int64_t n);
  void run_tile(Memory& memory, void* to, const void* const* from,
                int64_t n) const;
  bool run_at_once() const;

  const TensorImpl* out_ = nullptr;
  DType result_ = DType::f32;  // what the last step writes
  int64_t grain_ = 0;
  std::vector<Input> operands_;
  std::vector<Step> steps_;
  int buffers_ = 0;
};

}  // namespace ferrule::cpu
