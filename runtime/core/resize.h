// Interpolation along one dimension: which elements of the input an element of
// the result is made of, and with what weights. Shared by the definitions and
// by the kernels of every device.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace ferrule {

enum class ResizeMode { nearest, nearest_exact, linear, cubic, unknown };

inline ResizeMode resize_mode(std::string_view name) {
  constexpr std::string_view kNames[] = {"nearest", "nearest-exact", "linear",
                                         "cubic"};
  const auto* found = std::find(std::begin(kNames), std::end(kNames), name);
  return static_cast<ResizeMode>(found - std::begin(kNames));
}

// The coordinates are PyTorch's (ATen/native/UpSample.h). All but those of the
// nearest element, where rounding decides, are computed in double.
struct ResizeAxis {
  ResizeMode mode;
  int64_t in, out;
  bool align_corners, antialias;
  double factor;  // given by the user; 0: out / in
  double step;    // from one element of the result to the next, in the input's

  ResizeAxis(ResizeMode mode, int64_t in, int64_t out, bool align_corners,
             double factor, bool antialias)
      : mode(mode),
        in(in),
        out(out),
        align_corners(align_corners),
        antialias(antialias),
        factor(factor) {
    const auto n = static_cast<double>(in), m = static_cast<double>(out);
    if (align_corners) {
      step = out > 1 ? (n - 1) / (m - 1) : 0;
    } else {
      step = factor > 0 ? 1 / factor : n / m;
    }
  }

  // Never more weights than this.
  int64_t most() const {
    const bool cubic = mode == ResizeMode::cubic;
    if (mode < ResizeMode::linear) return 1;
    if (!antialias) return std::min<int64_t>(cubic ? 4 : 2, in);
    const double reach = std::ceil(support()) * 2 + 1;
    return reach < static_cast<double>(in) ? static_cast<int64_t>(reach) : in;
  }

  // Element o of the result is the sum of weights[k] * input[begin + k];
  // returns how many there are, at least one.
  int64_t weights(int64_t o, int64_t* begin, double* weights) const {
    if (mode < ResizeMode::linear) {
      *begin = nearest(o);
      weights[0] = 1;
      return 1;
    }
    if (antialias) return filtered(o, begin, weights);
    double at = align_corners ? step * static_cast<double>(o)
                              : step * (static_cast<double>(o) + 0.5) - 0.5;
    if (mode == ResizeMode::linear) {
      at = in == out ? static_cast<double>(o) : std::max(at, 0.0);
    }
    const auto last = static_cast<double>(in - 1);
    const double floor = std::min(std::floor(at), last);
    const double t = std::clamp(at - floor, 0.0, 1.0);
    const auto i = static_cast<int64_t>(floor);
    if (mode == ResizeMode::linear) {
      *begin = i;
      const bool alone = t == 0 || i == in - 1;
      weights[0] = alone ? 1 : 1 - t;
      if (!alone) weights[1] = t;
      return alone ? 1 : 2;
    }
    return clamped_cubic(i, t, begin, weights);
  }

 private:
  // Half the width of the filter.
  double support() const {
    const double half = mode == ResizeMode::cubic ? 2 : 1;
    return step >= 1 ? half * step : half;
  }

  // In float, as PyTorch, so that the same element is taken.
  int64_t nearest(int64_t o) const {
    const float by = factor > 0
                         ? static_cast<float>(1 / factor)
                         : static_cast<float>(in) / static_cast<float>(out);
    float at = 0;
    if (mode == ResizeMode::nearest_exact) {
      at = std::floor(static_cast<float>((static_cast<double>(o) + 0.5) * by));
    } else if (out == in) {
      return o;
    } else if (out == 2 * in) {
      return o / 2;
    } else {
      at = std::floor(static_cast<float>(o) * by);
    }
    return at >= static_cast<float>(in)
               ? in - 1
               : std::min(static_cast<int64_t>(at), in - 1);
  }

  // Keys' kernel (1981), nearer than 1 and nearer than 2.
  static double near(double x, double a) {
    return ((a + 2) * x - (a + 3)) * x * x + 1;
  }
  static double far(double x, double a) {
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  }

  // Elements i - 1 .. i + 2; the border is repeated.
  int64_t clamped_cubic(int64_t i, double t, int64_t* begin,
                        double* weights) const {
    constexpr double a = -0.75;
    const double w[] = {far(t + 1, a), near(t, a), near(1 - t, a),
                        far(2 - t, a)};
    const int64_t first = std::clamp<int64_t>(i - 1, 0, in - 1);
    const int64_t last = std::clamp<int64_t>(i + 2, 0, in - 1);
    std::fill(weights, weights + (last - first + 1), 0.0);
    for (int64_t k = 0; k < 4; ++k) {
      weights[std::clamp<int64_t>(i - 1 + k, 0, in - 1) - first] += w[k];
    }
    *begin = first;
    return last - first + 1;
  }

  double filter(double x) const {
    constexpr double a = -0.5;
    x = std::abs(x);
    if (mode == ResizeMode::linear) return x < 1 ? 1 - x : 0;
    return x < 1 ? near(x, a) : x < 2 ? far(x, a) : 0;
  }

  // The filter is as wide as the step, so that nothing is left out.
  int64_t filtered(int64_t o, int64_t* begin, double* weights) const {
    const double center = step * (static_cast<double>(o) + 0.5);
    const double scale = step >= 1 ? 1 / step : 1;
    const auto limit = static_cast<double>(in);
    const double low = std::clamp(center - support() + 0.5, 0.0, limit - 1);
    const double high = std::clamp(center + support() + 0.5, 1.0, limit);
    *begin = static_cast<int64_t>(low);
    const int64_t n =
        std::clamp<int64_t>(static_cast<int64_t>(high) - *begin, 1, most());
    double sum = 0;
    for (int64_t k = 0; k < n; ++k) {
      const auto i = static_cast<double>(*begin + k);
      sum += weights[k] = filter((i - center + 0.5) * scale);
    }
    for (int64_t k = 0; k < n && sum != 0; ++k) weights[k] /= sum;
    return n;
  }
};

}  // namespace ferrule
