// Two steps, and convolutions of two transforms of two steps.
#include "runtime/cpu/fft_line.h"

#include <algorithm>
#include <cstring>

#include "runtime/cpu/slots.h"

namespace ferrule::cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;  // numbers worth a thread

const int32_t* places(const LaneFft& fft, const char* tables) {
  return reinterpret_cast<const int32_t*>(tables + fft.places);
}

// Groups of rows that the second step takes at a time, each with a buffer.
Slots second_steps(const FftPlan& plan) {
  const int64_t groups = (plan.first.n + plan.lanes - 1) / plan.lanes;
  const int64_t numbers = plan.lanes * plan.second.n;
  return {groups, plan.buffer_bytes(plan.second.n), kGrain / numbers};
}

}  // namespace

FftLine::FftLine(const FftPlan& plan, bool shared)
    : plan_(plan), loops_(FE_BEST(fft_loops)(plan.dtype)), shared_(shared) {}

FftLine::Work FftLine::work(Pieces* from) const {
  Work w = {};
  if (plan_.way == FftWay::lanes) return w;
  w.blocks = from->take(plan_.blocks() * plan_.buffer_bytes(plan_.first.n));
  w.buffers = from->take(shared_ ? second_steps(plan_).total()
                                 : plan_.buffer_bytes(plan_.second.n));
  if (plan_.way == FftWay::chirp) {
    for (char*& line : w.line) {
      line = from->take(plan_.length * plan_.number_bytes());
    }
  }
  return w;
}

void FftLine::steps(const char* from, char* to, const char* tables,
                    const Work& w, bool swap, double scale) const {
  const int64_t n1 = plan_.first.n, n2 = plan_.second.n;
  const int64_t lanes = plan_.lanes;
  const auto lanes_at = [lanes](int64_t first, int64_t n) {
    return static_cast<int>(std::min(lanes, n - first));
  };
  // Only read; lines that are written have the same type.
  const FftLines columns = {const_cast<char*>(from), n1, 2 * n2, 1, 2, n2, 0};
  const auto first_step = [&](int64_t b) {
    char* block = w.blocks + b * plan_.buffer_bytes(n1);
    loops_.read(columns, b * lanes, lanes_at(b * lanes, n2),
                places(plan_.first, tables), block, swap);
    loops_.transform(plan_.first, tables, block);
  };
  const FftLines result = {to, n2, 2 * n1, 1, 2, n1, 0};
  const auto second_step = [&](int64_t g, char* buffer) {
    loops_.turn(plan_, tables, w.blocks, g * lanes, buffer);
    loops_.transform(plan_.second, tables, buffer);
    loops_.write(result, g * lanes, lanes_at(g * lanes, n1), buffer, swap,
                 scale);
  };
  if (shared_) {
    parallel_for(plan_.blocks(), kGrain / (lanes * n1),
                 [&](int64_t b, int64_t end) {
                   for (; b < end; ++b) first_step(b);
                 });
    second_steps(plan_).each_unit(w.buffers, second_step);
  } else {
    for (int64_t b = 0; b < plan_.blocks(); ++b) first_step(b);
    for (int64_t row = 0; row < n1; row += lanes) {
      second_step(row / lanes, w.buffers);
    }
  }
}

void FftLine::run(const char* from, char* to, const char* tables, const Work& w,
                  bool swap, double scale) const {
  if (plan_.way == FftWay::two_steps) {
    return steps(from, to, tables, w, swap, scale);
  }
  const int64_t n = plan_.n, m = plan_.length;
  const char* chirp = tables + plan_.chirp;
  const int64_t bytes = n * plan_.number_bytes();
  loops_.multiply(w.line[0], from, chirp, n, 1, swap, false);
  std::memset(w.line[0] + bytes, 0, m * plan_.number_bytes() - bytes);
  steps(w.line[0], w.line[1], tables, w, false, 1);
  loops_.multiply(w.line[1], w.line[1], tables + plan_.spectrum, m, 1, false,
                  false);
  steps(w.line[1], w.line[0], tables, w, true, 1);
  loops_.multiply(to, w.line[0], chirp, n, scale, false, swap);
}

// What the spectrum of a chirp is computed by: in double for both dtypes, so
// that a convolution has the errors of its two transforms only.
FftLine FftLine::wide() const {
  const int lanes = FE_BEST(fft_loops)(DType::f64).lanes;
  return {plan_fft_of_chirp(plan_, lanes), shared_};
}

int64_t FftLine::fill_bytes() const {
  if (plan_.way != FftWay::chirp) return 0;
  const FftLine steps = wide();
  Pieces pieces(nullptr);
  pieces.take(steps.plan_.bytes);
  steps.work(&pieces);
  for (int i = 0; i < 2; ++i) pieces.take(plan_.length * 2 * sizeof(double));
  return pieces.used();
}

void FftLine::fill(char* tables, char* scratch) const {
  fill_fft_tables(plan_, tables);
  if (plan_.way != FftWay::chirp) return;
  const FftLine wide_steps = wide();
  Pieces pieces(scratch);
  char* wide_tables = pieces.take(wide_steps.plan_.bytes);
  const Work w = wide_steps.work(&pieces);
  const int64_t parts = 2 * plan_.length;
  char* chirp = pieces.take(parts * sizeof(double));
  char* spectrum = pieces.take(parts * sizeof(double));
  fill_fft_tables(wide_steps.plan_, wide_tables);
  fill_chirp(plan_, reinterpret_cast<double*>(chirp));
  wide_steps.steps(chirp, spectrum, wide_tables, w, false,
                   1 / static_cast<double>(plan_.length));
  const auto* exact = reinterpret_cast<double*>(spectrum);
  char* to = tables + plan_.spectrum;
  if (plan_.dtype == DType::f64) {
    std::copy_n(exact, parts, reinterpret_cast<double*>(to));
  } else {
    std::transform(exact, exact + parts, reinterpret_cast<float*>(to),
                   [](double v) { return static_cast<float>(v); });
  }
}

}  // namespace ferrule::cpu
