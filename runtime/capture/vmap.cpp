// Captures a function of one sample and runs its graph on a batch.
#include "ferrule/vmap.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "ferrule/autograd.h"
#include "ferrule/ops.h"
#include "ferrule/random.h"
#include "runtime/autograd/node.h"

namespace ferrule {
namespace {

constexpr const char* kRandomText =
    "draws random numbers under fe.vmap, which must be told whether all "
    "samples see the same ones (randomness=\"same\") or each its own "
    "(randomness=\"different\")";

}  // namespace

// Runs the nodes of a graph; values are freed after their last use.
class Vmap::Replay {
 public:
  Replay(Vmap& vmap, Graph& graph, std::vector<int32_t> wanted)
      : vmap_(vmap), graph_(graph), values_(graph.values.size()) {
    plan(wanted);
  }

  void set(int32_t value, Batched t) { values_[value] = std::move(t); }
  void run() {
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      if (!needed_[n]) continue;
      run(graph_.nodes[n]);
      for (int32_t value : dies_after_[n]) values_[value] = {};
    }
  }

  Batched get(int32_t value) {
    const Value& v = graph_.values[value];
    if (values_[value].tensor) return values_[value];
    if (v.constant >= 0) return {vmap_.program_.constants[v.constant].data};
    // The same without its history (Capture::own_value).
    Batched t = get(v.alias_of);
    t.tensor = t.tensor.detach();
    return t;
  }

 private:
  template <class Visit>
  static void each_value(const Node& node, const Visit& visit) {
    for (const NodeArg& a : node.args) {
      if (a.tag == ArgTag::tensor) visit(a.value);
      if (a.tag != ArgTag::tensors) continue;
      for (int32_t value : a.values) {
        if (value >= 0) visit(value);
      }
    }
  }

  // What somebody wants of the results, and when a value is used last.
  void plan(const std::vector<int32_t>& wanted) {
    std::vector<bool> produced(values_.size()), used(values_.size());
    for (const Node& node : graph_.nodes) {
      for (int32_t value : node.outputs) produced[value] = true;
    }
    const auto source = [&](int32_t value) {
      const Value& v = graph_.values[value];
      const bool detached = !produced[value] && v.alias_of >= 0;
      return detached ? v.alias_of : value;
    };
    for (int32_t value : wanted) used[source(value)] = true;
    needed_.resize(graph_.nodes.size());
    dies_after_.resize(graph_.nodes.size());
    for (size_t n = graph_.nodes.size(); n-- > 0;) {
      const Node& node = graph_.nodes[n];
      needed_[n] = std::any_of(node.outputs.begin(), node.outputs.end(),
                               [&](int32_t value) { return used[value]; });
      if (!needed_[n]) continue;
      const auto use = [&](int32_t value) {
        if (!used[value]) dies_after_[n].push_back(value);
        used[value] = true;
      };
      for (int32_t value : node.outputs) use(value);
      each_value(node, [&](int32_t value) { use(source(value)); });
    }
  }

  void fill(Batch& b, const Node& node) {
    for (size_t i = 0; i < node.args.size(); ++i) {
      const NodeArg& a = node.args[i];
      switch (a.tag) {
        case ArgTag::none:
        case ArgTag::device:  // the tensors' own
          continue;
        case ArgTag::tensor:
          b.in[i] = get(a.value);
          break;
        case ArgTag::tensors:
          for (int32_t value : a.values) {
            b.list[i].push_back(value < 0 ? Batched() : get(value));
          }
          break;
        case ArgTag::int_:
          b.args[i] = Arg(Int(a.i, a.expr));
          continue;
        case ArgTag::float_:
          b.args[i] = Arg(a.f);
          continue;
        case ArgTag::bool_:
          b.args[i] = Arg(a.b);
          continue;
        case ArgTag::ints:
          b.ints[i] = a.ints;
          break;
        case ArgTag::str:
          b.args[i] = Arg(a.str);
          continue;
        case ArgTag::dtype:
          b.args[i] = Arg(a.dtype);
          continue;
      }
      b.args[i].tag = a.tag;
    }
  }

  // Visits the tensors that the call writes into.
  template <class Visit>
  static void each_target(Batch& b, const Visit& visit) {
    for (int i = 0; i < b.info.schema.n; ++i) {
      if (!b.info.schema.params[i].mutated) continue;
      if (b.has(i)) visit(b.in[i]);
      for (Batched& t : b.list[i]) {
        if (t.tensor) visit(t);
      }
    }
  }

  void run(const Node& node) {
    const OpInfo& info = info_of(*node.op);
    const int results = info.schema.nouts;
    const bool mutates = static_cast<int>(node.outputs.size()) > results;
    Batch b(info, vmap_.size_);
    fill(b, node);
    bool any = node.op->random && vmap_.randomness_ == Randomness::different;
    for (int i = 0; i < info.schema.n; ++i) {
      any |= b.batched(i);
      for (const Batched& t : b.list[i]) any |= t.batched;
    }
    if (mutates) {
      // Others may see the old values; a graph has no order but that of data.
      each_target(b, [&](Batched& t) {
        t = {op::clone(any ? b.whole(t) : t.tensor), any};
      });
    }
    std::vector<Batched> made = any ? batch(b, node, mutates) : plain(b);
    if (mutates) each_target(b, [&](Batched& t) { made.push_back(t); });
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      set(node.outputs[i], fitted(std::move(made[i]), node.outputs[i]));
    }
  }

  static std::vector<Batched> plain(Batch& b) { return all(b.run(), false); }

  static std::vector<Batched> all(Results r, bool batched) {
    std::vector<Batched> made;
    for (int i = 0; i < r.n; ++i) made.push_back({std::move(r[i]), batched});
    return made;
  }

  // In the shape that the capture knows of.
  Batched fitted(Batched t, int32_t value) const {
    if (!t.batched) return t;
    IntList want{vmap_.size_};
    for (const DimSpec& d : graph_.values[value].dims) want.push(d.value);
    const auto shape = t.tensor.shape();
    const bool fits = std::equal(
        shape.begin(), shape.end(), want.begin(), want.end(),
        [](int64_t have, Int wanted) { return have == wanted.value; });
    if (!fits) t.tensor = op::reshape(t.tensor, want);
    return t;
  }

  std::vector<Batched> batch(Batch& b, const Node& node, bool mutates) {
    const OpDef& op = *node.op;
    // Rules need not care for sizes that divide by nothing.
    if (!vmap_.size_.symbolic() && vmap_.size_.value == 0) return slices(b);
    if (op.random && vmap_.randomness_ == Randomness::same) {
      return with_the_same_draws(b);
    }
    if (op.random && b.info.schema.n > 0 && b.has(0)) b.set(0, b.whole(0));
    Results r;
    if (op.batch) {
      r = op.batch(b);
    } else if (b.info.cpu && b.info.cpu->elementwise) {
      r = batch_elementwise(b);
    }
    if (r.n > 0) return all(std::move(r), true);
    if (op.decompose && !mutates) return parts(b);
    const auto seen = [&](const char* name) { return name == op.name; };
    auto& list = vmap_.one_by_one_;
    if (std::none_of(list.begin(), list.end(), seen)) list.push_back(op.name);
    return slices(b);
  }

  // Every sample takes the same tick.
  std::vector<Batched> with_the_same_draws(Batch& b) {
    if (Capture::current()) {
      fail<RuntimeError>("[vmap] '", b.info.op->name,
                         "' on tensors that differ from sample to sample, with "
                         "randomness=\"same\", cannot be captured; draw the "
                         "numbers before, from tensors that samples share");
    }
    const RngState tick = next_tick();
    return slices(b, &tick);
  }

  // The op in terms of simpler ones, of which each has a rule.
  std::vector<Batched> parts(Batch& b) {
    Vmap inner(vmap_.size_, vmap_.randomness_);
    for (int i = 0; i < b.info.schema.n; ++i) {
      if (b.batched(i)) b.in[i] = {inner.input(b.in[i].tensor)};
      for (Batched& t : b.list[i]) {
        if (t.batched) t = {inner.input(t.tensor)};
      }
    }
    Results r = b.decomposed();
    std::vector<Batched> made =
        inner.finish(std::vector<Tensor>(r.v, r.v + r.n));
    for (const char* name : inner.one_by_one_) {
      auto& list = vmap_.one_by_one_;
      if (std::find(list.begin(), list.end(), name) == list.end()) {
        list.push_back(name);
      }
    }
    return made;
  }

  // One call a sample: what is left when nothing is known of the op.
  std::vector<Batched> slices(Batch& b, const RngState* tick = nullptr) {
    if (vmap_.size_.symbolic()) {
      fail<RuntimeError>("[vmap] '", b.info.op->name,
                         "' has no batching rule, so that it cannot be "
                         "captured for batches of any size");
    }
    std::vector<std::vector<Tensor>> made;  // by result, by sample
    for (int64_t s = 0; s < std::max<int64_t>(vmap_.size_.value, 1); ++s) {
      Batch one(b.info, b.size);
      const auto slice = [&](const Batched& t) {
        if (!t.batched) return t;
        // Of no samples, one of zeros gives the shapes.
        if (vmap_.size_.value == 0) return Batched{zeros_of(t)};
        return Batched{op::select(t.tensor, 0, s)};
      };
      for (int i = 0; i < b.info.schema.n; ++i) {
        one.args[i] = b.args[i];
        one.ints[i] = b.ints[i];
        if (b.has(i)) one.in[i] = slice(b.in[i]);
        for (const Batched& t : b.list[i]) {
          one.list[i].push_back(t.tensor ? slice(t) : Batched());
        }
      }
      std::optional<Generator> fixed;
      std::optional<UseGenerator> use;
      if (tick) use.emplace(fixed.emplace(*tick));
      Results r = one.run();
      made.resize(r.n);
      for (int k = 0; k < r.n; ++k) made[k].push_back(std::move(r[k]));
    }
    std::vector<Batched> stacked;
    for (const auto& samples : made) {
      Tensor t = op::stack(samples, 0);
      if (vmap_.size_.value == 0) t = op::slice(t, 0, 0, 0);
      stacked.push_back({t, true});
    }
    return stacked;
  }

  static Tensor zeros_of(const Batched& t) {
    const Dims shape(t.tensor.shape());
    return op::zeros(IntList({shape.v + 1, static_cast<size_t>(shape.n - 1)}),
                     t.tensor.dtype());
  }

  Vmap& vmap_;
  Graph& graph_;
  std::vector<Batched> values_;
  std::vector<bool> needed_;
  std::vector<std::vector<int32_t>> dies_after_;
};

Vmap::Vmap(Int batch_size, Randomness randomness)
    : size_(batch_size),
      randomness_(randomness),
      capture_(program_, "vmap", Capture::For::replay) {
  if (randomness == Randomness::error) capture_.refuses_random = kRandomText;
}

Tensor Vmap::input(const Tensor& batch) {
  for (int d = 1; d < batch.ndim(); ++d) {
    if (!size_of(batch.impl(), d).symbolic()) continue;
    fail<RuntimeError>("[vmap] dimension ", d - 1, " of a sample, of shape ",
                       batch.shape().subspan(1),
                       ", has a size that is chosen at run time; under fe.vmap "
                       "only the batch may be captured with such a size");
  }
  Tensor sample = capture_.input("", batch.shape().subspan(1), batch.dtype(),
                                 grad_enabled() && requires_grad(batch));
  inputs_.push_back({batch, sample->graph_value});
  return sample;
}

std::vector<Batched> Vmap::finish(const std::vector<Tensor>& outputs) {
  // Nodes stand for what it computed, and not for the gradient that it gives.
  if (const auto name = custom_function_behind(outputs); !name.empty()) {
    fail<AutogradError>(
        "[vmap] gradients from outside would pass by '", name,
        "', whose backward belongs to one sample; differentiate within the "
        "function, as in vmap(grad(f)), or detach what enters it");
  }
  std::vector<int32_t> written;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    written.push_back(capture_.input_value(i));
  }
  capture_.finish("", std::vector<std::string>(outputs.size()), outputs);
  Graph& graph = program_.graphs[0];
  std::vector<int32_t> wanted = graph.outputs;
  wanted.insert(wanted.end(), written.begin(), written.end());
  Replay replay(*this, graph, std::move(wanted));
  for (const Input& i : inputs_) replay.set(i.value, {i.batch, true});
  replay.run();
  std::vector<Batched> results;
  for (int32_t value : graph.outputs) results.push_back(replay.get(value));
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (written[i] == inputs_[i].value) continue;
    op::copy_(inputs_[i].batch, replay.get(written[i]).tensor);
  }
  return results;
}

}  // namespace ferrule
