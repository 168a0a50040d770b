// Public functions on a tensor's gradient, hooks, and custom functions.
#include <algorithm>
#include <atomic>
#include <unordered_set>
#include <vector>

#include "ferrule/ops.h"
#include "runtime/autograd/modes.h"
#include "runtime/autograd/node.h"

namespace ferrule {

void set_requires_grad(const Tensor& t, bool on) {
  if (on && !is_differentiable(t.dtype())) {
    fail<AutogradError>("only floating-point tensors can require grad, got ",
                        t.dtype(), "; convert with .float()");
  }
  if (requires_grad(t) && t->history) {
    if (on) return;
    fail<AutogradError>(
        "requires_grad can only be switched off for leaf tensors; this one is "
        "the result of '",
        static_cast<TapeNode*>(t->history)->name(), "': use detach()");
  }
  t->requires_grad = on;
}

bool requires_grad(const Tensor& t) {
  if (is_stale(t.impl())) refresh_view(t.impl());
  return wants_grad(t.impl());
}

Tensor grad_of(const Tensor& t) {
  return t->grad ? static_cast<AutogradMeta*>(t->grad)->grad : Tensor();
}

void set_grad(const Tensor& t, const Tensor& g) {
  if (g) {
    if (g.device() != t.device() && !g.device().is_graph()) {
      fail<DeviceError>("grad is on ", g.device(), ", its tensor on ",
                        t.device());
    }
    if (!std::equal(g.shape().begin(), g.shape().end(), t.shape().begin(),
                    t.shape().end())) {
      fail<ShapeError>("grad of shape ", g.shape(), " for a tensor of shape ",
                       t.shape());
    }
    if (g.dtype() != t.dtype()) {
      fail<DTypeError>("grad of dtype ", g.dtype(), " for a tensor of ",
                       t.dtype());
    }
  }
  if (!g && !t->grad) return;
  AutogradMeta& m = meta_of(t.impl());
  m.grad = g;
  m.used = m.reused = false;
}

namespace {

std::atomic<int64_t> next_hook{1};

TapeNode* node_for_hook(const Tensor& t, const char* what) {
  if (is_stale(t.impl())) refresh_view(t.impl());
  Edge e = edge_of(t.impl());
  if (!e.node) {
    fail<AutogradError>("[", what, "] the tensor does not require grad");
  }
  e.node->release_history();  // the tensor holds it
  return e.node;
}

// Shares a node, as std::function wants to copy it.
std::shared_ptr<TapeNode> share_node(TapeNode* n) {
  n->retain_history();
  return {n, [](TapeNode* node) { node->release_history(); }};
}

}  // namespace

RemoveHook add_tensor_hook(const Tensor& t, TensorHook hook) {
  TapeNode* n = node_for_hook(t, "register_hook");
  int64_t id = next_hook++;
  n->more().hooks.push_back(
      {id, t->history ? t->history_nr : 0, std::move(hook)});
  return [node = share_node(n), id] {
    std::erase_if(node->extras->hooks,
                  [&](const NodeHook& h) { return h.id == id && !h.retain; });
  };
}

size_t count_hooks(const TensorImpl* leaf) {
  const auto* meta = static_cast<const AutogradMeta*>(leaf->grad);
  const AccumulateGrad* a = meta ? meta->accumulator.load() : nullptr;
  if (!a) return 0;
  return a->after.size() + (a->extras ? a->extras->hooks.size() : 0);
}

void copy_hooks(const Tensor& from, const Tensor& to) {
  if (count_hooks(from.impl()) == 0) return;
  const auto leaf = [](const Tensor& t) {
    return static_cast<AccumulateGrad*>(node_for_hook(t, "compile"));
  };
  const AccumulateGrad& a = *leaf(from);
  AccumulateGrad& b = *leaf(to);
  b.after = a.after;
  if (a.extras) b.more().hooks = a.extras->hooks;
}

void retain_grad(const Tensor& t) {
  if (!t->history && t->requires_grad) return;  // leaves keep theirs
  TapeNode* n = node_for_hook(t, "retain_grad");
  AutogradMeta& m = meta_of(t.impl());
  if (m.retained) return;
  n->more().hooks.push_back({0, t->history_nr, nullptr, t.impl()});
  n->retain_history();
  m.retained = n;
}

RemoveHook add_post_accumulate_hook(const Tensor& leaf, LeafHook hook) {
  if (leaf->history || !leaf->requires_grad) {
    fail<AutogradError>(
        "[register_post_accumulate_grad_hook] only leaf tensors that require "
        "grad accumulate one");
  }
  auto* a = static_cast<AccumulateGrad*>(
      node_for_hook(leaf, "register_post_accumulate_grad_hook"));
  int64_t id = next_hook++;
  a->after.emplace_back(id, std::move(hook));
  return [node = share_node(a), a, id] {
    std::erase_if(a->after, [&](const auto& h) { return h.first == id; });
  };
}

bool note_gradients_used(std::span<const Tensor> leaves) {
  bool reused = false;
  for (const Tensor& t : leaves) {
    if (!t->grad) continue;
    AutogradMeta& m = meta_of(t.impl());
    if (!m.grad || !m.grad->storage) continue;
    reused |= m.reused;
    m.used = true;
    m.reused = false;
    m.used_version = m.grad->storage->version.load(std::memory_order_relaxed);
  }
  return reused;
}

// --- custom functions -------------------------------------------------------

namespace {

thread_local TapeNode* running = nullptr;

struct FunctionNode final : TapeNode {
  std::string title;
  BackwardFn rule;
  std::function<void()> release;
  std::vector<Edge> links;
  std::vector<Dims> shapes;  // of the inputs
  std::vector<DType> dtypes;

  const char* name() const override { return title.c_str(); }
  void free() override { delete this; }
  void release_saved() override {
    if (release) release();
  }

  void backward(BackwardCall& call) override {
    std::vector<Tensor> grads(call.grads.begin(), call.grads.end());
    struct Running {
      TapeNode* outer;
      explicit Running(TapeNode* n) : outer(std::exchange(running, n)) {}
      ~Running() { running = outer; }
    };
    std::vector<Tensor> result = [&] {
      Running now(this);
      return rule(grads);
    }();
    if (result.size() != nedges) {
      fail<AutogradError>("[", title, "] backward returned ", result.size(),
                          " gradients; forward took ", nedges, " tensors");
    }
    for (uint32_t i = 0; i < nedges; ++i) {
      if (!result[i] || !links[i].node) continue;
      if (Dims(result[i].shape()) != shapes[i]) {
        fail<ShapeError>("[", title, "] backward returned a gradient of shape ",
                         result[i].shape(), " for input ", i, " of shape ",
                         shapes[i]);
      }
      call.result[i] = result[i].dtype() == dtypes[i]
                           ? std::move(result[i])
                           : op::cast(result[i], dtypes[i]);
    }
  }
};

}  // namespace

namespace {

// Visits the nodes that `outputs` come from, each once, until one says true.
template <class Visit>
bool any_node(std::span<const Tensor> outputs, const Visit& visit) {
  std::unordered_set<TapeNode*> seen;
  std::vector<TapeNode*> open;
  for (const Tensor& t : outputs) {
    if (is_stale(t.impl())) refresh_view(t.impl());
    open.push_back(static_cast<TapeNode*>(t->history));
  }
  while (!open.empty()) {
    TapeNode* node = open.back();
    open.pop_back();
    if (!node || !seen.insert(node).second) continue;
    if (visit(node)) return true;
    for (uint32_t i = 0; i < node->nedges; ++i) {
      open.push_back(node->edges[i].node);
    }
  }
  return false;
}

}  // namespace

bool depends_on_other_leaves(std::span<const Tensor> outputs,
                             std::span<const Tensor> leaves) {
  const auto is_other = [&](const TensorImpl* t) {
    return t && std::none_of(leaves.begin(), leaves.end(),
                             [&](const Tensor& l) { return l.impl() == t; });
  };
  for (const Tensor& t : outputs) {
    if (t->requires_grad && !t->history && is_other(t.impl())) return true;
  }
  return any_node(outputs, [&](TapeNode* node) {
    auto* end = dynamic_cast<AccumulateGrad*>(node);
    if (!end) return false;
    while (end->lock.test_and_set(std::memory_order_acquire)) {
    }
    const bool other = is_other(end->leaf);
    end->lock.clear(std::memory_order_release);
    return other;
  });
}

std::string custom_function_behind(std::span<const Tensor> outputs) {
  std::string found;
  any_node(outputs, [&](TapeNode* node) {
    if (dynamic_cast<FunctionNode*>(node)) found = node->name();
    return !found.empty();
  });
  return found;
}

std::vector<Tensor> custom_function(CustomFunction f,
                                    std::span<const Tensor> inputs,
                                    std::span<const Tensor> outputs) {
  std::vector<Tensor> result;
  bool recorded = false;
  for (const Tensor& t : inputs) {
    if (is_stale(t.impl())) refresh_view(t.impl());
    recorded |= wants_grad(t.impl());
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor& t = outputs[i];
    const bool written = i < 64 && (f.written >> i & 1) != 0;
    if (written && t->requires_grad && !t->history && modes.grad) {
      fail<AutogradError>("[", f.name, "] output ", i,
                          " is a leaf that requires grad and was written in "
                          "place; return a new tensor, or call it with a "
                          "clone()");
    }
    result.push_back(written ? t : t.detach());
  }
  if (!recorded || !modes.grad || result.empty()) return result;

  auto* node = new FunctionNode;
  node->title = f.name;
  node->rule = std::move(f.backward);
  node->release = std::move(f.release);
  node->nouts = static_cast<uint32_t>(outputs.size());
  for (const Tensor& t : inputs) {
    Edge e = edge_of(t.impl());
    if (e.node) node->order = std::max(node->order, e.node->order + 1);
    node->links.push_back(e);
    node->shapes.emplace_back(t.shape());
    node->dtypes.push_back(t.dtype());
  }
  node->edges = node->links.data();
  node->nedges = static_cast<uint32_t>(node->links.size());
  note_site(*node);
  for (size_t i = 0; i < result.size(); ++i) {
    if (!is_differentiable(result[i].dtype())) continue;
    node->retain_history();
    const auto nr = static_cast<uint32_t>(i);
    if (result[i].impl() == outputs[i].impl()) {
      rebind_history(result[i].impl(), node, nr);
    } else {
      set_history(result[i].impl(), node, nr);
    }
  }
  node->release_history();
  return result;
}

History* running_function() { return running; }

Tensor with_history(const Tensor& t, History* node, uint32_t nr) {
  Tensor r = t.detach();
  node->retain_history();
  set_history(r.impl(), static_cast<TapeNode*>(node), nr);
  return r;
}

std::string history_name(const Tensor& t) {
  if (t->history) return static_cast<TapeNode*>(t->history)->name();
  return t->requires_grad ? "AccumulateGrad" : "";
}

Leaves::Leaves(std::vector<Tensor> tensors) {
  for (Tensor& t : tensors) {
    if (!t->history) continue;
    kept_.push_back({t, t->history, t->history_nr, t->requires_grad});
    t->history = nullptr;
    t->history_nr = 0;
    t->requires_grad = true;
  }
}

void Leaves::restore() noexcept {
  for (Kept& k : kept_) {
    k.tensor->history = k.history;
    k.tensor->history_nr = k.nr;
    k.tensor->requires_grad = k.requires_grad;
  }
  kept_.clear();
}

}  // namespace ferrule
