// A graph at concrete sizes: one prepared OpCall a node, one tensor header a
// value. Used to check a program and to run it.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "ferrule/program.h"
#include "runtime/graph/exprs.h"

namespace ferrule {

// Inputs against the declared ones, but for their sizes. Throws an error such
// as "input 'x' is float64; the model takes float32".
void check_inputs(const Graph& graph, const Signature& signature,
                  std::span<const Tensor> inputs);

// Sizes of the inputs against the declared ones. Fills `symbols` (by index of
// Program::symbols; -1: not bound). Throws ShapeError as
// "input 'x' has shape (3, 28, 28); the model takes (batch, 1, 28, 28), ...".
void bind_symbols(const Program& program, const Signature& signature,
                  std::span<TensorImpl* const> inputs,
                  std::vector<int64_t>& symbols);

// "(batch, 1, 28, 28), batch in 1..1024"; '?' where a size follows from others.
std::string declared_shape(const Program& program, const Value& value);

struct BoundControl;  // runtime/graph/control.h

// Graphs that run graphs: how deep, and how many nodes in all. Bounded, because
// a graph may be run by several nodes, which multiplies.
struct Nesting {
  int depth = 0;
  int64_t nodes = 0;
};

struct BoundGraph {
  // Runs `infer` of every node. `inputs` in order of Graph::inputs; `constants`
  // by index of Program::constants. Both are borrowed; geometry is read now,
  // memory when it runs. Errors name the node.
  BoundGraph(const Program& program, const Graph& graph,
             std::span<TensorImpl* const> inputs,
             std::span<const Tensor> constants,
             const std::vector<int64_t>& symbols, Nesting& nesting);
  ~BoundGraph();
  BoundGraph(const BoundGraph&) = delete;

  const Graph& graph;
  std::deque<OpCall> calls;  // one a node
  // One a node, null but for control flow.
  std::vector<std::unique_ptr<BoundControl>> controls;
  std::vector<TensorImpl*> impls;  // one a value
  std::vector<int32_t> root;       // value that owns the memory
  std::vector<int32_t> latest;     // of a root: its value after all writes

 private:
  void bind_node(size_t index, Nesting& nesting);
  void bind_control(size_t index, Nesting& nesting);
  void bind_args(const Node& node, OpCall& call);
  Arg bind_arg(const NodeArg& a);
  void take_results(size_t index, OpCall& call);
  void take_writes(size_t index, OpCall& call);
  void write(int32_t value, int32_t result);
  void check_value(int32_t id);
  void check_view(int32_t id);
  TensorImpl* known(int32_t id) const;

  const Program& program_;
  std::span<const Tensor> constants_;
  const std::vector<int64_t>& symbols_;
  std::unique_ptr<ExprValues> exprs_;
  std::deque<std::vector<Int>> ints_;
  std::deque<std::vector<TensorImpl*>> lists_;
};

// Does the call compute or write anything? Calls that only make views do not.
bool has_work(const OpCall& call);

// "node 3 (conv2d, model.conv1 at train.py:12): "
std::string node_tag(const Graph& graph, size_t index);

}  // namespace ferrule
