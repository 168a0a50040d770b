// A signature made ready for given input shapes: prepared calls in order, every
// tensor with its place in memory. Running it allocates nothing.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ferrule/session.h"
#include "runtime/graph/bound_graph.h"
#include "runtime/graph/control.h"

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

class Plan {
 public:
  // `constants`: the session's, by index of Program::constants.
  Plan(const Program& program, const Signature& signature,
       std::span<const Tensor> inputs, std::span<const Tensor> constants,
       Storage* arena, const Limits& limits);
  ~Plan();
  Plan(const Plan&) = delete;

  // A graph that a node runs: the same, with inputs given one by one.
  Plan(BoundRegion region, std::span<const StateUpdate> updates,
       std::span<const Tensor> constants, Storage* arena, const Limits& limits);

  bool fits(const Signature* signature, std::span<const Tensor> inputs) const;
  // `rng` advances by one tick for each node that draws.
  void run(std::span<const Tensor> inputs, void* scratch, RngState& rng);

  void set_input(size_t i, void* data);
  int64_t input_bytes(size_t i) const { return region_.inputs[i]->nbytes(); }
  void run_given(void* scratch, RngState& rng);

  std::span<const Tensor> outputs() const { return outputs_; }
  const RunCost& cost() const { return cost_; }

  uint64_t last_used = 0;  // for the session's cache

 private:
  struct Copy {
    TensorImpl* from;
    TensorImpl* to;
  };
  struct Step {
    OpCall* call;          // null: control flow
    ControlStep* control;  // null: a kernel
    size_t node;
  };
  class Builder;

  void run_step(const Step& step, void* scratch, RngState& rng);

  const Signature* signature_ = nullptr;
  BoundRegion region_;
  std::vector<Step> steps_;
  std::vector<std::unique_ptr<ControlStep>> controls_;
  std::vector<Tensor> staged_;  // dense copies of results and updates
  std::vector<Copy> copies_;    // at the end: results first, then state
  std::vector<Tensor> outputs_;
  RunCost cost_;
};

}  // namespace ferrule
