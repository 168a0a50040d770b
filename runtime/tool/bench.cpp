// `ferrule bench`: how long a model takes and how much memory.
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <thread>

#include "ferrule/run_profile.h"
#include "runtime/core/cpu_count.h"
#include "runtime/core/json.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/isa.h"
#include "runtime/cpu/strided_copy.h"
#include "runtime/format/file_out.h"
#include "runtime/tool/commands.h"
#include "runtime/tool/progress.h"
#include "runtime/tool/trial.h"

namespace ferrule::tool {
namespace {

constexpr char kHelp[] =
    R"(usage: ferrule bench FILE [options]

Measures how long a model takes to load and to run, what each op takes, and the
memory that it needs. Inputs are the sample in the file, or drawn at random.

  --shape NAME=2,3,224,224   sizes of an input (default: the sample's)
  --input NAME=FILE.npy      an input from a file
  --entry NAME               what to run (default: forward, or the only entry
                             point); --signature is the same
  --seconds S                how long to run it (default: 2)
  --runs N                   how often to run it instead
  --sessions N               also the throughput of N sessions, each on a thread
                             of its own, against what one alone would do on each
                             processor; and the processor time of a run against
                             that of one alone, which counts where other programs
                             have the processors too
  --threads N                threads (default: the processors there are; with
                             --sessions 1, so that each session has its own)
  --passes LIST              passes over the graph: none, or e.g. -epilogues
  --trace FILE.json          write a run that Perfetto and chrome://tracing show
  --json                     print JSON, and no progress

"cold load" is the time to open and check the file after its pages were dropped
from the system's cache (as far as the system does so), "load" the same with the
pages at hand. The first run of a session plans it; steady runs follow.
"peak" is the most memory that was resident, that of the program and of the
weights' pages in the file included.

Exit code: 0; 2 for a wrong command line; 3 for an error.
)";

constexpr Option kOptions[] = {
    {"--shape"},   {"--input"}, {"--entry"},       {"--signature"},
    {"--seconds"}, {"--runs"},  {"--sessions"},    {"--threads"},
    {"--passes"},  {"--trace"}, {"--json", false},
};

// A field of /proc/self/status in bytes; 0 where the system has no such file.
int64_t resident(std::string_view field) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (!line.starts_with(field)) continue;
    return 1024 * std::atoll(line.c_str() + field.size());
  }
  return 0;
}

void drop_from_cache(const std::string& path) {
#ifdef POSIX_FADV_DONTNEED
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;  // opening it later tells
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
#endif
}

struct Setting {
  std::string path;
  std::string key;
  SessionOptions options;
  double seconds;
  int64_t runs;  // 0: as many as fit
};

struct Result {
  double cold_load = 0, load = 0, first = 0;
  std::vector<double> times;  // sorted
  RunCost cost;
  int64_t weights = 0, before = 0, peak = 0;
  std::vector<RunProfile::Row> rows;
  int64_t profiled = 0;  // runs that the rows are of
  int64_t sessions = 0;
  double throughput = 0, ideal = 0;  // runs a second
  double processor = 0;  // time of a run among many, in that of one alone

  double percentile(double p) const {  // nearest rank
    const double rank = std::ceil(p / 100 * static_cast<double>(times.size()));
    return times[static_cast<size_t>(std::max(rank, 1.0)) - 1];
  }
  double mean() const {
    double sum = 0;
    for (double t : times) sum += t;
    return sum / static_cast<double>(times.size());
  }
};

template <class F>
double timed(const F& f) {
  const double start = seconds();
  f();
  return seconds() - start;
}

// Runs the session for a while; the time of each run.
std::vector<double> run_for(Session& session, const Setting& how,
                            std::span<const Tensor> inputs,
                            Progress& progress) {
  std::vector<double> times;
  const double start = seconds();
  const auto more = [&] {
    const auto done = static_cast<int64_t>(times.size());
    if (how.runs) return done < how.runs;
    return done < 3 || seconds() - start < how.seconds;
  };
  while (more()) {
    times.push_back(timed([&] { session.run(how.key, inputs); }));
    if (!progress.due()) continue;
    progress.show(concat(how.key, ": ", times.size(), " runs"));
  }
  return times;
}

double processor_seconds() {  // of all threads of the process
  timespec t;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

struct Throughput {
  double runs = 0;       // a second
  double processor = 0;  // seconds a run
};

// Of `n` sessions on as many threads.
Throughput throughput_of(const std::shared_ptr<const Program>& program,
                         const Setting& how, const std::vector<Tensor>& inputs,
                         int64_t n) {
  std::vector<std::unique_ptr<Session>> sessions;
  for (int64_t i = 0; i < n; ++i) {
    sessions.push_back(std::make_unique<Session>(program, how.options));
    sessions.back()->run(how.key, inputs);
  }
  std::atomic<int64_t> runs{0};
  std::atomic<bool> begun{false};
  std::exception_ptr error;
  std::mutex mutex;
  std::vector<std::thread> threads;
  double end = 0;
  for (auto& s : sessions) {
    threads.emplace_back([&] {
      try {
        while (!begun) std::this_thread::yield();
        while (seconds() < end) {
          s->run(how.key, inputs);
          runs.fetch_add(1, std::memory_order_relaxed);
        }
      } catch (...) {
        std::lock_guard lock(mutex);
        error = std::current_exception();
      }
    });
  }
  const double start = seconds(), used = processor_seconds();
  end = start + how.seconds;
  begun = true;
  for (std::thread& t : threads) t.join();
  const double time = seconds() - start;
  if (error) std::rethrow_exception(error);
  const auto n_runs = static_cast<double>(runs);
  return {n_runs / time, (processor_seconds() - used) / n_runs};
}

void measure_sessions(Result& r, const std::shared_ptr<const Program>& program,
                      const Setting& how, const std::vector<Tensor>& inputs,
                      Progress& progress) {
  if (r.sessions == 0) return;
  const auto processors = std::min<int64_t>(r.sessions, available_cpus());
  // Both in turn, so that a machine that slows down slows both.
  for (int round = 0; round < 3; ++round) {
    if (progress.due()) progress.show(concat(r.sessions, " sessions"));
    const Throughput alone = throughput_of(program, how, inputs, 1);
    const Throughput all = throughput_of(program, how, inputs, r.sessions);
    r.ideal = std::max(r.ideal, alone.runs * static_cast<double>(processors));
    r.throughput = std::max(r.throughput, all.runs);
    const double factor = all.processor / alone.processor;
    r.processor = round == 0 ? factor : std::min(r.processor, factor);
  }
}

void profile(Result& r, Session& session, const Setting& how,
             std::span<const Tensor> inputs, const std::string& trace) {
  RunProfile profile;
  session.watch(&profile);
  const double start = seconds();
  const double most = how.seconds / 4;
  while (r.profiled < 1 ||
         (r.profiled < 100 && !how.runs && seconds() - start < most)) {
    session.run(how.key, inputs);
    ++r.profiled;
    if (r.profiled > 1 || trace.empty()) continue;
    const std::string text = profile.trace();
    FileOut file(trace);
    file.write(text.data(), text.size());
    file.commit();
  }
  session.watch(nullptr);
  r.rows = profile.rows();
}

// Also finds out what is run, how.key.
Result measure(Setting& how, const Args& args, Progress& progress) {
  Result r;
  r.before = resident("VmRSS:");
  r.sessions = args.count("--sessions", 0);
  std::vector<Tensor> inputs;
  {
    // Copied, so that this program's pages go.
    const auto program = open_program(how.path);
    const Signature& s = entry_to_run(*program, args);
    how.key = s.key;
    for (const Tensor& t : chosen_inputs(*program, s, args)) {
      inputs.push_back(Tensor::empty(t.shape(), t.dtype()));
      strided_copy(*t.impl(), *inputs.back().impl());
    }
  }
  drop_from_cache(how.path);
  std::shared_ptr<const Program> program;
  r.cold_load = timed([&] { program = open_program(how.path); });
  r.load = timed([&] { open_program(how.path); });
  for (const Constant& c : program->constants) r.weights += c.data->nbytes();
  Session session(program, how.options);
  r.first = timed([&] { session.run(how.key, inputs); });
  r.cost = session.prepare(how.key, inputs);
  r.times = run_for(session, how, inputs, progress);
  std::ranges::sort(r.times);
  r.peak = resident("VmHWM:");
  profile(r, session, how, inputs, args.get("--trace"));
  measure_sessions(r, program, how, inputs, progress);
  progress.clear();
  return r;
}

std::string time_text(double seconds) {
  char buffer[32];
  if (seconds < 1e-3) {
    std::snprintf(buffer, sizeof buffer, "%.1f us", seconds * 1e6);
  } else {
    std::snprintf(buffer, sizeof buffer, "%.2f ms", seconds * 1e3);
  }
  return buffer;
}

void print_text(const Result& r, const Setting& how) {
  print(concat(how.path, ", ", how.key, ", ", num_threads(),
               num_threads() == 1 ? " thread, " : " threads, ",
               cpu::isa_name(cpu::isa())));
  print(concat("cold load   ", time_text(r.cold_load)));
  print(concat("load        ", time_text(r.load)));
  print(concat("first run   ", time_text(r.first)));
  print(concat("run         p50 ", time_text(r.percentile(50)), ", p90 ",
               time_text(r.percentile(90)), ", p99 ",
               time_text(r.percentile(99)), ", best ", time_text(r.times[0]),
               " of ", r.times.size()));
  print(concat("memory      weights ", bytes_text(r.weights), ", values ",
               bytes_text(r.cost.arena_bytes), ", scratch ",
               bytes_text(r.cost.scratch_bytes)));
  if (r.peak) {
    print(concat("            peak ", bytes_text(r.peak), ", of which ",
                 bytes_text(r.before), " before the model was opened"));
  }
  if (r.sessions) {
    char line[160];
    std::snprintf(line, sizeof line,
                  "%lld sessions  %.1f runs/s, %.1f%% of the ideal %.1f; a run "
                  "takes %.2f times the processor time of one alone",
                  static_cast<long long>(r.sessions), r.throughput,
                  100 * r.throughput / r.ideal, r.ideal, r.processor);
    print(line);
  }
  print("\n share         time   calls  op    (of a run)");
  int64_t all = 0;
  for (const RunProfile::Row& row : r.rows) all += row.nanoseconds;
  for (const RunProfile::Row& row : r.rows) {
    const double time = static_cast<double>(row.nanoseconds) / 1e9;
    char line[64];
    std::snprintf(line, sizeof line, "%5.1f%% %12s %7lld  ",
                  100e9 * time / static_cast<double>(std::max<int64_t>(all, 1)),
                  time_text(time / static_cast<double>(r.profiled)).c_str(),
                  static_cast<long long>(row.calls / r.profiled));
    print(concat(line, row.name));
  }
}

void print_json(const Result& r, const Setting& how) {
  Json j;
  j.begin('{').key("file").text(how.path).key("signature").text(how.key);
  j.key("threads").number(int64_t{num_threads()});
  j.key("isa").text(cpu::isa_name(cpu::isa()));
  j.key("cold_load").number(r.cold_load).key("load").number(r.load);
  j.key("first_run").number(r.first);
  j.key("runs").number(static_cast<int64_t>(r.times.size()));
  j.key("mean").number(r.mean()).key("best").number(r.times[0]);
  j.key("p50").number(r.percentile(50)).key("p90").number(r.percentile(90));
  j.key("p99").number(r.percentile(99));
  j.key("weight_bytes").number(r.weights);
  j.key("arena_bytes").number(r.cost.arena_bytes);
  j.key("scratch_bytes").number(r.cost.scratch_bytes);
  j.key("resident_before").number(r.before);
  j.key("resident_peak").number(r.peak);
  if (r.sessions) {
    j.key("sessions").number(r.sessions);
    j.key("runs_per_second").number(r.throughput);
    j.key("ideal_runs_per_second").number(r.ideal);
    j.key("processor_time").number(r.processor);
  }
  j.key("ops").begin('[');
  for (const RunProfile::Row& row : r.rows) {
    const auto runs = static_cast<double>(r.profiled);
    j.begin('{').key("name").text(row.name);
    j.key("calls").number(row.calls / r.profiled);
    j.key("seconds").number(static_cast<double>(row.nanoseconds) / 1e9 / runs);
    j.end('}');
  }
  j.end(']').end('}');
  print(j.str());
}

int run(int argc, char** argv) {
  const Args args(argc, argv, kOptions);
  Setting how;
  how.path = args.file();
  how.options.passes = args.get("--passes");
  how.seconds = args.has("--seconds") ? args.number("--seconds") : 2;
  how.runs = args.count("--runs", 0);
  if (args.has("--runs") && args.has("--seconds")) {
    throw UsageError{"give --runs or --seconds, not both"};
  }
  if (args.has("--sessions") && args.count("--sessions", 1) > 1024) {
    throw UsageError{"--sessions takes up to 1024"};
  }
  if (args.has("--threads") || args.has("--sessions")) set_threads(args, 1);
  Progress progress(args.has("--json"));
  const Result r = measure(how, args, progress);
  args.has("--json") ? print_json(r, how) : print_text(r, how);
  return kSuccess;
}

}  // namespace

const Command kBench = {"bench", "measure time and memory", kHelp, run};

}  // namespace ferrule::tool
