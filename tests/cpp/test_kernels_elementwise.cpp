// The loops under the elementwise, copying and reducing kernels: every
// geometry, dtype and number of threads against plain double arithmetic.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>

#include "ferrule/ops.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/convert.h"
#include "runtime/cpu/cursor.h"
#include "runtime/cpu/strided_copy.h"

using namespace ferrule;

namespace {

constexpr DType kReal[] = {DType::bool_, DType::u8,  DType::i8,  DType::i16,
                           DType::i32,   DType::i64, DType::f16, DType::bf16,
                           DType::f32,   DType::f64};

std::mt19937_64 draw(7);

int64_t pick(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(draw);
}

// Calls visit(index) for every element, in row-major order.
void each_index(std::span<const int64_t> shape,
                const std::function<void(const Dims&)>& visit) {
  Dims index(shape);
  const int64_t numel = checked_numel(shape);
  for (int64_t i = 0; i < numel; ++i) {
    int64_t rest = i;
    for (int d = index.n - 1; d >= 0; --d) {
      index[d] = rest % shape[d];
      rest /= shape[d];
    }
    visit(index);
  }
}

template <class T>
T& element(const Tensor& t, const Dims& index) {
  int64_t at = 0;
  const int missing = index.n - t.ndim();
  for (int d = 0; d < t.ndim(); ++d) {
    if (t.size(d) > 1) at += index[missing + d] * t.strides()[d];
  }
  return t.data<T>()[at];
}

// A small whole number, exact in every dtype, seen as double.
double value_at(const Tensor& t, const Dims& index) {
  switch (t.dtype()) {
    case DType::bool_:
    case DType::u8:
      return element<uint8_t>(t, index);
    case DType::i8:
      return element<int8_t>(t, index);
    case DType::i16:
      return element<int16_t>(t, index);
    case DType::i32:
      return element<int32_t>(t, index);
    case DType::i64:
      return static_cast<double>(element<int64_t>(t, index));
    case DType::f32:
      return element<float>(t, index);
    case DType::f64:
      return element<double>(t, index);
    default: {
      double value = 0;
      const cpu::Route route(t.dtype(), DType::f64);
      route.convert(&value, &element<uint16_t>(t, index), 1);
      return value;
    }
  }
}

void set_value(const Tensor& t, const Dims& index, int64_t value) {
  const cpu::Route route(DType::i64, t.dtype());
  char* to = t->bytes();
  int64_t at = 0;
  for (int d = 0; d < t.ndim(); ++d) at += index[d] * t.strides()[d];
  to += at * itemsize(t.dtype());
  if (route.n == 0) {
    std::memcpy(to, &value, sizeof value);
  } else {
    route.convert(to, &value, 1);
  }
}

// Random geometry: dimensions permuted, some elements skipped.
Tensor random_tensor(const Dims& shape, DType dtype, int64_t low = 0,
                     int64_t high = 1) {
  Dims order = shape;
  for (int d = 0; d < shape.n; ++d) order[d] = d;
  std::shuffle(order.v, order.v + order.n, draw);
  if (pick(0, 2) == 0) std::sort(order.v, order.v + order.n);
  Dims strides = shape;
  int64_t step = pick(0, 2) == 0 ? 2 : 1;
  for (int k = shape.n - 1; k >= 0; --k) {
    const int d = static_cast<int>(order[k]);
    strides[d] = step;
    step *= std::max<int64_t>(1, shape[d]) + (pick(0, 3) == 0 ? 1 : 0);
  }
  const Tensor whole = Tensor::empty({step + 8}, dtype);
  std::memset(whole->bytes(), 0, whole->nbytes());
  const Tensor t = whole.view_as(shape, strides, pick(0, 4));
  each_index(shape, [&](const Dims& i) { set_value(t, i, pick(low, high)); });
  return t;
}

// A shape that broadcasts to `shape`.
Dims narrowed(const Dims& shape) {
  Dims r;
  const int64_t dropped = pick(0, 4) == 0 ? pick(0, shape.n) : 0;
  for (int d = static_cast<int>(dropped); d < shape.n; ++d) {
    r.push(pick(0, 3) == 0 ? 1 : shape[d]);
  }
  return r;
}

Dims random_shape() {
  Dims shape;
  const int64_t n = pick(0, 4);
  for (int64_t d = 0; d < n; ++d) {
    shape.push(pick(0, 20) == 0  ? 0
               : pick(0, 6) == 0 ? pick(60, 700)
                                 : pick(1, 9));
  }
  if (checked_numel(shape) > 200000) return {3, 70, 5};
  return shape;
}

std::string bytes_of(const Tensor& t) {
  return {t->bytes(), static_cast<size_t>(t->nbytes())};
}

// The result's bytes with 1, 2 and 4 threads must be the same.
void check_threads(const std::function<Tensor()>& make) {
  set_num_threads(1);
  const std::string one = bytes_of(make());
  for (int n : {2, 4}) {
    set_num_threads(n);
    CHECK(bytes_of(make()) == one);
  }
  set_num_threads(0);
}

Tensor normal_tensor(const Dims& shape, DType dtype = DType::f32) {
  const Tensor t = Tensor::empty(shape, DType::f32);
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = normal(draw);
  return dtype == DType::f32 ? t : op::cast(t, dtype);
}

template <class To, class From>
To converted(DType to, DType from, From value) {
  To result{};
  cpu::Route(from, to).convert(&result, &value, 1);
  return result;
}

}  // namespace

TEST_CASE("floats saturate when they become integers, and NaN gives 0") {
  const auto i32 = [](double v) {
    return converted<int32_t>(DType::i32, DType::f64, v);
  };
  CHECK(i32(1.9) == 1);
  CHECK(i32(-1.9) == -1);
  CHECK(i32(1e300) == std::numeric_limits<int32_t>::max());
  CHECK(i32(-1e300) == std::numeric_limits<int32_t>::min());
  CHECK(i32(std::nan("")) == 0);
  CHECK(converted<uint8_t>(DType::u8, DType::f32, -1.0f) == 0);
  CHECK(converted<uint8_t>(DType::u8, DType::f32, 300.0f) == 255);
  CHECK(converted<int64_t>(DType::i64, DType::f32, 1e30f) == INT64_MAX);
  CHECK(converted<int64_t>(DType::i64, DType::f64, -0x1p63) == INT64_MIN);
}

TEST_CASE("integers wrap when narrowed, and what is not 0 is True") {
  CHECK(converted<uint8_t>(DType::u8, DType::i64, int64_t{300}) == 44);
  CHECK(converted<int8_t>(DType::i8, DType::i32, int32_t{200}) == -56);
  CHECK(converted<uint8_t>(DType::bool_, DType::f32, 0.25f) == 1);
  CHECK(converted<uint8_t>(DType::bool_, DType::f64, std::nan("")) == 1);
  CHECK(converted<uint8_t>(DType::bool_, DType::i16, int16_t{-256}) == 1);
  CHECK(converted<uint8_t>(DType::bool_, DType::f32, -0.0f) == 0);
}

TEST_CASE("all pairs of dtypes convert small numbers exactly") {
  for (DType from : kReal) {
    for (DType to : kReal) {
      CAPTURE(name(from));
      CAPTURE(name(to));
      const Tensor x = random_tensor({150}, from, 0, 100);
      const Tensor y = op::cast(x, to);
      REQUIRE(y.dtype() == to);
      bool same = true;
      each_index(x.shape(), [&](const Dims& i) {
        const double want = value_at(x, i);
        same &= value_at(y, i) == (to == DType::bool_ ? want != 0 : want);
      });
      CHECK(same);
    }
  }
}

TEST_CASE("strided_copy moves every geometry") {
  for (int round = 0; round < 400; ++round) {
    const Dims shape = random_shape();
    const DType t = kReal[pick(0, 9)];
    const DType u = pick(0, 1) ? t : kReal[pick(0, 9)];
    const Tensor from = random_tensor(narrowed(shape), t, 0, 100);
    const Tensor to = random_tensor(shape, u);
    CAPTURE(round);
    strided_copy(*from.impl(), *to.impl());
    bool same = true;
    each_index(shape, [&](const Dims& i) {
      const double want = value_at(from, i);
      same &= value_at(to, i) == (u == DType::bool_ ? want != 0 : want);
    });
    CHECK(same);
  }
}

TEST_CASE("strided_copy transposes, also elements of 16 bytes") {
  for (DType t : {DType::u8, DType::f16, DType::f32, DType::f64, DType::c128}) {
    const int64_t size = itemsize(t);
    const Tensor x = Tensor::empty({3, 70, 101}, t);
    for (int64_t i = 0; i < x->nbytes(); ++i) {
      x->bytes()[i] = static_cast<char>(pick(0, 255));
    }
    const Tensor back =
        contiguous_cpu(x.view_as(Dims{3, 101, 70}, Dims{7070, 1, 101}, 0));
    bool same = true;
    each_index(back.shape(), [&](const Dims& i) {
      const int64_t there = (i[0] * 70 + i[2]) * 101 + i[1];
      const int64_t here = (i[0] * 101 + i[1]) * 70 + i[2];
      same &= std::memcmp(back->bytes() + here * size,
                          x->bytes() + there * size, size) == 0;
    });
    CHECK(same);
  }
}

TEST_CASE("binary ops: any strides, broadcasting and dtypes") {
  for (int round = 0; round < 400; ++round) {
    const Dims shape = random_shape();
    const Tensor a = random_tensor(narrowed(shape), kReal[pick(1, 9)], 0, 9);
    const Tensor b = random_tensor(narrowed(shape), kReal[pick(1, 9)], 0, 9);
    const Tensor sum = op::add(a, b);
    const Tensor less = op::lt(a, b);
    const Tensor chosen = op::where(less, a, b);
    CAPTURE(round);
    bool same = true;
    each_index(sum.shape(), [&](const Dims& i) {
      const double x = value_at(a, i), y = value_at(b, i);
      same &= value_at(sum, i) == x + y && value_at(less, i) == (x < y) &&
              value_at(chosen, i) == (x < y ? x : y);
    });
    CHECK(same);
  }
}

TEST_CASE("operands may be numbers, on either side") {
  const Tensor x = random_tensor({5, 300}, DType::f32, 1, 9);
  const Tensor left = op::sub(10, x), right = op::sub(x, 0.5);
  bool same = true;
  each_index(x.shape(), [&](const Dims& i) {
    same &= value_at(left, i) == 10 - value_at(x, i) &&
            value_at(right, i) == value_at(x, i) - 0.5;
  });
  CHECK(same);
}

TEST_CASE("the result may overwrite an operand, of any geometry and dtype") {
  for (int round = 0; round < 200; ++round) {
    const Dims shape = random_shape();
    const Tensor a = random_tensor(shape, kReal[pick(1, 9)], 0, 9);
    const Tensor b = random_tensor(narrowed(shape), a.dtype(), 0, 9);
    const Tensor want = op::add(a, b);
    const Arg args[] = {a, b};
    op::add.call(args, 2, true);
    CAPTURE(round);
    bool same = true;
    each_index(shape, [&](const Dims& i) {
      same &= value_at(a, i) == value_at(want, i);
    });
    CHECK(same);
  }
}

TEST_CASE("integers wrap around in arithmetic") {
  const Tensor x = Tensor::empty({1}, DType::i64);
  x.data<int64_t>()[0] = INT64_MAX;
  CHECK(op::add(x, 1).data<int64_t>()[0] == INT64_MIN);
  CHECK(op::mul(x, 2).data<int64_t>()[0] == -2);
  CHECK(op::neg(op::add(x, 1)).data<int64_t>()[0] == INT64_MIN);
  CHECK(op::pow(x, 2).data<int64_t>()[0] == 1);
}

TEST_CASE("sums of every geometry are exact where they can be") {
  for (int round = 0; round < 300; ++round) {
    const Dims shape = random_shape();
    const Tensor x = random_tensor(shape, kReal[pick(0, 9)], 0, 4);
    IntList dims;
    uint32_t mask = 0;
    for (int d = 0; d < shape.n; ++d) {
      if (pick(0, 1) == 0) continue;
      dims.push(d);
      mask |= 1u << d;
    }
    if (dims.n == 0) mask = (1u << shape.n) - 1;
    if (x.dtype() == DType::f16 || x.dtype() == DType::bf16) continue;
    const Tensor sum = op::sum(x, dims, true);
    const Tensor want = Tensor::empty(sum.shape(), DType::f64);
    std::fill_n(want.data<double>(), want.numel(), 0.0);
    each_index(shape, [&](const Dims& i) {
      element<double>(want, i) += value_at(x, i);
    });
    CAPTURE(round);
    CAPTURE(mask);
    bool same = true;
    each_index(sum.shape(), [&](const Dims& i) {
      same &= value_at(sum, i) == value_at(want, i);
    });
    CHECK(same);
  }
}

TEST_CASE("reductions do not depend on strides") {
  for (const Dims& shape : {Dims{300, 200}, Dims{3, 5000}, Dims{2000, 3}}) {
    const Tensor x = normal_tensor(shape);
    const Tensor other =
        op::clone(x.view_as(Dims{shape[1], shape[0]}, Dims{1, shape[1]}, 0));
    const Tensor same = other.view_as(shape, Dims{1, shape[0]}, 0);
    for (int d : {0, 1}) {
      const IntList dims{d};
      CHECK(bytes_of(op::sum(x, dims)) == bytes_of(op::sum(same, dims)));
      CHECK(bytes_of(op::var(x, dims)) == bytes_of(op::var(same, dims)));
      CHECK(bytes_of(op::amax(x, dims)) == bytes_of(op::amax(same, dims)));
    }
    CHECK(bytes_of(op::sum(x)) == bytes_of(op::sum(same)));
  }
}

TEST_CASE("long sums are accurate") {
  const Tensor x = op::abs(normal_tensor({1 << 20}));
  double want = 0;
  for (int64_t i = 0; i < x.numel(); ++i) want += x.data<float>()[i];
  CHECK(op::sum(x).data<float>()[0] == doctest::Approx(want).epsilon(1e-6));
  const Tensor tall = x.view_as(Dims{1 << 15, 32}, Dims{32, 1}, 0);
  CHECK(op::sum(op::sum(tall, IntList{0})).data<float>()[0] ==
        doctest::Approx(want).epsilon(1e-6));
}

TEST_CASE("results do not depend on the number of threads") {
  const Tensor big = normal_tensor({300, 1100});
  const Tensor image = normal_tensor({8, 24, 40, 40});
  const Tensor half = normal_tensor({300, 1100}, DType::bf16);
  check_threads([&] { return op::gelu(big); });
  check_threads([&] { return op::add(half, big); });
  check_threads([&] { return op::sum(big); });
  check_threads([&] { return op::sum(big, IntList{0}); });
  check_threads([&] { return op::sum(big, IntList{1}); });
  check_threads([&] { return op::var(image, IntList{0, 2, 3}); });
  check_threads([&] { return op::argmax(big, 0); });
  check_threads([&] { return op::softmax(big, 0); });
  check_threads([&] { return op::log_softmax(half, 1); });
  check_threads([&] { return op::layer_norm(big, IntList{1100}); });
  const Tensor stats = op::layer_norm.multi(big, IntList{1100})[1];
  const Tensor rstd = op::layer_norm.multi(big, IntList{1100})[2];
  for (int i = 0; i < 3; ++i) {
    check_threads([&] {
      return op::layer_norm_backward.multi(big, big, stats, rstd, Tensor(),
                                           IntList{1100})[i];
    });
  }
  check_threads([&] {
    return op::batch_norm(image, Tensor(), Tensor(), Tensor(), Tensor(), true);
  });
  const Tensor target = op::argmax(big, 1);
  check_threads([&] { return op::cross_entropy(big, target); });
}

TEST_CASE("NaN wins in maxima and is found by argmax") {
  const Tensor x = normal_tensor({3, 1000});
  x.data<float>()[1500] = std::nanf("");
  const Tensor best = op::amax(x, IntList{1});
  CHECK(!std::isnan(best.data<float>()[0]));
  CHECK(std::isnan(best.data<float>()[1]));
  CHECK(op::argmax(x, 1).data<int64_t>()[1] == 500);
  CHECK(op::argmin(x, 1).data<int64_t>()[1] == 500);
}

TEST_CASE("reductions of nothing") {
  const Tensor x = Tensor::empty({0, 3}, DType::f32);
  CHECK(op::sum(x, IntList{0}).data<float>()[2] == 0);
  CHECK(std::isnan(op::mean(x, IntList{0}).data<float>()[2]));
  CHECK(std::isnan(op::var(x, IntList{0}).data<float>()[2]));
  CHECK_THROWS_AS(op::amax(x, IntList{0}), ShapeError);
  CHECK(op::amax(x, IntList{1}).numel() == 0);
}

TEST_CASE("nothing is read from tensors without elements") {
  for (Dims shape : {Dims{0}, Dims{3, 0}, Dims{0, 3}, Dims{2, 0, 3}}) {
    const Tensor t = Tensor::empty(shape, DType::i16);
    for (DType as : {DType::i16, DType::f32}) {
      const cpu::Layout layout =
          cpu::layout_of(*t.impl(), cpu::memory_order(*t.impl()));
      cpu::Reader reader(*t.impl(), layout, as);
      reader.seek(0);
      float untouched = 7;
      reader.read(&untouched, 0);
      (void)reader.next(0, &untouched);
      CHECK(untouched == 7);
      cpu::Writer writer(*t.impl(), layout, as);
      writer.seek(0);
      writer.done(&untouched, 0, nullptr, 0);
      CHECK(untouched == 7);
    }
  }
}
