// The backward pass.
//
// A node's order is 1 + the highest of its inputs', so popping the highest
// order first visits every node after all of its consumers: a heap is the whole
// scheduler, no counting of dependencies. Everything a pass needs stands in the
// pass (`Run`), nothing in the nodes, so passes may nest and run concurrently.
// Among equal orders the first discovered goes first: the order of summation is
// fixed.
#include <algorithm>
#include <cstring>

#include "ferrule/ops.h"
#include "runtime/autograd/modes.h"
#include "runtime/autograd/node.h"
#include "runtime/core/profile.h"

namespace ferrule {
namespace {

// Open-addressing map from node to slot; entries leave when nodes are done, so
// it stays as small as the frontier of the pass.
class NodeMap {
 public:
  // Slot of `n`, or -1 after which `insert` may follow.
  int find(const TapeNode* n) const {
    if (keys_.empty()) return -1;
    for (size_t i = home(n);; i = (i + 1) & mask_) {
      if (keys_[i] == n) return slots_[i];
      if (!keys_[i]) return -1;
    }
  }
  void insert(const TapeNode* n, int slot) {
    if (2 * (count_ + 1) > keys_.size()) grow();
    place(n, slot);
    ++count_;
  }
  void erase(const TapeNode* n) {
    size_t i = home(n);
    while (keys_[i] != n) i = (i + 1) & mask_;
    // Backward shift: no tombstones.
    for (size_t j = (i + 1) & mask_; keys_[j]; j = (j + 1) & mask_) {
      size_t h = home(keys_[j]);
      if (((j - h) & mask_) >= ((j - i) & mask_)) {
        keys_[i] = keys_[j];
        slots_[i] = slots_[j];
        i = j;
      }
    }
    keys_[i] = nullptr;
    --count_;
  }

 private:
  size_t home(const TapeNode* n) const {
    return (reinterpret_cast<uintptr_t>(n) * 0x9E3779B97F4A7C15u >> 32) & mask_;
  }
  void place(const TapeNode* n, int slot) {
    size_t i = home(n);
    while (keys_[i]) i = (i + 1) & mask_;
    keys_[i] = n;
    slots_[i] = slot;
  }
  void grow() {
    auto keys = std::move(keys_);
    auto slots = std::move(slots_);
    size_t size = std::max<size_t>(32, keys.size() * 2);
    keys_.assign(size, nullptr);
    slots_.assign(size, -1);
    mask_ = size - 1;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (keys[i]) place(keys[i], slots[i]);
    }
  }
  std::vector<const TapeNode*> keys_;
  std::vector<int> slots_;
  size_t count_ = 0, mask_ = 0;
};

// A node waiting for its turn, with the gradients gathered so far.
struct Slot {
  TapeNode* node = nullptr;  // owned by the run
  Tensor few[2];
  std::vector<Tensor> many;  // nodes with more than two outputs

  Tensor& grad(uint32_t nr) { return many.empty() ? few[nr] : many[nr]; }
  std::span<Tensor> grads() {
    if (!many.empty()) return many;
    return {few, node->nouts};
  }
};

struct HeapEntry {
  uint64_t order;
  uint64_t sequence;
  int slot;
  bool operator<(const HeapEntry& o) const {  // max-heap
    return order != o.order ? order < o.order : sequence > o.sequence;
  }
};

// Owns one reference to a node.
struct NodeHolder {
  TapeNode* node;
  explicit NodeHolder(TapeNode* n) : node(n) {}
  NodeHolder(NodeHolder&& o) noexcept : node(std::exchange(o.node, nullptr)) {}
  ~NodeHolder() {
    if (node) node->release_history();
  }
};

// A place whose gradient the caller asked for.
struct Wanted {
  TapeNode* node;
  uint32_t nr;
  Tensor* result;
};

class Run final : public GatheredGrads {
 public:
  explicit Run(BackwardOptions options) : options_(options) {}
  ~Run() {
    for (Slot& s : slots_) {
      if (s.node) s.node->release_history();
    }
  }
  void want(const Edge& e, Tensor* result) {
    wanted_.push_back({e.node, e.nr, result});
    lowest_ = std::min(lowest_, e.node->order);
  }
  void seed(const Edge& e, Tensor g) { add(e, std::move(g)); }
  Tensor take(const Edge& e) override {
    const int i = where_.find(e.node);
    return i < 0 ? Tensor() : std::move(slots_[i].grad(e.nr));
  }
  void execute();

 private:
  void find_ways();
  // Does a gradient that is asked for depend on that of `n`?
  bool leads(const TapeNode* n) const;
  void add(const Edge& e, Tensor g);
  void run_hooks(Slot& s);
  void step(Slot& s);
  int new_slot(TapeNode* n);

  BackwardOptions options_;
  std::vector<Wanted> wanted_;
  uint64_t lowest_ = UINT64_MAX;
  std::vector<Slot> slots_;
  std::vector<int> free_;
  std::vector<HeapEntry> heap_;
  std::vector<Tensor> result_;
  NodeMap where_;
  // Of a pass towards inputs: the nodes that it may come by, with 1 for those
  // from which a way leads to an input.
  NodeMap seen_;
  std::vector<uint8_t> leads_;
  std::vector<uint8_t> wanted_edges_;
  uint64_t sequence_ = 0;
};

int Run::new_slot(TapeNode* n) {
  int i;
  if (free_.empty()) {
    i = static_cast<int>(slots_.size());
    slots_.emplace_back();
  } else {
    i = free_.back();
    free_.pop_back();
  }
  n->retain_history();
  slots_[i].node = n;
  if (n->nouts > 2) slots_[i].many.resize(n->nouts);
  where_.insert(n, i);
  heap_.push_back({n->order, sequence_++, i});
  std::push_heap(heap_.begin(), heap_.end());
  return i;
}

void Run::add(const Edge& e, Tensor g) {
  int i = where_.find(e.node);
  if (i < 0) i = new_slot(e.node);
  Tensor& sum = slots_[i].grad(e.nr);
  if (!sum) {
    sum = std::move(g);
  } else if (!options_.create_graph && is_ours(sum) &&
             sum.dtype() == g.dtype()) {
    op::add.inplace(sum, g);
  } else {
    sum = op::add(sum, g);
  }
}

void Run::run_hooks(Slot& s) {
  if (!s.node->extras || s.node->extras->hooks.empty()) return;
  // A hook may remove hooks: go over a copy of the list.
  auto hooks = s.node->extras->hooks;
  for (const NodeHook& h : hooks) {
    Tensor& g = s.grad(h.nr);
    if (!g || h.retain) continue;
    Tensor changed = h.call(g);
    if (!changed) continue;
    if (changed.dtype() != g.dtype() || changed.device() != g.device() ||
        Dims(changed.shape()) != Dims(g.shape())) {
      fail<AutogradError>("[register_hook] a hook returned ", changed.dtype(),
                          " ", changed.shape(), " on ", changed.device(),
                          " for a gradient that is ", g.dtype(), " ", g.shape(),
                          " on ", g.device());
    }
    g = std::move(changed);
  }
  // Last, so that `grad` shows what flows on. The list itself: a tensor that
  // died meanwhile has taken its entry out.
  for (const NodeHook& h : s.node->extras->hooks) {
    if (h.retain && s.grad(h.nr)) meta_of(h.retain).grad = s.grad(h.nr);
  }
}

void Run::step(Slot& s) {
  ProfileSpan span;
  if (profiling()) [[unlikely]]
    span.begin(s.node->name(), EventKind::backward);
  run_hooks(s);
  TapeNode* n = s.node;
  bool only_wanted = !wanted_.empty();
  for (Wanted& w : wanted_) {
    if (w.node == n && s.grad(w.nr)) *w.result = s.grad(w.nr);
  }
  if (n->nedges == 0) {
    if (only_wanted) return;
    BackwardCall call{s.grads(), {}, options_.create_graph};
    n->backward(call);
    return;
  }
  const uint8_t* wanted_edges = nullptr;
  if (only_wanted) {
    wanted_edges_.clear();
    bool any = false;
    for (uint32_t i = 0; i < n->nedges; ++i) {
      wanted_edges_.push_back(leads(n->edges[i].node));
      any |= wanted_edges_.back();
    }
    if (!any) return;
    wanted_edges = wanted_edges_.data();
  }
  std::vector<Tensor> result = std::move(result_);
  result.clear();
  result.resize(n->nedges);
  BackwardCall call{s.grads(), result, options_.create_graph, wanted_edges,
                    this};
  if (modes.anomaly) [[unlikely]] {
    backward_watched(*n, call);
  } else {
    n->backward(call);
  }
  if (!options_.retain_graph) n->release_saved();
  // Frees what is not needed any more before new memory is asked for.
  for (Tensor& g : call.grads) g = Tensor();
  for (uint32_t i = 0; i < n->nedges; ++i) {
    if (result[i] && n->edges[i].node && call.wants(i)) {
      add(n->edges[i], std::move(result[i]));
    }
  }
  result_ = std::move(result);
}

// Visits what can be reached from the outputs down to the lowest input; a
// node's order is above that of what it leads to.
void Run::find_ways() {
  std::vector<const TapeNode*> nodes;
  const auto visit = [&](const TapeNode* n) {
    if (!n || n->order < lowest_ || seen_.find(n) >= 0) return;
    seen_.insert(n, static_cast<int>(nodes.size()));
    nodes.push_back(n);
  };
  for (const HeapEntry& e : heap_) visit(slots_[e.slot].node);
  for (size_t k = 0; k < nodes.size(); ++k) {
    for (uint32_t i = 0; i < nodes[k]->nedges; ++i) {
      visit(nodes[k]->edges[i].node);
    }
  }
  leads_.assign(nodes.size(), 0);
  for (const Wanted& w : wanted_) {
    if (int i = seen_.find(w.node); i >= 0) leads_[i] = 1;
  }
  std::sort(nodes.begin(), nodes.end(),
            [](const auto* a, const auto* b) { return a->order < b->order; });
  for (const TapeNode* n : nodes) {
    uint8_t& way = leads_[seen_.find(n)];
    for (uint32_t i = 0; i < n->nedges && !way; ++i) {
      way = leads(n->edges[i].node);
    }
  }
}

bool Run::leads(const TapeNode* n) const {
  const int i = n ? seen_.find(n) : -1;
  return i >= 0 && leads_[i];
}

void Run::execute() {
  ProfileSpan span("backward", EventKind::user);
  if (!wanted_.empty()) find_ways();
  while (!heap_.empty()) {
    HeapEntry top = heap_.front();
    if (!wanted_.empty() && top.order < lowest_) return;
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
    // Taken out: `slots_` may grow and the node may appear in no later edge.
    Slot s = std::move(slots_[top.slot]);
    slots_[top.slot] = Slot{};
    where_.erase(s.node);
    free_.push_back(top.slot);
    NodeHolder holder{s.node};
    step(s);
  }
}

}  // namespace

bool is_ours(const Tensor& t) {
  return t->refs.load(std::memory_order_relaxed) == 1 && t->storage &&
         t->storage->refs.load(std::memory_order_relaxed) == 1 &&
         !is_foreign(t->storage) && t->contiguous && !t->root;
}

// Has the value of `g` and memory of its own: in a graph that takes no copy.
static Tensor symbolic_copy(const Tensor& g) {
  Tensor t = Tensor::empty(g.shape(), g.dtype(), g.device());
  t->graph_value = g->graph_value;
  t->graph_epoch = g->graph_epoch;
  return t;
}

void AccumulateGrad::backward(BackwardCall& call) {
  Tensor g = std::move(call.grads[0]);
  if (!g) return;
  std::vector<std::pair<int64_t, LeafHook>> hooks;
  Tensor held;
  while (lock.test_and_set(std::memory_order_acquire)) {
  }
  struct Unlock {
    std::atomic_flag& flag;
    ~Unlock() { flag.clear(std::memory_order_release); }
  };
  {
    Unlock unlock{lock};
    if (!leaf) return;  // nobody can see the gradient any more
    AutogradMeta& meta = meta_of(leaf);
    Tensor& sum = meta.grad;
    if (meta.used && sum && sum->storage) {
      meta.reused = sum->storage->version.load(std::memory_order_relaxed) ==
                    meta.used_version;
      meta.used = false;
    }
    if (call.create_graph) {
      sum = sum ? op::add(sum, g) : g;
    } else if (g.device().is_graph()) {
      sum = sum ? op::add(sum, g) : symbolic_copy(g);
    } else if (sum) {
      op::add.inplace(sum, g);
    } else {
      sum = is_ours(g) && !g->history ? std::move(g) : op::clone(g);
    }
    if (after.empty()) return;
    hooks = after;
    held = Tensor::share(leaf);
  }
  for (auto& [id, hook] : hooks) hook(held);
}

namespace {

// Grad mode of the pass: on only for create_graph.
struct ModeGuard {
  bool before;
  explicit ModeGuard(bool grad) : before(std::exchange(modes.grad, grad)) {}
  ~ModeGuard() { modes.grad = before; }
};

void seed_outputs(Run& run, std::span<const Tensor> outputs,
                  std::span<const Tensor> grad_outputs) {
  if (!grad_outputs.empty() && grad_outputs.size() != outputs.size()) {
    fail<AutogradError>("[backward] ", outputs.size(), " outputs but ",
                        grad_outputs.size(), " gradients");
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    TensorImpl* t = outputs[i].impl();
    if (is_stale(t)) refresh_view(t);
    if (!wants_grad(t)) {
      static const char* const kReasons[] = {
          "was computed from nothing that does; set requires_grad=True on an "
          "input",
          "was computed under no_grad() or inference_mode(), at least in part; "
          "compute it outside",
          "was computed from a tensor whose history detach() had cut; leave "
          "that detach() out"};
      fail<AutogradError>("[backward] the tensor, ", t->dtype, " ", t->sizes(),
                          ", does not require grad: it ",
                          kReasons[static_cast<int>(t->cut)]);
    }
    Tensor g = i < grad_outputs.size() ? grad_outputs[i] : Tensor();
    if (!g) {
      if (t->numel != 1) {
        fail<AutogradError>(
            "[backward] a gradient is needed for an output of shape ",
            t->sizes(),
            "; without one the output must have one element, e.g. "
            "loss.mean().backward()");
      }
      if (is_complex(t->dtype)) {
        fail<AutogradError>("[backward] a gradient is needed for a complex "
                            "output; a loss is real, e.g. abs(), real");
      }
      g = op::full(IntList(t->sizes()), 1.0, t->dtype, t->device);
    }
    if (!std::equal(g.shape().begin(), g.shape().end(), t->shape,
                    t->shape + t->ndim)) {
      fail<ShapeError>("[backward] gradient of shape ", g.shape(),
                       " for an output of shape ", t->sizes());
    }
    Edge e = edge_of(t);
    run.seed(e, g);
    e.node->release_history();
  }
}

// Runs a pass towards `inputs`; results parallel to them.
std::vector<Tensor> run_towards(std::span<const Tensor> outputs,
                                std::span<const Tensor> inputs,
                                std::span<const Tensor> grad_outputs,
                                BackwardOptions options) {
  std::vector<Tensor> results(inputs.size());
  std::vector<NodeHolder> holders;
  holders.reserve(inputs.size());
  Run run(options);
  for (size_t i = 0; i < inputs.size(); ++i) {
    TensorImpl* t = inputs[i].impl();
    if (is_stale(t)) refresh_view(t);
    if (!wants_grad(t)) {
      fail<AutogradError>("[grad] input ", i, ", ", t->dtype, " ", t->sizes(),
                          ", does not require grad; call requires_grad_() on "
                          "it before the computation");
    }
    Edge e = edge_of(t);
    holders.emplace_back(e.node);
    run.want(e, &results[i]);
  }
  ModeGuard mode(options.create_graph);
  seed_outputs(run, outputs, grad_outputs);
  run.execute();
  return results;
}

}  // namespace

std::vector<Tensor> grad(std::span<const Tensor> outputs,
                         std::span<const Tensor> inputs,
                         std::span<const Tensor> grad_outputs,
                         BackwardOptions options) {
  auto results = run_towards(outputs, inputs, grad_outputs, options);
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i] && !options.allow_unused) {
      fail<AutogradError>("[grad] input ", i, ", ", inputs[i].dtype(), " ",
                          inputs[i].shape(),
                          ", was not used to compute the outputs; pass "
                          "allow_unused=True to get None for it");
    }
  }
  return results;
}

void backward(std::span<const Tensor> outputs,
              std::span<const Tensor> grad_outputs,
              std::span<const Tensor> inputs, BackwardOptions options) {
  if (!inputs.empty()) {
    auto grads = run_towards(outputs, inputs, grad_outputs, options);
    ModeGuard mode(options.create_graph);
    for (size_t i = 0; i < grads.size(); ++i) {
      if (!grads[i]) continue;
      if (!inputs[i]->history) {
        Edge leaf = edge_of(inputs[i].impl());
        NodeHolder holder{leaf.node};
        BackwardCall call{{&grads[i], 1}, {}, options.create_graph};
        leaf.node->backward(call);
        continue;
      }
      Tensor& sum = meta_of(inputs[i].impl()).grad;
      if (sum) {
        sum = op::add(sum, grads[i]);
      } else {
        // Two inputs may have got the same tensor, which is written later.
        sum = options.create_graph ? grads[i] : op::clone(grads[i]);
      }
    }
    return;
  }
  Run run(options);
  ModeGuard mode(options.create_graph);
  seed_outputs(run, outputs, grad_outputs);
  run.execute();
}

}  // namespace ferrule
