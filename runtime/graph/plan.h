// A signature made ready for given input shapes: prepared calls in order, every
// tensor with its place in memory. Running it allocates nothing.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ferrule/session.h"
#include "runtime/graph/bound_graph.h"

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
  // `constants`: the session's, by index of Program::constants. `limit`: bytes
  // of arena and scratch together.
  Plan(const Program& program, const Signature& signature,
       std::span<const Tensor> inputs, std::span<const Tensor> constants,
       Storage* arena, int64_t limit);
  ~Plan();
  Plan(const Plan&) = delete;

  bool fits(const Signature* signature, std::span<const Tensor> inputs) const;
  // `rng` advances by one tick for each node that draws.
  void run(std::span<const Tensor> inputs, void* scratch, RngState& rng);

  std::span<const Tensor> outputs() const { return outputs_; }
  const RunCost& cost() const { return cost_; }

  uint64_t last_used = 0;  // for the session's cache

 private:
  struct Copy {
    TensorImpl* from;
    TensorImpl* to;
  };
  class Builder;

  const Signature* signature_;
  // Headers of the inputs; their memory comes with each run.
  std::unique_ptr<Storage[]> input_storage_;
  std::vector<Tensor> inputs_;
  std::unique_ptr<BoundGraph> bound_;
  std::vector<OpCall*> steps_;
  std::vector<size_t> step_nodes_;
  std::vector<Tensor> staged_;  // dense copies of results and updates
  std::vector<Copy> copies_;    // at the end: results first, then state
  std::vector<Tensor> outputs_;
  RunCost cost_;
};

}  // namespace ferrule
