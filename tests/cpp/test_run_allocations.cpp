// What a run of a whole model asks the system for: nothing, once it has run.
#include <doctest/doctest.h>

#include "count_allocations.h"
#include "ferrule/autograd.h"
#include "ferrule/capture.h"
#include "ferrule/ops.h"
#include "ferrule/session.h"
#include "graph_builder.h"

using namespace ferrule;
using namespace ferrule::test;

namespace {

Tensor small(std::vector<int64_t> shape) {
  Tensor t = Tensor::empty(shape, DType::f32);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data<float>()[i] = static_cast<float>(i * 7 % 13 - 6) / 40;
  }
  return t;
}

// Images through convolutions of 3 x 3 (Winograd), of stride 2 and depthwise,
// batch norm and pooling; then attention over the pixels, layer norm, and a
// classifier. Adds the weights to `weights`.
Tensor network(Capture& c, const Tensor& x, bool training,
               std::vector<Tensor>& weights) {
  const auto weight = [&](const char* name, std::vector<int64_t> shape) {
    weights.push_back(c.lift(name, small(std::move(shape)), true, true));
    set_requires_grad(weights.back(), true);
    return weights.back();
  };
  const auto state = [&](const char* name, float value) {
    return c.lift(name, make({8}, std::vector<float>(8, value)), true, false);
  };
  const IntList one{1, 1}, two{2, 2};
  Tensor y = op::conv2d(x, weight("c1", {8, 3, 3, 3}), Tensor(), one, one);
  y = op::batch_norm(y, state("mean", 0), state("var", 1), weight("g", {8}),
                     weight("b", {8}), training);
  y = op::max_pool2d(op::relu(y), two);
  y = op::conv2d(y, weight("c2", {8, 8, 3, 3}), Tensor(), one, one);
  y = op::conv2d(op::relu(y), weight("c3", {8, 1, 3, 3}), Tensor(), one, one,
                 one, 8);
  y = op::conv2d(y, weight("c4", {16, 8, 3, 3}), weight("b4", {16}), two, one);
  y = op::transpose(op::flatten(y, 2), 1, 2);  // (batch, pixels, 16)
  const Tensor q = op::unsqueeze(op::linear(y, weight("q", {16, 16})), 1);
  const Tensor k = op::unsqueeze(op::linear(y, weight("k", {16, 16})), 1);
  y = op::squeeze(op::scaled_dot_product_attention(q, k, q), 1);
  y = op::layer_norm(y, IntList{16}, weight("ln", {16}), weight("lb", {16}));
  return op::linear(op::mean(y, IntList{1}), weight("w", {10, 16}),
                    weight("wb", {10}));
}

Program program() {
  Program p;
  p.symbols.push_back({"batch", 1, 64, 1});
  const Tensor x = small({2, 3, 16, 16});
  {
    Capture c(p, "forward");
    NoGrad no_grad;
    const Tensor in = c.input("x", x, {"batch", "", "", ""});
    std::vector<Tensor> weights;
    c.finish("forward", {"y"}, {network(c, in, false, weights)});
  }
  Capture c(p, "train_step");
  const Tensor in = c.input("x", x, {"batch", "", "", ""});
  const Tensor target =
      c.input("target", Tensor::empty({2}, DType::i64), {"batch"});
  std::vector<Tensor> weights;
  const Tensor loss = op::cross_entropy(network(c, in, true, weights), target);
  const std::vector<Tensor> grads = grad(std::vector{loss}, weights, {}, {});
  NoGrad no_grad;
  op::sgd_step(weights, grads, std::vector<Tensor>(), 0.01);
  c.finish("train_step", {"loss"}, {loss});
  return p;
}

}  // namespace

TEST_CASE("a whole model and its training step allocate nothing") {
  Session s(load_program(write_program(program())));
  std::vector<Tensor> image{small({2, 3, 16, 16})};
  std::vector<Tensor> batch{small({5, 3, 16, 16}),
                            Tensor::empty({5}, DType::i64)};
  for (int i = 0; i < 5; ++i) batch[1].data<int64_t>()[i] = i;
  const auto round = [&] {
    s.run("forward", image);
    s.run("train_step", batch);
  };
  round();
  round();
  const float first = s.run("train_step", batch)[0].data<float>()[0];
  const int64_t before = allocations();
  for (int i = 0; i < 20; ++i) round();
  CHECK(allocations() == before);
  CHECK(s.run("train_step", batch)[0].data<float>()[0] < first);
}
