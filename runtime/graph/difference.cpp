// Compares results, exactly or within a tolerance.
#include "runtime/graph/difference.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/cpu/convert.h"

namespace ferrule {
namespace {

// Calls visit(element, a, b) for all numbers, complex ones part by part, as
// double.
template <class Visit>
void each_pair(const Tensor& a, const Tensor& b, const Visit& visit) {
  const DType t = a.dtype();
  const bool complex = is_complex(t);
  const DType wide = complex ? DType::c128 : DType::f64;
  const cpu::Route route(t, wide);
  const int parts = complex ? 2 : 1;
  for (int64_t first = 0; first < a.numel(); first += cpu::kTile) {
    const int64_t n = std::min(cpu::kTile, a.numel() - first);
    cpu::TileBuffer tile[2];
    const Tensor* const from[] = {&a, &b};
    for (int k = 0; k < 2; ++k) {
      const char* bytes = (*from[k])->bytes() + first * itemsize(t);
      if (route.n > 0) {
        route.convert(tile[k].bytes, bytes, n);
      } else {
        std::memcpy(tile[k].bytes, bytes, n * itemsize(t));
      }
    }
    const auto* x = reinterpret_cast<const double*>(tile[0].bytes);
    const auto* y = reinterpret_cast<const double*>(tile[1].bytes);
    for (int64_t i = 0; i < n * parts; ++i) {
      visit(first + i / parts, x[i], y[i]);
    }
  }
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return std::memcmp(a->bytes(), b->bytes(),
                     static_cast<size_t>(a->nbytes())) == 0;
}

}  // namespace

std::string difference(const Tensor& result, const Tensor& expected,
                       double tolerance) {
  if (result.dtype() != expected.dtype() ||
      !std::ranges::equal(result.shape(), expected.shape())) {
    return concat("it is ", result.dtype(), " ", result.shape(), ", was ",
                  expected.dtype(), " ", expected.shape());
  }
  if (same_bits(result, expected)) return {};
  const DType t = result.dtype();
  const bool inexact = is_float(t) || is_complex(t);
  double scale = 1;
  each_pair(result, expected, [&](int64_t, double, double b) {
    if (std::isfinite(b)) scale = std::max(scale, std::abs(b));
  });
  const double allowed = inexact ? tolerance * scale : 0;
  int64_t worst = -1;
  double most = 0, is = 0, was = 0;
  each_pair(result, expected, [&](int64_t i, double a, double b) {
    if (a == b || (std::isnan(a) && std::isnan(b))) return;
    const double apart = std::abs(a - b);
    // Infinity and NaN in one of them alone are further apart than anything.
    const double by = std::isfinite(apart) ? apart : INFINITY;
    if (worst >= 0 && by <= most) return;
    worst = i;
    most = by;
    is = a;
    was = b;
  });
  if (tolerance > 0 && (worst < 0 || most <= allowed)) return {};
  // Zeros of another sign, or NaNs of other bits.
  if (worst < 0) return "its bits differ, its values do not";
  return concat("element ", worst, " is ", is, ", was ", was, " (apart by ",
                most,
                inexact && tolerance > 0 ? concat(", allowed ", allowed, ")")
                                         : std::string(")"));
}

}  // namespace ferrule
