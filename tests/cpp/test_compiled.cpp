// CompiledGraph: captured functions that run on the tensors they were captured
// from.
#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "ferrule/autograd.h"
#include "ferrule/capture.h"
#include "ferrule/compiled.h"
#include "ferrule/ops.h"
#include "ferrule/random.h"
#include "graph_builder.h"

using namespace ferrule;
using namespace ferrule::test;

namespace {

using Function = std::function<std::vector<Tensor>(
    const std::vector<Tensor>& inputs, const std::vector<Tensor>& shared)>;

// The graph of a function, for inputs like these, on these tensors.
std::shared_ptr<Program> captured(const std::vector<Tensor>& inputs,
                                  const std::vector<Tensor>& shared,
                                  const Function& function) {
  auto program = std::make_shared<Program>();
  Capture capture(*program, "forward");
  std::vector<Tensor> in, held;
  for (size_t i = 0; i < inputs.size(); ++i) {
    in.push_back(capture.input(concat("x", i), inputs[i], {}));
  }
  for (size_t i = 0; i < shared.size(); ++i) {
    held.push_back(capture.lift_shared(concat("w", i), shared[i]));
  }
  const std::vector<Tensor> out = function(in, held);
  std::vector<std::string> names;
  for (size_t i = 0; i < out.size(); ++i) names.push_back(concat("y", i));
  capture.finish("forward", names, out);
  return program;
}

std::vector<float> run1(CompiledGraph& g, const std::vector<Tensor>& inputs) {
  return floats(g.run(inputs, {})[0]);
}

std::vector<Tensor> relu_of_product(const std::vector<Tensor>& in,
                                    const std::vector<Tensor>& held) {
  return {op::relu(op::matmul(in[0], held[0]))};
}

}  // namespace

TEST_CASE("a compiled graph reads the tensors themselves") {
  const Tensor w = ramp({3, 2}, -0.5f), x = ramp({4, 3}, -1);
  CompiledGraph g(captured({x}, {w}, relu_of_product), "forward", 1, "");
  const std::vector<Tensor> first = g.run(std::vector{x}, {});
  const std::vector<float> before = floats(first[0]);
  CHECK(before == floats(op::relu(op::matmul(x, w))));
  w.data<float>()[0] = 100;
  const Tensor other = ramp({4, 3}, 2);
  CHECK(run1(g, {other}) == floats(op::relu(op::matmul(other, w))));
  CHECK(floats(first[0]) == before);  // results are apart
  CHECK(g.uses_input(0));
  CHECK(g.steps() == std::vector<std::string>{"matmul + relu"});
}

TEST_CASE("a compiled graph writes into the tensors themselves") {
  const Tensor w = ramp({3}), x = ramp({3}, 1);
  const auto step = [](const auto& in, const auto& held) {
    op::copy_(held[0], op::sub(held[0], in[0]));
    return std::vector{op::sum(held[0])};
  };
  CompiledGraph g(captured({x}, {w}, step), "forward", 1, "");
  CHECK(floats(w) == floats(ramp({3})));  // capturing wrote nothing
  const uint64_t version = w->storage->version;
  CHECK(run1(g, {x}) == std::vector<float>{-3});
  CHECK(floats(w) == std::vector<float>{-1, -1, -1});
  CHECK(run1(g, {x}) == std::vector<float>{-6.75f});
  CHECK(w->storage->version == version + 2);
}

TEST_CASE("inputs that were not captured are refused, and the graph goes on") {
  const Tensor w = ramp({3, 2}), x = ramp({4, 3});
  CompiledGraph g(captured({x}, {w}, relu_of_product), "forward", 1, "");
  const auto error = [&](const std::vector<Tensor>& inputs) {
    return error_of([&] { g.run(inputs, {}); });
  };
  const std::vector<float> right = run1(g, {x});
  CHECK(error({ramp({5, 3})}) ==
        "[compile] input 'x0' has shape (5, 3); the model takes (4, 3)");
  CHECK(error({ramp({4})}) ==
        "[compile] input 'x0' has shape (4,); the model takes (4, 3)");
  CHECK(error({Tensor::empty({4, 3}, DType::f64)}) ==
        "[compile] input 'x0' is float64; the model takes float32");
  CHECK(contains(error({op::transpose(ramp({3, 4}), 0, 1)}),
                 "'x0' is not contiguous"));
  CHECK(error({Tensor()}) == "[compile] input 'x0' is missing");
  CHECK(error({}) == "[compile] takes 1 inputs, got 0");
  CHECK(error({x, x}) == "[compile] takes 1 inputs, got 2");
  CHECK(run1(g, {x}) == right);
}

TEST_CASE("numbers are those of the run") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{3, -1}});
  NodeArg factor = real(2);
  factor.expr = 1;
  b.output("y", b.node("mul", {{"input", ref(x)}, {"other", factor}}));
  b.finish();
  CompiledGraph g(std::make_shared<Program>(std::move(p)), "forward", 0, "");
  const std::vector<Tensor> in{make({3}, {1, 2, 3})};
  for (const double f : {3.0, -1.0}) {
    const auto scaled = static_cast<float>(f);
    const std::vector<double> numbers{7.0, f};
    CHECK(floats(g.run(in, numbers)[0]) ==
          std::vector<float>{scaled, 2 * scaled, 3 * scaled});
  }
  const std::vector<double> few{7.0};
  CHECK(error_of([&] { g.run(in, few); }) ==
        "[compile] takes 2 numbers, got 1");
}

TEST_CASE("an error in the data leaves the graph and its tensors usable") {
  const Tensor table = ramp({3, 2}), rows = Tensor::empty({2}, DType::i64);
  const auto look_up = [](const auto& in, const auto& held) {
    const Tensor found = op::embedding(in[0], held[0]);
    op::copy_(held[0], op::add(held[0], 1.0));
    return std::vector{found};
  };
  CompiledGraph g(captured({rows}, {table}, look_up), "forward", 1, "");
  rows.data<int64_t>()[0] = 0;
  rows.data<int64_t>()[1] = 3;
  const std::string text = error_of([&] { g.run(std::vector{rows}, {}); });
  CHECK(contains(text, "node 0 (embedding"));
  CHECK(floats(table) == floats(ramp({3, 2})));
  rows.data<int64_t>()[1] = 2;
  CHECK(run1(g, {rows}) == std::vector<float>{0, 0.25f, 1, 1.25f});
  CHECK(floats(table) == floats(ramp({3, 2}, 1)));
}

TEST_CASE("what cannot be compiled is refused") {
  const Tensor x = ramp({3}), w = ramp({3});
  const auto add = [](const auto& in, const auto& held) {
    op::copy_(held[0], op::add(held[0], in[0]));
    return std::vector{op::sum(held.back())};
  };
  const auto error = [&](const std::vector<Tensor>& shared, const char* key,
                         const char* passes) {
    return error_of([&] {
      CompiledGraph(captured({x}, shared, add), key, shared.size(), passes);
    });
  };
  CHECK(error({w}, "backward", "") ==
        "[compile] there is no signature 'backward'");
  CHECK(contains(error({w}, "forward", "x"), "there is no pass 'x'"));
  CHECK(contains(error({w, op::slice(w, 0, 0, 2)}, "forward", ""),
                 "shares its memory with another one that it uses"));
  CHECK(error({w, ramp({2})}, "forward", "") == "no error");
  w->storage->read_only = true;
  CHECK(contains(error({w}, "forward", ""), "shared as read-only"));
}

TEST_CASE("random ops draw as they do one by one") {
  const auto draw = [](const auto& in, const auto&) {
    return std::vector{op::add(in[0], op::rand(IntList{4})),
                       op::rand(IntList{2})};
  };
  const Tensor x = ramp({4});
  CompiledGraph g(captured({x}, {}, draw), "forward", 0, "");
  manual_seed(3);
  const std::vector<Tensor> wanted =
      draw(std::vector{x}, std::vector<Tensor>{});
  const uint64_t after = rng_state().offset;
  manual_seed(3);
  const std::vector<Tensor> got = g.run(std::vector{x}, {});
  CHECK(floats(got[0]) == floats(wanted[0]));
  CHECK(floats(got[1]) == floats(wanted[1]));
  CHECK(rng_state().offset == after);
}

TEST_CASE("threads share a compiled graph") {
  const Tensor w = ramp({3, 2}, -0.5f);
  const Tensor like = ramp({4, 3});
  CompiledGraph g(captured({like}, {w}, relu_of_product), "forward", 1, "");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const Tensor x = ramp({4, 3}, static_cast<float>(t) - 2);
      const std::vector<float> right = floats(op::relu(op::matmul(x, w)));
      for (int i = 0; i < 50; ++i) wrong += run1(g, {x}) != right;
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(wrong == 0);
}

namespace {

// y = tanh(x @ w), and the gradient of w for a given one of y; `nodes`: of y.
std::shared_ptr<Program> with_gradient(const Tensor& x, const Tensor& w,
                                       const Tensor& like, size_t& nodes) {
  return captured({x, like}, {w}, [&](const auto& in, const auto& held) {
    set_requires_grad(held[0], true);
    const Tensor y = op::tanh(op::matmul(in[0], held[0]));
    nodes = Capture::current()->size();
    const std::vector<Tensor> grads =
        grad(std::vector{y}, std::vector{held[0]}, std::vector{in[1]}, {});
    return std::vector{y.detach(), grads[0].detach()};
  });
}

}  // namespace

TEST_CASE("a graph is cut in two: results, and their gradients") {
  const Tensor x = ramp({4, 3}, -1), w = ramp({3, 2}, -0.5f);
  const Tensor given = ramp({4, 2}, 0.5f);
  size_t nodes = 0;
  const auto whole = with_gradient(x, w, given, nodes);
  const auto halves = cut_in_two(*whole, nodes, 1, 1);
  CompiledGraph both(whole, "forward", 1, "");
  CompiledGraph forward(halves, "forward", 1, "");
  CompiledGraph backward(halves, "backward", 1, "");
  const std::vector<Tensor> wanted = both.run(std::vector{x, given}, {});
  std::vector<Tensor> kept = forward.run(std::vector{x}, {});
  CHECK(floats(kept[0]) == floats(wanted[0]));
  kept.erase(kept.begin());
  kept.push_back(given);
  CHECK(floats(backward.run(kept, {})[0]) == floats(wanted[1]));
}

TEST_CASE("a cut is refused where the second part needs what is overwritten") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{3, -1}});
  const int32_t given = b.input("given", DType::f32, {{3, -1}});
  const int32_t y = b.node("exp", {{"input", ref(x)}});
  b.node("copy_", {{"input", ref(y)}, {"src", ref(x)}});
  const int32_t over = b.last().outputs.back();
  b.output("y", over);
  b.output("g", b.node("mul", {{"input", ref(y)}, {"other", ref(given)}}));
  b.finish();
  CHECK(error_of([&] { cut_in_two(p, 2, 1, 1); }) ==
        "[compile] the gradient needs a value that the function overwrites");
}
