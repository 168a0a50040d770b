// Runs a captured graph on the tensors that it was captured from.
#include "ferrule/compiled.h"

#include <algorithm>
#include <optional>

#include "runtime/autograd/modes.h"
#include "runtime/graph/bound_graph.h"
#include "runtime/graph/passes/graph_passes.h"
#include "runtime/graph/plan.h"
#include "runtime/graph/run_context.h"

namespace ferrule {
namespace {

template <class Visit>
void each_input(const Node& node, const Visit& visit) {
  for (const NodeArg& a : node.args) {
    if (a.tag == ArgTag::tensor) visit(a.value);
    for (int32_t v : a.values) {
      if (v >= 0) visit(v);
    }
  }
}

// Ticks of a run; empty where data decides.
std::optional<uint64_t> ticks_of(const Graph& g) {
  uint64_t ticks = 0;
  for (const Node& n : g.nodes) {
    if (!n.regions.empty()) return {};
    ticks += n.op->random;
  }
  return ticks;
}

// How many numbers a run takes.
size_t count_numbers(const Graph& g) {
  int32_t last = -1;
  for (const Node& n : g.nodes) {
    for (const NodeArg& a : n.args) {
      if (a.tag == ArgTag::float_) last = std::max(last, a.expr);
    }
  }
  return static_cast<size_t>(last + 1);
}

}  // namespace

struct CompiledGraph::Impl {
  std::shared_ptr<const Program> program;
  Passes passes;
  size_t shared;
  Signature signature;
  Graph graph;
  size_t numbers = 0;
  std::vector<Tensor> constants;
  std::vector<const OpDef*> writers;  // of each state update, for messages
  std::shared_ptr<PreparedWeights> prepared;
  std::optional<uint64_t> ticks;
  Arena arena;
  Workspace scratch;
  std::unique_ptr<Plan> plan;
  std::mutex mutex;

  // Of values: which the graph reads, returns or leaves as state.
  std::vector<bool> used_values() const {
    std::vector<bool> used(graph.values.size());
    const auto use = [&](int32_t v) { used[v] = true; };
    for (const Node& n : graph.nodes) each_input(n, use);
    for (int32_t v : graph.outputs) use(v);
    for (const StateUpdate& u : signature.state_updates) use(u.value);
    return used;
  }

  void check_writes() const {
    const std::vector<bool> values = used_values();
    std::vector<bool> used(constants.size());
    for (size_t v = 0; v < values.size(); ++v) {
      const int32_t c = graph.values[v].constant;
      if (c >= 0 && values[v]) used[c] = true;
    }
    for (const StateUpdate& u : signature.state_updates) {
      const TensorImpl& t = *constants[u.constant].impl();
      if (t.storage->read_only) {
        fail<ValueError>("[compile] the memory of a tensor (", t.dtype, " ",
                         t.sizes(),
                         ") was shared as read-only and cannot be written in "
                         "place; clone() the tensor first");
      }
      for (size_t c = 0; c < shared; ++c) {
        if (!used[c] || static_cast<int32_t>(c) == u.constant ||
            constants[c]->storage != t.storage) {
          continue;
        }
        fail<ValueError>("[compile] the function writes into a tensor (",
                         t.dtype, " ", t.sizes(),
                         ") that shares its memory with another one that it "
                         "uses; let it use one of them");
      }
    }
  }

  Plan& ready(std::span<const Tensor> inputs) {
    if (plan) return *plan;
    const auto fixed = [&](int32_t c) {
      return static_cast<size_t>(c) >= shared;
    };
    constexpr int64_t kNoLimit = int64_t{1} << 60;
    plan = std::make_unique<Plan>(
        *program, signature, graph, inputs, constants, arena.storage(),
        PlanOptions{passes, kNoLimit, kNoLimit, *prepared, fixed,
                    /*own_results=*/true});
    return *plan;
  }

  void check_given(std::span<const Tensor> inputs,
                   std::span<const double> given) const {
    try {
      check_inputs(graph, signature, inputs);
      std::vector<TensorImpl*> impls;
      for (const Tensor& t : inputs) impls.push_back(t.impl());
      std::vector<int64_t> symbols;
      bind_symbols(*program, signature, impls, symbols);
      if (given.size() < numbers) {
        fail<ValueError>("takes ", numbers, " numbers, got ", given.size());
      }
    } catch (Error& e) {
      e.prepend("[compile] ");
      throw;
    }
  }

  // Inputs of the captured shapes, without memory.
  std::vector<Tensor> shapes() const {
    std::vector<Tensor> list;
    for (int32_t v : graph.inputs) {
      Dims shape;
      for (const DimSpec& d : graph.values[v].dims) shape.push(d.value);
      Tensor t = Tensor::adopt(new_impl());
      t->dtype = graph.values[v].dtype;
      t->set_contiguous(shape);
      list.push_back(std::move(t));
    }
    return list;
  }

  void execute(Plan& p, std::span<const Tensor> inputs) {
    arena.reserve(p.cost().arena_bytes);
    void* memory = scratch.reserve(p.cost().scratch_bytes);
    Generator& generator =
        modes.generator ? *modes.generator : default_generator();
    RngState rng = ticks ? generator.tick(*ticks) : generator.state();
    try {
      const std::atomic<RunState> state{RunState::running};
      p.run(inputs, memory, {rng, state, nullptr});
    } catch (...) {
      // A prepared call remembers the error that its kernel reported.
      plan.reset();
      throw;
    }
    if (!ticks) generator.set_state(rng);
    for (size_t i = 0; i < writers.size(); ++i) {
      Storage* s = constants[signature.state_updates[i].constant]->storage;
      s->version.fetch_add(1, std::memory_order_relaxed);
      s->last_writer = writers[i];
      s->writer_site = 0;
    }
  }
};

CompiledGraph::CompiledGraph(std::shared_ptr<const Program> program,
                             std::string_view key, size_t shared,
                             std::string_view passes)
    : impl_(new Impl) {
  Impl& m = *impl_;
  m.program = std::move(program);
  m.passes = chosen_passes(passes);
  m.shared = shared;
  const Signature* s = m.program->find(key);
  if (!s) fail<ValueError>("[compile] there is no signature '", key, "'");
  m.signature = *s;
  m.graph = m.program->graphs[s->graph];
  for (const Constant& c : m.program->constants) m.constants.push_back(c.data);
  m.check_writes();
  for (const StateUpdate& u : m.signature.state_updates) {
    const auto node = std::ranges::find_if(m.graph.nodes, [&](const Node& n) {
      return std::ranges::count(n.outputs, u.value) > 0;
    });
    m.writers.push_back(node == m.graph.nodes.end() ? nullptr : node->op);
  }
  run_graph_passes(m.passes, m.graph, m.signature);
  m.numbers = count_numbers(m.graph);
  m.ticks = ticks_of(m.graph);
  m.prepared = std::make_shared<PreparedWeights>(m.program);
}

CompiledGraph::~CompiledGraph() = default;

std::vector<Tensor> CompiledGraph::run(std::span<const Tensor> inputs,
                                       std::span<const double> numbers) {
  impl_->check_given(inputs, numbers);
  std::lock_guard lock(impl_->mutex);
  Plan& plan = impl_->ready(inputs);
  plan.set_numbers(numbers);
  std::vector<Tensor> results;
  for (const Tensor& like : plan.outputs()) {
    results.push_back(Tensor::empty(like.shape(), like.dtype()));
    plan.set_result(results.size() - 1, results.back()->storage->data);
  }
  impl_->execute(plan, inputs);
  return results;
}

bool CompiledGraph::uses_input(size_t i) const {
  return impl_->used_values()[impl_->graph.inputs[i]];
}

std::vector<std::string> CompiledGraph::steps() {
  std::lock_guard lock(impl_->mutex);
  return impl_->ready(impl_->shapes()).steps();
}

RunCost CompiledGraph::cost() {
  std::lock_guard lock(impl_->mutex);
  return impl_->ready(impl_->shapes()).cost();
}

// --- two parts --------------------------------------------------------------

std::shared_ptr<const Program> cut_in_two(const Program& program, size_t count,
                                          size_t results, size_t given) {
  auto halves = std::make_shared<Program>(program);
  const Signature whole = program.signatures[0];
  const Graph& g = program.graphs[whole.graph];
  Graph first = g, second = g;
  const auto middle = static_cast<std::ptrdiff_t>(count);
  const auto kept = static_cast<std::ptrdiff_t>(results);
  first.nodes.assign(g.nodes.begin(), g.nodes.begin() + middle);
  second.nodes.assign(g.nodes.begin() + middle, g.nodes.end());
  first.outputs.assign(g.outputs.begin(), g.outputs.begin() + kept);
  second.outputs.assign(g.outputs.begin() + kept, g.outputs.end());
  const auto taken = static_cast<std::ptrdiff_t>(g.inputs.size() - given);
  first.inputs.assign(g.inputs.begin(), g.inputs.begin() + taken);
  second.inputs.assign(g.inputs.begin() + taken, g.inputs.end());

  // What the second part reads and does not make: of the first, or an input.
  std::vector<bool> known(g.values.size());
  for (int32_t v : second.inputs) known[v] = true;
  std::vector<int32_t> wanted;
  const auto want = [&](int32_t v) {
    const ValueRole role = g.values[v].role;
    if (known[v] || role == ValueRole::constant || role == ValueRole::state) {
      return;
    }
    known[v] = true;
    wanted.push_back(v);
  };
  for (const Node& n : second.nodes) {
    each_input(n, want);
    for (int32_t v : n.outputs) known[v] = true;
  }
  for (int32_t v : second.outputs) want(v);
  std::vector<bool> over(g.values.size());
  for (const Node& n : first.nodes) {
    for (int32_t v : n.outputs) {
      if (g.values[v].alias_of >= 0) over[g.values[v].alias_of] = true;
    }
  }
  for (int32_t v : wanted) {
    if (over[v]) {
      fail<RuntimeError>("[compile] the gradient needs a value that the "
                         "function overwrites");
    }
    second.values[v].role = ValueRole::input;
    second.values[v].alias_of = -1;
    first.outputs.push_back(v);
  }
  second.inputs.insert(second.inputs.begin(), wanted.begin(), wanted.end());

  Signature forward, backward;
  forward.key = first.name = "forward";
  backward.key = second.name = "backward";
  for (const StateUpdate& u : whole.state_updates) {
    const auto makes = [&](const Node& n) {
      return std::ranges::count(n.outputs, u.value) > 0;
    };
    const bool late = std::ranges::any_of(second.nodes, makes);
    (late ? backward : forward).state_updates.push_back(u);
  }
  const auto name = [](const Graph& graph, Signature& s) {
    s.inputs.resize(graph.inputs.size());
    s.outputs.resize(graph.outputs.size());
  };
  name(first, forward);
  name(second, backward);
  forward.graph = static_cast<int32_t>(halves->graphs.size());
  backward.graph = forward.graph + 1;
  halves->graphs.push_back(std::move(first));
  halves->graphs.push_back(std::move(second));
  halves->signatures = {std::move(forward), std::move(backward)};
  return halves;
}

}  // namespace ferrule
