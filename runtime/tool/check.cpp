// `ferrule check`: verifies files and tests the models in them.
#include <algorithm>
#include <cstdio>

#include "runtime/core/json.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/choose_isa.h"
#include "runtime/cpu/isa.h"
#include "runtime/graph/compare_runs.h"
#include "runtime/tool/commands.h"
#include "runtime/tool/progress.h"
#include "runtime/tool/trial.h"

namespace ferrule::tool {
namespace {

constexpr char kHelp[] =
    R"(usage: ferrule check [options] FILE...

Verifies every byte of model files, and tests the models on this machine:
  - Do the samples in the file give, bit by bit, what they gave where the model
    was made?
  - At two other sizes, where sizes are free: does every entry point give the
    same bits with its passes and all threads as without passes on one thread?
Where something differs, the first node that does is named.

  --tolerance R   let floating point numbers of samples differ by R times the
                  largest of 1 and the numbers of the sample: for a machine with
                  another instruction set, whose last bits are others. 1e-5
                  suits float32.
  --passes LIST   passes over the graph: none, or e.g. -epilogues
  --threads N     threads (default: the processors there are)
  --json          print JSON, and no progress

Exit code: 0; 1 when a result differs; 2 for a wrong command line; 3 when a
file is damaged. With several files all are checked, and the worst counts.
)";

constexpr Option kOptions[] = {
    {"--tolerance"}, {"--passes"}, {"--threads"}, {"--json", false}};

struct Setting {
  double tolerance;
  std::string passes;
  int threads;
};

struct Report {
  std::string path;
  int code = kSuccess;
  size_t samples = 0;
  int64_t replays = 0;
  std::string error;    // of a damaged file
  std::string differs;  // the result that does
  std::string first;    // the first node that does, and between what
};

// `program` with nothing done to it, on one thread.
ComparedRun plain(std::shared_ptr<const Program> program) {
  ComparedRun run;
  run.program = std::move(program);
  run.options.passes = "none";
  run.prepare = [] { set_num_threads(1); };
  return run;
}

ComparedRun chosen(std::shared_ptr<const Program> program, const Setting& how) {
  ComparedRun run;
  run.program = std::move(program);
  run.options.passes = how.passes;
  run.prepare = [threads = how.threads] { set_num_threads(threads); };
  return run;
}

// What a sample went wrong by: which of this machine's settings changes values,
// and where first.
std::string bisect(const std::string& path, const Golden& sample,
                   const Setting& how) {
  // Programs of their own: what is prepared of weights depends on settings.
  const auto differ = [&](const ComparedRun& a, const ComparedRun& b,
                          double tolerance) {
    return first_difference(a, b, sample.signature, sample.inputs, tolerance);
  };
  const ComparedRun reference = plain(open_program(path));
  if (const auto d =
          differ(reference, chosen(open_program(path), how), how.tolerance)) {
    return concat("first difference, with passes and threads against neither: ",
                  d->text);
  }
  const std::string best = cpu::isa_name(cpu::isa());
  const std::string least = cpu::machine_isas().front();
  if (least != best) {
    ComparedRun other = plain(open_program(path));
    other.prepare = [least] {
      set_num_threads(1);
      cpu::choose_isa(least);
    };
    // Their last bits are others in any case.
    const auto d = differ(other, reference, std::max(how.tolerance, 1e-5));
    cpu::choose_isa(best);
    if (d) {
      return concat("first difference, with ", least, " against ", best, ": ",
                    d->text);
    }
  }
  return concat("no setting of this machine changes a value: the file's sample "
                "is of other kernels, of another instruction set, or damaged",
                how.tolerance == 0 ? "; --tolerance 1e-5 tells how far" : "");
}

void check_samples(Report& r, const std::shared_ptr<const Program>& program,
                   const Setting& how) {
  SessionOptions options;
  options.passes = how.passes;
  Session session(program, options);
  r.samples = program->goldens.size();
  for (size_t i = 0; i < r.samples && r.differs.empty(); ++i) {
    r.differs = session.check_golden(i, how.tolerance);
    if (r.differs.empty()) continue;
    r.first = bisect(r.path, program->goldens[i], how);
  }
}

void replay(Report& r, const std::shared_ptr<const Program>& program,
            const Setting& how) {
  const Args none;
  for (const Signature& s : program->signatures) {
    const SymbolSizes sizes = sizes_asked_for(*program, s, none);
    for (const SymbolSizes& at : other_sizes(*program, s, sizes, 2)) {
      const std::string where =
          concat("'", s.key, "' at ", sizes_text(*program, s, at));
      try {
        const auto d =
            first_difference(plain(program), chosen(program, how), s.key,
                             trial_inputs(*program, s, at), 0);
        ++r.replays;
        if (!d) continue;
        r.differs = concat(where, ", with passes and threads against neither");
        r.first = concat("first difference: ", d->text);
      } catch (Error& e) {
        r.differs = concat(where, " cannot run: ", e.what());
      }
      return;
    }
  }
}

Report check_file(const std::string& path, const Setting& how) {
  Report r;
  r.path = path;
  try {
    set_num_threads(how.threads);
    const auto program = open_program(path, Verify::full);
    check_samples(r, program, how);
    if (r.differs.empty()) replay(r, program, how);
    if (!r.differs.empty()) r.code = kDiffers;
  } catch (const std::exception& e) {
    r.error = e.what();
    r.code = kError;
  }
  set_num_threads(how.threads);
  return r;
}

void print_problem(const Report& r, bool alone) {
  const std::string at = alone ? std::string() : r.path + ": ";
  if (!r.error.empty()) {
    std::fprintf(stderr, "%s%s\n", alone ? "ferrule check: " : at.c_str(),
                 r.error.c_str());
  }
  if (!r.differs.empty()) print(concat(at, "differs: ", r.differs));
  if (!r.first.empty()) print(concat(at, r.first));
}

std::string samples_text(size_t samples, int64_t replays, double tolerance) {
  std::string out =
      samples == 0
          ? std::string("no samples")
          : concat(samples, samples == 1 ? " sample gives" : " samples give",
                   tolerance > 0 ? " the same results here, as far as asked"
                                 : " bitwise the same results here");
  if (replays) out += concat("; ", replays, " replays at other sizes agree");
  return out;
}

void print_summary(const std::vector<Report>& reports, double tolerance) {
  size_t bad = 0, samples = 0;
  int64_t replays = 0;
  for (const Report& r : reports) {
    bad += r.code != kSuccess;
    samples += r.samples;
    replays += r.replays;
  }
  if (reports.size() > 1) {
    print(concat(reports.size(), " files, ", bad, " bad; ",
                 bad ? concat(samples, samples == 1 ? " sample" : " samples")
                     : samples_text(samples, replays, tolerance)));
  } else if (!bad) {
    print("the file is intact; " + samples_text(samples, replays, tolerance));
  }
}

void print_json(const std::vector<Report>& reports) {
  Json j;
  j.begin('[');
  for (const Report& r : reports) {
    j.begin('{').key("file").text(r.path).key("ok").boolean(!r.code);
    j.key("code").number(int64_t{r.code});
    j.key("samples").number(static_cast<int64_t>(r.samples));
    j.key("replays").number(r.replays).key("error").text(r.error);
    j.key("differs").text(r.differs).key("first").text(r.first).end('}');
  }
  print(j.end(']').str());
}

int run(int argc, char** argv) {
  const Args args(argc, argv, kOptions);
  Setting how{args.number("--tolerance"), args.get("--passes"), 0};
  if (args.has("--threads")) set_threads(args, 1);
  how.threads = num_threads();
  const auto& files = args.files();
  const bool json = args.has("--json"), alone = files.size() == 1;
  Progress progress(json);
  std::vector<Report> reports;
  for (const std::string& path : files) {
    reports.push_back(check_file(path, how));
    if (!json && reports.back().code) {
      progress.clear();
      print_problem(reports.back(), alone);
    }
    if (!alone && progress.due()) {
      progress.show(concat(reports.size(), " of ", files.size(), " files"));
    }
  }
  progress.clear();
  json ? print_json(reports) : print_summary(reports, how.tolerance);
  return std::ranges::max_element(reports, {}, &Report::code)->code;
}

}  // namespace

const Command kCheck = {"check", "verify files and test them on this machine",
                        kHelp, run};

}  // namespace ferrule::tool
