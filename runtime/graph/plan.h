// A signature made ready for given input shapes: prepared calls in order, every
// tensor with its place in memory. Running it allocates nothing.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ferrule/session.h"
#include "runtime/core/function_ref.h"
#include "runtime/graph/bound_graph.h"
#include "runtime/graph/control.h"
#include "runtime/graph/passes/epilogues.h"
#include "runtime/graph/passes/passes.h"
#include "runtime/graph/passes/prepared.h"
#include "runtime/graph/passes/tiles.h"
#include "runtime/graph/run_context.h"

namespace ferrule {

// Memory that plans of a session share: it grows to what the largest needs.
class Arena {
 public:
  Arena();
  ~Arena() { release(storage_); }
  Arena(const Arena&) = delete;
  Storage* storage() const { return storage_; }
  void reserve(int64_t bytes);

 private:
  Storage* storage_;
};

// What a plan is made for.
struct PlanOptions {
  Passes passes;
  int64_t limit;              // bytes of arena and scratch together
  int64_t max_steps;          // of one loop
  PreparedWeights& prepared;  // outlives the plan
  // Does a constant have the program's value as long as the plan exists, if the
  // signature does not write it?
  FunctionRef<bool(int32_t constant)> fixed;
  // Results have memory that is given to each run, none in the arena. (Graphs
  // that nodes run have theirs there in any case.)
  bool own_results = false;
};

class Plan {
 public:
  // `constants`: the session's, by index of Program::constants.
  // `signature` and `graph`: as passes left them.
  Plan(const Program& program, const Signature& signature, const Graph& graph,
       std::span<const Tensor> inputs, std::span<const Tensor> constants,
       Storage* arena, const PlanOptions& options);
  ~Plan();
  Plan(const Plan&) = delete;

  // A graph that a node runs: the same, with inputs given one by one.
  Plan(BoundRegion region, std::span<const StateUpdate> updates,
       std::span<const Tensor> constants, Storage* arena,
       const PlanOptions& options, bool own_results = false);

  bool fits(const Signature* signature, std::span<const Tensor> inputs) const;
  void run(std::span<const Tensor> inputs, void* scratch,
           const RunContext& context);

  void set_input(size_t i, void* data);
  int64_t input_bytes(size_t i) const { return region_.inputs[i]->nbytes(); }
  void run_given(void* scratch, const RunContext& context);

  // What runs, in order: "conv2d + batch_norm + relu", "linear, prepared".
  std::vector<std::string> steps() const;

  std::span<const Tensor> outputs() const { return outputs_; }
  const RunCost& cost() const { return cost_; }

  // Of a plan made with `own_results`: where the next run puts result i.
  void set_result(size_t i, void* data) { results_[i].data = data; }
  // NodeArg::expr of float arguments counts these; the next run uses them.
  void set_numbers(std::span<const double> numbers);

  uint64_t last_used = 0;  // for the session's cache

 private:
  struct Copy {
    TensorImpl* from;
    TensorImpl* to;
  };
  // A kernel, control flow, or several elementwise calls: one is not null.
  struct Step {
    OpCall* call;
    ControlStep* control;
    const TiledCalls* tiles;
    size_t node;
  };
  struct Number {
    OpCall* call;
    int arg, index;
  };
  class Builder;

  // Null: nothing is joined to it.
  const FusedCalls* fused(const Step& step) const;
  std::string step_name(const Step& step) const;
  void run_step(const Step& step, void* scratch, const RunContext& context);
  void run_watched(size_t i, void* scratch, const RunContext& context);

  const Signature* signature_ = nullptr;
  // own_results: one for each output. Headers below refer to them.
  std::unique_ptr<Storage[]> results_;
  BoundRegion region_;
  std::deque<FusedCalls> fused_;
  std::deque<TiledCalls> tiled_;
  std::vector<Step> steps_;
  std::vector<std::string> names_;  // of the steps, once somebody watches
  std::vector<std::unique_ptr<ControlStep>> controls_;
  std::vector<Tensor> staged_;  // dense copies of results and updates
  std::vector<Copy> copies_;    // at the end: results first, then state
  std::vector<Tensor> outputs_;
  std::vector<Number> numbers_;
  RunCost cost_;
};

}  // namespace ferrule
