// The thread pool: what runs where, forks, pools of a host.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "ferrule/ferrule.h"
#include "ferrule/session.h"
#include "graph_builder.h"
#include "runtime/core/thread_pool.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace ferrule;
using namespace ferrule::test;

namespace {

struct Threads {
  explicit Threads(int n) { set_num_threads(n); }
  ~Threads() { set_num_threads(0); }
};

// The threads that came by.
class Visitors {
 public:
  void add() {
    std::lock_guard lock(mutex_);
    seen_.insert(std::this_thread::get_id());
  }
  size_t count() {
    std::lock_guard lock(mutex_);
    return seen_.size();
  }
  bool only(std::thread::id id) {
    std::lock_guard lock(mutex_);
    return seen_.size() == 1 && *seen_.begin() == id;
  }

 private:
  std::mutex mutex_;
  std::set<std::thread::id> seen_;
};

// Waits, but not forever; tells whether it came true.
template <class Condition>
bool comes_true(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

// Do two threads at least work on one loop? Each of its chunks waits for them.
bool runs_in_parallel() {
  Visitors visitors;
  std::atomic<bool> met{true};
  parallel_for(4, 1, [&](int64_t, int64_t) {
    visitors.add();
    if (!comes_true([&] { return visitors.count() > 1; })) met = false;
  });
  return met;
}

// Runs each task on a thread of its own.
struct HostThreads {
  std::atomic<int64_t> calls{0};
  std::atomic<int64_t> tasks{0};

  static void run(void* user, int64_t count,
                  void (*task)(void* context, int64_t i), void* context) {
    auto* self = static_cast<HostThreads*>(user);
    ++self->calls;
    std::vector<std::thread> threads;
    for (int64_t i = 0; i < count; ++i) {
      threads.emplace_back([=] { task(context, i); });
    }
    for (std::thread& t : threads) t.join();
    self->tasks += count;
  }
  fer_thread_pool pool(int32_t threads = 4) {
    return {sizeof(fer_thread_pool), threads, this, run};
  }
};

struct OwnPoolAgain {
  ~OwnPoolAgain() { fer_set_thread_pool(nullptr); }
};

double processor_seconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace

TEST_CASE("every element is visited once, whatever the number of threads") {
  for (int threads : {1, 2, 3, 8}) {
    const Threads use(threads);
    CHECK(num_threads() == threads);
    for (int64_t n : {0, 1, 2, 7, 255, 256, 257, 100003}) {
      std::vector<std::atomic<int>> visits(static_cast<size_t>(n));
      parallel_for(n, 3, [&](int64_t begin, int64_t end) {
        for (; begin < end; ++begin) ++visits[static_cast<size_t>(begin)];
      });
      for (const auto& v : visits) REQUIRE(v == 1);
    }
  }
}

TEST_CASE("no more threads work than were asked for") {
  const Threads use(2);
  CHECK(runs_in_parallel());
  Visitors visitors;
  for (int i = 0; i < 20; ++i) {
    parallel_for(64, 1, [&](int64_t, int64_t) { visitors.add(); });
  }
  CHECK(visitors.count() <= 2);
  set_num_threads(1);
  Visitors alone;
  parallel_for(64, 1, [&](int64_t, int64_t) { alone.add(); });
  CHECK(alone.only(std::this_thread::get_id()));
}

TEST_CASE("the environment says how many threads there are by default") {
  setenv("FERRULE_NUM_THREADS", "3", 1);
  set_num_threads(0);
  CHECK(num_threads() == 3);
  unsetenv("FERRULE_NUM_THREADS");
  set_num_threads(0);
  CHECK(num_threads() >= 1);
}

TEST_CASE("a loop inside of a loop runs inline") {
  const Threads use(4);
  std::atomic<int> strangers{0}, visits{0};
  parallel_for(8, 1, [&](int64_t, int64_t) {
    const auto self = std::this_thread::get_id();
    parallel_for(8, 1, [&](int64_t, int64_t) {
      ++visits;
      if (std::this_thread::get_id() != self) ++strangers;
    });
    set_num_threads(2);  // ignored here
  });
  CHECK(visits == 64);
  CHECK(strangers == 0);
  CHECK(num_threads() == 4);
}

TEST_CASE("who finds the pool taken works alone") {
  const Threads use(4);
  std::atomic<bool> inside{false}, done{false};
  std::thread other([&] {
    parallel_for(2, 1, [&](int64_t, int64_t) {
      inside = true;
      comes_true([&] { return done.load(); });
    });
  });
  REQUIRE(comes_true([&] { return inside.load(); }));
  Visitors visitors;
  parallel_for(64, 1, [&](int64_t, int64_t) { visitors.add(); });
  CHECK(visitors.only(std::this_thread::get_id()));
  done = true;
  other.join();
}

TEST_CASE("threads without work take no processor time") {
  const Threads use(4);
  parallel_for(64, 1, [](int64_t, int64_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const double before = processor_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK(processor_seconds() - before < 0.01);
}

#if (defined(__unix__) || defined(__APPLE__)) && !defined(__SANITIZE_THREAD__)
TEST_CASE("the child of a fork has threads of its own") {
  const auto child_status = [] {
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      _exit(runs_in_parallel() ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
  };
  const Threads use(3);
  REQUIRE(runs_in_parallel());  // the parent's threads are there
  CHECK(child_status() == 0);
  CHECK(runs_in_parallel());

  // While another thread of the parent has the pool.
  std::atomic<bool> inside{false}, done{false};
  std::thread other([&] {
    parallel_for(2, 1, [&](int64_t, int64_t) {
      inside = true;
      comes_true([&] { return done.load(); });
    });
  });
  REQUIRE(comes_true([&] { return inside.load(); }));
  CHECK(child_status() == 0);
  done = true;
  other.join();

  // And without the host's, which are not there.
  const OwnPoolAgain restore;
  HostThreads host;
  const fer_thread_pool pool = host.pool();
  REQUIRE(fer_set_thread_pool(&pool) == FER_OK);
  CHECK(child_status() == 0);
  CHECK(host.calls == 0);
}
#endif

TEST_CASE("C: a host's threads do the work, and the same bits") {
  const OwnPoolAgain restore;
  const auto sum = [] {
    std::vector<double> parts(64);
    parallel_for(64000, 1000, [&](int64_t begin, int64_t end) {
      double& part = parts[static_cast<size_t>(begin / 1000)];
      for (; begin < end; ++begin) part += 1.0 / static_cast<double>(begin + 1);
    });
    double total = 0;
    for (double part : parts) total += part;
    return total;
  };
  const double own = sum();
  HostThreads host;
  fer_thread_pool pool = host.pool();
  REQUIRE(fer_set_thread_pool(&pool) == FER_OK);
  CHECK(fer_num_threads() == 4);
  CHECK(sum() == own);
  CHECK(host.calls == 1);
  CHECK(host.tasks == 64);
  CHECK(runs_in_parallel());

  std::atomic<int> strangers{0};
  parallel_for(4, 1, [&](int64_t, int64_t) {
    const auto self = std::this_thread::get_id();
    parallel_for(4, 1, [&](int64_t, int64_t) {
      if (std::this_thread::get_id() != self) ++strangers;
    });
  });
  CHECK(strangers == 0);
  CHECK(host.calls == 3);

  fer_set_num_threads(1);
  CHECK(sum() == own);
  CHECK(host.calls == 3);
  fer_set_num_threads(0);
  CHECK(fer_num_threads() == 4);

  REQUIRE(fer_set_thread_pool(nullptr) == FER_OK);
  CHECK(sum() == own);
  CHECK(host.calls == 3);
}

TEST_CASE("C: a session runs on the host's threads") {
  const OwnPoolAgain restore;
  Program p;
  GraphBuilder b(p, "forward");
  const int32_t x = b.input("x", DType::f32, {{1 << 20, -1}});
  b.output("y", b.node("exp", {{"input", ref(x)}}));
  b.finish();
  Session s(std::make_shared<const Program>(std::move(p)));
  const Tensor input = ramp({1 << 20}, -1e5f);
  const std::vector<float> own = floats(s.run("forward", {&input, 1})[0]);
  HostThreads host;
  const fer_thread_pool pool = host.pool();
  REQUIRE(fer_set_thread_pool(&pool) == FER_OK);
  CHECK(floats(s.run("forward", {&input, 1})[0]) == own);
  CHECK(host.calls > 0);
}

TEST_CASE("C: a pool needs a function") {
  fer_thread_pool pool = {};
  pool.struct_size = sizeof pool;
  pool.threads = 2;
  CHECK(fer_set_thread_pool(&pool) == FER_ERROR_VALUE);
  CHECK(contains(fer_last_error(), "run is NULL"));
}
