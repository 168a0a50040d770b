// Transforms of one line at a time, in two steps or as a convolution: see
// fft_plan.h.
#pragma once

#include "runtime/cpu/fft.h"

namespace ferrule::cpu {

// Scratch that is handed out piece by piece; without memory, to count it.
class Pieces {
 public:
  explicit Pieces(char* memory) : memory_(memory) {}
  char* take(int64_t bytes) {
    char* piece = memory_ ? memory_ + used_ : nullptr;
    used_ += (bytes + 63) & ~int64_t{63};
    return piece;
  }
  int64_t used() const { return used_; }

 private:
  char* memory_;
  int64_t used_ = 0;
};

class FftLine {
 public:
  // `shared`: threads share the work on a line.
  FftLine(const FftPlan& plan, bool shared);

  // Memory for one line: blocks of the first step, buffers for the second, two
  // more lines for a convolution.
  struct Work {
    char *blocks, *buffers, *line[2];
  };
  Work work(Pieces* from) const;

  // Numbers lie side by side; `swap` as in FftLoops.
  void run(const char* from, char* to, const char* tables, const Work& w,
           bool swap, double scale) const;

  // All tables of the plan, with scratch for it.
  void fill(char* tables, char* scratch) const;
  int64_t fill_bytes() const;

 private:
  void steps(const char* from, char* to, const char* tables, const Work& w,
             bool swap, double scale) const;
  FftLine wide() const;

  FftPlan plan_;
  FftLoops loops_;
  bool shared_;
};

}  // namespace ferrule::cpu
