// The tape: long chains, threads, in-place writes, hooks, higher order, errors.
#include <doctest/doctest.h>

#include <cmath>
#include <thread>
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/ops.h"

using namespace ferrule;

namespace {

Tensor vec(std::vector<double> values, bool requires_grad = false) {
  Tensor t = Tensor::empty({static_cast<int64_t>(values.size())}, DType::f64);
  std::copy(values.begin(), values.end(), t.data<double>());
  set_requires_grad(t, requires_grad);
  return t;
}
std::vector<double> list(const Tensor& t) {
  Tensor c = op::clone(t.detach());
  return {c.data<double>(), c.data<double>() + c.numel()};
}
void run_backward(const Tensor& t, BackwardOptions o = {}) {
  backward(std::vector{t}, {}, {}, o);
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

TEST_CASE("a chain of two million nodes is run and freed without recursion") {
  Tensor x = vec({1}, true);
  Tensor y = x;
  for (int i = 0; i < 2'000'000; ++i) y = op::add(y, 1.0);
  run_backward(op::sum(y));
  CHECK(list(grad_of(x)) == std::vector<double>{1});
  y = Tensor();
}

TEST_CASE("gradients of a shared value add up in a fixed order") {
  Tensor x = vec({2}, true);
  Tensor y = op::mul(x, x);
  run_backward(op::sum(op::add(op::mul(y, x), y)));  // x^3 + x^2
  CHECK(list(grad_of(x))[0] == 3 * 4 + 2 * 2);
}

TEST_CASE("eight threads differentiate at once, also into one leaf") {
  Tensor shared = vec({3}, true);
  std::vector<std::thread> threads;
  for (int k = 0; k < 8; ++k) {
    threads.emplace_back([&, k] {
      Tensor own = vec({1.0 + k}, true);
      for (int i = 0; i < 200; ++i) {
        run_backward(op::sum(op::mul(op::mul(own, own), shared)));
      }
      CHECK(list(grad_of(own))[0] == 200 * 2 * (1.0 + k) * 3);
    });
  }
  for (auto& t : threads) t.join();
  double expected = 0;
  for (int k = 0; k < 8; ++k) expected += 200 * (1.0 + k) * (1.0 + k);
  CHECK(list(grad_of(shared))[0] == expected);
}

TEST_CASE("eight threads share one graph that is retained") {
  Tensor x = vec({2, 3}, true);
  Tensor y = op::sum(op::exp(op::mul(x, x)));
  std::vector<std::thread> threads;
  for (int k = 0; k < 8; ++k) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        auto g =
            grad(std::vector{y}, std::vector{x}, {}, {.retain_graph = true});
        CHECK(list(g[0])[0] == doctest::Approx(4 * std::exp(4.0)));
      }
    });
  }
  for (auto& t : threads) t.join();
}

TEST_CASE("derivatives of derivatives, to the fourth order") {
  Tensor x = vec({1.5}, true);
  Tensor y = op::mul(op::mul(x, x), op::mul(x, x));  // x^4
  double expected[] = {4 * 1.5 * 1.5 * 1.5, 12 * 1.5 * 1.5, 24 * 1.5, 24};
  for (double e : expected) {
    y = grad(std::vector{op::sum(y)}, std::vector{x}, {},
             {.retain_graph = true, .create_graph = true})[0];
    CHECK(list(y)[0] == doctest::Approx(e));
  }
}

TEST_CASE("in-place writes: the root owns the history") {
  Tensor x = vec({1, 2, 3, 4}, true);
  Tensor y = op::mul(x, 2.0);
  Tensor head = op::slice(y, 0, 0, 2, 1);
  Tensor tail = op::slice(y, 0, 2, 4, 1);
  op::mul.inplace(head, 10.0);  // y = (20, 40, 6, 8)
  CHECK(list(y) == std::vector<double>{20, 40, 6, 8});
  // A view made before the write sees the new history of its root.
  op::add.inplace(tail, head);
  CHECK(list(y) == std::vector<double>{20, 40, 26, 48});
  run_backward(op::sum(op::mul(y, vec({1, 1, 100, 100}))));
  CHECK(list(grad_of(x)) == std::vector<double>{2020, 2020, 200, 200});
}

TEST_CASE("a write through a view gives its plain base a history") {
  Tensor w = vec({5}, true);
  Tensor base = vec({0, 0, 0});
  Tensor middle = op::slice(base, 0, 1, 2, 1);
  op::copy_(middle, op::mul(w, w));
  CHECK(base.requires_grad());
  run_backward(op::sum(base));
  CHECK(list(grad_of(w))[0] == 10);
}

TEST_CASE("a repeatedly written tensor leaks no cycle") {
  Tensor x = vec({1, 2}, true);
  Tensor y = op::mul(x, 1.0);
  for (int i = 0; i < 100; ++i) {
    Tensor z = op::exp(y);  // saves its result
    op::add.inplace(y, z);
    op::mul.inplace(y, 0.1);
  }
  run_backward(op::sum(y));
  CHECK(grad_of(x));
}

TEST_CASE("overlapping operands are read before they are written") {
  Tensor x = vec({1, 2, 3, 4});
  op::add.inplace(op::slice(x, 0, 1, 4, 1), op::slice(x, 0, 0, 3, 1));
  CHECK(list(x) == std::vector<double>{1, 3, 5, 7});
}

TEST_CASE("hooks see and change gradients") {
  Tensor x = vec({1, 2}, true);
  Tensor y = op::mul(x, 3.0);
  RemoveHook remove =
      add_tensor_hook(y, [](const Tensor& g) { return op::mul(g, 10.0); });
  retain_grad(y);
  int calls = 0;
  add_post_accumulate_hook(x, [&](const Tensor& leaf) {
    ++calls;
    CHECK(leaf.same(x));
  });
  run_backward(op::sum(y), {.retain_graph = true});
  CHECK(list(grad_of(x)) == std::vector<double>{30, 30});
  CHECK(list(grad_of(y)) == std::vector<double>{10, 10});
  CHECK(calls == 1);
  remove();
  set_grad(x, Tensor());
  run_backward(op::sum(y));
  CHECK(list(grad_of(x)) == std::vector<double>{3, 3});
}

TEST_CASE("backward into chosen inputs gives each a gradient of its own") {
  Tensor x = vec({1, 2}, true), y = vec({3, 4}, true);
  Tensor s = op::sum(op::add(x, y));
  backward(std::vector{s}, {}, std::vector{x, y}, {.retain_graph = true});
  op::mul.inplace(grad_of(x), 5.0);
  CHECK(list(grad_of(y)) == std::vector<double>{1, 1});
  run_backward(s);
  CHECK(list(grad_of(x)) == std::vector<double>{6, 6});
  CHECK(list(grad_of(y)) == std::vector<double>{2, 2});
}

TEST_CASE("custom functions") {
  Tensor x = vec({1, 2}, true);
  Tensor y = [&] {
    NoGrad no_grad;
    return op::mul(x, 2.0);
  }();
  auto rule = [](const std::vector<Tensor>& g) {
    return std::vector<Tensor>{op::mul(g[0], 2.0)};
  };
  auto out = custom_function({"Double", rule}, std::vector{x}, std::vector{y});
  CHECK(history_name(out[0]) == "Double");
  run_backward(op::sum(out[0]));
  CHECK(list(grad_of(x)) == std::vector<double>{2, 2});
}

TEST_CASE("errors say what to do") {
  Tensor x = vec({1, 2}, true);
  CHECK(message_of([&] { op::add.inplace(x, 1.0); }) ==
        "[add_] a leaf tensor that requires grad (float64 (2,)) cannot be "
        "written in place while gradients are recorded; wrap the update in "
        "`with fe.no_grad():`");
  Tensor y = op::exp(x);
  Tensor s = op::sum(y);
  run_backward(s);
  CHECK(message_of([&] {
          run_backward(op::sum(y));
        }).starts_with("[exp] backward a second time: the saved tensors"));
  Tensor z = op::exp(x);
  Tensor t = op::sum(z);
  op::mul.inplace(z, 2.0);
  CHECK(message_of([&] { run_backward(op::sum(z)); }) ==
        "[exp] a tensor saved for its gradient, float64 (2,), was overwritten "
        "in place by 'mul' after it was used; write into a clone() instead");
  CHECK(message_of([&] { run_backward(op::exp(x)); })
            .starts_with("[backward] a gradient is needed for an output of "
                         "shape (2,)"));
  CHECK(message_of([&] { run_backward(vec({1})); })
            .starts_with("[backward] the tensor, float64 (1,), does not "
                         "require grad"));
  CHECK(message_of([&] {
          set_requires_grad(Tensor::empty({1}, DType::i64), true);
        }) == "only floating-point tensors can require grad, got int64; "
              "convert with .float()");
}
