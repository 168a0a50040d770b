// How a complex transform of n numbers is computed, and the tables for it.
//
// Three ways:
//   lanes      n is small or lines are many: several lines at once, one a lane
//   two_steps  n = n1 n2: the line is a matrix of n1 rows. Its columns are
//              transformed, lanes at a time, multiplied by powers of the root
//              of unity, then its rows (Gentleman and Sande, 1966; Bailey's
//              "four steps")
//   chirp      n has a large prime factor: a convolution, by two transforms of
//   a
//              length >= 2n - 1 in two steps (Bluestein, 1970)
#pragma once

#include <cstdint>

#include "ferrule/dtype.h"

namespace ferrule::cpu {

// The largest prime factor that is transformed by its definition.
inline constexpr int kMaxRadix = 127;

// A transform of lanes, in place: one pass a prime factor, or 4 or 8, over
// numbers that were put in the order of reversed digits.
struct LaneFft {
  static constexpr int kMostPasses = 40;
  int64_t n = 1;
  int passes = 0;
  uint8_t radix[kMostPasses];
  int64_t places = 0;  // offset of n int32: where number k is put
  // Offset of what the passes need, one after the other: for an odd radix r its
  // roots of unity (cos, sin), then powers for each number but the first of a
  // butterfly.
  int64_t turns = 0;
};

enum class FftWay : uint8_t { lanes, two_steps, chirp };

struct FftPlan {
  int64_t n = 1;
  DType dtype = DType::f32;
  int lanes = 1;
  FftWay way = FftWay::lanes;
  int64_t length = 1;     // of the steps: n, or that of the convolution
  LaneFft first, second;  // of the steps; `lanes`: the first
  // Offsets: exp(-2 pi i k l / length) for rows k of the first step and lanes
  // l, and exp(-2 pi i k b lanes / length) for blocks b of lanes.
  int64_t lane_turns = 0, block_turns = 0;
  int64_t chirp = 0, spectrum = 0;  // of n and of `length` numbers
  int64_t halves = -1;              // see FftHalves::turns; -1: none
  int64_t bytes = 0;

  int64_t number_bytes() const { return 2 * itemsize(dtype); }
  int64_t blocks() const { return (second.n + lanes - 1) / lanes; }
  // Of a buffer for a transform of lanes.
  int64_t buffer_bytes(int64_t numbers) const {
    return numbers * lanes * number_bytes();
  }
};

// Of so many lines. `halves`: for real transforms of length 2n, too.
FftPlan plan_fft(int64_t n, int64_t lines, bool halves, DType t, int lanes);
// The two steps, in double, that the spectrum of a convolution is computed by.
FftPlan plan_fft_of_chirp(const FftPlan& plan, int lanes);

// Fills in the tables but for the spectrum.
void fill_fft_tables(const FftPlan& plan, char* tables);
// What the spectrum is of: exp(pi i k^2 / n) for |k| < n, round the end of
// `length` complex numbers.
void fill_chirp(const FftPlan& plan, double* to);

}  // namespace ferrule::cpu
