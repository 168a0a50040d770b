// Gradients: recording modes, the backward pass, hooks, custom functions.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ferrule/op.h"

namespace ferrule {

// Thread-local recording mode, as in torch: grad mode off, or inference mode.
bool grad_enabled();
void set_grad_enabled(bool on);
bool inference_mode();
void set_inference_mode(bool on);

// Ops that have a decomposition run by it instead of by their kernel: how tests
// compare the two.
void set_decompose(bool on);

// The mode inside of a block of code.
class GradMode {
 public:
  explicit GradMode(bool on) : before_(grad_enabled()) { set_grad_enabled(on); }
  ~GradMode() { set_grad_enabled(before_); }
  GradMode(const GradMode&) = delete;

 private:
  bool before_;
};
class NoGrad : public GradMode {
 public:
  NoGrad() : GradMode(false) {}
};

void set_requires_grad(const Tensor& t, bool on);
// Whether gradients reach `t`; a view knows of later writes to its base.
bool requires_grad(const Tensor& t);
Tensor grad_of(const Tensor& t);  // empty: none
void set_grad(const Tensor& t, const Tensor& grad);
void retain_grad(const Tensor& t);

// Accumulates gradients of `outputs` into the leaves (or into `inputs` only).
// Without `grad_outputs` an output must have one element.
struct BackwardOptions {
  bool retain_graph = false;
  bool create_graph = false;
  bool allow_unused = true;
};
void backward(std::span<const Tensor> outputs,
              std::span<const Tensor> grad_outputs,
              std::span<const Tensor> inputs, BackwardOptions options);
// Returns the gradients instead; an unused input gives an empty tensor, or an
// error unless allow_unused.
std::vector<Tensor> grad(std::span<const Tensor> outputs,
                         std::span<const Tensor> inputs,
                         std::span<const Tensor> grad_outputs,
                         BackwardOptions options);

// Do `outputs` depend on a leaf that is none of `leaves`? Then somebody outside
// may want gradients through them.
bool depends_on_other_leaves(std::span<const Tensor> outputs,
                             std::span<const Tensor> leaves);

// Hooks, called in the order of registration; what is returned removes one.
using TensorHook = std::function<Tensor(const Tensor& grad)>;
using LeafHook = std::function<void(const Tensor& leaf)>;
using RemoveHook = std::function<void()>;
RemoveHook add_tensor_hook(const Tensor& t, TensorHook hook);
RemoveHook add_post_accumulate_hook(const Tensor& leaf, LeafHook hook);

// Tells that an optimizer has used the gradients of these leaves. True when a
// backward pass had added to one that was used before and not touched since:
// somebody forgot to reset it.
bool note_gradients_used(std::span<const Tensor> leaves);

// Saved-tensor hooks. While one is in force on a thread, what an op keeps for
// its gradient is given to the innermost: it keeps something else, from which
// the tensor (same dtype and shape) is made when the gradient is computed.
struct SavedTensor {
  virtual ~SavedTensor() = default;
  virtual Tensor unpack() = 0;
};
using PackHook = std::function<std::unique_ptr<SavedTensor>(const Tensor&)>;
void push_saved_tensor_hook(PackHook hook);
void pop_saved_tensor_hook();
// The innermost; null: none is in force.
const PackHook* saved_tensor_hook();

// Anomaly mode of this thread: nodes remember the call stack that made them,
// errors in the backward pass show it, and a NaN among gradients is an error.
struct AnomalyMode {
  bool on = false;
  bool check_nan = true;
};
AnomalyMode anomaly_mode();
void set_anomaly_mode(AnomalyMode mode);

// Where ops are called from, for messages; set by a language binding.
struct CallSites {
  // Where this thread is in the user's program, for `describe`; 0: unknown.
  uint64_t (*recorded)();  // asked for every recorded op: a few nanoseconds
  uint64_t (*written)();   // asked for every write in place
  std::string (*describe)(uint64_t site);  // "train.py:12: y.add_(1)"
  std::string (*stack)();                  // the whole call stack
};
void set_call_sites(const CallSites& sites);

// While it exists, tensors with a history are leaves: a gradient ends there.
class Leaves {
 public:
  explicit Leaves(std::vector<Tensor> tensors);
  ~Leaves() { restore(); }
  Leaves(const Leaves&) = delete;
  void restore() noexcept;

 private:
  struct Kept {
    Tensor tensor;
    History* history;
    uint32_t nr;
    bool requires_grad;
  };
  std::vector<Kept> kept_;
};

// A differentiable function whose backward is given by the caller. `backward`
// gets one gradient an output and returns one an input (empty: none).
using BackwardFn =
    std::function<std::vector<Tensor>(const std::vector<Tensor>& grads)>;
struct CustomFunction {
  const char* name;
  BackwardFn backward;
  // Drops what was saved, after a pass that does not retain the graph.
  std::function<void()> release = nullptr;
  // Bit i: output i is an input that was written in place. It gets the history
  // itself and is returned; the other outputs are returned as new tensors.
  uint64_t written = 0;
};
std::vector<Tensor> custom_function(CustomFunction function,
                                    std::span<const Tensor> inputs,
                                    std::span<const Tensor> outputs);
// The function whose `backward` runs on this thread, with which a saved output
// can be given its history again; empty: none.
struct History;
History* running_function();
Tensor with_history(const Tensor& t, History* node, uint32_t nr);
// Name of the op that made `t`, or "" for a leaf; its inputs' nodes in order.
std::string history_name(const Tensor& t);

// What a gradient rule sees.
struct Vjp {
  const OpInfo& info;
  const Arg* args;  // numbers, lists, ... of the call; no tensors here
  // Gradient of result i; empty when nothing flows through it.
  Tensor grad(int i = 0);
  bool has_grad(int i) const;
  // op(grad(), ...), which may be written over the gradient of result 0: for
  // rules that use it no more.
  template <class... A>
  Tensor over_grad(const OpDef& op, const A&... rest) {
    return may_overwrite() ? op.inplace(grad(), rest...) : op(grad(), rest...);
  }
  bool may_overwrite() const;
  bool may_overwrite(const Tensor& ours) const;
  // A saved input or result (see OpDef::saves).
  Tensor in(int i);
  Tensor out(int i = 0);
  bool has(int i) const;  // argument was given
  std::span<const Tensor> list(int i);
  // Geometry is known of every tensor argument, saved or not.
  IntList sizes(int i) const;
  Int size(int i, int dim) const;
  int ndim(int i) const;
  DType dtype(int i) const;
  Int numel(int i) const;
  // Does argument i want a gradient?
  bool needs(int i) const;
  // Sets it. A gradient that is larger by broadcasting is summed to the shape
  // of the argument, another dtype is cast.
  void set(int i, Tensor grad);
  void set_list(int i, int k, Tensor grad);
  // What was gathered of that gradient so far. A rule that touches only a part
  // of it adds there, and gives the sum to set(): nothing is added to it then.
  // Empty: nothing yet.
  Tensor take_sum(int i);
  // op(sum, grad(), ...), which may be written over the sum.
  template <class... A>
  Tensor over_sum(const OpDef& op, Tensor sum, const A&... rest) {
    const Tensor g = grad();
    return may_overwrite(sum) ? op.inplace(sum, g, rest...)
                              : op(sum, g, rest...);
  }
  bool needs_list(int i, int k) const;

  void* state;  // runtime/autograd/node.h
};

}  // namespace ferrule
