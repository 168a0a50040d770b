// Sessions: results, memory, state, random numbers, errors.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "control_programs.h"
#include "count_allocations.h"
#include "ferrule/log.h"
#include "ferrule/run_profile.h"
#include "graph_builder.h"
#include "runtime/graph/memory_plan.h"

using namespace ferrule;
using namespace ferrule::test;

namespace {

std::shared_ptr<const Program> share(Program p) {
  check_program(p);
  return std::make_shared<Program>(std::move(p));
}

Tensor run1(Session& s, const char* key, std::vector<Tensor> inputs) {
  return s.run(key, inputs)[0];
}

std::vector<float> linear_reference(const Tensor& x) {
  const Tensor w = ramp({3, 2}, -0.5f), b = ramp({2}, -1);
  std::vector<float> y;
  for (int64_t r = 0; r < x.size(0); ++r) {
    for (int c = 0; c < 2; ++c) {
      float sum = 0;
      for (int k = 0; k < 3; ++k) {
        sum += x.data<float>()[r * 3 + k] * w.data<float>()[k * 2 + c];
      }
      sum += b.data<float>()[c];
      y.push_back(sum > 0 ? sum : 0);
    }
  }
  return y;
}

}  // namespace

TEST_CASE("a program runs at every size that it allows") {
  Session s(share(linear_program()));
  for (int64_t n : {1, 4, 7, 64, 1}) {
    const Tensor x = ramp({n, 3}, -2);
    const Tensor y = run1(s, "forward", {x});
    CHECK(y.size(0) == n);
    CHECK(floats(y) == linear_reference(x));
  }
}

TEST_CASE("inputs that do not fit are refused with what would") {
  Session s(share(linear_program()));
  const auto error = [&](std::vector<Tensor> inputs) {
    return error_of([&] { s.run("forward", inputs); });
  };
  CHECK(error({ramp({65, 3})}) ==
        "[forward] input 'x' has shape (65, 3); the model takes (batch, 3), "
        "batch in 1..64");
  CHECK(error({ramp({2, 4})}) ==
        "[forward] input 'x' has shape (2, 4); the model takes (batch, 3), "
        "batch in 1..64");
  CHECK(error({ramp({3})}) ==
        "[forward] input 'x' has shape (3,); the model takes (batch, 3), "
        "batch in 1..64");
  CHECK(error({}) == "[forward] takes 1 inputs, got 0");
  CHECK(error({Tensor()}) == "[forward] input 'x' is missing");
  CHECK(error({Tensor::empty({2, 3}, DType::f64)}) ==
        "[forward] input 'x' is float64; the model takes float32");
  CHECK(error_of([&] { s.run("backward", {}); }) ==
        "[backward] the model has no signature 'backward'; it has 'forward'");
}

TEST_CASE("nothing is allocated after the first run with a shape") {
  Session s(share(linear_program()));
  std::vector<Tensor> small{ramp({2, 3})}, large{ramp({64, 3})};
  s.run("forward", small);
  s.run("forward", large);
  s.run("forward", small);
  const int64_t before = allocations();
  for (int i = 0; i < 100; ++i) {
    s.run("forward", i % 2 ? small : large);
  }
  CHECK(allocations() == before);
}

TEST_CASE("plans for many shapes stay bounded") {
  SessionOptions options;
  options.max_plans = 2;
  Session s(share(linear_program()), options);
  for (int round = 0; round < 3; ++round) {
    for (int64_t n = 1; n <= 64; ++n) {
      const Tensor x = ramp({n, 3});
      REQUIRE(floats(run1(s, "forward", {x})) == linear_reference(x));
    }
  }
}

TEST_CASE("the memory cap is an error that says how much is needed") {
  SessionOptions options;
  options.max_memory = 256;
  Session s(share(linear_program()), options);
  CHECK(floats(run1(s, "forward", {ramp({1, 3})})) ==
        linear_reference(ramp({1, 3})));
  const std::string text =
      error_of([&] { s.run("forward", std::vector{ramp({64, 3})}); });
  CHECK(contains(text, "[forward]"));
  CHECK(contains(text, "cap of 256 bytes"));
}

TEST_CASE("memory plan: blocks that live together do not overlap") {
  uint64_t seed = 1;
  const auto random = [&](int64_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int64_t>((seed >> 33) % static_cast<uint64_t>(n));
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<MemoryBlock> blocks;
    int64_t peak = 0, sum = 0;
    std::vector<int64_t> live(64);
    for (int i = 0; i < 40; ++i) {
      const auto first = static_cast<int32_t>(random(50));
      const auto last = static_cast<int32_t>(first + random(12));
      const int64_t bytes = 64 * (1 + random(100));
      blocks.push_back({bytes, first, last});
      for (int32_t t = first; t <= last; ++t) live[t] += bytes;
      sum += bytes;
    }
    for (int64_t b : live) peak = std::max(peak, b);
    const int64_t total = plan_memory(blocks, INT64_MAX / 2);
    CHECK(total >= peak);
    CHECK(total <= sum);
    CHECK(total <= peak * 3 / 2);  // the method is good, not only correct
    for (const auto& a : blocks) {
      REQUIRE(a.offset % 64 == 0);
      REQUIRE(a.offset + a.bytes <= total);
      for (const auto& b : blocks) {
        const bool together = a.first <= b.last && b.first <= a.last;
        const bool apart =
            a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
        REQUIRE((&a == &b || !together || apart));
      }
    }
  }
}

TEST_CASE("values share memory, and elementwise results take their input's") {
  Program p;
  GraphBuilder b(p, "forward");
  int32_t x = b.input("x", DType::f32, {{1000, -1}});
  for (int i = 0; i < 10; ++i) x = b.node("relu", {{"input", ref(x)}});
  b.output("y", x);
  b.finish();
  SessionOptions options;
  options.passes = "none";
  Session s(share(std::move(p)), options);
  const RunCost cost = s.prepare("forward", std::vector{ramp({1000})});
  CHECK(cost.nodes == 10);
  CHECK(cost.arena_bytes == 4032);  // one block, 4000 bytes and alignment
}

TEST_CASE("a kernel that writes over its first input gets that one's memory") {
  Program p;
  GraphBuilder b(p, "forward");
  Tensor at = Tensor::empty({2}, DType::i64);
  at.data<int64_t>()[0] = 3;
  at.data<int64_t>()[1] = 1;
  const int32_t index = b.constant("index", at);
  const int32_t x = b.input("x", DType::f32, {{1000, -1}});
  const int32_t r = b.node("relu", {{"input", ref(x)}});
  const int32_t filled = b.node("index_fill", {{"input", ref(r)},
                                               {"dim", num(0)},
                                               {"index", ref(index)},
                                               {"value", real(-1)}});
  b.output("y", filled);
  b.finish();
  Session s(share(std::move(p)));
  const RunCost cost = s.prepare("forward", std::vector{ramp({1000})});
  CHECK(cost.arena_bytes == 4032);  // one block, 4000 bytes and alignment
  std::vector<float> want = floats(ramp({1000}));
  want[3] = want[1] = -1;
  CHECK(floats(run1(s, "forward", {ramp({1000})})) == want);
}

TEST_CASE("a kernel does not write over an input that it reads elsewhere") {
  Program p;
  GraphBuilder b(p, "forward");
  Tensor at = Tensor::empty({3}, DType::i64);
  for (int i = 0; i < 3; ++i) at.data<int64_t>()[i] = 2 - i;
  const int32_t index = b.constant("index", at);
  const int32_t x = b.input("x", DType::f32, {{3, -1}});
  const int32_t r = b.node("relu", {{"input", ref(x)}});
  b.output("y", b.node("index_copy", {{"input", ref(r)},
                                      {"dim", num(0)},
                                      {"index", ref(index)},
                                      {"source", ref(r)}}));
  b.finish();
  Session s(share(std::move(p)));
  CHECK(floats(run1(s, "forward", {ramp({3}, 1)})) ==
        std::vector<float>{1.5f, 1.25f, 1});
}

TEST_CASE("a result that is an input, a weight or a view is the session's") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{2, -1}, {3, -1}});
  const int32_t w = b.constant("w", ramp({2, 3}, 5));
  b.output("x", x);
  b.output("w", w);
  const NodeArg order = ints({1, 0});
  b.output("xt", b.node("permute", {{"input", ref(x)}, {"dims", order}}));
  b.output("flat",
           b.node("reshape", {{"input", ref(w)}, {"shape", ints({6})}}));
  b.finish();
  Session s(share(std::move(p)));
  Tensor input = ramp({2, 3});
  const auto results = s.run("forward", std::vector{input});
  CHECK(results[0]->bytes() != input->bytes());
  CHECK(floats(results[0]) == floats(input));
  CHECK(floats(results[1]) == floats(ramp({2, 3}, 5)));
  CHECK(floats(results[2]) ==
        std::vector<float>{0, 0.75f, 0.25f, 1, 0.5f, 1.25f});
  CHECK(results[2].is_contiguous());
  CHECK(floats(results[3]) == floats(ramp({6}, 5)));
  // The next run looks at other memory, through the same views.
  const auto again = s.run("forward", std::vector{ramp({2, 3}, 1)});
  CHECK(floats(again[2]) ==
        std::vector<float>{1, 1.75f, 1.25f, 2, 1.5f, 2.25f});
}

TEST_CASE("an argument read in two ways is not overwritten") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{3, -1}, {3, -1}});
  const int32_t r = b.node("relu", {{"input", ref(x)}});
  const int32_t t =
      b.node("permute", {{"input", ref(r)}, {"dims", ints({1, 0})}});
  b.output("y", b.node("add", {{"input", ref(r)}, {"other", ref(t)}}));
  b.finish();
  Session s(share(std::move(p)));
  const Tensor input = ramp({3, 3}, 1);
  const std::vector<float> v = floats(input);
  const std::vector<float> y = floats(run1(s, "forward", {input}));
  for (int i = 0; i < 3; ++i) {
    for (int k = 0; k < 3; ++k)
      CHECK(y[i * 3 + k] == v[i * 3 + k] + v[k * 3 + i]);
  }
}

TEST_CASE("sizes are computed from the inputs'") {
  Program p;
  p.symbols.push_back({"n", 0, 1000, 2});
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{4, 0, false}, {3, -1}});
  const int32_t n = b.size_expr(x, 0), m = b.size_expr(x, 1);
  const int32_t all = b.op_expr(IntOp::mul, n, m);
  b.output("y", b.node("reshape",
                       {{"input", ref(x)}, {"shape", ints({Int(12, all)})}}));
  b.finish();
  Session s(share(std::move(p)));
  for (int64_t rows : {4, 2, 0, 10}) {
    const Tensor y = run1(s, "forward", {ramp({rows, 3})});
    CHECK(y.size(0) == rows * 3);
  }
  CHECK(error_of([&] { s.run("forward", std::vector{ramp({5, 3})}); }) ==
        "[forward] input 'x' has shape (5, 3); the model takes (n, 3), n in "
        "0..1000, a multiple of 2");
}

TEST_CASE("a symbol has one value in all inputs") {
  Program p;
  p.symbols.push_back({"n", 1, 9, 1});
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{2, 0, false}});
  const int32_t y = b.input("y", DType::f32, {{2, 0, false}});
  b.output("z", b.node("add", {{"input", ref(x)}, {"other", ref(y)}}));
  b.finish();
  Session s(share(std::move(p)));
  CHECK(
      error_of([&] { s.run("forward", std::vector{ramp({3}), ramp({1})}); }) ==
      "[forward] input 'y' has shape (1,), but n is 3 in an earlier input; "
      "the model takes (n,), n in 1..9");
}

TEST_CASE("a symbol that is given by another") {
  Program p;
  p.symbols.push_back({"n", 1, 9, 1});
  p.symbols.push_back({"2*n+1", 3, 19, 1, 0, 2, 1});
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{2, 0, false}});
  b.input("y", DType::f32, {{5, 1, false}});
  b.output("z", b.node("neg", {{"input", ref(x)}}));
  b.finish();
  const std::vector<std::byte> file = write_program(p);
  const auto again = load_program(file);
  CHECK(again->symbols[1].of == 0);
  CHECK(again->symbols[1].factor == 2);
  CHECK(again->symbols[1].offset == 1);
  Session s(again);
  CHECK(run1(s, "forward", {ramp({4}), ramp({9})}).size(0) == 4);
  CHECK(
      error_of([&] { s.run("forward", std::vector{ramp({4}), ramp({8})}); }) ==
      "[forward] the inputs have n = 4 and 2*n+1 = 8; the latter must be 9");
  const auto refused = [&](int32_t of, int64_t factor, int64_t offset) {
    Program q = p;
    q.symbols[1].of = of;
    q.symbols[1].factor = factor;
    q.symbols[1].offset = offset;
    return error_of([&] { check_program(q); });
  };
  CHECK(contains(refused(1, 2, 1), "must be an earlier one that is free"));
  CHECK(contains(refused(-2, 2, 1), "is given by symbol -2"));
  CHECK(contains(refused(0, 0, 1), "factors are in 1..1048576"));
  CHECK(contains(refused(0, 1, int64_t{1} << 41), "offsets at most"));
}

TEST_CASE("a training step changes the session and not the program") {
  const auto program = share(training_program());
  Session a(program), b(program);
  const Tensor x = make({4}, {1});
  CHECK(floats(run1(a, "forward", {})) == std::vector<float>{0, 0.5f, 1, 1.5f});
  CHECK(floats(run1(a, "train_step", {x}))[0] == 1.5f - 4);
  CHECK(floats(run1(a, "train_step", {x}))[0] == 1.5f - 8);
  CHECK(floats(a.state("n")) == std::vector<float>(4, 12));
  CHECK(floats(a.state("w")) == std::vector<float>{-2, -1.75f, -1.5f, -1.25f});
  // Its forward sees the new weights; another session does not.
  CHECK(floats(run1(a, "forward", {})) ==
        std::vector<float>{-4, -3.5f, -3, -2.5f});
  CHECK(floats(run1(b, "forward", {})) == std::vector<float>{0, 0.5f, 1, 1.5f});
  CHECK(floats(program->constants[0].data) == floats(ramp({4})));
  a.set_state("w", make({4}, {3}));
  CHECK(floats(run1(a, "forward", {})) == std::vector<float>(4, 6));
  CHECK(contains(error_of([&] { a.set_state("w", ramp({5})); }),
                 "'w' is float32 (4,), the new value is float32 (5,)"));
  CHECK(contains(error_of([&] { a.state("v"); }), "no weight or state 'v'"));
  std::vector<Tensor> inputs{x};
  a.run("train_step", inputs);
  const int64_t before = allocations();
  for (int i = 0; i < 10; ++i) a.run("train_step", inputs);
  CHECK(allocations() == before);
}

TEST_CASE("states may be exchanged") {
  Program p;
  GraphBuilder b(p, "swap");
  const int32_t u = b.state("u", make({2}, {1}));
  const int32_t v = b.state("v", make({2}, {2}));
  b.output("old", u);
  b.update("u", v);
  b.update("v", u);
  b.finish();
  Session s(share(std::move(p)));
  CHECK(floats(run1(s, "swap", {})) == std::vector<float>{1, 1});
  CHECK(floats(s.state("u")) == std::vector<float>{2, 2});
  CHECK(floats(s.state("v")) == std::vector<float>{1, 1});
}

// They have no memory; UBSan tells.
TEST_CASE("state and results of no elements") {
  Program p;
  GraphBuilder b(p, "forward");
  const Tensor none = Tensor::empty({0, 3}, DType::f32);
  b.output("y", b.constant("w", none));
  b.finish();
  Session s(std::make_shared<Program>(std::move(p)));
  CHECK(s.run("forward", {})[0].numel() == 0);
  s.set_state("w", none);
  CHECK(s.state("w").size(0) == 0);
  CHECK(s.run("forward", {})[0].size(1) == 3);
}

TEST_CASE("samples differ by more than a tolerance, or not") {
  const auto difference_of = [](Tensor sample, double tolerance) {
    Program p = training_program();
    p.goldens.push_back({"forward", {}, {std::move(sample)}});
    return Session(share(std::move(p))).check_goldens(tolerance);
  };
  const float inf = std::numeric_limits<float>::infinity();
  // The result is 0, 0.5, 1, 1.5.
  CHECK(difference_of(make({4}, {0, 0.5f, 1, 1.5f}), 0) == "");
  const Tensor near = make({4}, {0, 0.5f, 1.00001f, 1.5f});
  CHECK(contains(difference_of(near, 0), "element 2 is 1, was 1.00001"));
  CHECK(difference_of(near, 1e-5) == "");
  CHECK(contains(difference_of(near, 1e-6), "allowed 1.5e-06"));
  CHECK(contains(difference_of(make({4}, {0, 0.5f, inf, 1.5f}), 1e9), "inf"));
  CHECK(contains(difference_of(make({4}, {-0.0f, 0.5f, 1, 1.5f}), 0), "bits"));
  CHECK(difference_of(make({4}, {-0.0f, 0.5f, 1, 1.5f}), 1e-9) == "");
  CHECK(contains(difference_of(make({2}, {0, 0.5f}), 1), "was float32 (2,)"));
}

TEST_CASE("a sample of a training step runs on a copy of the state") {
  Program p = training_program();
  const Tensor x = make({4}, {1});
  const float loss = floats(run1(*std::make_unique<Session>(share(Program(p))),
                                 "train_step", {x}))[0];
  p.goldens.push_back({"train_step", {x}, {make({}, {loss})}});
  p.goldens.push_back({"forward", {}, {make({4}, {0, 0.5f, 1, 1.5f})}});
  Session s(share(std::move(p)));
  for (int i = 0; i < 2; ++i) CHECK(s.check_goldens() == "");
  CHECK(floats(s.state("w")) == floats(ramp({4})));
  // It starts from the state that the session has.
  s.run("train_step", std::vector{x});
  const std::vector<float> w = floats(s.state("w"));
  CHECK(contains(s.check_goldens(), "sample 0 of 'train_step', result 'loss'"));
  CHECK(contains(s.check_golden(1), "sample 1 of 'forward'"));
  CHECK(floats(s.state("w")) == w);
}

TEST_CASE("a sample that draws starts from the state that the file names") {
  Program p;
  p.rng_seed = 5;
  GraphBuilder b(p, "forward");
  b.output("a", b.node("rand", {{"size", ints({8})}}));
  b.finish();
  const Tensor drawn = [&] {
    Session s(share(Program(p)));
    return make({8}, floats(run1(s, "forward", {})));
  }();
  p.goldens.push_back({"forward", {}, {drawn}});
  Session s(share(std::move(p)));
  for (int i = 0; i < 2; ++i) CHECK(s.check_goldens() == "");
  CHECK(s.rng().offset == 0);
}

TEST_CASE("trained state is saved, and goes on where it stopped") {
  const std::string path = concat(FERRULE_BINARY_DIR "/",
                                  static_cast<int>(::getpid()), "trained.fer");
  Program p = training_program();
  p.goldens.push_back({"forward", {}, {make({4}, {0, 0.5f, 1, 1.5f})}});
  write_program(p, path);
  Session a(open_program(path, Verify::full));
  CHECK(a.check_goldens() == "");
  std::vector<Tensor> x{make({4}, {0.1f, 0.2f, 0.3f, 0.4f})};
  for (int i = 0; i < 5; ++i) a.run("train_step", x);
  a.set_rng({3, 4});
  a.save(path);
  Session b(open_program(path, Verify::full));
  CHECK(b.check_goldens() == "");  // the samples are those of the new weights
  CHECK(b.rng().seed == 3);
  CHECK(b.rng().offset == 4);
  for (int i = 0; i < 5; ++i) {
    a.run("train_step", x);
    b.run("train_step", x);
  }
  for (const char* name : {"w", "n"}) {
    CHECK(floats(a.state(name)) == floats(b.state(name)));
  }
  ::unlink(path.c_str());
  Session c(share(training_program()));
  CHECK(contains(error_of([&] { c.save(path); }), "not opened from a file"));
}

TEST_CASE("random nodes take one tick each, in order") {
  Program p;
  p.rng_seed = 5;
  GraphBuilder b(p, "forward");
  const auto draw = [&] { return b.node("rand", {{"size", ints({8})}}); };
  b.output("a", draw());
  b.output("b", draw());
  b.finish();
  const auto program = share(std::move(p));
  Session s(program), t(program);
  const auto first = s.run("forward", {});
  const std::vector<float> a = floats(first[0]), c = floats(first[1]);
  CHECK(a != c);
  CHECK(s.rng().offset == 2);
  s.run("forward", {});
  CHECK(s.rng().offset == 4);
  t.set_rng({5, 1});
  CHECK(floats(run1(t, "forward", {})) == c);  // tick 1 came second in s
}

TEST_CASE("bad indices in the data are an error, and the next run is clean") {
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::i64, {{2, -1}});
  const int32_t w = b.constant("w", ramp({3, 2}));
  b.output("y", b.node("embedding", {{"input", ref(x)}, {"weight", ref(w)}}));
  b.finish();
  Session s(share(std::move(p)));
  Tensor x1 = Tensor::empty({2}, DType::i64);
  x1.data<int64_t>()[0] = 2;
  x1.data<int64_t>()[1] = 3;
  const std::string text = error_of([&] { s.run("forward", std::vector{x1}); });
  CHECK(contains(text, "[forward] node 0 (embedding, test.embedding): "));
  CHECK(contains(text, "3"));
  x1.data<int64_t>()[1] = 0;
  CHECK(floats(run1(s, "forward", {x1})) ==
        std::vector<float>{1, 1.25f, 0, 0.25f});
}

TEST_CASE("sessions of one program run on many threads") {
  const auto program = load_program(write_program(linear_program()));
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Session s(program);
      for (int64_t i = 0; i < 50; ++i) {
        const Tensor x = ramp({1 + (i + t) % 8, 3}, static_cast<float>(t));
        std::vector<Tensor> in{x};
        if (floats(s.run("forward", in)[0]) != linear_reference(x)) ++wrong;
      }
    });
  }
  for (auto& t : threads) t.join();
  CHECK(wrong == 0);
}

namespace {

// Cancels the run that it watches, and remembers what ran.
struct Canceller : RunWatcher {
  Session* session = nullptr;
  size_t after = 0;  // steps
  std::vector<std::string> names;
  std::vector<int> depths;
  void step(const RunStep& s) override {
    names.push_back(s.name);
    depths.push_back(s.depth);
    CHECK(s.end >= s.begin);
    if (names.size() == after) session->cancel();
  }
};

}  // namespace

TEST_CASE("a watcher sees every step, those of loops within theirs") {
  Session s(share(control_program()));
  std::vector<Tensor> in{make({}, {30}), ramp({3, 2}, 5)};
  Canceller watcher;
  s.watch(&watcher);
  s.run("forward", in);
  // 30, 60, 120: two steps and three conditions.
  const std::vector<std::string> loop = {"lt",  "mul", "lt",
                                         "mul", "lt",  "while_loop"};
  REQUIRE(watcher.names.size() > loop.size());
  for (size_t i = 0; i < loop.size(); ++i) CHECK(watcher.names[i] == loop[i]);
  CHECK(watcher.depths[0] == 1);
  CHECK(watcher.depths[5] == 0);
  CHECK(watcher.names.back() == "scan");
  CHECK(std::ranges::max(watcher.depths) == 2);  // a choice in a scan
  s.watch(nullptr);
  const size_t seen = watcher.names.size();
  s.run("forward", in);
  CHECK(watcher.names.size() == seen);
}

TEST_CASE("a run is cancelled between nodes and inside of loops") {
  Session s(share(control_program()));
  std::vector<Tensor> in{make({}, {30}), ramp({3, 2})};
  const auto floats_of = [&] {
    std::vector<std::vector<float>> out;
    for (const Tensor& t : s.run("forward", in)) out.push_back(floats(t));
    return out;
  };
  const auto expected = floats_of();
  Canceller watcher;
  watcher.session = &s;
  watcher.after = 2;
  s.watch(&watcher);
  CHECK_THROWS_AS(s.run("forward", in), CancelledError);
  CHECK(watcher.names == std::vector<std::string>{"lt", "mul"});
  s.watch(nullptr);
  CHECK(floats_of() == expected);
  s.cancel();  // nothing runs
  CHECK(floats_of() == expected);
}

TEST_CASE("a run without an end is cancelled from another thread") {
  Program p;
  int32_t always = 0, same = 0;
  {
    GraphBuilder b(p, "always");
    b.input("go", DType::bool_, {});
    b.output("y", 0);
    always = b.finish_region();
  }
  {
    GraphBuilder b(p, "same");
    b.output("y", b.input("go", DType::bool_, {}));
    same = b.finish_region();
  }
  GraphBuilder b(p, "forward");
  const int32_t go = b.input("go", DType::bool_, {});
  b.output("y", b.control("while_loop",
                          {{"carry", refs({go})}, {"consts", refs({})}},
                          {always, same}, {Tensor::empty({}, DType::bool_)}));
  b.finish();
  Session s(share(std::move(p)));
  Tensor yes = Tensor::empty({}, DType::bool_);
  *yes->bytes() = 1;
  std::vector<Tensor> in{yes};
  std::atomic<bool> ended{false};
  std::thread other([&] {
    while (!ended) s.cancel();
  });
  const std::string text = error_of([&] { s.run("forward", in); });
  ended = true;
  other.join();
  CHECK(text == "[forward] node 0 (while_loop, test.while_loop): the run was "
                "cancelled");
}

TEST_CASE("a profile adds up by op and writes a trace") {
  Session s(share(control_program()));
  std::vector<Tensor> in{make({}, {30}), ramp({3, 2})};
  RunProfile profile;
  s.watch(&profile);
  s.run("forward", in);
  s.run("forward", in);
  const auto calls = [&](std::string_view name) {
    for (const RunProfile::Row& r : profile.rows()) {
      if (r.name == name) return r.calls;
    }
    return int64_t{0};
  };
  CHECK(calls("while_loop") == 2);
  CHECK(calls("lt") == 6);
  CHECK(calls("scan") == 2);
  for (const RunProfile::Row& r : profile.rows()) CHECK(r.nanoseconds >= 0);
  CHECK(contains(profile.table(), "       6  lt\n"));
  const std::string trace = profile.trace();
  CHECK(contains(trace, "{\"ph\": \"X\", \"name\": \"lt\""));
  CHECK(contains(trace, "\"where\": \"test.while_loop\""));
}

TEST_CASE("messages go to whom they are wanted by") {
  std::vector<std::string> lines;
  set_log(
      [](void* to, int32_t level, const char* text) {
        CHECK(level == static_cast<int32_t>(LogLevel::info));
        static_cast<std::vector<std::string>*>(to)->push_back(text);
      },
      &lines);
  SessionOptions options;
  options.max_plans = 1;
  Session s(share(linear_program()), options);
  s.run("forward", std::vector{ramp({1, 3})});
  s.run("forward", std::vector{ramp({1, 3})});
  s.run("forward", std::vector{ramp({2, 3})});
  s.set_state("w", ramp({3, 2}));
  set_log(nullptr, nullptr);
  s.run("forward", std::vector{ramp({3, 3})});
  REQUIRE(lines.size() >= 3);
  CHECK(contains(lines[0], "[forward] plan 1: "));
  CHECK(contains(lines[2], "the plan used longest ago goes"));
  CHECK(lines.size() == 3);
}
