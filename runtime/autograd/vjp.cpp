// What gradient rules see (Vjp), and the rule of ops that only decompose.
#include "ferrule/ops.h"
#include "runtime/autograd/autocast.h"
#include "runtime/autograd/modes.h"
#include "runtime/autograd/node.h"

namespace ferrule {
namespace {

// One application of a rule.
struct VjpState {
  OpNode& node;
  BackwardCall& call;
  std::vector<Tensor> unpacked_list;
};

VjpState& state_of(const Vjp& v) { return *static_cast<VjpState*>(v.state); }

int first_record(const Vjp& v, int i) { return static_cast<int>(v.args[i].i); }
const TensorRecord& record_of(const Vjp& v, int i) {
  return state_of(v).node.inputs[first_record(v, i)];
}

// Sizes of a record, with expressions while capturing.
Int record_size(const TensorRecord& r, int dim) {
  if (!r.device.is_graph()) return r.shape()[dim];
  TensorImpl t;
  t.device = r.device;
  t.graph_value = r.graph_value;
  t.graph_epoch = r.graph_epoch;
  t.ndim = r.ndim;
  std::copy(r.shape().begin(), r.shape().end(), t.shape);
  return size_of(&t, dim);
}

// Sums what broadcasting had repeated.
Tensor sum_to(Tensor g, const TensorRecord& r) {
  auto want = r.shape();
  int lead = g.ndim() - static_cast<int>(want.size());
  IntList dims;
  for (int i = 0; i < lead; ++i) dims.push(i);
  for (size_t i = 0; i < want.size(); ++i) {
    if (want[i] == 1 && g.size(lead + i) != 1) dims.push(lead + i);
  }
  if (dims.n) g = op::sum(g, dims, true);
  if (lead == 0) return g;
  IntList shape;
  for (size_t i = 0; i < want.size(); ++i) shape.push(record_size(r, i));
  return op::reshape(g, shape);
}

void set_record(const Vjp& v, int record, Tensor g) {
  VjpState& s = state_of(v);
  if (!g || !s.node.edges[record].node || !s.call.wants(record)) return;
  const TensorRecord& r = s.node.inputs[record];
  auto want = r.shape();
  if (!std::equal(want.begin(), want.end(), g.shape().begin(),
                  g.shape().end())) {
    g = sum_to(std::move(g), r);
  }
  if (!std::equal(want.begin(), want.end(), g.shape().begin(),
                  g.shape().end())) {
    fail<RuntimeError>("[", v.info.op->name, "] its gradient rule gave shape ",
                       g.shape(), " for an argument of shape ", want);
  }
  if (g.dtype() != r.dtype) g = op::cast(g, r.dtype);
  Tensor& slot = s.call.result[record];
  slot = slot ? op::add(slot, g) : std::move(g);
}

}  // namespace

Tensor Vjp::grad(int i) { return state_of(*this).call.grads[i]; }
bool Vjp::has_grad(int i) const {
  return static_cast<bool>(state_of(*this).call.grads[i]);
}
bool Vjp::may_overwrite() const {
  const BackwardCall& call = state_of(*this).call;
  return !call.create_graph && is_ours(call.grads[0]);
}
bool Vjp::may_overwrite(const Tensor& ours) const {
  return !state_of(*this).call.create_graph && is_ours(ours);
}
Tensor Vjp::take_sum(int i) {
  const VjpState& s = state_of(*this);
  const int record = first_record(*this, i);
  const Edge& edge = s.node.edges[record];
  if (!s.call.gathered || !edge.node || !s.call.wants(record)) return {};
  return s.call.gathered->take(edge);
}
Tensor Vjp::in(int i) {
  if (!has(i)) return {};
  return state_of(*this).node.unpack_input(first_record(*this, i));
}
Tensor Vjp::out(int i) { return state_of(*this).node.unpack_output(i); }
bool Vjp::has(int i) const { return !args[i].is_none(); }

std::span<const Tensor> Vjp::list(int i) {
  VjpState& s = state_of(*this);
  s.unpacked_list.clear();
  for (int k = 0; k < args[i].n; ++k) {
    int r = first_record(*this, i) + k;
    s.unpacked_list.push_back(s.node.inputs[r].given ? s.node.unpack_input(r)
                                                     : Tensor());
  }
  return s.unpacked_list;
}

IntList Vjp::sizes(int i) const {
  const TensorRecord& r = record_of(*this, i);
  IntList l;
  for (int d = 0; d < r.ndim; ++d) l.push(record_size(r, d));
  return l;
}
Int Vjp::size(int i, int dim) const {
  return record_size(record_of(*this, i), dim);
}
int Vjp::ndim(int i) const { return record_of(*this, i).ndim; }
DType Vjp::dtype(int i) const { return record_of(*this, i).dtype; }
Int Vjp::numel(int i) const {
  Int n = 1;
  for (int d = 0; d < ndim(i); ++d) n = n * size(i, d);
  return n;
}

bool Vjp::needs(int i) const {
  return args[i].tag == ArgTag::tensor && needs_list(i, 0);
}
bool Vjp::needs_list(int i, int k) const {
  const VjpState& s = state_of(*this);
  const int record = first_record(*this, i) + k;
  return s.node.edges[record].node && s.call.wants(record);
}
void Vjp::set(int i, Tensor g) {
  if (args[i].tag == ArgTag::tensor) {
    set_record(*this, first_record(*this, i), std::move(g));
  }
}
void Vjp::set_list(int i, int k, Tensor g) {
  set_record(*this, first_record(*this, i) + k, std::move(g));
}

// --- gradient by decomposition ----------------------------------------------

namespace {

// Stands between a shadow input and its history: the inner pass stops here, an
// outer one (create_graph) goes on through the edge.
struct ShadowNode final : TapeNode {
  Edge edge;
  const char* name() const override { return "decompose"; }
  void backward(BackwardCall& call) override { call.result[0] = call.grads[0]; }
  void free() override { delete this; }
};

Tensor shadow_of(Tensor t, const Edge& outer, bool create_graph) {
  Tensor s = t.detach();
  auto* n = new ShadowNode;
  if (create_graph) {
    outer.node->retain_history();
    n->edge = outer;
    n->edges = &n->edge;
    n->nedges = 1;
    n->order = outer.node->order + 1;
  }
  set_history(s.impl(), n, 0);
  return s;
}

// Runs the op again, recorded, on shadows of its inputs, and differentiates.
void backward_by_decompose(OpNode& node, BackwardCall& call) {
  std::vector<Tensor> inputs(node.nedges);
  std::vector<TensorImpl*> pointers(node.nedges);
  std::vector<Tensor> wanted;
  std::vector<uint32_t> wanted_at;
  for (uint32_t r = 0; r < node.nedges; ++r) {
    if (!node.inputs[r].given) continue;
    inputs[r] = node.unpack_input(r);
    if (node.edges[r].node && call.wants(r)) {
      inputs[r] = shadow_of(inputs[r], node.edges[r], call.create_graph);
      wanted.push_back(inputs[r]);
      wanted_at.push_back(r);
    }
    pointers[r] = inputs[r].impl();
  }
  OpCall c(*node.info->op);
  const Schema& s = node.info->schema;
  for (int i = 0; i < s.n; ++i) {
    c.args[i] = node.args[i];
    if (c.args[i].tag == ArgTag::tensor) {
      c.args[i].tensor = pointers[node.args[i].i];
    } else if (c.args[i].tag == ArgTag::tensors) {
      c.args[i].tensors = pointers.data() + node.args[i].i;
    }
  }
  bool before = std::exchange(modes.grad, true);
  std::vector<Tensor> outputs, grads;
  try {
    Results r = node.info->op->decompose(c);
    for (uint32_t i = 0; i < node.nouts; ++i) {
      if (!call.grads[i] || !wants_grad(r[i].impl())) continue;
      outputs.push_back(r[i]);
      grads.push_back(call.grads[i]);
    }
    if (!outputs.empty()) {
      auto result = grad(outputs, wanted, grads,
                         {.retain_graph = call.create_graph,
                          .create_graph = call.create_graph,
                          .allow_unused = true});
      for (size_t k = 0; k < wanted.size(); ++k) {
        call.result[wanted_at[k]] = result[k];
      }
    }
  } catch (...) {
    modes.grad = before;
    throw;
  }
  modes.grad = before;
}

}  // namespace

void OpNode::backward(BackwardCall& call) {
  if (released) {
    fail<AutogradError>(
        "[", name(),
        "] backward a second time: the saved tensors of this "
        "graph were freed by the first pass; pass retain_graph=True to it",
        describe_site("computed", site));
  }
  const AutocastOff off;
  if (!info->op->vjp) {
    backward_by_decompose(*this, call);
    return;
  }
  VjpState state{*this, call, {}};
  Vjp v{*info, args, &state};
  info->op->vjp(v);
}

}  // namespace ferrule
