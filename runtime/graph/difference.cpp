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

std::optional<Difference> find_difference(const Tensor& a, const Tensor& b,
                                          double tolerance) {
  if (same_bits(a, b)) return {};
  const DType t = a.dtype();
  double scale = 1;
  each_pair(a, b, [&](int64_t, double, double y) {
    if (std::isfinite(y)) scale = std::max(scale, std::abs(y));
  });
  Difference d;
  d.allowed = is_float(t) || is_complex(t) ? tolerance * scale : 0;
  each_pair(a, b, [&](int64_t i, double x, double y) {
    if (x == y || (std::isnan(x) && std::isnan(y))) return;
    const double distance = std::abs(x - y);
    // Infinity and NaN in one of them alone are further apart than anything.
    const double by = std::isfinite(distance) ? distance : INFINITY;
    if (by <= d.allowed) return;
    if (d.count++ == 0) {
      d.first = i;
      d.a = x;
      d.b = y;
    }
    if (by <= d.apart) return;
    d.worst = i;
    d.apart = by;
    d.worst_a = x;
    d.worst_b = y;
  });
  d.bits_only = d.count == 0;
  // Zeros of another sign, and NaNs of other bits, are within any tolerance.
  if (d.bits_only && tolerance > 0) return {};
  return d;
}

std::string difference(const Tensor& result, const Tensor& expected,
                       double tolerance) {
  if (result.dtype() != expected.dtype() ||
      !std::ranges::equal(result.shape(), expected.shape())) {
    return concat("it is ", result.dtype(), " ", result.shape(), ", was ",
                  expected.dtype(), " ", expected.shape());
  }
  const auto d = find_difference(result, expected, tolerance);
  if (!d) return {};
  if (d->bits_only) return "its bits differ, its values do not";
  return concat("element ", d->worst, " is ", d->worst_a, ", was ", d->worst_b,
                " (apart by ", d->apart,
                d->allowed > 0 ? concat(", allowed ", d->allowed, ")")
                               : std::string(")"));
}

}  // namespace ferrule
