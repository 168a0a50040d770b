// vmap from C++: a program of ops for one sample, run on a batch.
#include <doctest/doctest.h>

#include "ferrule/autograd.h"
#include "ferrule/ops.h"
#include "ferrule/vmap.h"

namespace ferrule {

TEST_CASE("vmap runs the ops of one sample on a batch") {
  const Tensor xs = op::randn(IntList{5, 3});
  const Tensor w = op::randn(IntList{3, 2});
  set_requires_grad(w, true);
  Vmap vmap(5);
  const Tensor x = vmap.input(xs);
  CHECK(Dims(x.shape()) == Dims{3});
  const Tensor y = op::softmax(op::matmul(x, w), -1);
  const std::vector<Batched> results = vmap.finish({y, op::sum(w)});
  CHECK(Capture::current() == nullptr);
  CHECK(results[0].batched);
  CHECK_FALSE(results[1].batched);
  CHECK(vmap.one_by_one().empty());
  const Tensor ys = results[0].tensor;
  CHECK(ys.requires_grad());
  const Tensor expected = op::softmax(op::matmul(xs, w), -1);
  CHECK(op::all(op::isclose(ys, expected)).data<bool>()[0]);
}

TEST_CASE("nested calls see the outer sample as a constant") {
  const Tensor a = op::randn(IntList{4}), b = op::randn(IntList{3});
  Vmap outer(4);
  const Tensor x = outer.input(a);
  Vmap inner(3);
  const Tensor y = inner.input(b);
  const Tensor row = inner.finish({op::mul(op::exp(x), y)})[0].tensor;
  const Tensor table = outer.finish({row})[0].tensor;
  const Tensor expected =
      op::mul(op::unsqueeze(op::exp(a), 1), op::unsqueeze(b, 0));
  CHECK(op::all(op::isclose(table, expected)).data<bool>()[0]);
}

TEST_CASE("a failed call leaves nothing behind") {
  {
    Vmap vmap(2);
    const Tensor x = vmap.input(op::ones(IntList{2, 3}));
    CHECK_THROWS_AS(op::reshape(x, IntList{2}), ShapeError);
    CHECK_THROWS_AS(op::rand_like(x), RuntimeError);
  }
  CHECK(Capture::current() == nullptr);
}

}  // namespace ferrule
