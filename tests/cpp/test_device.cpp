// Devices are plugins: allocation, asynchronous kernels, copies, autograd and
// errors on a mock device with memory of its own.
#include <doctest/doctest.h>

#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/ops.h"
#include "mock_device.h"
#include "runtime/core/backend.h"

using namespace ferrule;

namespace {

Device mock(int index = 0) {
  static DeviceKind kind = register_backend(test::mock_device());
  return {kind, static_cast<uint8_t>(index)};
}

Tensor host(std::vector<float> values) {
  Tensor t = Tensor::empty({static_cast<int64_t>(values.size())}, DType::f32);
  std::copy(values.begin(), values.end(), t.data<float>());
  return t;
}

Tensor to_device(const Tensor& t, Device device) {
  Tensor r = Tensor::empty(t.shape(), t.dtype(), device);
  copy_bytes(r->bytes(), device, t->bytes(), t.device(), t->nbytes());
  return r;
}

std::vector<float> values(const Tensor& t) {
  std::vector<float> v(t.numel());
  copy_bytes(v.data(), {}, t->bytes(), t.device(), t->nbytes());
  return v;
}

std::string message_of(auto&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a plugin's devices have names") {
  CHECK(to_string(mock(1)) == "mock:1");
  CHECK(parse_device("mock:1") == mock(1));
  CHECK(parse_device("mock") == mock(0));
  CHECK(message_of([] { parse_device("cuda"); }) ==
        "no device 'cuda'; present: cpu, mock:0, mock:1");
  CHECK(message_of([] { register_backend(test::mock_device()); }) ==
        "a device 'mock' is already registered");
}

TEST_CASE("ops run asynchronously on the plugin and results come back") {
  Tensor a = to_device(host({1, 2, 3}), mock());
  Tensor b = to_device(host({10, 20, 30}), mock());
  int before = test::mock_counts().kernels;
  Tensor c = op::mul(op::add(a, b), b);
  CHECK(c.device() == mock());
  CHECK(values(c) == std::vector<float>{110, 440, 990});
  CHECK(test::mock_counts().kernels == before + 2);
}

TEST_CASE("copies go between two devices of a plugin") {
  Tensor a = to_device(host({1, 2, 3}), mock(0));
  CHECK(values(to_device(a, mock(1))) == std::vector<float>{1, 2, 3});
}

TEST_CASE("gradients need no code of their own") {
  Tensor x = to_device(host({1, 2, 3}), mock());
  set_requires_grad(x, true);
  Tensor y = op::mul(x, x);
  Tensor seed = to_device(host({1, 1, 1}), mock());
  backward(std::vector{y}, std::vector{seed}, {}, {});
  CHECK(values(grad_of(x)) == std::vector<float>{2, 4, 6});
}

TEST_CASE("errors name devices and the fix") {
  Tensor a = to_device(host({1, 2}), mock());
  CHECK(message_of([&] { op::add(a, host({1, 2})); }) ==
        "[add] tensors on different devices: mock:0 for the arguments before "
        "'other', which is on cpu; move it with .to(\"mock:0\")");
  CHECK(
      message_of([&] { op::exp(a); }) ==
      "[exp] no kernel for device mock:0; move the tensors with .to(\"cpu\")");
  CHECK(message_of([&] { op::add(a, 1.0); }) ==
        "[mock] add failed: only dense float32 is supported (code 7)");
  CHECK(message_of([&] { Tensor::empty({1 << 30}, DType::f32, mock()); }) ==
        "out of memory: cannot allocate 4294967296 bytes on mock:0 (code 1)");
}

TEST_CASE("memory goes back to the plugin") {
  synchronize(mock());  // what earlier tests still have queued
  auto before = test::mock_counts();
  {
    Tensor a = to_device(host({1, 2}), mock());
  }
  synchronize(mock());
  auto after = test::mock_counts();
  CHECK(after.allocs - before.allocs == after.frees - before.frees);
}

TEST_CASE("events order streams") {
  const fer_device_api* api = test::mock_device();
  fer_stream a = nullptr, b = nullptr;
  fer_event e = nullptr;
  REQUIRE(api->stream_create(0, &a) == 0);
  REQUIRE(api->stream_create(0, &b) == 0);
  REQUIRE(api->event_create(0, &e) == 0);
  float one = 1, got = 0;
  void* memory = nullptr;
  REQUIRE(api->alloc(0, 4, &memory) == 0);
  api->copy_from_host(0, memory, &one, 4, a);
  api->event_record(e, a);
  api->event_wait(e, b);
  api->copy_to_host(0, &got, memory, 4, b);
  api->stream_synchronize(b);
  CHECK(got == 1);
  api->free(0, memory);
  api->event_destroy(e);
  api->stream_destroy(a);
  api->stream_destroy(b);
}
