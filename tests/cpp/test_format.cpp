// The model file: what is written is read back, and what is wrong is refused
// with the reason.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "ferrule/session.h"
#include "graph_builder.h"
#include "runtime/core/crc32c.h"
#include "runtime/format/container.h"
#include "runtime/format/model_generated.h"

using namespace ferrule;
using namespace ferrule::test;

namespace {

using Bytes = std::vector<std::byte>;

std::string temporary(const char* name) {
  return concat(FERRULE_BINARY_DIR "/", static_cast<int>(::getpid()), name);
}

std::string load_error(const Bytes& file) {
  return error_of([&] { load_program(file); });
}

// Both checksums made to match again, after the metadata was changed.
void seal(Bytes& file) {
  file::Header h;
  std::memcpy(&h.metadata_size, file.data() + 24, 8);
  std::memcpy(&h.data_offset, file.data() + 32, 8);
  std::memcpy(&h.data_size, file.data() + 40, 8);
  file::write_header(file.data(), h);
}

file::Model* model_of(Bytes& file) {
  return flatbuffers::GetMutableRoot<file::Model>(file.data());
}

// The error after a change to the metadata of the program's file.
template <class F>
std::string error_after(const Program& p, const F& change) {
  Bytes file = write_program(p);
  change(model_of(file));
  seal(file);
  return load_error(file);
}

// Replaces a text in the metadata by one of the same length.
void replace(Bytes& file, const std::string& from, const std::string& to) {
  REQUIRE(from.size() == to.size());
  for (size_t i = 64; i + from.size() < file.size(); ++i) {
    if (std::memcmp(file.data() + i, from.data(), from.size()) == 0) {
      std::memcpy(file.data() + i, to.data(), to.size());
    }
  }
  seal(file);
}

}  // namespace

TEST_CASE("crc32c: the check value of the standard, and every path agrees") {
  CHECK(crc32c("123456789", 9) == 0xE3069283);
  CHECK(crc32c_portable("123456789", 9) == 0xE3069283);
  CHECK(crc32c("", 0) == 0);
  std::vector<unsigned char> data(300);
  for (size_t i = 0; i < data.size(); ++i) {
    data[i] = static_cast<unsigned char>(i * 37 + 11);
  }
  for (size_t at = 0; at < 9; ++at) {
    for (size_t n = 0; n + at <= data.size(); ++n) {
      const uint32_t whole = crc32c_portable(&data[at], n);
      REQUIRE(crc32c(&data[at], n) == whole);
      const size_t half = n / 2;
      const uint32_t first = crc32c(&data[at], half);
      REQUIRE(crc32c(data.data() + at + half, n - half, first) == whole);
    }
  }
}

TEST_CASE("a program comes back from its file as it was") {
  Program p = linear_program();
  p.goldens.push_back({"forward", {ramp({2, 3})}, {ramp({2, 2})}});
  p.signatures[0].structure = "{\"inputs\": []}";
  const auto q = load_program(write_program(p), Verify::full);
  REQUIRE(q->graphs.size() == 1);
  const Graph &g = p.graphs[0], &h = q->graphs[0];
  REQUIRE(h.values.size() == g.values.size());
  for (size_t i = 0; i < g.values.size(); ++i) {
    CHECK(h.values[i].name == g.values[i].name);
    CHECK(h.values[i].dtype == g.values[i].dtype);
    CHECK(h.values[i].role == g.values[i].role);
    CHECK(h.values[i].constant == g.values[i].constant);
    CHECK(h.values[i].alias_of == g.values[i].alias_of);
    REQUIRE(h.values[i].dims.size() == g.values[i].dims.size());
    for (size_t d = 0; d < g.values[i].dims.size(); ++d) {
      CHECK(h.values[i].dims[d].value == g.values[i].dims[d].value);
      CHECK(h.values[i].dims[d].symbol == g.values[i].dims[d].symbol);
      CHECK(h.values[i].dims[d].fixed == g.values[i].dims[d].fixed);
    }
  }
  REQUIRE(h.nodes.size() == g.nodes.size());
  for (size_t i = 0; i < g.nodes.size(); ++i) {
    CHECK(h.nodes[i].op == g.nodes[i].op);
    CHECK(h.nodes[i].outputs == g.nodes[i].outputs);
    CHECK(h.nodes[i].where == g.nodes[i].where);
  }
  CHECK(h.inputs == g.inputs);
  CHECK(h.outputs == g.outputs);
  REQUIRE(q->constants.size() == p.constants.size());
  for (size_t i = 0; i < p.constants.size(); ++i) {
    CHECK(q->constants[i].name == p.constants[i].name);
    CHECK(floats(q->constants[i].data) == floats(p.constants[i].data));
    // Mapped data is as aligned as allocated data.
    const auto at = reinterpret_cast<uintptr_t>(q->constants[i].data->bytes());
    CHECK(at % 64 == 0);
  }
  CHECK(q->symbols[0].name == "batch");
  CHECK(q->symbols[0].max == 64);
  CHECK(q->metadata == p.metadata);
  CHECK(q->rng_seed == 7);
  CHECK(q->signatures[0].key == "forward");
  CHECK(q->signatures[0].structure == p.signatures[0].structure);
  REQUIRE(q->goldens.size() == 1);
  CHECK(floats(q->goldens[0].inputs[0]) == floats(ramp({2, 3})));
  // The same program gives the same file.
  CHECK(write_program(*q) == write_program(p));
}

TEST_CASE("a file is replaced as a whole, with the usual permissions") {
  const std::string path = temporary("whole.fer");
  write_program(linear_program(), path);
  const auto before = open_program(path);
  Program bad = linear_program();
  bad.signatures[0].outputs.clear();
  CHECK(contains(error_of([&] { write_program(bad, path); }),
                 "0 names for 1 outputs"));
  CHECK(open_program(path)->signatures[0].outputs.size() == 1);
  write_program(training_program(), path);
  // The mapping that was open still sees the old file.
  CHECK(floats(before->constants[0].data) == floats(ramp({3, 2}, -0.5f)));
  CHECK(open_program(path)->signatures.size() == 2);
  struct stat info;
  REQUIRE(::stat(path.c_str(), &info) == 0);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  CHECK((info.st_mode & 0777) == (0666 & ~mask));
  ::unlink(path.c_str());
  CHECK(contains(error_of([&] { open_program(path); }),
                 "whole.fer] cannot open the file: No such file"));
  CHECK(contains(
      error_of([&] { write_program(linear_program(), "/nowhere/x.fer"); }),
      "[x.fer] cannot create a file beside it"));
}

TEST_CASE("a damaged container is refused with the reason") {
  const Bytes good = write_program(linear_program());
  const auto after = [&](auto change) {
    Bytes file = good;
    change(file);
    return load_error(file);
  };
  CHECK(load_error(good) == "no error");
  CHECK(load_error({}) == "the file is empty");
  CHECK(contains(after([](Bytes& f) { f.resize(40); }), "too short: 40 bytes"));
  CHECK(contains(after([](Bytes& f) { f[5] ^= std::byte{1}; }),
                 "not a Ferrule model file"));
  CHECK(contains(after([](Bytes& f) { f[0] ^= std::byte{1}; }),
                 "header is damaged"));
  CHECK(contains(after([](Bytes& f) { f[100] ^= std::byte{1}; }),
                 "metadata is damaged"));
  CHECK(contains(after([](Bytes& f) { f.pop_back(); }), "cut short"));
  CHECK(contains(after([](Bytes& f) { f.push_back({}); }), "appended"));
  CHECK(
      contains(after([](Bytes& f) { f[16] = std::byte{9}; }),
               "container version 9.0 is newer than this runtime reads (1.x)"));
}

TEST_CASE("damaged weights are found when they are used, or at once") {
  Bytes file = write_program(linear_program());
  file[file.size() - 1] ^= std::byte{1};
  CHECK(contains(error_of([&] { load_program(file, Verify::full); }),
                 "the data of 'b' is damaged"));
  Session s(load_program(file));
  CHECK(contains(error_of([&] { s.run("forward", std::vector{ramp({1, 3})}); }),
                 "[forward] the data of 'b' is damaged"));
}

TEST_CASE("all ops that are missing are named at once, with versions") {
  Bytes file = write_program(linear_program());
  replace(file, std::string("relu\0", 5), std::string("rely\0", 5));
  model_of(file)->mutable_ops()->GetMutableObject(0)->mutate_version(7);
  seal(file);
  const std::string text = load_error(file);
  CHECK(contains(text, "rely version 1 (this runtime has no such op)"));
  CHECK(contains(text, "matmul version 7 (this runtime has version 1)"));
  CHECK(contains(text, "the model needs ops that this runtime"));
}

TEST_CASE("hostile metadata is refused with the reason") {
  const Program p = linear_program();
  using M = file::Model;
  const auto constant = [](M* m) {
    return m->mutable_constants()->GetMutableObject(0)->mutable_data();
  };
  const auto value = [](M* m, int i) {
    return m->mutable_graphs()
        ->GetMutableObject(0)
        ->mutable_values()
        ->GetMutableObject(i);
  };
  CHECK(error_after(p, [](M*) {}) == "no error");
  CHECK(contains(
      error_after(
          p, [&](M* m) { constant(m)->mutable_extent()->mutate_offset(64); }),
      "'w' at 64 + 24 of its segment overlaps"));
  CHECK(contains(
      error_after(
          p, [&](M* m) { constant(m)->mutable_extent()->mutate_segment(3); }),
      "'w' is in segment 3 of 1"));
  CHECK(contains(error_after(p,
                             [&](M* m) {
                               constant(m)->mutable_shape()->Mutate(
                                   0, int64_t{1} << 62);
                             }),
                 "'w' has a dimension of 4611686018427387904"));
  CHECK(contains(
      error_after(p,
                  [&](M* m) {
                    constant(m)->mutable_shape()->Mutate(0, int64_t{1} << 40);
                    constant(m)->mutable_shape()->Mutate(1, int64_t{1} << 40);
                  }),
      "more than 2^56 elements"));
  CHECK(contains(
      error_after(p, [&](M* m) { constant(m)->mutable_shape()->Mutate(0, 4); }),
      "needs 32 bytes, the file gives it 24"));
  CHECK(contains(error_after(p,
                             [&](M* m) {
                               constant(m)->mutate_dtype(
                                   static_cast<file::DType>(77));
                             }),
                 "unknown dtype 77"));
  CHECK(contains(
      error_after(p,
                  [&](M* m) {
                    m->mutable_segments()->GetMutableObject(0)->mutate_size(
                        ~uint64_t{0});
                  }),
      "leaves the file"));
  CHECK(
      contains(error_after(p, [&](M* m) { value(m, 1)->mutate_constant(-5); }),
               "value 1 is constant -5 of 2"));
  CHECK(
      contains(error_after(p, [&](M* m) { value(m, 2)->mutate_constant(0); }),
               "graph 0 forward: value 2 differs in dtype or shape from 'w'"));
  CHECK(contains(
      error_after(p,
                  [&](M* m) { value(m, 3)->mutate_dtype(file::DType::i32); }),
      "[forward] node 0 (matmul, test.matmul): value 3 is float32 "
      "(4, 2), but is declared int32 (?, ?)"));
  CHECK(contains(error_after(p, [&](M* m) { value(m, 3)->mutate_alias_of(0); }),
                 "declared alias"));
  CHECK(contains(
      error_after(p,
                  [&](M* m) { value(m, 0)->mutate_dtype(file::DType::i64); }),
      "[forward] node 0 (matmul, test.matmul): [matmul]"));
  CHECK(contains(
      error_after(p,
                  [&](M* m) {
                    m->mutable_symbols()->GetMutableObject(0)->mutate_min(99);
                  }),
      "symbol 'batch' has the range 99..64"));
  const auto graph = [](M* m) {
    return m->mutable_graphs()->GetMutableObject(0);
  };
  CHECK(contains(error_after(p,
                             [&](M* m) {
                               graph(m)
                                   ->mutable_nodes()
                                   ->GetMutableObject(0)
                                   ->mutable_outputs()
                                   ->Mutate(0, 5);
                             }),
                 "value 5 is made twice"));
  CHECK(contains(
      error_after(p,
                  [&](M* m) {
                    graph(m)->mutable_nodes()->GetMutableObject(0)->mutate_op(
                        9);
                  }),
      "a node has op 9 of 3"));
  CHECK(contains(error_after(p,
                             [&](M* m) {
                               file::Arg* a = graph(m)
                                                  ->mutable_nodes()
                                                  ->GetMutableObject(0)
                                                  ->mutable_args()
                                                  ->GetMutableObject(0);
                               a->mutable_integer()->mutate_value(5);
                             }),
                 "value 5 is used before it is made"));
  CHECK(contains(
      error_after(p, [&](M* m) { graph(m)->mutable_outputs()->Mutate(0, 6); }),
      "output value 6 of 6"));
}

// Also those that no node uses: passes over the graph look at all of them.
TEST_CASE("size expressions that reach outside of their graph are refused") {
  const auto error_with = [](Expr::Kind kind, int32_t a, int32_t b) {
    Program p = linear_program();
    Expr e;
    p.graphs[0].exprs.push_back(e);
    e.kind = kind;
    e.a = a;
    e.b = b;
    p.graphs[0].exprs.push_back(e);
    return error_of([&] { check_program(p); });
  };
  using enum Expr::Kind;
  CHECK(error_with(size, 0, 1) == "no error");
  CHECK(error_with(op, 0, 0) == "no error");
  CHECK(contains(error_with(size, 6, 0),
                 "size expression 1 is dimension 0 of value 6 of 6"));
  CHECK(contains(error_with(size, -1, 0), "of value -1 of 6"));
  CHECK(contains(error_with(size, 0, 2),
                 "size expression 1 is dimension 2 of value 0, which has 2"));
  CHECK(contains(error_with(size, 0, -1), "is dimension -1 of value 0"));
  CHECK(contains(error_with(op, 0, 1),
                 "size expression 1 uses one that does not stand before it"));
  CHECK(contains(error_with(op, -1, 0), "does not stand before it"));
}

TEST_CASE("an op whose result's size depends on data is refused") {
  Program p = linear_program();
  p.graphs[0].nodes[2].op = find_op("argwhere");
  CHECK(contains(error_of([&] { check_program(p); }),
                 "node 2 (argwhere, test.relu): the size of its result"));
}

TEST_CASE("programs that would write where they must not are refused") {
  Program p = training_program();
  CHECK(error_of([&] { check_program(p); }) == "no error");

  Program input = p;
  Graph& g = input.graphs[1];
  for (Node& n : g.nodes) {
    if (std::string(n.op->name) == "copy_") {
      n.args[0] = ref(0);
      g.values[n.outputs.back()].alias_of = 0;
    }
  }
  CHECK(contains(error_of([&] { check_program(input); }),
                 "writes into 'x', which is not state"));

  Program constant = p;
  for (Value& v : constant.graphs[1].values) {
    if (v.name == "n") v.role = ValueRole::constant;
  }
  CHECK(contains(error_of([&] { check_program(constant); }),
                 "writes into 'n', which is not state"));

  Program silent = p;
  std::erase_if(silent.signatures[1].state_updates, [&](const StateUpdate& u) {
    return u.constant == silent.constant_index("n");
  });
  CHECK(contains(error_of([&] { check_program(silent); }),
                 "'n' is written, but is not among the state updates"));

  Program stale = p;
  stale.graphs[1].outputs[0] = 2;  // n as it was before copy_
  CHECK(contains(error_of([&] { check_program(stale); }),
                 "'n' is used after value"));

  Program twice = p;
  twice.signatures[1].state_updates.push_back(
      twice.signatures[1].state_updates[0]);
  CHECK(contains(error_of([&] { check_program(twice); }), "is updated twice"));

  Program golden = p;
  golden.goldens.push_back({"train_step", {}, {ramp({1})}});
  CHECK(
      contains(error_of([&] { check_program(golden); }),
               "a golden of 'train_step' has not as many inputs and outputs"));
}
