// What must hold of a program before anything runs it: docs/format.md, steps 3
// and 4 of the verification.
#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "ferrule/program.h"
#include "runtime/graph/bound_graph.h"

namespace ferrule {
namespace {

constexpr size_t kMaxSignatures = 256;

using Names = std::unordered_set<std::string_view>;

void check_unique(Names& names, std::string_view name, const char* what) {
  if (name.empty()) fail<FormatError>("a ", what, " without a name");
  if (!names.insert(name).second) {
    fail<FormatError>("two ", what, "s are named '", name, "'");
  }
}

bool in_range(int64_t id, size_t n) {
  return id >= 0 && static_cast<uint64_t>(id) < n;
}

// Bounds within which `factor * size + offset` cannot overflow.
constexpr int64_t kMaxFactor = int64_t{1} << 20;
constexpr int64_t kMaxOffset = int64_t{1} << 40;

void check_relation(const Program& p, size_t index) {
  const Symbol& s = p.symbols[index];
  if (s.of == -1) return;
  if (!in_range(s.of, index) || p.symbols[s.of].of != -1) {
    fail<FormatError>("symbol '", s.name, "' is given by symbol ", s.of,
                      ", which must be an earlier one that is free");
  }
  if (s.factor < 1 || s.factor > kMaxFactor || s.offset < -kMaxOffset ||
      s.offset > kMaxOffset) {
    fail<FormatError>("symbol '", s.name, "' is ", s.factor, " * '",
                      p.symbols[s.of].name, "' + ", s.offset,
                      "; factors are in 1..", kMaxFactor,
                      " and offsets at most ", kMaxOffset);
  }
}

void check_symbols(const Program& p) {
  Names names;
  for (size_t i = 0; i < p.symbols.size(); ++i) {
    const Symbol& s = p.symbols[i];
    check_relation(p, i);
    check_unique(names, s.name, "symbol");
    if (s.min < 0 || s.min > s.max || s.max > kMaxNumel || s.multiple < 1) {
      fail<FormatError>("symbol '", s.name, "' has the range ", s.min, "..",
                        s.max, " in steps of ", s.multiple);
    }
  }
}

void check_constants(const Program& p) {
  Names names;
  for (const Constant& c : p.constants) {
    check_unique(names, c.name, "constant");
    if (!c.data || !c.data.is_contiguous() || !c.data.device().is_cpu()) {
      fail<FormatError>("constant '", c.name,
                        "' must be a contiguous CPU tensor");
    }
  }
}

// Values, and who makes each of them.
class GraphCheck {
 public:
  GraphCheck(const Program& program, const Graph& graph)
      : p_(program), g_(graph), made_(graph.values.size()) {}

  void run() {
    for (size_t i = 0; i < g_.values.size(); ++i) check_value(i);
    for (size_t i = 0; i < g_.exprs.size(); ++i) check_expr(i);
    for (int32_t id : g_.inputs) make(id, ValueRole::input, "an input");
    for (size_t n = 0; n < g_.nodes.size(); ++n) {
      const Node& node = g_.nodes[n];
      if (!node.op ||
          node.args.size() != static_cast<size_t>(info_of(*node.op).schema.n)) {
        fail<FormatError>("node ", n, " has no op or not all its arguments");
      }
      // Earlier graphs only: no graph runs itself.
      for (int32_t r : node.regions) {
        if (!in_range(r, static_cast<size_t>(&g_ - p_.graphs.data()))) {
          fail<FormatError>("node ", n, " runs graph ", r,
                            ", which does not stand before its own");
        }
      }
      for (int32_t id : node.outputs) make(id, ValueRole::temp, "a result");
    }
    for (size_t i = 0; i < g_.values.size(); ++i) {
      if (!made_[i]) fail<FormatError>("nothing makes value ", i);
    }
    for (int32_t id : g_.outputs) {
      if (!in_range(id, g_.values.size())) {
        fail<FormatError>("output value ", id, " of ", g_.values.size());
      }
    }
  }

 private:
  void check_value(size_t i) {
    const Value& v = g_.values[i];
    if (!v.name.empty()) check_unique(names_, v.name, "value");
    for (const DimSpec& d : v.dims) {
      const bool bad_symbol =
          d.symbol >= 0 && !in_range(d.symbol, p_.symbols.size());
      if (bad_symbol || d.value < 0 || (d.symbol >= 0 && d.fixed)) {
        fail<FormatError>("value ", i, " has a bad dimension");
      }
    }
    if (v.dims.size() > kMaxRank) {
      fail<FormatError>("value ", i, " has ", v.dims.size(), " dimensions");
    }
    const bool stored =
        v.role == ValueRole::constant || v.role == ValueRole::state;
    if (stored) {
      check_stored(i);
      made_[i] = true;
    } else if (v.constant != -1) {
      fail<FormatError>("value ", i, " names a constant, but is not one");
    }
    if (v.alias_of != -1 && (v.role != ValueRole::temp ||
                             !in_range(v.alias_of, g_.values.size()))) {
      fail<FormatError>("value ", i, " is alias of value ", v.alias_of);
    }
  }

  // Whether its value is known where it is used is found when it is (exprs.h).
  void check_expr(size_t i) {
    const Expr& e = g_.exprs[i];
    if (e.kind == Expr::Kind::size) {
      if (!in_range(e.a, g_.values.size())) {
        fail<FormatError>("size expression ", i, " is dimension ", e.b,
                          " of value ", e.a, " of ", g_.values.size());
      }
      const size_t ndim = g_.values[e.a].dims.size();
      if (in_range(e.b, ndim)) return;
      fail<FormatError>("size expression ", i, " is dimension ", e.b,
                        " of value ", e.a, ", which has ", ndim);
    }
    if (e.kind == Expr::Kind::op && !(in_range(e.a, i) && in_range(e.b, i))) {
      fail<FormatError>("size expression ", i,
                        " uses one that does not stand before it");
    }
  }

  void check_stored(size_t i) {
    const Value& v = g_.values[i];
    if (!in_range(v.constant, p_.constants.size())) {
      fail<FormatError>("value ", i, " is constant ", v.constant, " of ",
                        p_.constants.size());
    }
    const Constant& c = p_.constants[v.constant];
    bool same = v.dtype == c.data.dtype() &&
                v.dims.size() == static_cast<size_t>(c.data.ndim());
    for (int d = 0; same && d < c.data.ndim(); ++d) {
      same = v.dims[d].fixed && v.dims[d].value == c.data.size(d);
    }
    if (!same) {
      fail<FormatError>("value ", i, " differs in dtype or shape from '",
                        c.name, "', ", c.data.dtype(), " ", c.data.shape());
    }
    // Two values of one state would be written apart and share memory.
    if (!stored_.insert(v.constant).second) {
      fail<FormatError>("two values of one graph are '", c.name, "'");
    }
  }

  void make(int32_t id, ValueRole role, const char* what) {
    if (!in_range(id, g_.values.size())) {
      fail<FormatError>(what, " is value ", id, " of ", g_.values.size());
    }
    if (g_.values[id].role != role) {
      fail<FormatError>("value ", id, " is ", what, ", but declared otherwise");
    }
    if (made_[id]) fail<FormatError>("value ", id, " is made twice");
    made_[id] = true;
  }

  const Program& p_;
  const Graph& g_;
  std::vector<bool> made_;
  Names names_;
  std::unordered_set<int32_t> stored_;
};

void check_names(const std::vector<std::string>& names, size_t n,
                 const char* what) {
  if (names.size() != n) {
    fail<FormatError>(names.size(), " names for ", n, " ", what, "s");
  }
  Names seen;
  for (const std::string& name : names) check_unique(seen, name, what);
}

void check_updates(const Program& p, const Signature& s, const Graph& g) {
  std::unordered_set<int32_t> seen;
  for (const StateUpdate& u : s.state_updates) {
    if (!in_range(u.constant, p.constants.size()) ||
        !in_range(u.value, g.values.size())) {
      fail<FormatError>("state update of constant ", u.constant, " by value ",
                        u.value);
    }
    const Constant& c = p.constants[u.constant];
    if (!seen.insert(u.constant).second) {
      fail<FormatError>("'", c.name, "' is updated twice");
    }
  }
}

// Whatever a graph writes in place must be said, so that a reader of the
// signature knows what it changes.
void check_writes(const Program& p, const Signature& s, const BoundGraph& b) {
  std::unordered_set<int32_t> updated;
  for (const StateUpdate& u : s.state_updates) updated.insert(u.constant);
  for (size_t v = 0; v < b.latest.size(); ++v) {
    const Value& value = b.graph.values[v];
    if (b.latest[v] == static_cast<int32_t>(v) ||
        updated.count(value.constant) || value.role != ValueRole::state) {
      continue;
    }
    fail<FormatError>("'", p.constants[value.constant].name,
                      "' is written, but is not among the state updates");
  }
}

// Graphs that nodes run. Their sizes come from the node; they write nothing but
// what is their own, and see no weight that a signature changes.
void check_regions(const Program& p) {
  std::vector<bool> region(p.graphs.size());
  for (const Graph& g : p.graphs) {
    for (const Node& n : g.nodes) {
      for (int32_t r : n.regions) region[r] = true;
    }
  }
  std::unordered_set<int32_t> changed;
  for (const Signature& s : p.signatures) {
    for (const StateUpdate& u : s.state_updates) changed.insert(u.constant);
    if (region[s.graph]) {
      fail<FormatError>("[", s.key, "] its graph is run by a node, too");
    }
  }
  for (size_t i = 0; i < p.graphs.size(); ++i) {
    if (!region[i]) continue;
    for (const Value& v : p.graphs[i].values) {
      if (v.role != ValueRole::state &&
          !(v.role == ValueRole::constant && changed.count(v.constant))) {
        continue;
      }
      fail<FormatError>("graph ", i, ", which a node runs, looks at '",
                        p.constants[v.constant].name,
                        "', which may change meanwhile");
    }
  }
}

// Sizes of inputs come from the caller: each is fixed or has a name.
void check_inputs(const Graph& g) {
  for (int32_t id : g.inputs) {
    for (const DimSpec& d : g.values[id].dims) {
      if (d.symbol >= 0 || d.fixed) continue;
      fail<FormatError>("input value ", id, " has a dimension without a name");
    }
  }
}

// Runs the ops' own `infer` over the declared types.
void check_types(const Program& p, const Signature& s) {
  const Graph& g = p.graphs[s.graph];
  std::vector<Tensor> inputs;
  std::vector<TensorImpl*> impls;
  for (int32_t id : g.inputs) {
    Tensor t = Tensor::adopt(new_impl());
    Dims dims;
    for (const DimSpec& d : g.values[id].dims) dims.push(d.value);
    t->dtype = g.values[id].dtype;
    t->set_contiguous(dims);
    impls.push_back(t.impl());
    inputs.push_back(std::move(t));
  }
  std::vector<Tensor> constants;
  constants.reserve(p.constants.size());
  for (const Constant& c : p.constants) constants.push_back(c.data);
  std::vector<int64_t> symbols;
  bind_symbols(p, s, impls, symbols);
  Nesting nesting;
  BoundGraph bound(p, g, impls, constants, symbols, nesting);
  check_writes(p, s, bound);
  for (const StateUpdate& u : s.state_updates) {
    const TensorImpl* t = bound.impls[u.value];
    const Constant& c = p.constants[u.constant];
    if (!t || t->dtype != c.data.dtype() ||
        !std::ranges::equal(t->sizes(), c.data.shape())) {
      fail<FormatError>("the update of '", c.name,
                        "' has another dtype or shape");
    }
  }
}

void check_golden(const Program& p, const Golden& golden) {
  const Signature* s = p.find(golden.signature);
  if (!s) {
    fail<FormatError>("a golden is of signature '", golden.signature,
                      "', which there is not");
  }
  const Graph& g = p.graphs[s->graph];
  if (golden.inputs.size() != g.inputs.size() ||
      golden.outputs.size() != g.outputs.size()) {
    fail<FormatError>("a golden of '", s->key,
                      "' has not as many inputs and outputs as it");
  }
}

}  // namespace

void check_program(const Program& p) {
  check_symbols(p);
  check_constants(p);
  for (size_t i = 0; i < p.graphs.size(); ++i) {
    const Graph& g = p.graphs[i];
    try {
      GraphCheck(p, g).run();
    } catch (Error& e) {
      e.prepend(concat("graph ", i, g.name.empty() ? "" : " ", g.name, ": "));
      throw;
    }
  }
  if (p.signatures.size() > kMaxSignatures) {
    fail<FormatError>(p.signatures.size(), " signatures; at most ",
                      kMaxSignatures);
  }
  if (p.signatures.empty()) fail<FormatError>("no signature: nothing to run");
  Names keys;
  for (const Signature& s : p.signatures) {
    check_unique(keys, s.key, "signature");
    if (in_range(s.graph, p.graphs.size())) continue;
    fail<FormatError>("[", s.key, "] graph ", s.graph, " of ", p.graphs.size());
  }
  check_regions(p);
  for (const Signature& s : p.signatures) {
    try {
      const Graph& g = p.graphs[s.graph];
      check_names(s.inputs, g.inputs.size(), "input");
      check_names(s.outputs, g.outputs.size(), "output");
      check_inputs(g);
      check_updates(p, s, g);
      check_types(p, s);
    } catch (Error& e) {
      e.prepend(concat("[", s.key, "] "));
      throw;
    }
  }
  for (const Golden& g : p.goldens) check_golden(p, g);
}

}  // namespace ferrule
