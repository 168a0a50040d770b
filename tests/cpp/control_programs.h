// A program with control flow, for tests of the executor and of the file.
#pragma once

#include "graph_builder.h"

namespace ferrule::test {

// forward(a, x): a doubled until it is 100 or more; and the running sum over
// the rows of x, elements above 3 halved, as its end and all its steps.
inline Program control_program() {
  Program p;
  const Tensor scalar = Tensor::empty({}, DType::f32);
  const Tensor row = Tensor::empty({2}, DType::f32);
  const auto region = [&](const char* name, auto fill) {
    GraphBuilder b(p, name);
    fill(b);
    return b.finish_region();
  };
  const int32_t small = region("small", [](GraphBuilder& b) {
    const int32_t a = b.input("a", DType::f32, {});
    b.output("y", b.node("lt", {{"input", ref(a)}, {"other", real(100)}}));
  });
  const int32_t twice = region("twice", [](GraphBuilder& b) {
    const int32_t a = b.input("a", DType::f32, {});
    b.output("y", b.node("mul", {{"input", ref(a)}, {"other", real(2)}}));
  });
  const int32_t half = region("half", [](GraphBuilder& b) {
    const int32_t r = b.input("r", DType::f32, {{2, -1}});
    const int32_t h = b.node("mul", {{"input", ref(r)}, {"other", real(0.5)}});
    const int32_t big = b.node("gt", {{"input", ref(r)}, {"other", real(4.5)}});
    b.output("y", b.node("where", {{"condition", ref(big)},
                                   {"input", ref(h)},
                                   {"other", ref(r)}}));
  });
  const int32_t same = region("same", [](GraphBuilder& b) {
    b.output("y", b.input("r", DType::f32, {{2, -1}}));
  });
  const int32_t step = region("step", [&](GraphBuilder& b) {
    const int32_t sum = b.input("sum", DType::f32, {{2, -1}});
    const int32_t r = b.input("r", DType::f32, {{2, -1}});
    const int32_t most = b.node("amax", {{"input", ref(r)}});
    const int32_t big =
        b.node("gt", {{"input", ref(most)}, {"other", real(3)}});
    const int32_t c =
        b.control("cond", {{"predicate", ref(big)}, {"operands", refs({r})}},
                  {half, same}, {row});
    const int32_t next =
        b.node("add", {{"input", ref(sum)}, {"other", ref(c)}});
    b.output("sum", next);
    b.output("y", next);
  });
  GraphBuilder b(p, "forward");
  const int32_t a = b.input("a", DType::f32, {});
  const int32_t x = b.input("x", DType::f32, {{3, -1}, {2, -1}});
  const int32_t zero = b.constant("zero", [] {
    Tensor t = Tensor::empty({2}, DType::f32);
    t.data<float>()[0] = t.data<float>()[1] = 0;
    return t;
  }());
  b.output("a",
           b.control("while_loop", {{"carry", refs({a})}, {"consts", refs({})}},
                     {small, twice}, {scalar}));
  const int32_t sum =
      b.control("scan",
                {{"carry", refs({zero})},
                 {"consts", refs({})},
                 {"xs", refs({x})},
                 {"length", num(3)},
                 {"reverse", flag(false)}},
                {step}, {row, Tensor::empty({3, 2}, DType::f32)});
  b.output("sum", sum);
  b.output("sums", b.last().outputs[1]);
  b.finish();
  return p;
}

}  // namespace ferrule::test
