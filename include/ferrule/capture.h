// Capture: running a program once on symbolic tensors (device "graph") writes
// down its graph. Every op's kernel for that device is the same `emit`.
//
//   Capture capture(program, "forward");
//   Tensor x = capture.input("x", example, {"batch", ""});
//   Tensor w = capture.lift("weight", weight, /*state=*/true);
//   Tensor y = op::relu(op::matmul(x, w));
//   capture.finish("forward", {"y"}, {y});
//
// Captures nest, as vmap (ferrule/vmap.h) does: the index of the device "graph"
// is the depth. To an inner capture the symbolic tensors of outer ones are
// constants; what is computed of those alone goes to the outer graph.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ferrule/program.h"

namespace ferrule {

class Capture {
 public:
  // What the graph is for. One that goes to a file, and one that a node of such
  // a graph runs (see `control`), holds copies of the concrete tensors that it
  // meets. One that is run again at once (vmap) holds the tensors themselves,
  // and knows where the program cut their history.
  enum class For : uint8_t { file, region, replay };

  // Captures on this thread until it is finished or destroyed.
  Capture(Program& program, std::string graph_name, For purpose = For::file);
  ~Capture();
  Capture(const Capture&) = delete;

  // The innermost capture running on this thread; null: none.
  static Capture* current();
  // The one that a symbolic device belongs to. Throws if it is over.
  static Capture& at(Device device);
  static Capture* find(Device device);  // null: it is over
  Device device() const { return device_; }
  For purpose() const { return purpose_; }
  // Random ops are an error; the text says why and what to do.
  const char* refuses_random = nullptr;
  // Calls of random ops so far.
  size_t draws() const { return drawn_.size(); }
  // From now on random ops give, instead of drawing, what calls [first, last)
  // gave: a part of the program that is computed a second time sees the numbers
  // of the first. Without a range they draw again. Returns what held before.
  using Draws = std::optional<std::pair<size_t, size_t>>;
  Draws draw_again(Draws range) { return std::exchange(again_, range); }
  // Of its tensors, TensorImpl::graph_epoch; never 0.
  uint32_t epoch() const { return epoch_; }

  // Symbolic input like `example`; dimension i is free where symbols[i] names a
  // symbol of the program (see Program::symbols), fixed where it is "".
  Tensor input(std::string name, const Tensor& example,
               const std::vector<std::string>& symbols);
  // The same of fixed sizes.
  Tensor input(std::string name, std::span<const int64_t> shape, DType dtype,
               bool requires_grad);
  // A tensor that lives in the file. `state`: some graph of the program writes
  // it; one that this graph writes is state in any case. The same name in
  // several captures of one program is the same constant.
  Tensor lift(const std::string& name, const Tensor& value, bool state,
              bool trainable);
  // The same, but the program holds the tensor itself and no copy: see
  // ferrule/compiled.h.
  Tensor lift_shared(const std::string& name, const Tensor& value);
  // A tensor of outside that somebody else holds, too, so that the graph, which
  // has a copy, would not see what becomes of it; empty: there is none. What
  // the captured program made itself is gone when it has returned.
  Tensor held_outside() const;
  // Nodes so far.
  size_t size() const { return graph_.nodes.size(); }
  // Adds graph and signature to the program; lifted states that were written
  // become its state updates; returns how many. The capture is over then.
  // `structure`: see Signature.
  int64_t finish(std::string key, const std::vector<std::string>& output_names,
                 const std::vector<Tensor>& outputs,
                 std::string structure = {});

  // Ends the capture without a result.
  void abandon();
  // The value that a symbolic input has now: another one after a write.
  int32_t input_value(size_t i) const { return inputs_[i]->graph_value; }
  bool input_changed(size_t i) const {
    return input_value(i) != graph_.inputs[i];
  }

  // --- control flow
  // A region: a graph that a node of `outer` will run. Until it is closed, ops
  // go into it. Tensors of the captures around it that they use become inputs
  // of it, and are remembered.
  Capture(Capture& outer, std::string graph_name);
  // Input like `example`, or like its slices along the first dimension.
  Tensor region_input(const Tensor& example, bool slice);
  void close(const std::vector<Tensor>& outputs);
  // Tensors of the capture around them that closed regions use, each once.
  static std::vector<Tensor> captured(std::span<Capture* const> regions);

  struct Control {
    const OpDef& op;
    Tensor predicate;               // cond
    std::vector<Tensor> carry;      // cond: operands
    std::vector<Tensor> xs;         // scan
    Int length;                     // scan
    bool reverse = false;           // scan
    std::vector<Capture*> regions;  // closed
  };
  // Appends a control flow node with its regions.
  std::vector<Tensor> control(const Control& control);

  // What the frontend knows of the place, e.g. "features.0 (Conv2d)"; it is
  // noted on the nodes that follow, with the line of the program.
  std::string where;
  // "model.py:12" of a place of CallSites; set by a language binding.
  static std::string (*line_of)(uint64_t site);

  // --- for runtime/autograd and the hooks
  void emit(OpCall& call);
  // A tensor that was made while capturing, of constants, and that nobody else
  // looks into is about to be written by an op of the graph: from now on it is
  // symbolic. False: it is not such a tensor.
  bool adopt(TensorImpl* target);
  // Says of a new tensor outside of the graph that it was made meanwhile.
  void note_made(TensorImpl* t) const { t->graph_epoch = epoch_; }
  // After a write into `view`: its root is rewritten around it.
  void write_back(TensorImpl* view);
  // Before a tensor is used: has it been written through another that shares
  // its memory, by detach()?
  void catch_up(TensorImpl* t);
  // `detached`, which is new, shares the memory of `t`.
  void share(TensorImpl* t, TensorImpl* detached);
  // What a view shows now that its root was written.
  Tensor look_again(const TensorImpl* view);
  Int size_of(const TensorImpl* t, int dim);
  Int combine(IntOp op, Int a, Int b);

 private:
  struct Lifted {
    Tensor tensor;
    int32_t constant;
    int32_t value;  // before any write
  };
  // A tensor of outside that the program met.
  struct Met {
    Tensor tensor;
    int32_t value;
    uint64_t version;  // of its elements, then
  };
  int32_t new_value(const TensorImpl* t, ValueRole role);
  Tensor lifted(const std::string& name, const Tensor& value, int32_t constant,
                bool state);
  int32_t own_value(const TensorImpl* t);
  int32_t value_of(TensorImpl* t);  // lifts concrete tensors
  int32_t value_here(const TensorImpl* t);
  // Calls `f`, whose ops go into the capture around this region.
  template <class F>
  auto in_outer(const F& f) {
    struct Back {
      Capture* before;
      ~Back() { make_current(before); }
    } back{current()};
    make_current(outer_);
    return f();
  }
  static void make_current(Capture* capture);
  int32_t import_value(int32_t outer);
  int32_t import_tensor(TensorImpl* t);
  int32_t new_import(Tensor t, int32_t outer);
  bool is_given(const TensorImpl* t) const;
  // Expressions of a region have numbers of their own range, so that those of
  // the captures around it can be told apart; the graph counts from 0.
  int32_t own_expr(int32_t expr);
  Int numbered(int64_t value, size_t expr) const;
  int32_t expr_of(Int i);
  static uint32_t next_epoch();
  void order_inputs(const std::vector<Tensor>& captured, size_t at);
  NodeArg node_arg(const Arg& a);
  std::string place() const;  // of the op that is called
  void bind_result(TensorImpl* t, int32_t value);
  void give_again(OpCall& call);
  Tensor written(TensorImpl* root, TensorImpl* target, int32_t view);
  Tensor look_again(const Tensor& base, int32_t view);
  void refresh(TensorImpl* t);  // after writes through others
  int32_t rerooted(int32_t view, int32_t on);
  bool shares(const TensorImpl* root) const;
  void tell_others(TensorImpl* root);

  Program& program_;
  Graph graph_;
  const For purpose_;
  Capture* const outer_;
  const Device device_;
  const int32_t first_expr_ = 0;  // of a region
  const uint32_t epoch_;
  // Where the capture was begun. Ops that the frontend itself calls, such as
  // those of the backward pass, seem to be called there.
  const uint64_t begun_at_;
  // How a view came to be: the node that made it, and the view it was made of
  // (-1: the root itself). TensorImpl::graph_view is the index.
  struct View {
    int32_t node, parent;
  };
  std::vector<View> views_;
  // Roots that share memory, as detach() makes them: each has a history and
  // views of its own. `memory` is a hidden tensor that has the value after the
  // last write, and counts the writes as any root does; the roots look into it.
  // TensorImpl::graph_view of the root is the index, and history_seen the
  // number of writes it knows.
  struct Share {
    Tensor memory;
    int32_t view;  // -1: all of the memory
  };
  std::vector<Share> shares_;
  std::vector<Lifted> lifted_;
  std::vector<Tensor> inputs_;
  std::vector<Met> met_;
  std::vector<Tensor> met_inside_;  // by regions that are closed
  std::vector<int32_t> drawn_;      // nodes of random ops, as they were called
  Draws again_;
  // For::replay, once something wants a gradient: by value, the value that
  // stands for it where it is used without its history.
  bool recorded_ = false;
  std::unordered_map<int32_t, int32_t> detached_;
  // Of a region: tensors of the outer capture, their values there and here. A
  // tensor and what was detached of it have one value, but are two.
  struct Import {
    Tensor tensor;
    int32_t outer, inner;
  };
  std::vector<Import> imports_;
  std::unordered_map<int32_t, int32_t> imported_exprs_;
};

// Values of expressions of a signature's graph where the program's symbols have
// these sizes; empty where the graph does not run at them.
std::vector<int64_t> values_at(const Program& program, std::string_view key,
                               std::span<const int32_t> exprs,
                               std::span<const int64_t> symbols);

// Sizes of the values of a signature's graph that other sizes of the inputs
// leave as they are, or that are those of a symbol: by value and dimension the
// number, the symbol counted from -2 downwards, or -1 for any other. Empty
// where the graph does not run at the sizes that were tried.
std::vector<std::vector<int64_t>> known_sizes(const Program& program,
                                              std::string_view key);

}  // namespace ferrule
