// Where two runs part.
#include <doctest/doctest.h>

#include "control_programs.h"
#include "graph_builder.h"
#include "runtime/graph/compare_runs.h"

using namespace ferrule;
using namespace ferrule::test;

namespace {

ComparedRun side(Program p, const char* passes = "none") {
  check_program(p);
  ComparedRun run;
  run.program = std::make_shared<const Program>(std::move(p));
  run.options.passes = passes;
  return run;
}

// relu(x * 2 + c), and `more` constants that are declared before c.
Program chain(float c, int more = 0, const char* last = "relu") {
  Program p;
  GraphBuilder b(p, "forward");
  for (int i = 0; i < more; ++i) b.constant(concat("more", i), ramp({1}));
  const int32_t x = b.input("x", DType::f32, {{4, -1}});
  const int32_t twice = b.node("mul", {{"input", ref(x)}, {"other", real(2)}});
  const int32_t offset = b.constant("c", make({4}, {0, 0, c, 0}));
  const int32_t sum =
      b.node("add", {{"input", ref(twice)}, {"other", ref(offset)}});
  b.output("y", b.node(last, {{"input", ref(sum)}}));
  b.finish();
  return p;
}

}  // namespace

TEST_CASE("the first node is named, with its element and both numbers") {
  const std::vector<Tensor> in{ramp({4})};
  // Values of the second have other numbers.
  const ComparedRun a = side(chain(1)), b = side(chain(1.5f, 3), "-tiles");
  CHECK(graph_difference(*a.program, *b.program, "forward") == "");
  for (const int64_t memory : {int64_t{1}, int64_t{1} << 20}) {
    const auto found = first_difference(a, b, "forward", in, 0, memory);
    REQUIRE(found);
    CHECK(contains(found->what, "node add -> "));
    CHECK(found->where == "test.add");
    CHECK(found->at == std::vector<int64_t>{2});
    CHECK(found->a == 2);
    CHECK(found->b == 2.5);
    CHECK(found->count == 1);
    CHECK(found->elements == 4);
    CHECK(found->apart == 0.5);
    CHECK(contains(found->text, "at (2,) is 2 and 2.5; 1 of 4 elements"));
  }
  CHECK(!first_difference(a, b, "forward", in, 0.3));  // of 2.5
  CHECK(first_difference(a, b, "forward", in, 0.1));
  CHECK(!first_difference(a, side(chain(1)), "forward", in, 0, 1));
}

TEST_CASE("of nodes that run together the result is compared") {
  const ComparedRun a = side(chain(1)), b = side(chain(1.5f), "default");
  const auto found =
      first_difference(a, b, "forward", std::vector{ramp({4})}, 0);
  REQUIRE(found);
  CHECK(contains(found->what, "node mul + add + relu -> "));
}

TEST_CASE("other graphs: how, and results alone") {
  const std::vector<Tensor> in{ramp({4})};
  const ComparedRun a = side(chain(1)), b = side(chain(1, 0, "neg"));
  CHECK(graph_difference(*a.program, *b.program, "forward") ==
        "node 2 (relu, test.relu): the other has neg there (test.neg)");
  const auto found = first_difference(a, b, "forward", in, 0);
  REQUIRE(found);
  CHECK(found->what == "result 'y'");
  CHECK(found->at == std::vector<int64_t>{1});  // 0 and -0 come first
  CHECK(found->a == 0.5);
  CHECK(found->b == -0.5);
  Program other = chain(1);
  other.graphs[0].nodes[0].args[1].f = 3;
  CHECK(graph_difference(*a.program, other, "forward") ==
        "node 0 (mul, test.mul): other is 2, in the other 3");
  CHECK(contains(
      error_of([&] { graph_difference(*a.program, other, "train_step"); }),
      "no signature 'train_step'"));
}

TEST_CASE("in a loop, at the step where values part") {
  // The carry is 30, 60, 120; the running sum of the other starts elsewhere.
  const std::vector<Tensor> in{make({}, {30}), ramp({3, 2})};
  Program other = control_program();
  other.constants[other.constant_index("zero")].data = make({2}, {0, 1});
  const ComparedRun a = side(control_program()), b = side(std::move(other));
  const auto found = first_difference(a, b, "forward", in, 0, 1);
  REQUIRE(found);
  CHECK(contains(found->what, "node add -> "));
  CHECK(found->step == 0);
  CHECK(found->at == std::vector<int64_t>{1});
  CHECK(contains(found->text, "in 'step', time 1"));
  CHECK(!first_difference(a, side(control_program(), "all"), "forward", in, 0,
                          1));
}

TEST_CASE("state that a run leaves is compared, too") {
  const std::vector<Tensor> in{ramp({4})};
  Program other = training_program();
  other.constants[other.constant_index("n")].data = make({4}, {5, 5, 5, 5});
  const auto found = first_difference(
      side(training_program()), side(std::move(other)), "train_step", in, 0);
  REQUIRE(found);
  CHECK(found->a != found->b);
}
