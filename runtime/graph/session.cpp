// Sessions: plans by shape, state that is copied when it is first written.
#include "ferrule/session.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "ferrule/log.h"
#include "runtime/core/built.h"
#include "runtime/core/copy_bytes.h"
#include "runtime/format/source.h"
#include "runtime/format/state_out.h"
#include "runtime/graph/difference.h"
#include "runtime/graph/passes/graph_passes.h"
#include "runtime/graph/plan.h"

namespace ferrule {
namespace {

int64_t machine_memory() {
  const int64_t pages = ::sysconf(_SC_PHYS_PAGES);
  const int64_t size = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? pages * size : int64_t{1} << 40;
}

Tensor copy_of(const Tensor& t) {
  Tensor copy = Tensor::empty(t.shape(), t.dtype());
  copy_bytes(copy->bytes(), t->bytes(), t->nbytes());
  return copy;
}

std::string known_names(const Program& p) {
  std::string out;
  for (const Signature& s : p.signatures) {
    out += concat(out.empty() ? "'" : ", '", s.key, "'");
  }
  return out;
}

}  // namespace

// A signature and its graph, as passes left them.
struct Optimized {
  Signature signature;
  Graph graph;
};

struct Session::Impl {
  std::shared_ptr<const Program> program;
  SessionOptions options;
  Passes passes;
  std::shared_ptr<PreparedWeights> prepared;
  std::vector<Tensor> constants;  // the program's, until they are written
  std::vector<bool> owned;
  RngState rng;
  Arena arena;
  Workspace scratch;
  std::map<const Signature*, Optimized> optimized;
  std::vector<std::unique_ptr<Plan>> plans;
  uint64_t clock = 0;
  std::atomic<RunState> state{RunState::idle};
  RunWatcher* watcher = nullptr;

  const Signature& signature(std::string_view key) const {
    const Signature* s = program->find(key);
    if (!s) {
      fail<ValueError>("the model has no signature '", key, "'; it has ",
                       known_names(*program));
    }
    return *s;
  }

  void own(int32_t c) {
    log_info("the session copies '", program->constants[c].name, "', ",
             constants[c]->nbytes(), " bytes, to write to it");
    constants[c] = copy_of(checked(c));
    owned[c] = true;
  }

  // The constant, compared with its checksum if that was not done before.
  const Tensor& checked(int32_t c) const {
    if (!owned[c] && program->source) {
      program->source->check(c, program->constants[c].name, constants[c]);
    }
    return constants[c];
  }

  // What the signature writes becomes the session's own; what it reads is
  // checked. Plans that look into the shared memory are made again.
  void take_state(const Signature& s) {
    bool changed = false;
    const Graph& g = program->graphs[s.graph];
    for (const StateUpdate& u : s.state_updates) {
      if (owned[u.constant]) continue;
      if (!changed) plans.clear();
      changed = true;
      own(u.constant);
    }
    check_constants(g);
  }

  // Compares what the graph and those that it runs read with its checksums.
  void check_constants(const Graph& g) const {
    for (const Value& v : g.values) {
      if (v.constant >= 0) checked(v.constant);
    }
    for (const Node& n : g.nodes) {
      for (int32_t r : n.regions) check_constants(program->graphs[r]);
    }
  }

  const Optimized& optimize(const Signature& s) {
    const auto at = optimized.find(&s);
    if (at != optimized.end()) return at->second;
    Optimized o{s, program->graphs[s.graph]};
    run_graph_passes(passes, o.graph, o.signature);
    return optimized.emplace(&s, std::move(o)).first->second;
  }

  Plan& plan_for(const Signature& s, std::span<const Tensor> inputs) {
    const Optimized& o = optimize(s);
    for (auto& p : plans) {
      if (!p->fits(&o.signature, inputs)) continue;
      p->last_used = ++clock;
      return *p;
    }
    take_state(s);
    const int64_t limit =
        options.max_memory > 0 ? options.max_memory : machine_memory();
    const int64_t max_steps =
        options.max_steps > 0 ? options.max_steps : int64_t{1} << 40;
    // Weights of the session's own may be written again.
    const auto fixed = [&](int32_t c) { return !owned[c]; };
    auto plan = std::make_unique<Plan>(
        *program, o.signature, o.graph, inputs, constants, arena.storage(),
        PlanOptions{passes, limit, max_steps, *prepared, fixed});
    log_info("[", s.key, "] plan ", plans.size() + 1, ": ", plan->cost().nodes,
             " steps, ", plan->cost().arena_bytes, " bytes of values, ",
             plan->cost().scratch_bytes, " of scratch");
    if (plans.size() >= static_cast<size_t>(std::max(options.max_plans, 1))) {
      log_info("[", s.key, "] the plan used longest ago goes (max_plans)");
      plans.erase(std::ranges::min_element(
          plans, {}, [](const auto& p) { return p->last_used; }));
    }
    plan->last_used = ++clock;
    plans.push_back(std::move(plan));
    return *plans.back();
  }

  // Calls `f(plan)` and tells where errors came from.
  template <class F>
  auto with_plan(std::string_view key, std::span<const Tensor> inputs,
                 const F& f) {
    try {
      const Signature& s = signature(key);
      check_inputs(program->graphs[s.graph], s, inputs);
      return f(plan_for(s, inputs));
    } catch (Error& e) {
      e.prepend(concat("[", key, "] "));
      throw;
    }
  }

  std::span<const Tensor> run(std::string_view key,
                              std::span<const Tensor> inputs) {
    return with_plan(key, inputs, [&](Plan& plan) {
      arena.reserve(plan.cost().arena_bytes);
      void* memory = scratch.reserve(plan.cost().scratch_bytes);
      state.store(RunState::running, std::memory_order_relaxed);
      try {
        plan.run(inputs, memory, {rng, state, watcher});
        state.store(RunState::idle, std::memory_order_relaxed);
      } catch (...) {
        state.store(RunState::idle, std::memory_order_relaxed);
        // A prepared call remembers the error that its kernel reported.
        std::erase_if(plans, [&](const auto& p) { return p.get() == &plan; });
        throw;
      }
      return plan.outputs();
    });
  }

  // Runs a sample and calls use(results). The session is then as it was: what
  // writes state runs on a copy of it.
  template <class Use>
  void run_sample(const Golden& golden, const Use& use) {
    const RngState before = rng;
    if (signature(golden.signature).state_updates.empty()) {
      use(run(golden.signature, golden.inputs));
      rng = before;
      return;
    }
    Impl copy;
    copy.program = program;
    copy.options = options;
    copy.passes = passes;
    copy.prepared = prepared;
    copy.constants = constants;
    copy.owned = owned;
    for (size_t i = 0; i < owned.size(); ++i) {
      if (owned[i]) copy.constants[i] = copy_of(constants[i]);
    }
    copy.rng = rng;
    use(copy.run(golden.signature, golden.inputs));
  }
};

Session::Session(std::shared_ptr<const Program> program, SessionOptions options)
    : impl_(new Impl) {
  if (!program) fail<ValueError>("[Session] no program");
  impl_->program = std::move(program);
  impl_->passes = chosen_passes(options.passes);
  impl_->prepared = PreparedWeights::of(impl_->program);
  impl_->options = std::move(options);
  const Program& p = *impl_->program;
  for (const Constant& c : p.constants) impl_->constants.push_back(c.data);
  impl_->owned.resize(p.constants.size());
  impl_->rng = {p.rng_seed, p.rng_offset};
}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

const Program& Session::program() const { return *impl_->program; }

std::span<const Tensor> Session::run(std::string_view signature,
                                     std::span<const Tensor> inputs) {
  return impl_->run(signature, inputs);
}

void Session::cancel() noexcept {
  RunState running = RunState::running;
  impl_->state.compare_exchange_strong(running, RunState::cancelled);
}

void Session::watch(RunWatcher* watcher) { impl_->watcher = watcher; }

RunCost Session::prepare(std::string_view signature,
                         std::span<const Tensor> inputs) {
  return impl_->with_plan(signature, inputs,
                          [](Plan& plan) { return plan.cost(); });
}

std::vector<std::string> Session::steps(std::string_view signature,
                                        std::span<const Tensor> inputs) {
  return impl_->with_plan(signature, inputs,
                          [](Plan& plan) { return plan.steps(); });
}

Tensor Session::state(std::string_view name) const {
  const int i = impl_->program->constant_index(name);
  if (i < 0) fail<ValueError>("the model has no weight or state '", name, "'");
  return copy_of(impl_->checked(i));
}

void Session::set_state(std::string_view name, const Tensor& value) {
  const int i = impl_->program->constant_index(name);
  if (i < 0) fail<ValueError>("the model has no weight or state '", name, "'");
  const Tensor& now = impl_->constants[i];
  if (!value || value.dtype() != now.dtype() ||
      !std::ranges::equal(value.shape(), now.shape())) {
    fail<ShapeError>("'", name, "' is ", now.dtype(), " ", now.shape(),
                     ", the new value is ",
                     value ? concat(value.dtype(), " ", value.shape())
                           : std::string("missing"));
  }
  if (!value.device().is_cpu() || !value.is_contiguous()) {
    fail<ValueError>("the new value of '", name,
                     "' must be a contiguous CPU tensor");
  }
  if (!impl_->owned[i]) {
    impl_->plans.clear();
    impl_->constants[i] = Tensor::empty(value.shape(), value.dtype());
    impl_->owned[i] = true;
  }
  copy_bytes(impl_->constants[i]->bytes(), value->bytes(), value->nbytes());
}

RngState Session::rng() const { return impl_->rng; }
void Session::set_rng(RngState state) { impl_->rng = state; }

std::string Session::check_golden(size_t i, double tolerance) {
  const Program& p = *impl_->program;
  const Golden& golden = p.goldens[i];
  std::string differs;
  impl_->run_sample(golden, [&](std::span<const Tensor> results) {
    for (size_t k = 0; k < results.size() && differs.empty(); ++k) {
      const std::string how =
          difference(results[k], golden.outputs[k], tolerance);
      if (how.empty()) continue;
      differs = concat("sample ", i, " of '", golden.signature, "', result '",
                       p.find(golden.signature)->outputs[k], "': ", how);
    }
  });
  return differs;
}

std::string Session::check_goldens(double tolerance) {
  for (size_t i = 0; i < impl_->program->goldens.size(); ++i) {
    std::string differs = check_golden(i, tolerance);
    if (!differs.empty()) return differs;
  }
  return {};
}

void Session::save(const std::string& path) {
  if constexpr (!kState) {
    fail<ValueError>("[save] this runtime was built for models that change ",
                     "nothing (FERRULE_MODELS, FERRULE_OPS, FERRULE_TRAINING)");
  }
  const Program& p = *impl_->program;
  if (!p.source) {
    fail<ValueError>("[save] the program was not opened from a file: write it "
                     "with write_program first and open that");
  }
  for (size_t i = 0; i < p.constants.size(); ++i) impl_->checked(i);
  std::vector<Golden> goldens = p.goldens;
  for (Golden& g : goldens) {
    impl_->run_sample(g, [&](std::span<const Tensor> results) {
      for (size_t k = 0; k < results.size(); ++k) {
        const Tensor& before = g.outputs[k];
        if (results[k]->nbytes() != before->nbytes()) {
          fail<FormatError>("[save] a sample of '", g.signature,
                            "' has results of another size");
        }
        g.outputs[k] = copy_of(results[k]);
      }
    });
  }
  write_state(p, impl_->constants, goldens, impl_->rng.seed, impl_->rng.offset,
              path);
}

}  // namespace ferrule
