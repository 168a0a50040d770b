// The loops of Fourier transforms, on float or double.
//
// All arithmetic is done on several transforms at once, one a lane: element k
// of all of them is a pair of vectors, real and imaginary parts, in a buffer.
// Which transforms share a buffer is chosen in fft.cpp.
#pragma once

#include <cstdint>

#include "ferrule/dtype.h"
#include "runtime/cpu/fft_plan.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// Where the numbers of lines lie in memory; distances in parts, which are
// floats or doubles. Lines with neighbours side by side come in blocks of
// `inner`.
struct FftLines {
  char* data = nullptr;
  int64_t count = 0;  // numbers of a line
  int64_t step = 2;   // from a number to the next
  int64_t imag =
      1;  // from the real part to the imaginary one; 0: there is none
  int64_t lane = 2;   // from a line to the next of its block
  int64_t inner = 1;  // lines of a block
  int64_t block = 0;  // from a block to the next

  // Numbers lie side by side, each with its parts.
  bool dense() const { return step == 2 && imag == 1; }
};

// What stands between a real transform of even length 2m and the complex one of
// length m that computes it: z[k] and z[m - k] become or are made of the
// coefficients x[k] and x[m - k].
struct FftHalves {
  int64_t m;
  int64_t turns;    // offset of cos and sin of 2 pi k / 2m, for k <= m / 2
  bool to_half;     // from z to x
  double factor;    // of all but x[0] and x[m]
  bool conjugated;  // x stands for its conjugate
};

struct FftLoops {
  int lanes;
  // The numbers of lines [first, first + lines), at most `lanes`: into the
  // buffer, number k at places[k] (null: k). `swap`: the parts change places,
  // which before and after a transform gives its inverse.
  void (*read)(const FftLines& from, int64_t first, int lines,
               const int32_t* places, void* buffer, bool swap);
  void (*write)(const FftLines& to, int64_t first, int lines,
                const void* buffer, bool swap, double scale);
  // In place; numbers stand where `places` of the plan puts them.
  void (*transform)(const LaneFft& plan, const char* tables, void* buffer);
  // Between the two steps of one long transform, see fft_plan.h: rows
  // [first, first + lanes) of the first become lanes of the second.
  void (*turn)(const FftPlan& plan, const char* tables, const void* rows,
               int64_t first, void* buffer);
  // Buffer `from` with x or z in order; `to` is the same, or takes z at places,
  // with parts swapped.
  void (*halves_of_lanes)(const FftHalves& h, const char* tables,
                          const void* from, void* to, const int32_t* places);
  // The same on one line, numbers side by side.
  void (*halves_of_line)(const FftHalves& h, const char* tables,
                         const void* from, void* to);
  // The buffer has coefficients [0, n / 2] of a real transform of odd length n,
  // swapped: adds the others, after multiplying all but the first by `factor`.
  void (*mirror)(void* buffer, const int32_t* places, int64_t n, double factor,
                 bool conjugated);
  // to[i] = scale * a[i] * b[i] for i < n, complex; parts of a, and those of
  // the result, may be swapped.
  void (*multiply)(void* to, const void* a, const void* b, int64_t n,
                   double scale, bool swap_a, bool swap_result);
};

FE_SIMD(FftLoops fft_loops(DType t);)

}  // namespace ferrule::cpu
