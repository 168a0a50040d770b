// `ferrule diff`: the first value in which two runs differ.
#include <algorithm>

#include "runtime/core/json.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/choose_isa.h"
#include "runtime/graph/compare_runs.h"
#include "runtime/graph/difference.h"
#include "runtime/tool/commands.h"
#include "runtime/tool/trial.h"

namespace ferrule::tool {
namespace {

constexpr char kHelp[] =
    R"(usage: ferrule diff A.fer B.fer [options]
       ferrule diff FILE.fer --isa v2 --isa v4 [options]

Runs two models, or one under two settings, on the same inputs and names the
first value that differs: the node, the element, and both numbers. Inputs are
the sample in the (first) file, or drawn at random.

  --isa NAME                 instruction set
  --threads N                threads
  --passes LIST              passes over the graph (default: none, so that every
                             node has a value of its own)
        Each of these, given once, is for both sides; given twice, the second is
        for the second side.
  --tolerance R              let floating point numbers differ by R times the
                             largest of 1 and the numbers of the value
  --shape NAME=2,3,224,224   sizes of an input (default: the sample's)
  --input NAME=FILE.npy      an input from a file
  --entry NAME               what to run (default: forward, or the only entry
                             point); --signature is the same
  --json                     print JSON

Exit code: 0; 1 when a value differs; 2 for a wrong command line; 3 for an
error.
)";

constexpr Option kOptions[] = {
    {"--isa"},   {"--threads"}, {"--passes"},    {"--tolerance"},   {"--shape"},
    {"--input"}, {"--entry"},   {"--signature"}, {"--json", false},
};

// What is given for both sides, or for each.
struct Pair {
  std::string a, b;
  bool differ() const { return a != b; }
};

Pair both(const Args& args, std::string_view option,
          const std::string& fallback) {
  const std::vector<std::string> given = args.all(option);
  if (given.size() > 2) {
    throw UsageError{concat(option, " is given more than twice")};
  }
  const std::string a = given.empty() ? fallback : given[0];
  return {a, given.size() == 2 ? given[1] : a};
}

int thread_count(const std::string& text) {
  const int64_t n = text.empty() ? 0 : positive("--threads", text);
  return static_cast<int>(std::min<int64_t>(n, 1 << 16));
}

ComparedRun side(const std::string& path, const std::string& isa,
                 const std::string& threads, const std::string& passes) {
  ComparedRun run;
  run.options.passes = passes;
  const int n = thread_count(threads);
  run.prepare = [isa, n] {
    if (!isa.empty()) cpu::choose_isa(isa);
    if (n > 0) set_num_threads(n);
  };
  // A program of its own: what sides prepare of the weights may differ.
  run.program = open_program(path);
  return run;
}

struct Weights {
  int64_t compared = 0, differ = 0;
  std::string first;  // "'w' element 3 is 1, was 2 ..."
};

Weights compare_weights(const Program& a, const Program& b, double tolerance) {
  Weights w;
  for (const Constant& c : a.constants) {
    const int other = b.constant_index(c.name);
    if (other < 0) continue;
    ++w.compared;
    const std::string how =
        difference(c.data, b.constants[other].data, tolerance);
    if (how.empty()) continue;
    if (w.differ++ == 0) w.first = concat("'", c.name, "' ", how);
  }
  return w;
}

void print_text(const std::string& graphs, const Weights& weights,
                const std::optional<ValueDifference>& found) {
  if (!graphs.empty()) {
    print(concat("the graphs differ: ", graphs,
                 "\nso only results and state are compared"));
  }
  if (weights.differ) {
    print(concat(weights.differ, " of ", weights.compared,
                 " weights and states differ; the first: ", weights.first));
  }
  print(found ? concat("first difference: ", found->text)
              : std::string("no value differs"));
}

void print_json(const std::string& graphs, const Weights& weights,
                const std::optional<ValueDifference>& found) {
  Json j;
  j.begin('{').key("same").boolean(!found).key("graphs").text(graphs);
  j.key("weights_compared").number(weights.compared);
  j.key("weights_differ").number(weights.differ);
  j.key("first_weight").text(weights.first);
  if (found) {
    j.key("what").text(found->what).key("where").text(found->where);
    j.key("step").number(found->step).key("at").list(found->at);
    j.key("a").number(found->a).key("b").number(found->b);
    j.key("count").number(found->count);
    j.key("elements").number(found->elements);
    j.key("apart").number(found->apart).key("text").text(found->text);
  }
  print(j.end('}').str());
}

int run(int argc, char** argv) {
  const Args args(argc, argv, kOptions);
  const auto& files = args.files();
  if (files.size() > 2) throw UsageError{"diff takes one or two model files"};
  const Pair isa = both(args, "--isa", ""),
             threads = both(args, "--threads", ""),
             passes = both(args, "--passes", "none");
  if (files.size() == 1 && !isa.differ() && !threads.differ() &&
      !passes.differ()) {
    throw UsageError{
        "diff takes two files, or one and two values of --isa, --threads or "
        "--passes"};
  }
  const double tolerance = args.number("--tolerance");
  const ComparedRun a = side(files[0], isa.a, threads.a, passes.a);
  const ComparedRun b = side(files.back(), isa.b, threads.b, passes.b);
  const Signature& s = entry_to_run(*a.program, args);
  const std::string& key = s.key;
  find_signature(*b.program, key);
  const std::vector<Tensor> inputs = chosen_inputs(*a.program, s, args);

  Weights weights;
  if (files.size() == 2) {
    weights = compare_weights(*a.program, *b.program, tolerance);
  }
  const std::string graphs = graph_difference(*a.program, *b.program, key);
  const auto found = first_difference(a, b, key, inputs, tolerance);
  args.has("--json") ? print_json(graphs, weights, found)
                     : print_text(graphs, weights, found);
  return found ? kDiffers : kSuccess;
}

}  // namespace

const Command kDiff = {"diff", "find the first value that differs", kHelp, run};

}  // namespace ferrule::tool
