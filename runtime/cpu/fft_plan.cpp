// Choosing the way of a Fourier transform, and its tables. Angles are reduced
// by whole numbers before a sine is taken, in double.
#include "runtime/cpu/fft_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace ferrule::cpu {
namespace {

constexpr int kAloneRadix = 61;  // the largest radix of a line alone
constexpr int64_t kMostLaneBytes = 128 << 10;  // of a buffer: half of a cache
constexpr int64_t kFewestSteps = 64;  // numbers of a line alone worth two steps

constexpr int64_t align64(int64_t n) { return (n + 63) & ~int64_t{63}; }

struct Root {
  double re, im;
};

// exp(-2 pi i k / n), 0 <= k < n, of an angle in [0, pi / 4].
Root root_of_unity(int64_t k, int64_t n) {
  // In eighths of a turn, counted from the nearest multiple of a quarter.
  const int64_t eighth = 8 * k / n;
  int64_t rest = 8 * k - eighth * n;  // of n: the part of an eighth
  if (eighth % 2 == 1) rest = n - rest;
  const double angle = static_cast<double>(rest) / static_cast<double>(n) *
                       (std::numbers::pi / 4);
  const double c = std::cos(angle), s = std::sin(angle);
  switch (eighth) {
    case 0:
      return {c, -s};
    case 1:
      return {s, -c};
    case 2:
      return {-s, -c};
    case 3:
      return {-c, -s};
    case 4:
      return {-c, s};
    case 5:
      return {-s, c};
    case 6:
      return {s, c};
    default:
      return {c, s};
  }
}

// The radices of n; false: it has a prime factor above `most`. Odd ones come
// first, where the powers are few.
bool factor(int64_t n, LaneFft* fft, int64_t most = kMaxRadix) {
  fft->n = n;
  fft->passes = 0;
  const auto add = [&](int64_t r) {
    fft->radix[fft->passes++] = static_cast<uint8_t>(r);
  };
  int twos = 0;
  for (; n % 2 == 0; n /= 2) ++twos;
  for (int64_t r = 3; r <= most && n > 1; r += 2) {
    for (; n % r == 0; n /= r) add(r);
  }
  if (n > 1) return false;
  if (twos == 1) add(2);
  const int fours = twos == 1 ? 0 : (3 - twos % 3) % 3;
  for (int k = 0; k < fours; ++k) add(4);
  for (int k = 0; k < (twos - 2 * fours) / 3; ++k) add(8);
  return true;
}

// Splits the length so that vectors are full and both steps alike.
bool split(FftPlan* plan) {
  const int64_t n = plan->length, lanes = plan->lanes;
  const auto vectors = [&](int64_t k) { return (k + lanes - 1) / lanes; };
  int64_t best = 1, least = std::numeric_limits<int64_t>::max();
  const auto root = static_cast<int64_t>(std::sqrt(static_cast<double>(n)));
  for (int64_t d = root; d > 1 && d >= root / 64; --d) {
    if (n % d != 0) continue;
    const int64_t cost = vectors(n / d) * d + vectors(d) * (n / d);
    if (cost < least) best = d;
    least = std::min(least, cost);
    if (least == 2 * n / lanes) break;
  }
  return best > 1 && factor(best, &plan->first) &&
         factor(n / best, &plan->second);
}

// The least length >= n of few kinds, which are at most a quarter apart.
int64_t convolution_length(int64_t n) {
  int64_t best = std::numeric_limits<int64_t>::max();
  for (int64_t odd : {1, 3, 5, 9, 15}) {
    int64_t m = 16 * odd;
    while (m < n) m *= 2;
    best = std::min(best, m);
  }
  return best;
}

// --- tables

// Writes numbers of one type, one after the other.
class Numbers {
 public:
  Numbers(char* at, DType t) : at_(at), dtype_(t) {}
  void part(double v) {
    if (dtype_ == DType::f64) {
      *reinterpret_cast<double*>(at_) = v;
    } else {
      *reinterpret_cast<float*>(at_) = static_cast<float>(v);
    }
    at_ += itemsize(dtype_);
  }
  void number(Root r) {
    part(r.re);
    part(r.im);
  }

 private:
  char* at_;
  DType dtype_;
};

int64_t place_lane_tables(LaneFft* fft, int64_t at, int64_t number_bytes) {
  fft->places = at;
  at = align64(at + fft->n * 4);
  fft->turns = at;
  int64_t s = 1;
  for (int p = 0; p < fft->passes; ++p) {
    const int64_t r = fft->radix[p];
    at += (s > 1 ? s * (r - 1) : 0) * number_bytes;
    if (r % 2 == 1) at += r * number_bytes;
    s *= r;
  }
  return align64(at);
}

void fill_lane_tables(const LaneFft& fft, DType t, char* tables) {
  auto* places = reinterpret_cast<int32_t*>(tables + fft.places);
  for (int64_t k = 0; k < fft.n; ++k) {
    int64_t place = 0, digits = k, s = fft.n;
    for (int p = fft.passes - 1; p >= 0; --p) {
      const int64_t r = fft.radix[p];
      s /= r;
      place += digits % r * s;
      digits /= r;
    }
    places[k] = static_cast<int32_t>(place);
  }
  Numbers turns(tables + fft.turns, t);
  int64_t s = 1;
  for (int p = 0; p < fft.passes; ++p) {
    const int64_t r = fft.radix[p];
    for (int64_t q = 0; r % 2 == 1 && q < r; ++q) {
      const Root root = root_of_unity(q, r);
      turns.number({root.re, -root.im});
    }
    for (int64_t k = 0; s > 1 && k < s; ++k) {
      for (int64_t q = 1; q < r; ++q) {
        turns.number(root_of_unity(k * q, r * s));
      }
    }
    s *= r;
  }
}

void fill_steps(const FftPlan& plan, char* tables) {
  const int64_t n1 = plan.first.n, lanes = plan.lanes, n = plan.length;
  Numbers of_lanes(tables + plan.lane_turns, plan.dtype);
  for (int64_t k = 0; k < n1; ++k) {
    for (int64_t l = 0; l < lanes; ++l) {
      of_lanes.part(root_of_unity(k * l % n, n).re);
    }
    for (int64_t l = 0; l < lanes; ++l) {
      of_lanes.part(root_of_unity(k * l % n, n).im);
    }
  }
  Numbers of_blocks(tables + plan.block_turns, plan.dtype);
  for (int64_t b = 0; b < plan.blocks(); ++b) {
    for (int64_t k = 0; k < n1; ++k) {
      of_blocks.number(root_of_unity(k * b * lanes % n, n));
    }
  }
}

// exp(-pi i k^2 / n) for k < n.
template <class Take>
void each_of_chirp(int64_t n, const Take& take) {
  int64_t square = 0;  // k^2 modulo 2n
  for (int64_t k = 0; k < n; ++k) {
    take(k, root_of_unity(square, 2 * n));
    square = (square + 2 * k + 1) % (2 * n);
  }
}

void place_tables(FftPlan* plan, bool halves) {
  const int64_t n = plan->n, bytes = plan->number_bytes();
  int64_t at = place_lane_tables(&plan->first, 0, bytes);
  if (plan->way != FftWay::lanes) {
    at = place_lane_tables(&plan->second, at, bytes);
    plan->lane_turns = at;
    at += plan->first.n * plan->lanes * bytes;
    plan->block_turns = at;
    at = align64(at + plan->blocks() * plan->first.n * bytes);
  }
  if (plan->way == FftWay::chirp) {
    plan->chirp = at;
    plan->spectrum = at = align64(at + n * bytes);
    at = align64(at + plan->length * bytes);
  }
  if (halves) {
    plan->halves = at;
    at = align64(at + (n / 2 + 1) * bytes);
  }
  plan->bytes = at;
}

}  // namespace

FftPlan plan_fft(int64_t n, int64_t lines, bool halves, DType t, int lanes) {
  FftPlan plan;
  plan.n = plan.length = n;
  plan.dtype = t;
  plan.lanes = lanes;
  const bool filled = 2 * lines >= lanes && lines > 1;
  // Are there lanes enough for a butterfly by definition to be worth it?
  const bool worth = filled || n > kMaxRadix * lanes;
  if (!factor(n, &plan.first, worth ? kMaxRadix : kAloneRadix)) {
    plan.way = FftWay::chirp;
    plan.length = convolution_length(2 * n - 1);
    split(&plan);
  } else {
    const LaneFft whole = plan.first;
    const bool as_lanes =
        filled ? plan.buffer_bytes(n) <= kMostLaneBytes : n < kFewestSteps;
    const bool steps = !as_lanes && split(&plan);
    plan.way = steps ? FftWay::two_steps : FftWay::lanes;
    if (!steps) plan.first = whole;
  }
  place_tables(&plan, halves);
  return plan;
}

FftPlan plan_fft_of_chirp(const FftPlan& plan, int lanes) {
  FftPlan steps;
  steps.n = steps.length = plan.length;
  steps.dtype = DType::f64;
  steps.lanes = lanes;
  steps.way = FftWay::two_steps;
  split(&steps);
  place_tables(&steps, false);
  return steps;
}

void fill_fft_tables(const FftPlan& plan, char* tables) {
  fill_lane_tables(plan.first, plan.dtype, tables);
  if (plan.way != FftWay::lanes) {
    fill_lane_tables(plan.second, plan.dtype, tables);
    fill_steps(plan, tables);
  }
  if (plan.way == FftWay::chirp) {
    Numbers chirp(tables + plan.chirp, plan.dtype);
    each_of_chirp(plan.n, [&](int64_t, Root root) { chirp.number(root); });
  }
  if (plan.halves < 0) return;
  Numbers halves(tables + plan.halves, plan.dtype);
  for (int64_t k = 0; k <= plan.n / 2; ++k) {
    halves.part(root_of_unity(k, 2 * plan.n).re);
  }
  for (int64_t k = 0; k <= plan.n / 2; ++k) {
    halves.part(-root_of_unity(k, 2 * plan.n).im);
  }
}

void fill_chirp(const FftPlan& plan, double* to) {
  const int64_t m = plan.length;
  std::fill_n(to, 2 * m, 0.0);
  each_of_chirp(plan.n, [&](int64_t k, Root root) {
    for (int64_t at : {k, (m - k) % m}) {
      to[2 * at] = root.re;
      to[2 * at + 1] = -root.im;
    }
  });
}

}  // namespace ferrule::cpu
