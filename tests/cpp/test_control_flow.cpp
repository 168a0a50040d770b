// Nodes that run graphs: what they compute, and what is refused.
#include <doctest/doctest.h>

#include "control_programs.h"
#include "count_allocations.h"
#include "ferrule/session.h"

using namespace ferrule;
using namespace ferrule::test;

namespace {

std::string refused(const Program& p) {
  return error_of([&] { load_program(write_program(p)); });
}

Tensor number(float v) {
  Tensor t = Tensor::empty({}, DType::f32);
  *t.data<float>() = v;
  return t;
}

}  // namespace

TEST_CASE("a loop, a scan and a branch run from their file") {
  Session s(load_program(write_program(control_program())));
  const Tensor x = make({3, 2}, {0, 1, 2, 3, 4, 5});
  auto out = s.run("forward", {{number(7), x}});
  CHECK(*out[0].data<float>() == 112);
  const float sums[] = {0 + 2 + 4, 1 + 3 + 2.5};
  CHECK(std::equal(sums, sums + 2, out[1].data<float>()));
  const float rows[] = {0, 1, 2, 4, 6, 6.5};
  CHECK(std::equal(rows, rows + 6, out[2].data<float>()));
  out = s.run("forward", {{number(512), x}});
  CHECK(*out[0].data<float>() == 512);
}

TEST_CASE("running a loop allocates nothing") {
  Session s(load_program(write_program(control_program())));
  const std::vector<Tensor> in = {number(1), ramp({3, 2})};
  s.run("forward", in);
  const int64_t before = allocations();
  s.run("forward", in);
  CHECK(allocations() == before);
}

TEST_CASE("a loop without end meets the session's cap") {
  SessionOptions options;
  options.max_steps = 50;
  Session s(load_program(write_program(control_program())), options);
  const std::string text = error_of([&] {
    s.run("forward", {{number(0), ramp({3, 2})}});  // stays 0
  });
  CHECK(contains(text, "while_loop"));
  CHECK(contains(text, "more than 50 steps"));
  // And the session is still good for others.
  CHECK(*s.run("forward", {{number(60), ramp({3, 2})}})[0].data<float>() ==
        120);
}

TEST_CASE("control flow that does not fit together is refused") {
  const auto refusal = [](auto change) {
    Program p = control_program();
    change(p);
    return refused(p);
  };
  const auto node = [&](Program& p, const char* op) -> Node& {
    for (Graph& g : p.graphs) {
      for (Node& n : g.nodes) {
        if (std::string_view(n.op->name) == op) return n;
      }
    }
    throw ValueError("no such node");
  };
  CHECK(refusal([](Program&) {}) == "no error");
  CHECK(contains(
      refusal([&](Program& p) { node(p, "while_loop").regions.pop_back(); }),
      "has 1 graphs, needs 2"));
  CHECK(contains(refusal([&](Program& p) {
                   node(p, "while_loop").regions[1] =
                       static_cast<int32_t>(p.graphs.size()) - 1;
                 }),
                 "which does not stand before its own"));
  CHECK(contains(
      refusal([&](Program& p) { node(p, "while_loop").regions[1] = -7; }),
      "which does not stand before its own"));
  CHECK(contains(refusal([&](Program& p) {
                   std::swap(node(p, "while_loop").regions[0],
                             node(p, "while_loop").regions[1]);
                 }),
                 "it must be one bool"));
  CHECK(contains(refusal([&](Program& p) { node(p, "mul").regions = {0}; }),
                 "only control flow runs"));
  CHECK(contains(refusal([&](Program& p) {
                   Node& n = node(p, "scan");
                   n.args[3] = num(4);
                 }),
                 "takes 4 steps, and shape (3, 2)"));
  CHECK(contains(refusal([&](Program& p) {
                   p.graphs.back().nodes.back().outputs.pop_back();
                 }),
                 "nothing makes value"));
  CHECK(contains(refusal([&](Program& p) { p.signatures[0].graph = 0; }),
                 "its graph is run by a node"));
}

TEST_CASE("graphs that multiply are refused before they fill the memory") {
  // Each runs the one before it twice: 2^40 in all.
  Program p;
  {
    GraphBuilder b(p, "leaf");
    const int32_t x = b.input("x", DType::f32, {{2, -1}});
    b.output("y", b.node("neg", {{"input", ref(x)}}));
    b.finish_region();
  }
  const Tensor like = ramp({2});
  const Tensor yes = Tensor::empty({}, DType::bool_);
  *yes.data<bool>() = true;
  for (int32_t depth = 0; depth < 40; ++depth) {
    GraphBuilder b(p, "forward");
    const int32_t x = b.input("x", DType::f32, {{2, -1}});
    const int32_t c = b.constant("yes", yes);
    b.output("y",
             b.control("cond", {{"predicate", ref(c)}, {"operands", refs({x})}},
                       {depth, depth}, {like}));
    if (depth == 39) {
      b.finish();
    } else {
      b.finish_region();
    }
  }
  CHECK(contains(refused(p), "graphs run graphs"));
}
