// What helps to find mistakes: where ops were called, anomaly mode; and the
// hooks on what is saved.
#include "ferrule/ops.h"
#include "runtime/autograd/modes.h"
#include "runtime/autograd/node.h"

namespace ferrule {

// --- rare data of nodes

NodeExtras& TapeNode::more() {
  if (!extras) extras.reset(new NodeExtras);
  return *extras;
}

std::string TapeNode::edge_name(uint32_t i) const {
  return concat("input ", i);
}

std::string OpNode::edge_name(uint32_t i) const {
  const Schema& s = info->schema;
  for (int k = 0; k < s.n; ++k) {
    if (args[k].tag == ArgTag::tensor && args[k].i == i) {
      return concat("'", s.params[k].name, "'");
    }
    const int64_t at = i - args[k].i;
    if (args[k].tag == ArgTag::tensors && at >= 0 && at < args[k].n) {
      return concat("'", s.params[k].name, "[", at, "]'");
    }
  }
  return TapeNode::edge_name(i);
}

// --- call sites

CallSites call_sites{};

void set_call_sites(const CallSites& sites) { call_sites = sites; }

std::string describe_site(const char* what, uint64_t site) {
  if (!site || !call_sites.describe) return "";
  const std::string place = call_sites.describe(site);
  return place.empty() ? "" : concat("\n  ", what, " here: ", place);
}

// --- anomaly mode

AnomalyMode anomaly_mode() { return {modes.anomaly, modes.check_nan}; }
void set_anomaly_mode(AnomalyMode mode) {
  modes.anomaly = mode.on;
  modes.check_nan = mode.check_nan;
}

namespace {

std::string stack_of(const TapeNode& node) {
  if (!node.extras || node.extras->stack.empty()) {
    return "\nThe op was called before detect_anomaly was on, so that its "
           "place is unknown.";
  }
  return concat("\nThe op was called here (most recent call last):\n",
                node.extras->stack);
}

// Gradients on a device or of a graph are not looked at.
bool has_nan(const Tensor& t) {
  if (!t || !t.device().is_cpu() || !is_differentiable(t.dtype())) return false;
  NoGrad no_grad;
  const Tensor plain = t.detach();
  return *op::sum(op::cast(op::ne(plain, plain), DType::i64)).data<int64_t>();
}

}  // namespace

void backward_watched(TapeNode& node, BackwardCall& call) {
  try {
    node.backward(call);
  } catch (const Error& e) {
    const std::string text = e.what();
    if (text.find("most recent call last") != std::string::npos) throw;
    const std::string whole = text + stack_of(node);
    throw_error(e.kind(), std::initializer_list<Piece>{Piece(whole)});
  }
  if (!modes.check_nan) return;
  for (uint32_t i = 0; i < node.nedges; ++i) {
    if (!has_nan(call.result[i])) continue;
    fail<AutogradError>("[", node.name(), "] its gradient in ",
                        node.edge_name(i), " has NaN; found by detect_anomaly",
                        stack_of(node));
  }
}

// --- saved-tensor hooks

void push_saved_tensor_hook(PackHook hook) {
  modes.saved_hooks = new SavedHooks{std::move(hook), modes.saved_hooks};
}

void pop_saved_tensor_hook() {
  SavedHooks* top = modes.saved_hooks;
  if (!top) fail<RuntimeError>("no saved-tensor hook is in force");
  modes.saved_hooks = top->outer;
  delete top;
}

const PackHook* saved_tensor_hook() {
  return modes.saved_hooks ? &modes.saved_hooks->pack : nullptr;
}

}  // namespace ferrule
