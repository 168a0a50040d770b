// Errors of elementary functions of float32, in units in the last place (ULP),
// against the C library's double functions.
//
// A sample of all inputs, a larger one with FERRULE_LONG. By hand, every one of
// the 2^32, which takes a minute or two a function:
//
//   FERRULE_EVERY_INPUT=1 build/release/ferrule_tests -tc='*ULP*'
//
// FERRULE_ISA=v2 or v3 tests the code for older processors.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

#include "ferrule/ops.h"
#include "runtime/core/thread_pool.h"

using namespace ferrule;

namespace {

constexpr double kOverflow = 0x1p128;  // infinity counts as this

double as_number(double x) {
  return std::abs(x) > kOverflow ? std::copysign(kOverflow, x) : x;
}

// The distance of floats around x.
double unit_at(double x) {
  if (std::abs(x) < 0x1p-126) return 0x1p-149;
  return std::ldexp(1.0, std::min(std::ilogb(x), 127) - 23);
}

// Infinite where one is a NaN and the other is not.
double error_in_ulp(float got, double want) {
  if (std::isnan(got) || std::isnan(want)) {
    const bool both = std::isnan(got) && std::isnan(want);
    return both ? 0 : std::numeric_limits<double>::infinity();
  }
  const double reference = as_number(want);
  return std::abs(as_number(got) - reference) / unit_at(reference);
}

struct Worst {
  double error = 0;
  float input = 0;
  float result = 0;

  void add(float x, float got, double want) {
    const double e = error_in_ulp(got, want);
    if (!(e > error)) return;
    *this = {e, x, got};
  }
  void add(const Worst& other) {
    if (other.error > error) *this = other;
  }
};

using Reference = double (*)(double);

// Inputs are all bit patterns that are multiples of `step`.
template <class Op>
Worst worst_error(Op op, Reference reference, int64_t step) {
  constexpr int64_t kBlock = 1 << 14;
  const int64_t inputs = (int64_t{1} << 32) / step;
  const int64_t grain = chunk_size(inputs, kBlock);
  Worst found[kMaxChunks];
  parallel_for(inputs, grain, [&](int64_t begin, int64_t end) {
    Worst& worst = found[begin / grain];
    for (int64_t i = begin; i < end; i += kBlock) {
      const int64_t n = std::min(kBlock, end - i);
      const Tensor x = Tensor::empty({n}, DType::f32);
      for (int64_t k = 0; k < n; ++k) {
        const auto pattern = static_cast<uint32_t>((i + k) * step);
        x.data<float>()[k] = std::bit_cast<float>(pattern);
      }
      const Tensor y = op(x);
      for (int64_t k = 0; k < n; ++k) {
        const float input = x.data<float>()[k];
        worst.add(input, y.data<float>()[k], reference(input));
      }
    }
  });
  Worst worst;
  for (const Worst& w : found) worst.add(w);
  return worst;
}

double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return (x < 0 ? e : 1) / (1 + e);
}

bool is_set(const char* name) { return std::getenv(name) != nullptr; }
bool every_input() { return is_set("FERRULE_EVERY_INPUT"); }

}  // namespace

TEST_CASE("elementary functions of float32 are within 2 ULP") {
  const int64_t step = every_input() ? 1 : is_set("FERRULE_LONG") ? 61 : 6151;
  const auto check = [&](const char* name, auto op, Reference reference) {
    const Worst w = worst_error(op, reference, step);
    const std::string text = std::string(name) + ": " +
                             std::to_string(w.error) + " ULP at " +
                             std::to_string(w.input);
    if (every_input()) std::fprintf(stderr, "%s\n", text.c_str());
    CHECK_MESSAGE(w.error <= 2, text);
  };
#define FE_CHECK(name, reference)                         \
  check(                                                  \
      #name, [](const Tensor& x) { return op::name(x); }, \
      [](double x) -> double { return reference; })
  FE_CHECK(exp, std::exp(x));
  FE_CHECK(exp2, std::exp2(x));
  FE_CHECK(expm1, std::expm1(x));
  FE_CHECK(log, std::log(x));
  FE_CHECK(log2, std::log2(x));
  FE_CHECK(log10, std::log10(x));
  FE_CHECK(log1p, std::log1p(x));
  FE_CHECK(sqrt, std::sqrt(x));
  FE_CHECK(rsqrt, 1 / std::sqrt(x));
  FE_CHECK(reciprocal, 1 / x);
  FE_CHECK(sin, std::sin(x));
  FE_CHECK(cos, std::cos(x));
  FE_CHECK(tan, std::tan(x));
  FE_CHECK(asin, std::asin(x));
  FE_CHECK(acos, std::acos(x));
  FE_CHECK(atan, std::atan(x));
  FE_CHECK(sinh, std::sinh(x));
  FE_CHECK(cosh, std::cosh(x));
  FE_CHECK(tanh, std::tanh(x));
  FE_CHECK(asinh, std::asinh(x));
  FE_CHECK(acosh, std::acosh(x));
  FE_CHECK(atanh, std::atanh(x));
  FE_CHECK(erf, std::erf(x));
  FE_CHECK(erfc, std::erfc(x));
  FE_CHECK(sigmoid, sigmoid(x));
#undef FE_CHECK
}

// Bases and exponents whose power is neither 0 nor infinity, and any others.
TEST_CASE("powers of float32 are within 2 ULP") {
  const int64_t pairs = every_input() ? int64_t{1} << 30 : 1 << 20;
  constexpr int64_t kBlock = 1 << 14;
  const int64_t grain = chunk_size(pairs, kBlock);
  Worst found[kMaxChunks];
  parallel_for(pairs, grain, [&](int64_t begin, int64_t end) {
    uint64_t state = static_cast<uint64_t>(begin) + 1;
    const auto draw = [&state] {  // Knuth's MMIX generator
      state = state * 6364136223846793005 + 1442695040888963407;
      return static_cast<uint32_t>(state >> 32);
    };
    for (int64_t i = begin; i < end; i += kBlock) {
      const int64_t n = std::min(kBlock, end - i);
      const Tensor x = Tensor::empty({n}, DType::f32);
      const Tensor y = Tensor::empty({n}, DType::f32);
      for (int64_t k = 0; k < n; ++k) {
        const auto base = std::bit_cast<float>(draw());
        const double most = 151 / std::abs(std::log2(std::abs(double{base})));
        const double part = static_cast<double>(draw()) * 0x1p-31 - 1;
        x.data<float>()[k] = base;
        y.data<float>()[k] = k % 4 == 0 ? std::bit_cast<float>(draw())
                             : k % 4 == 1
                                 ? static_cast<float>(std::round(most * part))
                                 : static_cast<float>(most * part);
      }
      const Tensor z = op::pow(x, y);
      for (int64_t k = 0; k < n; ++k) {
        const double a = x.data<float>()[k];
        const double b = y.data<float>()[k];
        found[begin / grain].add(x.data<float>()[k], z.data<float>()[k],
                                 std::pow(a, b));
      }
    }
  });
  Worst worst;
  for (const Worst& w : found) worst.add(w);
  CAPTURE(worst.input);
  CAPTURE(worst.result);
  CHECK(worst.error <= 2);
}
