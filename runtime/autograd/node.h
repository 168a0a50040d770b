// The tape: nodes, edges and what a node keeps for its gradient.
//
// Lifetime: a tensor owns its node, a node owns the nodes of its inputs and the
// storages (never the tensors) that it saved, so no cycle can arise, even by
// in-place writes. Nodes are freed from a queue, never by recursion.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "ferrule/autograd.h"
#include "runtime/autograd/modes.h"

namespace ferrule {

struct TapeNode;

struct Edge {
  TapeNode* node = nullptr;  // owned; null: no gradient wanted
  uint32_t nr = 0;           // which output of `node`
};

// The gradients that a pass has gathered and not yet handed on.
class GatheredGrads {
 public:
  virtual Tensor take(const Edge& e) = 0;

 protected:
  ~GatheredGrads() = default;
};

// What the engine calls with the gradients of the outputs.
struct BackwardCall {
  std::span<Tensor> grads;   // one an output; may be empty tensors
  std::span<Tensor> result;  // one an edge, to be filled
  bool create_graph = false;
  // One an edge: does the pass want its gradient? Null: all of them.
  const uint8_t* wanted = nullptr;
  GatheredGrads* gathered = nullptr;

  bool wants(uint32_t edge) const { return !wanted || wanted[edge]; }
};

struct NodeHook {
  int64_t id = 0;
  uint32_t nr = 0;
  TensorHook call;               // empty: retain_grad
  TensorImpl* retain = nullptr;  // not owned; its GradMeta takes it back
};

// Rare data of a node.
struct NodeExtras {
  std::vector<NodeHook> hooks;
  std::string stack;  // call stack of the op, in anomaly mode
  // By record: what saved-tensor hooks made of it.
  std::vector<std::unique_ptr<SavedTensor>> saved;
};

struct TapeNode : History {
  std::atomic<uint32_t> refs{1};
  uint32_t nouts = 1;
  uint32_t nedges = 0;
  uint64_t order = 0;  // 1 + the highest of the inputs'
  Edge* edges = nullptr;
  uint64_t site = 0;  // where the op was called (CallSites)
  std::unique_ptr<NodeExtras> extras;

  virtual ~TapeNode() = default;
  NodeExtras& more();  // made on first use
  virtual const char* name() const = 0;
  virtual void backward(BackwardCall& call) = 0;
  // "argument 'other'", for messages.
  virtual std::string edge_name(uint32_t i) const;
  // Drops what was saved, after a pass that does not retain the graph.
  virtual void release_saved() {}
  // Frees the node itself; its edges were taken before.
  virtual void free() = 0;

  void retain_history() noexcept final {
    refs.fetch_add(1, std::memory_order_relaxed);
  }
  void release_history() noexcept final;
};

// Where the gradient of a leaf ends. The leaf owns it; `leaf` is taken back
// when the leaf dies first.
struct AccumulateGrad final : TapeNode {
  std::atomic_flag lock = ATOMIC_FLAG_INIT;
  TensorImpl* leaf = nullptr;
  std::vector<std::pair<int64_t, LeafHook>> after;

  const char* name() const override { return "AccumulateGrad"; }
  void backward(BackwardCall& call) override;
  void free() override { delete this; }
};

struct AutogradMeta final : GradMeta {
  Tensor grad;
  std::atomic<AccumulateGrad*> accumulator{nullptr};  // owned; leaves only
  TapeNode* retained = nullptr;  // node that holds our retain_grad hook (owned)
  TensorImpl* self = nullptr;
  // An optimizer has used `grad` when its storage had this version.
  bool used = false;
  bool reused = false;  // and then a backward pass added to it
  uint32_t used_version = 0;

  ~AutogradMeta() override;
};
AutogradMeta& meta_of(TensorImpl* t);  // made on first use

// Hooks of a leaf, of both kinds; and the same for another leaf.
size_t count_hooks(const TensorImpl* leaf);
void copy_hooks(const Tensor& from, const Tensor& to);

// Name of a CustomFunction that `outputs` come from; "": there is none.
std::string custom_function_behind(std::span<const Tensor> outputs);

// Geometry of one tensor argument or result; saved when `storage` (or, for
// symbolic tensors, graph_value) is set.
struct TensorRecord {
  Storage* storage = nullptr;  // owned
  int64_t offset = 0;
  uint32_t version = 0;
  DType dtype = DType::f32;
  Device device;
  uint8_t ndim = 0;
  bool given = false;
  bool saved = false;
  int32_t graph_value = -1;
  uint32_t graph_epoch = 0;
  int64_t* geometry = nullptr;  // shape, then strides

  std::span<const int64_t> shape() const { return {geometry, ndim}; }
  std::span<const int64_t> strides() const { return {geometry + ndim, ndim}; }
};

// A recorded op: its arguments, flat; tensors as records.
struct OpNode final : TapeNode {
  const OpInfo* info = nullptr;
  size_t bytes = 0;     // of the whole block
  Arg* args = nullptr;  // tensor arguments: `i` is the index of their record
  TensorRecord* inputs = nullptr;   // one an edge
  TensorRecord* outputs = nullptr;  // one a result
  uint32_t wanted = 0;  // parameters whose gradient is wanted, a bit each
  bool has_saved = false;
  bool released = false;

  const char* name() const override { return info->op->name; }
  void backward(BackwardCall& call) override;
  void release_saved() override;
  void free() override;
  std::string edge_name(uint32_t i) const override;

  // TapeNode for a call whose results are shaped but not yet computed.
  static OpNode* record(const OpCall& call);
  // Notes the results, after they were computed.
  void finish(const OpCall& call);
  // Gives what was saved in records [first, first + n) to the hook in force.
  void pack(uint32_t first, uint32_t n);

  Tensor unpack_input(int record) const;
  Tensor unpack_output(int result);
};

struct SavedHooks {
  PackHook pack;
  SavedHooks* outer;
};

extern CallSites call_sites;
// "\n  used here: train.py:12: ..."; empty when the place is unknown.
std::string describe_site(const char* what, uint64_t site);
// TapeNode::backward under anomaly mode.
void backward_watched(TapeNode& node, BackwardCall& call);
// Notes where the op that made `node` was called.
inline void note_site(TapeNode& node) {
  if (call_sites.recorded) node.site = call_sites.recorded();
  if (modes.anomaly) [[unlikely]]
    node.more().stack = call_sites.stack ? call_sites.stack() : "";
}

// Gradient edge of a tensor (empty when it wants none).
Edge edge_of(TensorImpl* t);
// True when a call with this input is recorded.
inline bool wants_grad(const TensorImpl* t) {
  return t->requires_grad || t->history != nullptr;
}
// A view whose root was written since gets its history anew.
void refresh_view(TensorImpl* t);
inline bool is_stale(const TensorImpl* t) {
  return t->root && t->history_seen != t->root->history_version;
}

// Where a view looks, in terms of its root's elements numbered row by row, as
// as_strided and strided_write count them.
struct Look {
  IntList size, stride;
  Int offset;

  Look(const TensorImpl* root, const TensorImpl* view);
};

// Sets the history of a tensor that has none.
void set_history(TensorImpl* t, TapeNode* node, uint32_t nr);
// After an in-place write of `target` recorded as (node, nr): the root's
// history becomes strided_write(root, target). See docs/design.md.
void rebind_history(TensorImpl* target, TapeNode* node, uint32_t nr);

// May a gradient be overwritten: does nobody else see it or its memory?
bool is_ours(const Tensor& t);

Results run(OpCall& call);

}  // namespace ferrule
