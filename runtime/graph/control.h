// Control flow in a graph: nodes that run other graphs of the program (their
// regions), as often as data says. The ops are in runtime/ops/control_flow.cpp.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "runtime/graph/bound_graph.h"

namespace ferrule {

class Plan;

struct PlanOptions;
struct RunContext;

// A graph with headers of its own for its inputs, whose memory comes with each
// run.
struct BoundRegion {
  BoundRegion(const Program& program, int32_t number, const Graph& graph,
              std::span<TensorImpl* const> like,
              std::span<const Tensor> constants,
              const std::vector<int64_t>& symbols, Nesting& nesting);

  int32_t number;  // of Program::graphs
  std::unique_ptr<Storage[]> storage;
  std::vector<Tensor> inputs;
  std::unique_ptr<BoundGraph> graph;
};

// The graph of a signature, as passes left it, for inputs of the shapes of
// these.
BoundRegion bind_signature(const Program& program, const Signature& signature,
                           const Graph& graph, std::span<const Tensor> inputs,
                           std::span<const Tensor> constants);

enum class ControlKind : uint8_t { cond, while_loop, scan };

// A control flow node at concrete sizes.
struct BoundControl {
  // Throws FormatError when operands and regions do not fit together.
  BoundControl(const Program& program, const Node& node, const OpCall& call,
               std::span<const Tensor> constants,
               const std::vector<int64_t>& symbols, Nesting& nesting);

  ControlKind kind;
  // cond: the operands are `consts`.
  std::vector<TensorImpl*> carry, consts, xs;
  TensorImpl* predicate = nullptr;
  int64_t length = 0;  // scan: steps
  bool reverse = false;
  std::vector<BoundRegion> regions;
  std::vector<Tensor> results;  // headers
};

// Runs one: allocates nothing, all memory but that of the results is given.
class ControlStep {
 public:
  ControlStep(BoundControl& control, std::span<const Tensor> constants,
              const PlanOptions& options);
  ~ControlStep();
  ControlStep(const ControlStep&) = delete;

  int64_t workspace_bytes() const { return workspace_; }
  int64_t elements() const;  // of one step of each region
  void run(void* workspace, const RunContext& context);

 private:
  struct Region;
  void choose(const RunContext& context);
  void loop(const RunContext& context);
  void scan(const RunContext& context);
  void read_operands(char* workspace);
  void give(Region& region, int64_t step = 0);
  void take_carry(Region& region);
  void finish_carry();
  [[noreturn]] void fail_too_long() const;

  BoundControl& control_;
  int64_t max_steps_;
  std::vector<std::unique_ptr<Region>> regions_;
  // Offsets in the workspace of dense copies of strided operands (-1: none),
  // of carry, consts and xs; and of the carry between steps.
  std::vector<int64_t> dense_, kept_;
  int64_t region_at_ = 0, workspace_ = 0;
  // Where they are in this run.
  std::vector<char*> carry_, consts_, xs_;
  char* memory_ = nullptr;
};

}  // namespace ferrule
