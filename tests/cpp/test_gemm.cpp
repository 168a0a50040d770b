// The matrix product under matmul, linear and convolutions: random shapes,
// strides, biases and threads on every instruction set, against float64.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <type_traits>
#include <vector>

#include "ferrule/tensor.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/gemm.h"

using namespace ferrule;
using namespace ferrule::cpu;

namespace {

std::mt19937_64 draw(11);

int64_t pick(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(draw);
}

std::vector<Isa> instruction_sets() {
#if defined(__x86_64__)
  constexpr Isa kAll[] = {Isa::v2, Isa::v3, Isa::v4, Isa::v4dot};
#else
  constexpr Isa kAll[] = {Isa::neon, Isa::neondot, Isa::neonmm};
#endif
  std::vector<Isa> all;
  for (Isa i : kAll) {
    if (i <= isa()) all.push_back(i);
  }
  return all;
}

struct WithIsa {
  const Isa before = isa();
  explicit WithIsa(Isa i) { found_isa.store(i); }
  ~WithIsa() { found_isa.store(before); }
};

struct WithThreads {
  explicit WithThreads(int n) { set_num_threads(n); }
  ~WithThreads() { set_num_threads(0); }
};

double value(double x) { return x; }
double value(BFloat16 x) {
  return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
}
double value(Float16 x) {  // finite
  const int exponent = x.bits >> 10 & 31;
  const double digits = (x.bits & 1023) + (exponent > 0 ? 1024 : 0);
  const double size = std::ldexp(digits, std::max(exponent, 1) - 25);
  return x.bits >> 15 != 0 ? -size : size;
}

template <class T>
std::vector<T> random_values(int64_t n) {
  std::normal_distribution<double> normal;
  std::vector<T> v(static_cast<size_t>(n));
  for (T& x : v) {
    if constexpr (std::is_same_v<T, BFloat16>) {
      const auto r = static_cast<float>(normal(draw));
      x.bits = static_cast<uint16_t>(std::bit_cast<uint32_t>(r) >> 16);
    } else if constexpr (std::is_same_v<T, Float16>) {
      // Any sign and digits, sizes of 1/8 to 8.
      const uint64_t r = draw();
      x.bits = static_cast<uint16_t>((r & 0x83ff) | (12 + (r >> 32) % 6) << 10);
    } else if constexpr (std::is_same_v<T, int8_t>) {
      x = static_cast<int8_t>(draw());  // -128 as well
    } else if constexpr (std::is_integral_v<T>) {
      x = static_cast<T>(normal(draw) * 1000);
    } else {
      x = static_cast<T>(normal(draw));
    }
  }
  return v;
}

// A matrix somewhere in memory, whose rows or columns are `gap` apart.
template <class T>
struct Matrix {
  std::vector<T> values;
  MatrixView<T> view;

  Matrix(int64_t rows, int64_t cols, bool transpose, int64_t gap, int64_t step)
      : values(random_values<T>(
            ((transpose ? cols : rows) * ((transpose ? rows : cols) + gap) +
             1) *
            step)) {
    const int64_t stride = ((transpose ? rows : cols) + gap) * step;
    view = {values.data(), transpose ? step : stride,
            transpose ? stride : step};
  }
  double at(int64_t i, int64_t j) const {
    return value(view.data[i * view.row + j * view.col]);
  }
};

struct Scratch {
  std::vector<char> bytes;
  explicit Scratch(int64_t n) : bytes(static_cast<size_t>(n) + 64) {}
  void* at() {
    return reinterpret_cast<void*>(
        (reinterpret_cast<uintptr_t>(bytes.data()) + 63) & ~uintptr_t{63});
  }
};

template <class T, class S = T>
struct Case {
  static constexpr bool kWhole = std::is_integral_v<T>;
  static constexpr bool kAsIs = std::is_same_v<T, S>;

  int64_t m, n, k, c_gap;
  Matrix<S> a, b;
  std::vector<T> before, col_bias, row_bias;
  bool with_col, with_row, accumulate;

  Case(int64_t m, int64_t n, int64_t k)
      : m(m),
        n(n),
        k(k),
        c_gap(pick(0, 2)),
        a(m, k, pick(0, 1) == 1, gap(k), step(k)),
        b(k, n, pick(0, 1) == 1, gap(k), step(k)),
        before(random_values<T>(m * (n + c_gap))),
        col_bias(random_values<T>(n)),
        row_bias(random_values<T>(m)),
        with_col(!kWhole && pick(0, 3) == 0),
        with_row(!kWhole && pick(0, 3) == 0),
        accumulate(pick(0, 3) == 0) {}

  // Matrices of millions are dense.
  static int64_t gap(int64_t k) {
    return k < 20000 && pick(0, 2) == 0 ? pick(1, 9) : 0;
  }
  static int64_t step(int64_t k) {
    return k < 20000 && pick(0, 5) == 0 ? 2 : 1;
  }

  Gemm<T, S> gemm_of(T* c) const {
    Gemm<T, S> g{.m = m, .n = n, .k = k};
    g.a = a.view;
    g.b = b.view;
    g.c = c;
    g.c_row = n + c_gap;
    if (with_col) g.col_bias = col_bias.data();
    if (with_row) g.row_bias = row_bias.data();
    g.accumulate = accumulate;
    return g;
  }

  std::vector<T> result(bool packed) const {
    std::vector<T> c = before;
    Gemm<T, S> g = gemm_of(c.data());
    std::optional<Scratch> b_packed;
    if constexpr (kAsIs) {
      if (packed) {
        b_packed.emplace(packed_b_bytes<T>(k, n));
        pack_b(g, static_cast<T*>(b_packed->at()));
        g.b_packed = static_cast<T*>(b_packed->at());
        g.b.data = nullptr;
      }
    }
    Scratch scratch(gemm_scratch_bytes(g));
    gemm(g, scratch.at());
    return c;
  }

  // Rounding of k products and k + 3 sums, each at most half an epsilon of what
  // has been summed (Higham, Accuracy and Stability, 3.1). v2 has no fused
  // multiply-add; dot products of bfloat16 round products, too. The reference
  // for double rounds as much itself. Whole numbers are exact.
  void check(const std::vector<T>& c) const {
    CAPTURE(m);
    CAPTURE(n);
    CAPTURE(k);
    const double unit = std::numeric_limits<T>::epsilon() * 0.5;
    double worst = 0;
    std::vector<double> left, right;  // A by rows, B by columns
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t q = 0; q < k; ++q) left.push_back(a.at(i, q));
    }
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t q = 0; q < k; ++q) right.push_back(b.at(q, j));
    }
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n + c_gap; ++j) {
        const auto at = static_cast<size_t>(i * (n + c_gap) + j);
        if (j >= n) {
          CHECK(c[at] == before[at]);  // between the rows nothing is written
          continue;
        }
        double sum = 0, size = 0;
        auto add = [&](double x) {
          sum += x;
          size += std::abs(x);
        };
        for (int64_t q = 0; q < k; ++q) {
          add(left[static_cast<size_t>(i * k + q)] *
              right[static_cast<size_t>(j * k + q)]);
        }
        if (with_col) add(col_bias[static_cast<size_t>(j)]);
        if (with_row) add(row_bias[static_cast<size_t>(i)]);
        if (accumulate) add(before[at]);
        const double bound = (static_cast<double>(k) + 4) * unit * size *
                             (sizeof(T) == 8 || sizeof(S) == 2 ? 2 : 1);
        if constexpr (kWhole) {
          CHECK(c[at] == static_cast<int64_t>(sum));
          continue;
        }
        const double error = std::abs(static_cast<double>(c[at]) - sum);
        worst = std::max(worst, bound > 0 ? error / bound : error * 1e300);
      }
    }
    CHECK(worst <= 1);
  }
};

template <class T, class S = T>
void check_shape(int64_t m, int64_t n, int64_t k) {
  const Case<T, S> one(m, n, k);
  std::vector<std::vector<T>> first;
  for (int threads : {1, 2, 3, 4, 8}) {
    if (threads > 1 && m * n * k < (1 << 16)) continue;  // one chunk
    CAPTURE(threads);
    WithThreads pool(threads);
    size_t way = 0;
    for (Isa i : instruction_sets()) {
      CAPTURE(isa_name(i));
      WithIsa with(i);
      for (bool packed : {false, true}) {
        if (packed && !std::is_same_v<T, S>) continue;
        if (packed && k > 20000) continue;  // much memory, nothing new
        CAPTURE(packed);
        const std::vector<T> c = one.result(packed);
        if (threads == 1) {
          one.check(c);
          first.push_back(c);
        }
        CHECK(std::memcmp(first[way].data(), c.data(), c.size() * sizeof(T)) ==
              0);
        ++way;
      }
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("gemm: small shapes, every tail", T, float, double) {
  for (int round = 0; round < 150; ++round) {
    check_shape<T>(pick(1, 40), pick(1, 70), pick(0, 50));
  }
}

TEST_CASE_TEMPLATE("gemm: few rows or few columns", T, float, double) {
  for (int round = 0; round < 25; ++round) {
    check_shape<T>(pick(1, 20), pick(1, 400), pick(1, 500));
    check_shape<T>(pick(1, 300), pick(1, 3), pick(1, 300));
  }
}

TEST_CASE_TEMPLATE("gemm: more than one block", T, float, double) {
  for (int round = 0; round < 4; ++round) {
    check_shape<T>(pick(1, 130), pick(500, 600), pick(380, 450));
    check_shape<T>(pick(60, 130), pick(60, 130), pick(780, 900));
  }
  check_shape<T>(48, 1024, 256);
  check_shape<T>(40, 512, 512);
}

// Enough work for several strips, of columns, of rows, of both; and rows of A
// at distances of 4096 bytes, which are packed or not.
TEST_CASE_TEMPLATE("gemm: strips", T, float, double) {
  check_shape<T>(pick(65, 90), pick(700, 900), pick(60, 90));
  check_shape<T>(pick(1025, 1100), pick(65, 80), pick(40, 60));
  check_shape<T>(pick(1500, 1600), pick(1, 40), pick(100, 120));
  check_shape<T>(1024, 513, 16);
  check_shape<T>(64, 200, 200);
  for (const int64_t m : {8, 9, 28, 29, 64, 65}) {
    check_shape<T>(m, pick(250, 290), 1024);
  }
}

TEST_CASE_TEMPLATE("gemm: long sums of few elements", T, float, double) {
  check_shape<T>(1, 1, 2100000 / (sizeof(T) / 4));
  check_shape<T>(64, 64, 2600);
  check_shape<T>(64, 64, 8193);  // the last part has deeper blocks
  check_shape<T>(3, 100, 7000);
  check_shape<T>(7, 5, 60000);
}

struct OfBFloat16 {
  using T = float;
  using S = BFloat16;
};
struct OfFloat16 {
  using T = float;
  using S = Float16;
};
struct OfInt8 {
  using T = int32_t;
  using S = int8_t;
};

TEST_CASE_TEMPLATE("gemm: narrow operands", Types, OfBFloat16, OfFloat16,
                   OfInt8) {
  using T = typename Types::T;
  using S = typename Types::S;
  for (int round = 0; round < 150; ++round) {
    check_shape<T, S>(pick(1, 40), pick(1, 70), pick(0, 50));
  }
  for (int round = 0; round < 25; ++round) {
    check_shape<T, S>(pick(1, 20), pick(1, 400), pick(1, 500));
    check_shape<T, S>(pick(1, 300), pick(1, 3), pick(1, 300));
  }
  for (int round = 0; round < 4; ++round) {
    check_shape<T, S>(pick(1, 130), pick(500, 600), pick(380, 450));
    check_shape<T, S>(pick(60, 130), pick(60, 130), pick(780, 900));
  }
  check_shape<T, S>(48, 1024, 256);
  check_shape<T, S>(40, 512, 512);
  check_shape<T, S>(33, 130, 1100);  // whole panels, and a depth of no words
  check_shape<T, S>(70, 96, 2051);
  check_shape<T, S>(64, 64, 2600);
  check_shape<T, S>(7, 5, 20000);
}

TEST_CASE_TEMPLATE("gemm: batches", T, float, double) {
  for (const auto [m, n, k, batch] : {std::array<int64_t, 4>{16, 16, 16, 300},
                                      {5, 3, 7, 1000},
                                      {64, 64, 64, 9},
                                      {100, 200, 250, 3},
                                      {1, 64, 128, 40}}) {
    const auto a = random_values<T>(m * k * batch);
    const auto b = random_values<T>(k * n * batch);
    std::vector<T> first;
    for (int threads : {1, 2, 3, 4, 8}) {
      WithThreads pool(threads);
      std::vector<T> c(static_cast<size_t>(m * n * batch));
      Gemm<T> g{.m = m, .n = n, .k = k};
      g.a = {a.data(), k, 1};
      g.b = {b.data(), n, 1};
      g.c = c.data();
      g.c_row = n;
      Scratch scratch(gemm_batch_scratch_bytes(g, batch));
      gemm_batch(
          g, batch,
          [&](int64_t i) {
            return GemmOffset{i * m * k, i * k * n, i * m * n};
          },
          scratch.at());
      if (threads == 1) {
        first = c;
        for (int64_t i : {int64_t{0}, batch / 2, batch - 1}) {
          std::vector<T> alone(static_cast<size_t>(m * n));
          Gemm<T> one = g;
          one.a.data += i * m * k;
          one.b.data += i * k * n;
          one.c = alone.data();
          Scratch own(gemm_scratch_bytes(one));
          gemm(one, own.at());
          CHECK(std::memcmp(alone.data(), c.data() + i * m * n,
                            alone.size() * sizeof(T)) == 0);
        }
      }
      CHECK(std::memcmp(first.data(), c.data(), c.size() * sizeof(T)) == 0);
    }
  }
}
