// Capture: running a program once on symbolic tensors (device "graph") writes
// down its graph. Every op's kernel for that device is the same `emit`.
//
//   Capture capture(program, "forward");
//   Tensor x = capture.input("x", example, {"batch", ""});
//   Tensor w = capture.lift("weight", weight, /*state=*/true);
//   Tensor y = op::relu(op::matmul(x, w));
//   capture.finish("forward", {"y"}, {y});
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "ferrule/program.h"

namespace ferrule {

class Capture {
 public:
  // Captures on this thread until it is finished or destroyed; one at a time.
  Capture(Program& program, std::string graph_name);
  ~Capture();
  Capture(const Capture&) = delete;

  // The capture running on this thread; null: none.
  static Capture* current();

  // Symbolic input like `example`; dimension i is free where symbols[i] names a
  // symbol of the program (see Program::symbols), fixed where it is "".
  Tensor input(std::string name, const Tensor& example,
               const std::vector<std::string>& symbols);
  // A tensor that lives in the file. `state`: the graph may write it. The same
  // name in several captures of one program is the same constant.
  Tensor lift(const std::string& name, const Tensor& value, bool state,
              bool trainable);
  // Adds graph and signature to the program; lifted states that were written
  // become its state updates. The capture is over then.
  void finish(std::string key, const std::vector<std::string>& output_names,
              const std::vector<Tensor>& outputs);

  // Ends the capture without a result.
  void abandon();

  // What the frontend knows of the place, e.g. "features.0 (Conv2d)"; it is
  // noted on the nodes that follow.
  std::string where;

  // --- for runtime/autograd and the hooks
  void emit(OpCall& call);
  // After a write into `view`: its root is rewritten around it.
  void write_back(TensorImpl* view);
  // What a view shows now that its root was written.
  Tensor look_again(const TensorImpl* view) {
    return look_again(Tensor::share(view->root), view->graph_view);
  }
  Int size_of(const TensorImpl* t, int dim);
  Int combine(IntOp op, Int a, Int b);

 private:
  struct Lifted {
    Tensor tensor;
    int32_t constant;
    int32_t value;  // before any write
  };
  int32_t new_value(const TensorImpl* t, ValueRole role);
  int32_t value_of(TensorImpl* t);  // lifts concrete tensors
  int32_t expr_of(Int i);
  NodeArg node_arg(const Arg& a);
  void bind_result(TensorImpl* t, int32_t value);
  Tensor written(TensorImpl* root, TensorImpl* target);
  Tensor look_again(const Tensor& base, int32_t view);

  Program& program_;
  Graph graph_;
  uint32_t epoch_;
  // How a view came to be: the node that made it, and the view it was made of
  // (-1: the root itself). By the value that the view had at first, which
  // TensorImpl::graph_view remembers.
  struct View {
    int32_t node, parent;
  };
  std::unordered_map<int32_t, View> views_;
  std::vector<Lifted> states_;
  // Concrete tensors met on the way, kept alive.
  std::vector<std::pair<Tensor, int32_t>> concrete_;
};

}  // namespace ferrule
