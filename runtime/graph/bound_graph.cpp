// Binds a graph to sizes by running every node's `infer`.
#include "runtime/graph/bound_graph.h"

#include <algorithm>

#include "runtime/core/built.h"
#include "runtime/graph/control.h"

namespace ferrule {
namespace {

constexpr int kMaxDepth = 16;
constexpr int64_t kMaxBoundNodes = 1'000'000;

std::string dims_text(const Program& program, const Value& value) {
  std::string out = "(";
  for (size_t i = 0; i < value.dims.size(); ++i) {
    const DimSpec& d = value.dims[i];
    if (i) out += ", ";
    if (d.symbol >= 0) {
      out += program.symbols[d.symbol].name;
    } else if (d.fixed) {
      append_int(out, d.value);
    } else {
      out += '?';
    }
  }
  out += value.dims.size() == 1 ? ",)" : ")";
  return out;
}

// Has this build the code for the call? (It has its op, or the node would not
// have been read.)
void check_built(const OpCall& call) {
  constexpr const char* kWhy =
      "; it was built for other models (FERRULE_MODELS, FERRULE_OPS, "
      "FERRULE_TRAINING)";
  const auto check = [&](const TensorImpl* t) {
    if (!t || built(t->dtype)) return;
    fail<FormatError>("this runtime does not compute in ", t->dtype, kWhy);
  };
  for (int i = 0; i < call.info.schema.n; ++i) {
    if (call.is_tensor(i)) check(&call.in(i));
    if (call.args[i].tag != ArgTag::tensors) continue;
    for (const TensorImpl* t : call.list(i)) check(t);
  }
  for (int i = 0; i < call.nouts; ++i) check(call.outs[i]);
  if (!kState && writes(call.info, call.args)) {
    fail<FormatError>("this runtime changes no weights or statistics", kWhy);
  }
}

std::string value_label(const Graph& graph, int32_t id) {
  const Value& v = graph.values[id];
  return v.name.empty() ? concat("value ", id) : concat("'", v.name, "'");
}

}  // namespace

std::string declared_shape(const Program& program, const Value& value) {
  std::string out = dims_text(program, value);
  std::vector<int32_t> told;
  for (const DimSpec& d : value.dims) {
    if (d.symbol < 0 || std::count(told.begin(), told.end(), d.symbol)) {
      continue;
    }
    told.push_back(d.symbol);
    const Symbol& s = program.symbols[d.symbol];
    out += concat(", ", s.name, " in ", s.min, "..", s.max);
    if (s.multiple > 1) out += concat(", a multiple of ", s.multiple);
  }
  return out;
}

namespace {

// Sizes that are given by others: "2*T" is twice T.
void check_relations(const Program& program,
                     const std::vector<int64_t>& symbols) {
  for (size_t i = 0; i < symbols.size(); ++i) {
    const Symbol& s = program.symbols[i];
    if (s.of < 0 || symbols[i] < 0 || symbols[s.of] < 0) continue;
    const int64_t wanted = s.factor * symbols[s.of] + s.offset;
    if (symbols[i] == wanted) continue;
    fail<ShapeError>("the inputs have ", program.symbols[s.of].name, " = ",
                     symbols[s.of], " and ", s.name, " = ", symbols[i],
                     "; the latter must be ", wanted);
  }
}

}  // namespace

void check_inputs(const Graph& graph, const Signature& signature,
                  std::span<const Tensor> inputs) {
  if (inputs.size() != signature.inputs.size()) {
    fail<ValueError>("takes ", signature.inputs.size(), " inputs, got ",
                     inputs.size());
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& t = inputs[i];
    const std::string& name = signature.inputs[i];
    const DType want = graph.values[graph.inputs[i]].dtype;
    if (!t) fail<ValueError>("input '", name, "' is missing");
    if (!t.device().is_cpu()) {
      fail<DeviceError>("input '", name, "' is on ", t.device(),
                        "; move it to the cpu");
    }
    if (t.dtype() != want) {
      fail<DTypeError>("input '", name, "' is ", t.dtype(),
                       "; the model takes ", want);
    }
    if (!t.is_contiguous()) {
      fail<ValueError>("input '", name,
                       "' is not contiguous; make it so with .contiguous()");
    }
  }
}

void bind_symbols(const Program& program, const Signature& signature,
                  std::span<TensorImpl* const> inputs,
                  std::vector<int64_t>& symbols) {
  const Graph& graph = program.graphs[signature.graph];
  symbols.assign(program.symbols.size(), -1);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& v = graph.values[graph.inputs[i]];
    const TensorImpl& t = *inputs[i];
    bool fits = t.ndim == v.dims.size();
    for (int d = 0; fits && d < t.ndim; ++d) {
      const DimSpec& spec = v.dims[d];
      if (spec.symbol < 0) {
        fits = t.shape[d] == spec.value;
        continue;
      }
      const Symbol& s = program.symbols[spec.symbol];
      int64_t& bound = symbols[spec.symbol];
      if (bound >= 0 && bound != t.shape[d]) {
        fail<ShapeError>("input '", signature.inputs[i], "' has shape ",
                         t.sizes(), ", but ", s.name, " is ", bound,
                         " in an earlier input; the model takes ",
                         declared_shape(program, v));
      }
      bound = t.shape[d];
      fits = bound >= s.min && bound <= s.max && bound % s.multiple == 0;
    }
    if (!fits) {
      fail<ShapeError>("input '", signature.inputs[i], "' has shape ",
                       t.sizes(), "; the model takes ",
                       declared_shape(program, v));
    }
  }
  check_relations(program, symbols);
}

bool has_work(const OpCall& call) {
  bool work = call.nouts == 0 || writes(call.info, call.args);
  for (int i = 0; i < call.nouts; ++i) work |= call.alias[i] < 0;
  return work;
}

std::string node_tag(const Graph& graph, size_t index) {
  const Node& n = graph.nodes[index];
  return concat("node ", index, " (", n.op->name, n.where.empty() ? "" : ", ",
                n.where, "): ");
}

BoundGraph::BoundGraph(const Program& program, const Graph& g,
                       std::span<TensorImpl* const> inputs,
                       std::span<const Tensor> constants,
                       const std::vector<int64_t>& symbols, Nesting& nesting)
    : graph(g),
      controls(g.nodes.size()),
      impls(g.values.size(), nullptr),
      root(g.values.size()),
      latest(g.values.size()),
      program_(program),
      constants_(constants),
      symbols_(symbols),
      exprs_(new ExprValues(g.exprs, impls)) {
  for (size_t v = 0; v < g.values.size(); ++v) {
    root[v] = latest[v] = static_cast<int32_t>(v);
    const Value& value = g.values[v];
    const bool stored =
        value.role == ValueRole::constant || value.role == ValueRole::state;
    if (stored) impls[v] = constants[value.constant].impl();
  }
  for (size_t i = 0; i < g.inputs.size(); ++i) impls[g.inputs[i]] = inputs[i];
  nesting.nodes += static_cast<int64_t>(g.nodes.size());
  if (nesting.depth > kMaxDepth || nesting.nodes > kMaxBoundNodes) {
    fail<FormatError>("graphs run graphs ", nesting.depth, " deep and ",
                      nesting.nodes, " nodes in all; at most ", kMaxDepth,
                      " and ", kMaxBoundNodes);
  }
  ++nesting.depth;
  for (size_t i = 0; i < g.nodes.size(); ++i) {
    try {
      bind_node(i, nesting);
    } catch (Error& e) {
      e.prepend(node_tag(g, i));
      throw;
    }
  }
  --nesting.depth;
  for (int32_t id : g.outputs) known(id);
  exprs_.reset();
}

BoundGraph::~BoundGraph() = default;

void BoundGraph::bind_node(size_t index, Nesting& nesting) {
  const Node& node = graph.nodes[index];
  if constexpr (kControlFlow) {
    if (node.op->runs_graphs) return bind_control(index, nesting);
  }
  if (!node.regions.empty()) {
    fail<FormatError>("has graphs, which only control flow runs");
  }
  if (node.op->data_dependent) {
    fail<FormatError>("the size of its result depends on data, which that of ",
                      "a node cannot");
  }
  if (!node.op->infer) {
    fail<FormatError>("it is a composition: its parts stand in a graph");
  }
  OpCall& call = calls.emplace_back(*node.op);
  bind_args(node, call);
  // As while capturing: there are shapes and no data yet.
  call.device = {DeviceKind::graph, 0};
  call.op.infer(call);
  call.device = {};
  for (int i = 0; i < call.nouts; ++i) call.outs[i]->device = {};
  if (has_work(call) && !call.info.cpu) {
    fail<FormatError>("this build has no CPU kernel for it");
  }
  check_built(call);
  take_results(index, call);
  if (writes(call.info, call.args)) take_writes(index, call);
}

void BoundGraph::bind_control(size_t index, Nesting& nesting) {
  const Node& node = graph.nodes[index];
  OpCall& call = calls.emplace_back(*node.op);
  bind_args(node, call);
  controls[index] = std::make_unique<BoundControl>(
      program_, node, call, constants_, symbols_, nesting);
  const std::vector<Tensor>& results = controls[index]->results;
  if (node.outputs.size() != results.size()) {
    fail<FormatError>("has ", node.outputs.size(), " results declared, makes ",
                      results.size());
  }
  for (size_t i = 0; i < results.size(); ++i) {
    const int32_t id = node.outputs[i];
    impls[id] = results[i].impl();
    if (graph.values[id].alias_of >= 0) {
      fail<FormatError>(value_label(graph, id),
                        " is declared alias, but is a result of its own");
    }
    check_value(id);
  }
}

TensorImpl* BoundGraph::known(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= impls.size() || !impls[id]) {
    fail<FormatError>("value ", id, " is used before it is made");
  }
  // A value is gone once its next one was written over it. (Views stay: they
  // see what is there now.)
  const bool whole = root[id] == id || graph.values[id].alias_of >= 0;
  if (whole && latest[root[id]] != id) {
    fail<FormatError>(value_label(graph, id), " is used after ",
                      value_label(graph, latest[root[id]]),
                      " was written over it");
  }
  return impls[id];
}

Arg BoundGraph::bind_arg(const NodeArg& a) {
  switch (a.tag) {
    case ArgTag::none:
      return Arg();
    case ArgTag::tensor:
      return Arg(known(a.value));
    case ArgTag::tensors: {
      auto& list = lists_.emplace_back();
      for (int32_t id : a.values) {
        list.push_back(id < 0 ? nullptr : known(id));
      }
      return Arg(std::span<TensorImpl* const>(list));
    }
    case ArgTag::int_:
      return Arg(a.expr < 0 ? a.i : (*exprs_)(a.expr));
    case ArgTag::float_:
      return Arg(a.f);
    case ArgTag::bool_:
      return Arg(a.b);
    case ArgTag::ints: {
      auto& list = ints_.emplace_back();
      for (const Int& v : a.ints) {
        list.emplace_back(v.expr < 0 ? v.value : (*exprs_)(v.expr));
      }
      return Arg(std::span<const Int>(list));
    }
    case ArgTag::str:
      return Arg(a.str);
    case ArgTag::dtype:
      return Arg(a.dtype);
    case ArgTag::device:
      return Arg(a.device);
  }
  return Arg();
}

void BoundGraph::bind_args(const Node& node, OpCall& call) {
  Arg args[kMaxArgs];
  for (size_t i = 0; i < node.args.size(); ++i)
    args[i] = bind_arg(node.args[i]);
  call.bind(args, static_cast<int>(node.args.size()));
}

void BoundGraph::take_results(size_t index, OpCall& call) {
  const Node& node = graph.nodes[index];
  const size_t nouts = static_cast<size_t>(call.nouts);
  if (node.outputs.size() < nouts) {
    fail<FormatError>("has ", node.outputs.size(), " results declared, makes ",
                      nouts);
  }
  if (!writes(call.info, call.args) && node.outputs.size() != nouts) {
    fail<FormatError>("has ", node.outputs.size(), " results declared, makes ",
                      nouts);
  }
  for (size_t i = 0; i < nouts; ++i) {
    const int32_t id = node.outputs[i];
    impls[id] = call.outs[i];
    if (call.alias[i] >= 0) {
      const NodeArg& from = node.args[call.alias[i]];
      if (from.tag != ArgTag::tensor) {
        fail<FormatError>("result ", i, " looks into no tensor");
      }
      root[id] = root[from.value];
    }
    if (graph.values[id].alias_of >= 0) {
      fail<FormatError>(value_label(graph, id),
                        " is declared alias, but is a result of its own");
    }
    check_value(id);
    check_view(id);
  }
}

// The new values of `Tensor!` arguments follow the results. They are the same
// memory, so the tensor header is the same too.
void BoundGraph::take_writes(size_t index, OpCall& call) {
  const Node& node = graph.nodes[index];
  size_t next = static_cast<size_t>(call.nouts);
  const auto take = [&](int32_t value) {
    if (next >= node.outputs.size()) {
      fail<FormatError>("declares ", node.outputs.size(),
                        " results, fewer than it makes and writes");
    }
    write(value, node.outputs[next++]);
  };
  const Schema& schema = call.info.schema;
  for (int p = 0; p < schema.n; ++p) {
    if (!schema.params[p].mutated) continue;
    const NodeArg& a = node.args[p];
    if (a.tag == ArgTag::tensor) take(a.value);
    if (a.tag != ArgTag::tensors) continue;
    for (int32_t id : a.values) {
      if (id >= 0) take(id);
    }
  }
  if (next != node.outputs.size()) {
    fail<FormatError>("declares ", node.outputs.size(), " results, makes and ",
                      "writes ", next);
  }
}

void BoundGraph::write(int32_t value, int32_t result) {
  const Value& owner = graph.values[root[value]];
  if (owner.role == ValueRole::input || owner.role == ValueRole::constant) {
    fail<FormatError>("writes into ", value_label(graph, root[value]),
                      ", which is not state");
  }
  if (graph.values[result].alias_of != value) {
    fail<FormatError>("writes ", value_label(graph, value), ", but ",
                      value_label(graph, result),
                      " is not declared as its new value");
  }
  if (latest[root[value]] != value) {
    fail<FormatError>("writes into ", value_label(graph, value),
                      ", which is a view or is written twice");
  }
  impls[result] = impls[value];
  root[result] = root[value];
  latest[root[value]] = result;
  check_value(result);
}

// What `infer` found against what is declared.
void BoundGraph::check_value(int32_t id) {
  const Value& v = graph.values[id];
  const TensorImpl& t = *impls[id];
  bool same = v.dtype == t.dtype && v.dims.size() == t.ndim;
  for (int d = 0; same && d < t.ndim; ++d) {
    const DimSpec& spec = v.dims[d];
    if (spec.symbol >= 0) {
      const int64_t bound = symbols_[spec.symbol];
      same = bound == t.shape[d];
    } else if (spec.fixed) {
      same = spec.value == t.shape[d];
    }
  }
  if (!same) {
    fail<FormatError>(value_label(graph, id), " is ", t.dtype, " ", t.sizes(),
                      ", but is declared ", v.dtype, " ",
                      declared_shape(program_, v));
  }
}

// However a view came about, it stays inside the memory that it looks into.
void BoundGraph::check_view(int32_t id) {
  if (root[id] == id) return;
  const TensorImpl& t = *impls[id];
  const TensorImpl& base = *impls[root[id]];
  int64_t low = t.offset, high = t.offset;
  // Complex numbers and their parts look into each other's memory.
  bool inside = to_real(t.dtype) == to_real(base.dtype);
  checked_numel(t.sizes());
  for (int d = 0; inside && d < t.ndim && t.numel; ++d) {
    int64_t reach = 0;
    int64_t& end = t.strides[d] < 0 ? low : high;
    inside = !__builtin_mul_overflow(t.shape[d] - 1, t.strides[d], &reach) &&
             !__builtin_add_overflow(end, reach, &end);
  }
  const int64_t begin = base.offset * itemsize(base.dtype);
  const int64_t end = begin + base.nbytes();
  const int64_t size = itemsize(t.dtype);
  if (t.numel && (low < (begin + size - 1) / size || high >= end / size)) {
    inside = false;
  }
  if (!inside) {
    fail<FormatError>(value_label(graph, id), " reaches outside ",
                      value_label(graph, root[id]));
  }
}

}  // namespace ferrule
