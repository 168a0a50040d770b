// `ferrule train`: trains a model with the training step in its file.
#include <algorithm>
#include <cstdio>

#include "runtime/core/json.h"
#include "runtime/cpu/strided_copy.h"
#include "runtime/tool/commands.h"
#include "runtime/tool/progress.h"

namespace ferrule::tool {
namespace {

constexpr char kHelp[] =
    R"(usage: ferrule train FILE --input NAME=FILE.npy ... --output NEW.fer [options]

Trains a model with the training step in its file, on batches in the order of
the files, and writes the trained model. The rows of the inputs belong together.

  --input NAME=FILE.npy    an input of the training step
  --output NEW.fer         where to write the trained model
  --batch N                rows of a step (default: what the model fixes, or all)
  --steps N, --epochs N    how long (default: one epoch)
  --entry NAME             the training step (default: train_step);
                           --signature is the same
  --threads N              threads (default: the processors there are)
  --passes LIST            passes over the graph: none, or e.g. -epilogues
  --json                   print JSON at the end, and no progress

Exit code: 0; 2 for a wrong command line; 3 for an error.
)";

constexpr Option kOptions[] = {
    {"--input"},  {"--output"},      {"--batch"},     {"--steps"},
    {"--epochs"}, {"--entry"},       {"--signature"}, {"--threads"},
    {"--passes"}, {"--json", false},
};

// Which result is the loss: the one of that name, or the first.
size_t loss_index(const Signature& s) {
  const auto at = std::ranges::find(s.outputs, "loss");
  return at == s.outputs.end() ? 0
                               : static_cast<size_t>(at - s.outputs.begin());
}

double scalar(const Tensor& t) {
  if (t.numel() != 1) return 0;
  Tensor d = Tensor::empty(t.shape(), DType::f64);
  strided_copy(*t.impl(), *d.impl());
  return d.data<double>()[0];
}

int run(int argc, char** argv) {
  const Args args(argc, argv, kOptions);
  const auto program = open_program(args.file());
  const Signature& s = entry_of(*program, args, "train_step");
  const std::string output = args.get("--output");
  if (output.empty()) throw UsageError{"train needs --output NEW.fer"};
  if (args.has("--steps") && args.has("--epochs")) {
    throw UsageError{"give --steps or --epochs, not both"};
  }
  if (args.has("--threads")) set_threads(args, 1);
  Batches batches(*program, s, read_inputs(*program, s, args),
                  args.count("--batch", 0));
  if (batches.count() == 0) {
    fail<ShapeError>("[", s.key, "] the inputs have too few rows for a batch");
  }
  const int64_t epochs = args.count("--epochs", 1);
  if (epochs > INT64_MAX / batches.count()) {
    throw UsageError{"--epochs is too large"};
  }
  const int64_t steps = args.count("--steps", batches.count() * epochs);

  SessionOptions options;
  options.passes = args.get("--passes");
  Session session(program, options);
  const size_t loss_at = loss_index(s);
  Progress progress(args.has("--json"));
  double first = 0, loss = 0;
  for (int64_t i = 0; i < steps; ++i) {
    const auto results = session.run(s.key, batches.at(i % batches.count()));
    if (loss_at < results.size()) loss = scalar(results[loss_at]);
    if (i == 0) first = loss;
    const bool last = i + 1 == steps;
    if (progress.due(last)) {
      char line[96];
      std::snprintf(
          line, sizeof line, "step %lld/%lld  loss %.6g  %.1f steps/s",
          static_cast<long long>(i + 1), static_cast<long long>(steps), loss,
          static_cast<double>(i + 1) / progress.elapsed());
      progress.show(line, last);
    }
  }
  const double time = progress.elapsed();
  session.save(output);
  if (args.has("--json")) {
    Json j;
    j.begin('{').key("steps").number(steps).key("first_loss").number(first);
    j.key("loss").number(loss).key("seconds").number(time);
    j.key("output").text(output).end('}');
    print(j.str());
  } else {
    char line[96];
    std::snprintf(line, sizeof line, "loss %.6g -> %.6g in %.2f s; wrote ",
                  first, loss, time);
    print(line + output);
  }
  return kSuccess;
}

}  // namespace

const Command kTrain = {"train", "train a model on .npy files", kHelp, run};

}  // namespace ferrule::tool
