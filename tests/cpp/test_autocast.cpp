// Autocast from C++: operands, nesting of ops, the cache, threads.
#include "ferrule/autocast.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/ops.h"

using namespace ferrule;

namespace {

struct Region {
  Region() {
    enter_autocast_region();
    set_autocast_enabled(DeviceKind::cpu, true);
  }
  ~Region() {
    set_autocast_enabled(DeviceKind::cpu, false);
    if (leave_autocast_region() == 0) clear_autocast_cache();
  }
};

Tensor ones(std::initializer_list<Int> shape) {
  return op::ones(IntList(shape), DType::f32);
}

}  // namespace

TEST_CASE("autocast casts the operands of products, and gradients back") {
  const Tensor x = ones({2, 3}), w = ones({4, 3});
  set_requires_grad(w, true);
  Tensor y, loss;
  {
    Region region;
    y = op::linear(x, w);
    loss = op::mse_loss(y, op::zeros_like(y));
    CHECK(op::add(y, ones({4})).dtype() == DType::f32);
  }
  CHECK(y.dtype() == DType::bf16);
  CHECK(loss.dtype() == DType::f32);
  CHECK(op::linear(x, w).dtype() == DType::f32);
  backward(std::vector{loss}, {}, {}, {});
  CHECK(grad_of(w).dtype() == DType::f32);
  CHECK(grad_of(w).data<float>()[0] == 1.5f);
}

TEST_CASE("autocast belongs to the thread, its dtype to the kind of device") {
  set_autocast_dtype(DeviceKind::cpu, DType::f16);
  Region region;
  const Tensor x = ones({2, 2});
  CHECK(op::matmul(x, x).dtype() == DType::f16);
  std::thread([&] {
    CHECK(!autocast_enabled(DeviceKind::cpu));
    CHECK(autocast_dtype(DeviceKind::cpu) == DType::bf16);
    CHECK(op::matmul(x, x).dtype() == DType::f32);
  }).join();
  set_autocast_dtype(DeviceKind::cpu, DType::bf16);
  CHECK(op::matmul(x, x).dtype() == DType::bf16);
  set_autocast_enabled(DeviceKind::plugin, true);
  set_autocast_enabled(DeviceKind::cpu, false);
  CHECK(op::matmul(x, x).dtype() == DType::f32);
  set_autocast_enabled(DeviceKind::plugin, false);
  CHECK_THROWS_AS(set_autocast_dtype(DeviceKind::cpu, DType::f32), DTypeError);
}

TEST_CASE("the cache of a thread that ends within a region is freed") {
  const Tensor x = ones({2, 2}), w = ones({2, 2});
  set_requires_grad(w, true);
  std::thread([&] {
    set_autocast_enabled(DeviceKind::cpu, true);
    CHECK(op::linear(x, w).dtype() == DType::bf16);
  }).join();
  CHECK(w->refs.load() == 1);
}
