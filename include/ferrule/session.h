// Session: runs the signatures of a program and owns what changes while it
// does: trained state, random state, memory.
//
//   Session s(open_program("digits.fer"));
//   Tensor logits = s.run("forward", {{x}})[0];
//
// A program is immutable and shared; a session serves one caller at a time.
// After the first run with given input shapes, a run allocates nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ferrule/program.h"
#include "ferrule/random.h"

namespace ferrule {

struct SessionOptions {
  // Cap on the memory of a run in bytes; 0: what the machine has.
  int64_t max_memory = 0;
  // Memory plans kept, one for each signature and set of input shapes.
  int max_plans = 16;
  // Steps that one loop of the model may take in a run; 0: 2^40.
  int64_t max_steps = 0;
  // What is done to a graph before it runs: "" for the usual passes, "none",
  // or a list such as "-epilogues" (docs/design.md). "" also stands for the
  // environment variable FERRULE_PASSES, where that is set.
  std::string passes;
};

// A run that was ended by Session::cancel.
class CancelledError : public RuntimeError {
 public:
  using RuntimeError::RuntimeError;
};

// A step of a run that has just ended: a kernel, with those that passes joined
// to it, or a node of control flow after all that it ran. Valid during the
// call; the values only until the next step.
struct RunStep {
  const char* name;     // "conv2d + batch_norm + relu"
  const Graph& graph;   // as passes left it
  int32_t graph_index;  // of Program::graphs
  const Node& node;     // the last of those joined: its results are there
  std::span<TensorImpl* const> values;  // of the graph, by value id
  int depth;           // how many nodes around it run it; 0: none
  int64_t begin, end;  // nanoseconds of the steady clock
};

// Sees every step of a session's runs. Called on the thread of the run.
class RunWatcher {
 public:
  virtual ~RunWatcher() = default;
  virtual void step(const RunStep& step) = 0;
};

// What one run of a signature needs, for given input shapes.
struct RunCost {
  int64_t arena_bytes = 0;  // intermediate values and results
  int64_t scratch_bytes = 0;
  int64_t elements = 0;  // of all values: a measure of the work
  int nodes = 0;         // kernels that run
};

class Session {
 public:
  explicit Session(std::shared_ptr<const Program> program,
                   SessionOptions options = {});
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  const Program& program() const;

  // Runs a signature. Inputs are CPU tensors in the signature's order. The
  // results are the session's: the next run overwrites them.
  // Throws ShapeError, DTypeError, ValueError for inputs that do not fit,
  // IndexError for bad indices in the data, MemoryError beyond the cap.
  std::span<const Tensor> run(std::string_view signature,
                              std::span<const Tensor> inputs);

  // Ends the run in progress: it throws CancelledError before its next node,
  // inside of loops too. Nothing happens if there is none. May be called on any
  // thread. State that the signature writes may be left half written.
  void cancel() noexcept;

  // From now on `watcher` sees every step of every run; null: nobody does. It
  // outlives the session or the next call.
  void watch(RunWatcher* watcher);

  // Checks the inputs and plans without running.
  RunCost prepare(std::string_view signature, std::span<const Tensor> inputs);

  // The kernels that a run calls, in order, as passes left them: "conv2d +
  // batch_norm + relu" is one, and so is "linear, prepared".
  std::vector<std::string> steps(std::string_view signature,
                                 std::span<const Tensor> inputs);

  // Weights, buffers and optimizer slots by name, as they are now. `state`
  // returns a copy; `set_state` wants the same dtype and shape.
  Tensor state(std::string_view name) const;
  void set_state(std::string_view name, const Tensor& value);

  RngState rng() const;
  void set_rng(RngState state);

  // Runs the samples in the file. Returns the name of the first result that
  // differs, or "" when all agree. With a tolerance, floating and complex
  // numbers may differ by `tolerance` times the largest of 1 and the sample's
  // finite values: what another instruction set computes is not bitwise the
  // same. NaN and infinity must be where they were. Samples start from the
  // session's state, and leave it as it is.
  std::string check_goldens(double tolerance = 0);
  // The same of one sample, by index of Program::goldens.
  std::string check_golden(size_t index, double tolerance = 0);

  // Writes the program with the present state to a new file, as a whole or not
  // at all. The samples in it are computed anew.
  void save(const std::string& path);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ferrule
