// The C ABI and the C++ wrapper over it.
#define FERRULE_NO_FE
#include "ferrule/model.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include "count_allocations.h"
#include "graph_builder.h"

using namespace ferrule::test;
namespace fe = ferrule::client;

namespace {

struct Opened {
  fer_model model = nullptr;
  fer_session session = nullptr;
  explicit Opened(const ferrule::Program& p) {
    const auto file = ferrule::write_program(p);
    REQUIRE(fer_model_load(file.data(), file.size(), nullptr, &model) ==
            FER_OK);
    REQUIRE(fer_session_create(model, nullptr, &session) == FER_OK);
  }
  ~Opened() {
    fer_model_free(model);  // before its session, on purpose
    fer_session_free(session);
  }
};

std::string last() { return fer_last_error(); }

}  // namespace

TEST_CASE("C: a model says what it takes and gives") {
  Opened o(linear_program());
  CHECK(fer_model_signature_count(o.model) == 1);
  CHECK(std::string(fer_model_signature(o.model, 0)) == "forward");
  CHECK(fer_model_signature(o.model, 1) == nullptr);
  CHECK(fer_model_input_count(o.model, "forward") == 1);
  CHECK(fer_model_input_count(o.model, "train") == -1);
  fer_value_info info = {};
  info.struct_size = sizeof info;
  REQUIRE(fer_model_input(o.model, "forward", 0, &info) == FER_OK);
  CHECK(std::string(info.name) == "x");
  CHECK(info.dtype == FER_F32);
  REQUIRE(info.ndim == 2);
  CHECK(info.shape[0] == -1);
  CHECK(std::string(info.symbols[0]) == "batch");
  CHECK(info.shape[1] == 3);
  CHECK(info.symbols[1] == nullptr);
  REQUIRE(fer_model_output(o.model, "forward", 0, &info) == FER_OK);
  CHECK(std::string(info.name) == "y");
  CHECK(fer_model_output(o.model, "forward", 1, &info) == FER_ERROR_INDEX);
  CHECK(fer_model_state_count(o.model) == 2);
  REQUIRE(fer_model_state(o.model, 1, &info) == FER_OK);
  CHECK(std::string(info.name) == "b");
  CHECK(info.shape[0] == 2);
  CHECK(std::string(fer_model_metadata(o.model, "title")) == "a test");
  CHECK(fer_model_metadata(o.model, "author") == nullptr);
  // A struct of an older header is filled as far as it goes.
  fer_value_info old = {};
  old.struct_size = 8;
  old.ndim = 77;
  REQUIRE(fer_model_input(o.model, "forward", 0, &old) == FER_OK);
  CHECK(old.dtype == FER_F32);
  CHECK(old.ndim == 77);
}

TEST_CASE("C: results are lent or copied, and runs allocate nothing") {
  Opened o(linear_program());
  const ferrule::Tensor x = ramp({2, 3});
  const int64_t shape[] = {2, 3};
  const fer_buffer in = {sizeof in, FER_F32, 2, shape, x->bytes(), 24};
  fer_buffer lent = {};
  lent.struct_size = sizeof lent;
  REQUIRE(fer_session_run(o.session, "forward", &in, 1, &lent, 1) == FER_OK);
  CHECK(lent.ndim == 2);
  CHECK(lent.shape[0] == 2);
  CHECK(lent.size == 16);
  const auto* y = static_cast<const float*>(lent.data);
  const std::vector<float> values(y, y + 4);
  float own[4] = {};
  fer_buffer copy = {};
  copy.struct_size = sizeof copy;
  copy.data = own;
  copy.size = sizeof own;
  REQUIRE(fer_session_run(o.session, "forward", &in, 1, &copy, 1) == FER_OK);
  CHECK(std::vector<float>(own, own + 4) == values);
  copy.size = 15;
  CHECK(fer_session_run(o.session, "forward", &in, 1, &copy, 1) ==
        FER_ERROR_BUFFER);
  CHECK(copy.size == 16);
  const int64_t before = allocations();
  for (int i = 0; i < 20; ++i) {
    fer_buffer out = {};
    out.struct_size = sizeof out;
    fer_session_run(o.session, "forward", &in, 1, &out, 1);
  }
  CHECK(allocations() == before);
}

TEST_CASE("C: mistakes are statuses with a text") {
  Opened o(linear_program());
  fer_model m = nullptr;
  CHECK(fer_model_open("/nowhere.fer", nullptr, &m) == FER_ERROR_FORMAT);
  CHECK(contains(last(), "[nowhere.fer] cannot open the file"));
  CHECK(fer_model_open(nullptr, nullptr, &m) == FER_ERROR_VALUE);
  CHECK(last() == "[fer_model_open] path is NULL");
  CHECK(fer_model_load("garbage", 7, nullptr, &m) == FER_ERROR_FORMAT);
  CHECK(m == nullptr);
  const float x[6] = {};
  const int64_t shape[] = {2, 3}, wrong[] = {3, 2};
  fer_buffer in = {sizeof in, FER_F32, 2, shape, const_cast<float*>(x), 24};
  const auto run = [&](const char* key = "forward") {
    return fer_session_run(o.session, key, &in, 1, nullptr, 0);
  };
  CHECK(run() == FER_OK);
  CHECK(run("train") == FER_ERROR_VALUE);
  in.shape = wrong;
  CHECK(run() == FER_ERROR_SHAPE);
  CHECK(contains(last(), "(3, 2); the model takes (batch, 3)"));
  in.size = 20;
  CHECK(run() == FER_ERROR_VALUE);
  CHECK(contains(last(), "has 24 bytes, the buffer has 20"));
  in.dtype = 99;
  CHECK(run() == FER_ERROR_VALUE);
  in = {sizeof in, FER_I64, 2, shape, const_cast<float*>(x), 48};
  CHECK(run() == FER_ERROR_DTYPE);
  in.struct_size = 0;
  CHECK(run() == FER_ERROR_VALUE);
  in = {sizeof in, FER_F32, 99, shape, const_cast<float*>(x), 24};
  CHECK(run() == FER_ERROR_VALUE);
  const int64_t huge[] = {int64_t{1} << 40, int64_t{1} << 40};
  in = {sizeof in, FER_F32, 2, huge, const_cast<float*>(x), 24};
  CHECK(run() == FER_ERROR_SHAPE);
  CHECK(fer_session_run(nullptr, "forward", &in, 1, nullptr, 0) ==
        FER_ERROR_VALUE);
  CHECK(fer_session_run(o.session, "forward", nullptr, 1, nullptr, 0) ==
        FER_ERROR_VALUE);
  CHECK(fer_session_get_state(o.session, "w", nullptr, 24) == FER_ERROR_VALUE);
  CHECK(fer_session_get_state(o.session, "v", nullptr, 0) == FER_ERROR_VALUE);
  CHECK(fer_session_save(o.session, nullptr) == FER_ERROR_VALUE);
  fer_model_free(nullptr);
  fer_session_free(nullptr);
}

TEST_CASE("C++ wrapper: run by name, train, save, load") {
  const std::string path = ferrule::concat(
      FERRULE_BINARY_DIR "/", static_cast<int>(::getpid()), "capi.fer");
  ferrule::write_program(training_program(), path);
  auto model = fe::Model::open(path);
  CHECK(model.signatures() ==
        std::vector<std::string>{"forward", "train_step"});
  fe::Session session(model);
  const std::vector<float> ones(4, 1.0f);
  const fe::Array x(ones, {4});
  CHECK(session.run("train_step", {{"x", x}})["loss"].item<float>() == -2.5f);
  CHECK(session.run("train_step", {x})[0].item<float>() == -6.5f);
  CHECK(session.state("n").values<float>()[0] == 12);
  session.set_state("n", fe::Array::borrow(ones.data(), {4}));
  CHECK(session.state("n").values<float>()[3] == 1);
  session.save(path);
  auto again = fe::Model::open(path);
  const auto y = again.run({})[0];
  CHECK(y.shape() == std::vector<int64_t>{4});
  CHECK(y.values<float>()[0] == -4);
  CHECK_THROWS_WITH_AS(session.run("train_step", {{"z", x}}),
                       "[train_step] has no input 'z'", fe::Error);
  CHECK_THROWS_AS(y.values<double>(), fe::Error);
  CHECK_THROWS_AS(fe::Model::open("nothing.fer"), fe::Error);
  ::unlink(path.c_str());
}

TEST_CASE("C++ wrapper: entry points of a model share state") {
  const auto file = ferrule::write_program(training_program());
  auto model = fe::Model::load(std::as_bytes(std::span(file)));
  const fe::Array x(std::vector<float>(4, 1.0f), {4});
  const float before = model.run({})[0].values<float>()[0];
  CHECK(model.run("train_step", {{"x", x}})["loss"].item<float>() == -2.5f);
  CHECK(model.run("forward", {})[0].values<float>()[0] == before - 2);
  CHECK(model.run({})[0].values<float>()[0] == before - 2);
  CHECK_THROWS_WITH_AS(model.run("validate", {}),
                       "the model has no signature 'validate'", fe::Error);
  CHECK_THROWS_WITH_AS(model.run("train_step", {}),
                       "[train_step] input 'x' is missing", fe::Error);
  // Copies of a model have the session of the first.
  fe::Model copy = model;
  CHECK(copy.run({})[0].values<float>()[0] == before - 2);
  // Another model starts from the file.
  auto fresh = fe::Model::load(std::as_bytes(std::span(file)));
  CHECK(fresh.run({})[0].values<float>()[0] == before);
}

TEST_CASE("C: what runs is planned, watched and profiled") {
  Opened o(linear_program());
  const ferrule::Tensor x = ramp({2, 3});
  const int64_t shape[] = {2, 3};
  fer_buffer in = {sizeof in, FER_F32, 2, shape, nullptr, 0};
  fer_run_cost cost = {};
  cost.struct_size = sizeof cost;
  REQUIRE(fer_session_prepare(o.session, "forward", &in, 1, &cost) == FER_OK);
  CHECK(cost.steps > 0);
  CHECK(cost.arena_bytes > 0);
  CHECK(fer_session_prepare(o.session, "forward", &in, 0, &cost) ==
        FER_ERROR_VALUE);
  in.data = x->bytes();
  in.size = 24;
  std::vector<std::string> names;
  REQUIRE(fer_session_watch(
              o.session,
              [](void* to, const fer_step* step) {
                CHECK(step->struct_size == sizeof *step);
                CHECK(step->end >= step->begin);
                static_cast<std::vector<std::string>*>(to)->push_back(
                    step->name);
              },
              &names) == FER_OK);
  REQUIRE(fer_session_run(o.session, "forward", &in, 1, nullptr, 0) == FER_OK);
  CHECK(names.size() == static_cast<size_t>(cost.steps));
  const char* table = nullptr;
  CHECK(fer_session_stop_profile(o.session, nullptr, &table) ==
        FER_ERROR_VALUE);
  REQUIRE(fer_session_start_profile(o.session) == FER_OK);
  REQUIRE(fer_session_run(o.session, "forward", &in, 1, nullptr, 0) == FER_OK);
  REQUIRE(fer_session_stop_profile(o.session, nullptr, &table) == FER_OK);
  CHECK(contains(table, names[0]));
  CHECK(names.size() == static_cast<size_t>(cost.steps));
  // The function sees the runs after the profile again.
  REQUIRE(fer_session_run(o.session, "forward", &in, 1, nullptr, 0) == FER_OK);
  CHECK(names.size() == static_cast<size_t>(2 * cost.steps));
  REQUIRE(fer_session_watch(o.session, nullptr, nullptr) == FER_OK);
  fer_session_cancel(o.session);
  CHECK(fer_session_run(o.session, "forward", &in, 1, nullptr, 0) == FER_OK);
  fer_session_cancel(nullptr);
}

TEST_CASE("C++ wrapper: a run is cancelled, and profiled to a file") {
  const auto file = ferrule::write_program(linear_program());
  const auto model = fe::Model::load(std::as_bytes(std::span(file)));
  fe::Session session(model);
  const std::vector<fe::Named> in = {
      {"x", fe::Array(std::vector<float>(6), {2, 3})}};
  session.start_profile();
  session.run(in);
  const std::string path = FERRULE_BINARY_DIR "/trace.json";
  CHECK(contains(session.stop_profile(path), "matmul"));
  std::FILE* trace = std::fopen(path.c_str(), "r");
  REQUIRE(trace);
  CHECK(std::fgetc(trace) == '{');
  std::fclose(trace);
  ::unlink(path.c_str());
  CHECK(fer_session_watch(
            session.handle(),
            [](void* s, const fer_step*) {
              fer_session_cancel(static_cast<fer_session>(s));
            },
            session.handle()) == FER_OK);
  try {
    session.run(in);
    FAIL("was not cancelled");
  } catch (const fe::Error& e) {
    CHECK(e.status() == FER_ERROR_CANCELLED);
    CHECK(contains(e.what(), "[forward] node "));
  }
}
