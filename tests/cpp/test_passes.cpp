// Passes: what programs made by hand become.
#include <doctest/doctest.h>

#include <cmath>

#include "ferrule/session.h"
#include "graph_builder.h"
#include "runtime/graph/passes/passes.h"

using namespace ferrule;
using namespace ferrule::test;

namespace {

using Steps = std::vector<std::string>;

Session session(const Program& p, const char* passes) {
  SessionOptions options;
  options.passes = passes;
  return Session(std::make_shared<const Program>(p), options);
}

// relu(conv2d(s, w) + 0), after `between` has added nodes.
template <class Between>
Program convolution(const Between& between) {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{1}, {2}, {5}, {6}});
  const int32_t s = b.state("s", ramp({1, 2, 5, 6}, -4));
  const int32_t w = b.constant("w", ramp({3, 2, 2, 2}, -1));
  const int32_t y = b.node("conv2d", {{"input", ref(s)}, {"weight", ref(w)}});
  between(b, x, s);
  b.output("y", b.node("relu", {{"input", ref(y)}}));
  b.finish();
  return p;
}

}  // namespace

TEST_CASE("an activation joins a convolution, and its memory goes") {
  const Program p = convolution([](GraphBuilder&, int32_t, int32_t) {});
  Session plain = session(p, "none"), fast = session(p, "-fold");
  const std::vector<Tensor> inputs{ramp({1, 2, 5, 6})};
  CHECK(plain.steps("forward", inputs) == Steps{"conv2d", "relu"});
  CHECK(fast.steps("forward", inputs) == Steps{"conv2d + relu"});
  CHECK(plain.prepare("forward", inputs).nodes == 2);
  CHECK(fast.prepare("forward", inputs).nodes == 1);
  CHECK(floats(fast.run("forward", inputs)[0]) ==
        floats(plain.run("forward", inputs)[0]));
}

TEST_CASE("a convolution does not run after a write into what it reads") {
  const Program p = convolution([](GraphBuilder& b, int32_t x, int32_t s) {
    b.node("copy_", {{"input", ref(s)}, {"src", ref(x)}});
    b.update("s", b.last().outputs.back());
  });
  Session plain = session(p, "none"), fast = session(p, "all");
  const std::vector<Tensor> inputs{ramp({1, 2, 5, 6}, 3)};
  CHECK(fast.steps("forward", inputs) == Steps{"conv2d", "copy_", "relu"});
  for (int i = 0; i < 2; ++i) {
    CHECK(floats(fast.run("forward", inputs)[0]) ==
          floats(plain.run("forward", inputs)[0]));
  }
}

TEST_CASE("of nodes that compute the same, one is left") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{4, -1}});
  const auto exp = [&] { return b.node("exp", {{"input", ref(x)}}); };
  const auto times = [&](int32_t v, double by) {
    return b.node("mul", {{"input", ref(v)}, {"other", real(by)}});
  };
  const int32_t once = times(exp(), 2), again = times(exp(), 2);
  const int32_t other = times(exp(), 3);
  b.output("a", once);
  b.output("b", again);
  b.output("c", other);
  b.finish();
  Session plain = session(p, "none"), fast = session(p, "none,cse");
  const std::vector<Tensor> inputs{ramp({4})};
  CHECK(plain.steps("forward", inputs) ==
        Steps{"exp", "mul", "exp", "mul", "exp", "mul"});
  CHECK(fast.steps("forward", inputs) == Steps{"exp", "mul", "mul"});
  const auto want = plain.run("forward", inputs);
  const auto got = fast.run("forward", inputs);
  for (int i = 0; i < 3; ++i) CHECK(floats(got[i]) == floats(want[i]));
}

TEST_CASE("0 and -0 are not the same, nor are two draws") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{2, -1}});
  for (double by : {0.0, -0.0}) {
    b.output(concat("y", std::signbit(by)),
             b.node("mul", {{"input", ref(x)}, {"other", real(by)}}));
  }
  for (const char* name : {"a", "b"}) {
    b.output(name, b.node("bernoulli", {{"input", ref(x)}}));
  }
  b.finish();
  Session s = session(p, "all");
  CHECK(s.steps("forward", std::vector{make({2}, {0.5f})}).size() == 4);
}

TEST_CASE("a view of what is written is read again") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{4, -1}});
  const int32_t s = b.state("s", ramp({4}));
  const int32_t view =
      b.node("reshape", {{"input", ref(s)}, {"shape", ints({2, 2})}});
  const int32_t before = b.node("exp", {{"input", ref(view)}});
  b.node("copy_", {{"input", ref(s)}, {"src", ref(x)}});
  b.update("s", b.last().outputs.back());
  b.output("before", before);
  b.output("after", b.node("exp", {{"input", ref(view)}}));
  b.finish();
  Session plain = session(p, "none"), fast = session(p, "all");
  const std::vector<Tensor> inputs{ramp({4}, 1)};
  const auto want = plain.run("forward", inputs);
  const auto got = fast.run("forward", inputs);
  CHECK(floats(want[0]) != floats(want[1]));
  for (int i = 0; i < 2; ++i) CHECK(floats(got[i]) == floats(want[i]));
}

TEST_CASE("nodes that nobody reads go, but those that draw or write") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{2, -1}});
  const int32_t s = b.state("s", ramp({2}));
  const int32_t unread = b.node("exp", {{"input", ref(x)}});
  b.node("mul", {{"input", ref(unread)}, {"other", real(2)}});
  b.node("bernoulli", {{"input", ref(x)}});
  b.node("copy_", {{"input", ref(s)}, {"src", ref(x)}});
  b.update("s", b.last().outputs.back());
  b.output("y", b.node("neg", {{"input", ref(x)}}));
  b.finish();
  Session plain = session(p, "none"), fast = session(p, "none,dce");
  const std::vector<Tensor> inputs{make({2}, {0.5f})};
  CHECK(plain.steps("forward", inputs).size() == 5);
  CHECK(fast.steps("forward", inputs) == Steps{"bernoulli", "copy_", "neg"});
}

TEST_CASE("what depends on weights alone is computed once") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{2, -1}, {3, -1}});
  const int32_t w = b.constant("w", ramp({3, 2}), ValueRole::state);
  const int32_t doubled =
      b.node("mul", {{"input", ref(w)}, {"other", real(2)}});
  const int32_t turned =
      b.node("permute", {{"input", ref(doubled)}, {"dims", ints({1, 0})}});
  const int32_t e = b.node("exp", {{"input", ref(turned)}});
  b.output("y", b.node("add", {{"input", ref(x)}, {"other", ref(e)}}));
  b.output("t", turned);
  b.finish();
  const auto program = std::make_shared<const Program>(p);
  Session plain = session(p, "none"), fast(program), other(program);
  const std::vector<Tensor> inputs{ramp({2, 3})};
  const auto same = [&](Session& a, Session& c) {
    const auto want = a.run("forward", inputs);
    const auto got = c.run("forward", inputs);
    return floats(want[0]) == floats(got[0]) &&
           floats(want[1]) == floats(got[1]);
  };
  CHECK(plain.steps("forward", inputs) == Steps{"mul", "exp", "add"});
  CHECK(fast.steps("forward", inputs) == Steps{"add"});
  CHECK(same(plain, fast));
  // A session that changes the weight computes anew; others go on.
  for (Session* s : {&plain, &fast}) s->set_state("w", ramp({3, 2}, 7));
  CHECK(fast.steps("forward", inputs) == Steps{"mul", "exp + add"});
  CHECK(same(plain, fast));
  CHECK(!same(plain, other));
  CHECK(other.steps("forward", inputs) == Steps{"add"});
}

TEST_CASE("what is folded counts as memory, and its errors name the node") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t w = b.constant("w", ramp({1000}));
  Tensor at = Tensor::empty({1}, DType::i64);
  at.data<int64_t>()[0] = 1000;
  b.output("y", b.node("exp", {{"input", ref(w)}}));
  b.output("z", b.node("index_select", {{"input", ref(w)},
                                        {"dim", num(0)},
                                        {"index", ref(b.constant("i", at))}}));
  b.finish();
  SessionOptions options;
  options.max_memory = 3999;
  Session small(std::make_shared<const Program>(p), options);
  const std::vector<Tensor> none;
  CHECK(contains(error_of([&] { small.run("forward", none); }),
                 "4000 bytes or more, over the cap of 3999 bytes"));
  Session s = session(p, "");
  const std::string text = error_of([&] { s.run("forward", none); });
  CHECK(contains(text, "[forward] node 1 (index_select"));
  CHECK(contains(text, "1000"));
}

TEST_CASE("what is chosen at run time is not folded, and may look into it") {
  Program p;
  p.symbols.push_back({"n", 1, 9, 1});
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{2, 0, false}});
  const int32_t w = b.constant("w", ramp({9}));
  const int32_t e = b.node("exp", {{"input", ref(w)}});
  const int32_t n = b.size_expr(x, 0);
  const int32_t part = b.node("slice", {{"input", ref(e)},
                                        {"dim", num(0)},
                                        {"start", num(0)},
                                        {"end", num(2, n)}});
  b.output("y", b.node("add", {{"input", ref(x)}, {"other", ref(part)}}));
  b.finish();
  Session plain = session(p, "none"), fast = session(p, "");
  for (int64_t size : {2, 5, 9}) {
    const std::vector<Tensor> inputs{ramp({size})};
    CHECK(fast.steps("forward", inputs) == Steps{"add"});
    CHECK(floats(fast.run("forward", inputs)[0]) ==
          floats(plain.run("forward", inputs)[0]));
  }
}

TEST_CASE("elementwise nodes run together, and need no memory between them") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{40, -1}, {50, -1}});
  const int32_t row = b.input("row", DType::f32, {{50, -1}});
  const int32_t e = b.node("exp", {{"input", ref(x)}});
  const int32_t wide =
      b.node("cast", {{"input", ref(e)}, {"dtype", type(DType::f64)}});
  const int32_t sum =
      b.node("add", {{"input", ref(wide)}, {"other", ref(row)}});
  const int32_t above = b.node("gt", {{"input", ref(sum)}, {"other", real(2)}});
  b.output("y", b.node("where", {{"condition", ref(above)},
                                 {"input", ref(e)},
                                 {"other", real(-1)}}));
  b.finish();
  Session plain = session(p, "none"), fast = session(p, "none,tiles");
  const std::vector<Tensor> inputs{ramp({40, 50}, -999), ramp({50}, -7)};
  CHECK(plain.steps("forward", inputs).size() == 5);
  CHECK(fast.steps("forward", inputs) ==
        Steps{"exp + cast + add + gt + where"});
  CHECK(fast.prepare("forward", inputs).arena_bytes == 40 * 50 * 4);
  CHECK(floats(fast.run("forward", inputs)[0]) ==
        floats(plain.run("forward", inputs)[0]));
}

TEST_CASE("elementwise nodes do not run after a write into what they read") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{4, -1}});
  const int32_t s = b.state("s", ramp({4}));
  const int32_t e = b.node("exp", {{"input", ref(s)}});
  b.node("copy_", {{"input", ref(s)}, {"src", ref(x)}});
  const int32_t written = b.last().outputs.back();
  b.update("s", written);
  b.output("y", b.node("add", {{"input", ref(e)}, {"other", ref(written)}}));
  b.finish();
  Session plain = session(p, "none"), fast = session(p, "none,tiles");
  const std::vector<Tensor> inputs{ramp({4}, 3)};
  CHECK(fast.steps("forward", inputs) == Steps{"exp", "copy_", "add"});
  CHECK(floats(fast.run("forward", inputs)[0]) ==
        floats(plain.run("forward", inputs)[0]));
}

TEST_CASE("calls that change nothing go") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{2, -1}, {3, -1}});
  const int32_t negative = b.node("neg", {{"input", ref(x)}});
  const int32_t again = b.node("neg", {{"input", ref(negative)}});
  const int32_t same =
      b.node("mul", {{"input", ref(again)}, {"other", real(1)}});
  b.output("y", b.node("exp", {{"input", ref(same)}}));
  b.output("x", b.node("clone", {{"input", ref(same)}}));
  b.finish();
  Session plain = session(p, "none"), fast = session(p, "none,algebra,dce");
  const std::vector<Tensor> inputs{ramp({2, 3}, -3)};
  CHECK(fast.steps("forward", inputs) == Steps{"exp"});
  const auto want = plain.run("forward", inputs);
  const auto got = fast.run("forward", inputs);
  for (int i = 0; i < 2; ++i) CHECK(floats(got[i]) == floats(want[i]));
}

TEST_CASE("passes are chosen by name") {
  const auto text = [](const char* list) {
    std::string on;
    for (size_t i = 0; i < all_passes().size(); ++i) {
      if (parse_passes(list).has(static_cast<Pass>(i))) {
        on += concat(all_passes()[i].name, " ");
      }
    }
    return on;
  };
  CHECK(text("none") == "");
  CHECK(text("none,prepare") == "prepare ");
  CHECK(text("-prepare") == text("none,algebra,cse,dce,fold,epilogues,tiles"));
  CHECK(text("-prepare,prepare") == text(""));
  CHECK(text("all,none,default") == text(""));
  CHECK(
      contains(error_of([&] { text("prepares"); }),
               "there is no pass 'prepares'; there are none, default, all, "));
}
