// Compares graphs, then the values of two runs.
#include "runtime/graph/compare_runs.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "runtime/cpu/strided_copy.h"
#include "runtime/graph/bound_graph.h"
#include "runtime/graph/difference.h"
#include "runtime/graph/node_text.h"

namespace ferrule {
namespace {

// --- graphs -----------------------------------------------------------------

using ValueOf = std::pair<int32_t, int32_t>;  // graph and value

// Walks the graphs of two programs side by side. Values correspond whose nodes
// do; their numbers may be others.
class Walk {
 public:
  Walk(const Program& a, const Program& b) : a_(a), b_(b) {}

  // "" or the first difference.
  std::string graphs(int32_t ga, int32_t gb) {
    const Graph& a = a_.graphs[ga];
    const Graph& b = b_.graphs[gb];
    if (!pair(ga, a.inputs, gb, b.inputs)) {
      return concat("it takes ", a.inputs.size(), " inputs, the other ",
                    b.inputs.size());
    }
    const size_t n = std::min(a.nodes.size(), b.nodes.size());
    for (size_t i = 0; i < n; ++i) {
      const std::string how = nodes(ga, a.nodes[i], gb, b.nodes[i]);
      if (!how.empty()) return node_tag(a, i) + how;
    }
    if (a.nodes.size() != b.nodes.size()) {
      return concat("it has ", a.nodes.size(), " nodes, the other ",
                    b.nodes.size(), "; the first ", n, " are the same");
    }
    if (!std::ranges::equal(a.outputs, b.outputs, [&](int32_t x, int32_t y) {
          return same_value(ga, x, gb, y);
        })) {
      return "its results are other values";
    }
    return {};
  }

  // Of a value of `b`: that of `a`.
  std::map<ValueOf, ValueOf> known;

 private:
  bool pair(int32_t ga, const std::vector<int32_t>& a, int32_t gb,
            const std::vector<int32_t>& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) known[{gb, b[i]}] = {ga, a[i]};
    return true;
  }

  bool same_value(int32_t ga, int32_t x, int32_t gb, int32_t y) {
    if (x < 0 || y < 0) return x == y;
    const int32_t cx = a_.graphs[ga].values[x].constant;
    const int32_t cy = b_.graphs[gb].values[y].constant;
    if (cx >= 0 || cy >= 0) {
      return cx >= 0 && cy >= 0 &&
             a_.constants[cx].name == b_.constants[cy].name;
    }
    const auto at = known.find({gb, y});
    return at != known.end() && at->second == ValueOf{ga, x};
  }

  bool same_arg(int32_t ga, const NodeArg& x, int32_t gb, const NodeArg& y) {
    if (x.tag != y.tag) return false;
    // What depends on sizes may have been another number.
    const auto same_int = [](bool dx, int64_t vx, bool dy, int64_t vy) {
      return dx == dy && (dx || vx == vy);
    };
    switch (x.tag) {
      case ArgTag::tensor:
        return same_value(ga, x.value, gb, y.value);
      case ArgTag::tensors:
        return std::ranges::equal(
            x.values, y.values,
            [&](int32_t u, int32_t v) { return same_value(ga, u, gb, v); });
      case ArgTag::int_:
        return same_int(x.expr >= 0, x.i, y.expr >= 0, y.i);
      case ArgTag::ints:
        return std::ranges::equal(x.ints, y.ints, [&](Int u, Int v) {
          return same_int(u.expr >= 0, u.value, v.expr >= 0, v.value);
        });
      default:
        return arg_text(a_.graphs[ga], x) == arg_text(b_.graphs[gb], y);
    }
  }

  std::string nodes(int32_t ga, const Node& x, int32_t gb, const Node& y) {
    if (x.op != y.op) {
      return concat("the other has ", y.op->name, " there",
                    y.where.empty() ? "" : concat(" (", y.where, ")"));
    }
    const Schema& schema = info_of(*x.op).schema;
    for (size_t k = 0; k < x.args.size(); ++k) {
      if (same_arg(ga, x.args[k], gb, y.args[k])) continue;
      return concat(schema.params[k].name, " is ",
                    arg_text(a_.graphs[ga], x.args[k]), ", in the other ",
                    arg_text(b_.graphs[gb], y.args[k]));
    }
    if (!pair(ga, x.outputs, gb, y.outputs) ||
        x.regions.size() != y.regions.size()) {
      return "it has another number of results or graphs in the other";
    }
    for (size_t r = 0; r < x.regions.size(); ++r) {
      const std::string inner = graphs(x.regions[r], y.regions[r]);
      if (!inner.empty()) return inner;
    }
    return {};
  }

  const Program& a_;
  const Program& b_;
};

const Signature& required(const Program& p, std::string_view key) {
  if (const Signature* s = p.find(key)) return *s;
  fail<ValueError>("a model has no signature '", key, "'");
}

// --- values -----------------------------------------------------------------

struct Key {
  int32_t graph, value;
  int64_t step;
  auto operator<=>(const Key&) const = default;
};

// Numbers the values of a run, and keeps those in a window of them.
class Values : public RunWatcher {
 public:
  void step(const RunStep& s) override {
    for (int32_t v : s.node.outputs) {
      const TensorImpl* t = s.values[v];
      if (!t || t->storage == nullptr || !t->bytes()) continue;
      const Key key{s.graph_index, v, steps_[{s.graph_index, v}]++};
      see(key, s, v);
    }
  }
  virtual void see(const Key& key, const RunStep& s, int32_t value) = 0;

 private:
  std::map<std::pair<int32_t, int32_t>, int64_t> steps_;
};

Tensor dense_copy(const TensorImpl& t) {
  Tensor copy = Tensor::empty(t.sizes(), t.dtype);
  strided_copy(t, *copy.impl());
  return copy;
}

struct Kept {
  int64_t order;
  Tensor value;
};

class Recorder final : public Values {
 public:
  Recorder(int64_t first, int64_t memory) : first_(first), memory_(memory) {}
  void see(const Key& key, const RunStep& s, int32_t v) override {
    const int64_t order = next_++;
    if (order < first_ || bytes_ >= memory_) return;
    const Tensor value = dense_copy(*s.values[v]);
    bytes_ += value->nbytes();
    kept.emplace(key, Kept{order, value});
    end = next_;
  }
  bool complete() const { return end >= next_; }

  std::map<Key, Kept> kept;
  int64_t end = 0;

 private:
  int64_t first_, memory_, next_ = 0, bytes_ = 0;
};

std::string place_text(const std::vector<int64_t>& at) {
  return concat(std::span<const int64_t>(at));
}

std::optional<ValueDifference> compare(const Tensor& a, const Tensor& b,
                                       double tolerance) {
  ValueDifference out;
  out.elements = a.numel();
  if (a.dtype() != b.dtype() || !std::ranges::equal(a.shape(), b.shape())) {
    out.count = -1;
    out.text = concat("is ", a.dtype(), " ", a.shape(), " and ", b.dtype(), " ",
                      b.shape());
    return out;
  }
  const auto d = find_difference(a, b, tolerance);
  if (!d) return {};
  out.count = d->count;
  if (d->bits_only) {
    out.text = "has the same numbers in other bits: zeros of another sign, or "
               "NaNs";
    return out;
  }
  int64_t rest = d->first;
  for (int i = a.ndim(); i-- > 0;) {
    out.at.insert(out.at.begin(), rest % a.size(i));
    rest /= a.size(i);
  }
  out.a = d->a;
  out.b = d->b;
  out.apart = d->apart;
  out.text = concat("at ", place_text(out.at), " is ", d->a, " and ", d->b,
                    "; ", d->count, " of ", a.numel(),
                    " elements differ, by up to ", d->apart);
  return out;
}

class Comparer final : public Values {
 public:
  Comparer(const std::map<Key, Kept>& kept,
           const std::map<ValueOf, ValueOf>& names, double tolerance)
      : kept_(kept), names_(names), tolerance_(tolerance) {}
  void see(const Key& key, const RunStep& s, int32_t v) override {
    const auto name = names_.find({key.graph, key.value});
    if (name == names_.end()) return;
    const auto at =
        kept_.find({name->second.first, name->second.second, key.step});
    if (at == kept_.end() || at->second.order >= order_) return;
    auto found =
        compare(at->second.value, dense_copy(*s.values[v]), tolerance_);
    if (!found) return;
    order_ = at->second.order;
    found->what = concat("node ", s.name, " -> '", value_name(s.graph, v), "'");
    found->where = s.node.where;
    found->step = key.step;
    std::string place = found->where.empty() ? "" : concat(", ", found->where);
    if (s.depth > 0) {
      place += concat(", in '", s.graph.name, "', time ", key.step + 1);
    }
    found->text = concat(found->what, place, ": ", found->text);
    first = std::move(found);
  }
  std::optional<ValueDifference> first;

 private:
  const std::map<Key, Kept>& kept_;
  const std::map<ValueOf, ValueOf>& names_;
  double tolerance_;
  int64_t order_ = INT64_MAX;
};

// Runs a side once from the start; returns copies of results and state.
std::vector<std::pair<std::string, Tensor>> run(const ComparedRun& side,
                                                std::string_view key,
                                                std::span<const Tensor> inputs,
                                                RunWatcher& watcher) {
  side.prepare();
  Session session(side.program, side.options);
  session.watch(&watcher);
  const Signature& s = required(*side.program, key);
  const auto results = session.run(key, inputs);
  std::vector<std::pair<std::string, Tensor>> out;
  for (size_t i = 0; i < results.size(); ++i) {
    out.emplace_back(concat("result '", s.outputs[i], "'"),
                     dense_copy(*results[i].impl()));
  }
  for (const StateUpdate& u : s.state_updates) {
    const std::string& name = side.program->constants[u.constant].name;
    out.emplace_back(concat("state '", name, "'"), session.state(name));
  }
  return out;
}

std::optional<ValueDifference> compare_ends(
    const std::vector<std::pair<std::string, Tensor>>& a,
    const std::vector<std::pair<std::string, Tensor>>& b, double tolerance) {
  for (const auto& [name, value] : a) {
    for (const auto& [other, with] : b) {
      if (other != name) continue;
      auto found = compare(value, with, tolerance);
      if (!found) continue;
      found->what = name;
      found->text = concat(name, " ", found->text);
      return found;
    }
  }
  return {};
}

}  // namespace

std::string graph_difference(const Program& a, const Program& b,
                             std::string_view signature) {
  return Walk(a, b).graphs(required(a, signature).graph,
                           required(b, signature).graph);
}

std::optional<ValueDifference> first_difference(
    const ComparedRun& a, const ComparedRun& b, std::string_view signature,
    std::span<const Tensor> inputs, double tolerance, int64_t memory) {
  Walk walk(*a.program, *b.program);
  const bool same_graphs = walk.graphs(required(*a.program, signature).graph,
                                       required(*b.program, signature).graph)
                               .empty();
  for (int64_t first = 0;;) {
    Recorder recorder(first, memory);
    const auto ends_a = run(a, signature, inputs, recorder);
    if (!same_graphs) walk.known.clear();
    Comparer comparer(recorder.kept, walk.known, tolerance);
    const auto ends_b = run(b, signature, inputs, comparer);
    if (comparer.first) return comparer.first;
    if (recorder.complete() || !same_graphs) {
      return compare_ends(ends_a, ends_b, tolerance);
    }
    first = recorder.end;
  }
}

}  // namespace ferrule
