// Convolutions against the sums that define them, for every way that the
// kernels go. The Python tests have more shapes; these run on other machines
// too.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "ferrule/ops.h"

namespace ferrule {
namespace {

struct Conv {
  const char* name;
  int64_t batch, channels, out, height, width, kernel;
  int64_t stride = 1, padding = 0, dilation = 1, groups = 1;

  int64_t result(int64_t in) const {
    return (in + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
  }
};

const Conv kCases[] = {
    {"pointwise", 2, 19, 33, 9, 11, 1},
    {"pointwise, few positions", 3, 20, 17, 3, 5, 1},
    {"tiles", 1, 35, 30, 7, 9, 3, 1, 1, 2},
    {"strided", 2, 5, 18, 15, 18, 3, 2, 1},
    {"groups", 1, 12, 21, 8, 9, 4, 1, 1, 1, 3},
    {"winograd", 2, 13, 18, 12, 17, 3, 1, 1},
    {"depthwise", 1, 5, 5, 11, 37, 3, 1, 1, 1, 5},
    {"depthwise, strided", 1, 5, 10, 12, 37, 5, 2, 2, 1, 5},
    {"depthwise, other", 1, 6, 6, 9, 10, 4, 1, 1, 1, 6},
};

// Values that are neither regular nor large.
Tensor values(std::initializer_list<int64_t> shape, DType dtype) {
  Tensor t = Tensor::empty(shape, dtype);
  for (int64_t i = 0; i < t.numel(); ++i) {
    const double x = std::sin(0.7 * static_cast<double>(i * i % 1013));
    if (dtype == DType::f32) {
      t.data<float>()[i] = static_cast<float>(x);
    } else {
      t.data<double>()[i] = x;
    }
  }
  return t;
}

double at(const Tensor& t, int64_t i) {
  return t.dtype() == DType::f32 ? t.data<float>()[i] : t.data<double>()[i];
}

// Calls visit(result, input, weight), indices of elements, for every product.
template <class Visit>
void each_product(const Conv& c, const Visit& visit) {
  const int64_t in_group = c.channels / c.groups;
  const int64_t out_group = c.out / c.groups;
  const int64_t rows = c.result(c.height);
  const int64_t cols = c.result(c.width);
  for (int64_t n = 0; n < c.batch; ++n) {
    for (int64_t o = 0; o < c.out; ++o) {
      for (int64_t p = 0; p < rows * cols; ++p) {
        for (int64_t k = 0; k < in_group * c.kernel * c.kernel; ++k) {
          const int64_t channel =
              o / out_group * in_group + k / (c.kernel * c.kernel);
          const int64_t tap = k % (c.kernel * c.kernel);
          const int64_t h =
              p / cols * c.stride - c.padding + tap / c.kernel * c.dilation;
          const int64_t w =
              p % cols * c.stride - c.padding + tap % c.kernel * c.dilation;
          if (h < 0 || h >= c.height || w < 0 || w >= c.width) continue;
          visit((n * c.out + o) * rows * cols + p,
                ((n * c.channels + channel) * c.height + h) * c.width + w,
                o * in_group * c.kernel * c.kernel + k);
        }
      }
    }
  }
}

struct Sum {
  double value = 0;
  double size = 0;  // of its terms
  void add(double x) {
    value += x;
    size += std::abs(x);
  }
};

void check_close(const Tensor& got, const std::vector<Sum>& want) {
  REQUIRE(got.numel() == static_cast<int64_t>(want.size()));
  const double epsilon = got.dtype() == DType::f32 ? 0x1p-23 : 0x1p-52;
  int64_t wrong = 0;
  for (int64_t i = 0; i < got.numel(); ++i) {
    const double error = std::abs(at(got, i) - want[i].value);
    wrong += !(error <= 16 * epsilon * want[i].size + 1e-300);
  }
  CHECK(wrong == 0);
}

TEST_CASE("convolutions and their gradients are the sums that define them") {
  for (const Conv& c : kCases) {
    for (DType dtype : {DType::f32, DType::f64}) {
      CAPTURE(c.name);
      CAPTURE(std::string(name(dtype)));
      const Tensor x = values({c.batch, c.channels, c.height, c.width}, dtype);
      const Tensor w =
          values({c.out, c.channels / c.groups, c.kernel, c.kernel}, dtype);
      const Tensor g = values(
          {c.batch, c.out, c.result(c.height), c.result(c.width)}, dtype);
      std::vector<Sum> y(g.numel()), dx(x.numel()), dw(w.numel());
      each_product(c, [&](int64_t r, int64_t i, int64_t k) {
        y[r].add(at(x, i) * at(w, k));
        dx[i].add(at(g, r) * at(w, k));
        dw[k].add(at(g, r) * at(x, i));
      });
      const Arg stride(c.stride), padding(c.padding), dilation(c.dilation);
      const Arg groups(c.groups);
      check_close(op::conv2d(x, w, Arg(), stride, padding, dilation, groups),
                  y);
      check_close(
          op::conv2d_dx(g, w, IntList{c.batch, c.channels, c.height, c.width},
                        stride, padding, dilation, groups),
          dx);
      check_close(
          op::conv2d_dw(
              g, x, IntList{c.out, c.channels / c.groups, c.kernel, c.kernel},
              stride, padding, dilation, groups),
          dw);
    }
  }
}

}  // namespace
}  // namespace ferrule
