// Builds and runs plans.
#include "runtime/graph/plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "runtime/core/allocator.h"
#include "runtime/core/built.h"
#include "runtime/cpu/strided_copy.h"
#include "runtime/graph/memory_plan.h"
#include "runtime/graph/passes/fold.h"

namespace ferrule {

// --- arena ------------------------------------------------------------------

Arena::Arena() : storage_(new Storage) {
  storage_->release = [](Storage* s) {
    if (s->data) data_free(s->data, s->nbytes);
    delete s;
  };
}

void Arena::reserve(int64_t bytes) {
  if (bytes <= storage_->nbytes) return;
  void* data = data_alloc(bytes);
  if (!data) {
    fail<MemoryError>("out of memory: cannot allocate ", bytes, " bytes");
  }
  if (storage_->data) data_free(storage_->data, storage_->nbytes);
  storage_->data = data;
  storage_->nbytes = bytes;
}

// --- building ---------------------------------------------------------------

class Plan::Builder {
 public:
  Builder(Plan& plan, std::span<const StateUpdate> updates,
          std::span<const Tensor> constants)
      : plan_(plan),
        updates_(updates),
        constants_(constants),
        bound_(*plan.region_.graph),
        end_(static_cast<int32_t>(bound_.calls.size())),
        done_(bound_.calls.size()),
        folded_(bound_.impls.size()),
        fused_(bound_.calls.size()),
        tiled_(bound_.calls.size()),
        read_(bound_.impls.size()),
        block_(bound_.impls.size(), -1),
        last_use_(bound_.impls.size(), -1) {}

  void build(Storage* arena, const PlanOptions& options, bool own_results) {
    if (options.passes.has(Pass::fold)) fold(options);
    if (options.passes.has(Pass::prepare)) prepare(options);
    if (options.passes.has(Pass::epilogues)) fuse();
    if (options.passes.has(Pass::tiles)) tile();
    find_uses();
    for (int32_t n = 0; n < end_; ++n) {
      if (bound_.controls[n]) {
        if constexpr (kControlFlow) place_control(n, options);
      } else {
        place_node(n);
      }
    }
    find_numbers();
    place_outputs(own_results);
    place_updates();
    owner_.resize(blocks_.size(), -1);
    plan_.cost_.arena_bytes = plan_memory(blocks_, options.limit);
    add_scratch(options.limit);
    give_memory(arena);
  }

 private:
  bool in_arena(int32_t value) const {
    const int32_t root = bound_.root[value];
    return bound_.graph.values[root].role == ValueRole::temp && !folded_[root];
  }

  template <class Visit>
  void each_input(const Node& node, const Visit& visit) {
    for (const NodeArg& a : node.args) {
      if (a.tag == ArgTag::tensor) visit(a.value);
      if (a.tag != ArgTag::tensors) continue;
      for (int32_t v : a.values) {
        if (v >= 0) visit(v);
      }
    }
  }

  bool is_fixed(int32_t constant, const PlanOptions& options) const {
    const auto written = [&](const StateUpdate& u) {
      return u.constant == constant;
    };
    return options.fixed(constant) && std::ranges::none_of(updates_, written);
  }

  void fold(const PlanOptions& options) {
    const Graph& g = bound_.graph;
    done_ = find_constant_nodes(
        bound_, [&](int32_t c) { return is_fixed(c, options); });
    for (int32_t n = 0; n < end_; ++n) {
      OpCall& call = bound_.calls[n];
      const auto& outputs = g.nodes[n].outputs;
      if (done_[n] && call.nouts > 0 && has_work(call)) {
        count_folded(call, options.limit);
        try {
          take_results(n, options.prepared.results(call, plan_.region_.number,
                                                   outputs[0]));
        } catch (Error& e) {
          e.prepend(node_tag(g, n));
          throw;
        }
      }
      // A view was made before its root had memory.
      for (int i = 0; i < call.nouts; ++i) {
        const int32_t root = bound_.root[outputs[i]];
        if (call.alias[i] < 0 || !folded_[root]) continue;
        share_memory(*call.outs[i], *bound_.impls[root]);
      }
    }
  }
  void count_folded(const OpCall& call, int64_t limit) {
    for (int i = 0; i < call.nouts; ++i) {
      folded_bytes_ += call.alias[i] < 0 ? call.outs[i]->nbytes() : 0;
    }
    if (folded_bytes_ <= limit) return;
    fail<MemoryError>("what is computed from weights alone needs ",
                      folded_bytes_, " bytes or more, over the cap of ", limit,
                      " bytes of memory");
  }
  void take_results(int32_t n, const std::vector<Tensor>& results) {
    const OpCall& call = bound_.calls[n];
    for (int i = 0; i < call.nouts; ++i) {
      if (call.alias[i] >= 0) continue;
      share_memory(*call.outs[i], *results[i].impl());
      folded_[bound_.graph.nodes[n].outputs[i]] = true;
    }
  }

  void prepare(const PlanOptions& options) {
    const Graph& g = bound_.graph;
    for (int32_t n = 0; n < end_; ++n) {
      OpCall& call = bound_.calls[n];
      const KernelDef* kernel = call.info.cpu;
      if (done_[n] || !kernel || !kernel->prepare) continue;
      const NodeArg& a = g.nodes[n].args[kernel->prepare->arg];
      if (a.tag != ArgTag::tensor) continue;
      const int32_t c = g.values[a.value].constant;
      if (c < 0 || !is_fixed(c, options)) continue;
      call.prepared = options.prepared.form(call, c);
    }
  }

  void fuse() {
    plan_.fused_ = fuse_epilogues(bound_, updates_, done_);
    for (FusedCalls& f : plan_.fused_) {
      fused_[f.head] = &f;
      for (int32_t n : f.joined) fused_[n] = &f;
    }
  }
  void tile() {
    std::vector<bool> taken = done_;
    for (int32_t n = 0; n < end_; ++n) taken[n] = done_[n] || fused_[n];
    plan_.tiled_ = find_tiles(bound_, updates_, taken);
    for (TiledCalls& t : plan_.tiled_) {
      for (int32_t n : t.nodes) tiled_[n] = &t;
    }
  }
  // When node n runs.
  int32_t time_of(int32_t n) const {
    if (fused_[n]) return fused_[n]->tail();
    return tiled_[n] ? tiled_[n]->tail() : n;
  }

  // When each root is touched last, and whether anybody reads it; `end_`:
  // needed after the run.
  void find_uses() {
    const Graph& g = bound_.graph;
    for (int32_t n = 0; n < end_; ++n) {
      const auto touch = [&](int32_t v) {
        int32_t& last = last_use_[bound_.root[v]];
        last = std::max(last, time_of(n));
      };
      each_input(g.nodes[n], [&](int32_t v) {
        touch(v);
        read_[bound_.root[v]] = true;
      });
      for (int32_t v : g.nodes[n].outputs) touch(v);
    }
    const auto keep = [&](int32_t v) {
      last_use_[bound_.root[v]] = end_;
      read_[bound_.root[v]] = true;
    };
    for (int32_t v : g.outputs) keep(v);
    for (const StateUpdate& u : updates_) keep(u.value);
  }

  int32_t new_block(int64_t bytes, int32_t first, int32_t last) {
    blocks_.push_back({bytes, first, last});
    return static_cast<int32_t>(blocks_.size()) - 1;
  }

  static bool is_optional(const OpCall& call, int result) {
    const KernelDef* kernel = call.info.cpu;
    return kernel && kernel->optional_results >> result & 1;
  }

  void place_node(int32_t n) {
    if (done_[n]) return;
    const Node& node = bound_.graph.nodes[n];
    OpCall& call = bound_.calls[n];
    each_input(node, [&](int32_t v) {
      plan_.cost_.elements += bound_.impls[v]->numel;
    });
    if (fused_[n]) return place_fused(n);
    if (tiled_[n]) return place_tiled(n);
    for (int i = 0; i < call.nouts; ++i) {
      if (call.alias[i] >= 0) continue;
      const int32_t v = node.outputs[i];
      if (!read_[v] && is_optional(call, i)) continue;
      int32_t& block = block_[v];
      if (i == 0) block = reusable_block(n);
      if (block < 0) {
        block = new_block(bound_.impls[v]->nbytes(), n, last_use_[v]);
      }
      blocks_[block].last = std::max(blocks_[block].last, last_use_[v]);
      plan_.cost_.elements += bound_.impls[v]->numel;
    }
    if (!has_work(call)) return;
    plan_.steps_.push_back({&call, nullptr, nullptr, static_cast<size_t>(n)});
  }

  void place_control(int32_t n, const PlanOptions& options) {
    BoundControl& control = *bound_.controls[n];
    plan_.controls_.push_back(
        std::make_unique<ControlStep>(control, constants_, options));
    for (int32_t v : bound_.graph.nodes[n].outputs) {
      block_[v] = new_block(bound_.impls[v]->nbytes(), n, last_use_[v]);
      plan_.cost_.elements += bound_.impls[v]->numel;
    }
    plan_.cost_.elements += plan_.controls_.back()->elements();
    plan_.steps_.push_back({nullptr, plan_.controls_.back().get(), nullptr,
                            static_cast<size_t>(n)});
  }

  // One of several nodes that the first one's kernel does. The results of the
  // first and of the last are the same memory, those between them have none.
  void place_fused(int32_t n) {
    const FusedCalls& f = *fused_[n];
    if (n != f.tail()) return;
    const int32_t made = bound_.graph.nodes[f.head].outputs[0];
    const int32_t result = bound_.graph.nodes[n].outputs[0];
    block_[made] = block_[result] =
        new_block(bound_.impls[result]->nbytes(), n, last_use_[result]);
    plan_.cost_.elements += bound_.impls[result]->numel;
    plan_.steps_.push_back(
        {&bound_.calls[f.head], nullptr, nullptr, static_cast<size_t>(f.head)});
  }

  // One of several nodes that run together: the result of the last has memory.
  void place_tiled(int32_t n) {
    const TiledCalls& t = *tiled_[n];
    if (n != t.tail()) return;
    const int32_t v = bound_.graph.nodes[n].outputs[0];
    int32_t& block = block_[v];
    block = reusable_block(t);
    if (block < 0) {
      block = new_block(bound_.impls[v]->nbytes(), n, last_use_[v]);
    }
    blocks_[block].last = std::max(blocks_[block].last, last_use_[v]);
    plan_.cost_.elements += bound_.impls[v]->numel;
    plan_.steps_.push_back({nullptr, nullptr, &t, static_cast<size_t>(n)});
  }

  // A result that may be written over an input takes the memory of one that
  // dies here: of any if the kernel works element by element, else of the
  // first.
  int32_t reusable_block(int32_t n) {
    const KernelDef* kernel = bound_.calls[n].info.cpu;
    if (!kernel || !(kernel->elementwise || kernel->over_input)) return -1;
    const Node& node = bound_.graph.nodes[n];
    std::vector<int32_t> inputs;
    each_input(node, [&](int32_t v) { inputs.push_back(v); });
    const size_t candidates = kernel->elementwise ? node.args.size() : 1;
    for (size_t i = 0; i < candidates; ++i) {
      const NodeArg& a = node.args[i];
      if (a.tag == ArgTag::tensor &&
          may_overwrite(a.value, n, inputs, kernel->elementwise)) {
        return block_of(a.value);
      }
    }
    return -1;
  }
  int32_t reusable_block(const TiledCalls& tiled) {
    std::vector<int32_t> inputs;
    for (int32_t n : tiled.nodes) {
      each_input(bound_.graph.nodes[n], [&](int32_t v) {
        if (block_of(v) >= 0) inputs.push_back(v);
      });
    }
    for (int32_t v : inputs) {
      if (may_overwrite(v, tiled.tail(), inputs, true)) return block_of(v);
    }
    return -1;
  }

  // May result 0 of node n be written over `value`, one of its inputs?
  bool may_overwrite(int32_t value, int32_t n, std::span<const int32_t> inputs,
                     bool elementwise) {
    if (!in_arena(value) || block_of(value) < 0) return false;
    const TensorImpl& in = *bound_.impls[value];
    const TensorImpl& out = *bound_.calls[n].outs[0];
    return blocks_[block_of(value)].last == n &&
           same_place(in, *bound_.impls[bound_.root[value]]) &&
           same_place(in, out) && itemsize(in.dtype) == itemsize(out.dtype) &&
           only_reader(inputs, value, elementwise);
  }

  static bool same_place(const TensorImpl& a, const TensorImpl& b) {
    return a.contiguous && b.contiguous && a.offset == 0 && b.offset == 0 &&
           a.numel == b.numel;
  }

  // No other input looks at the same memory, or only `alike`.
  bool only_reader(std::span<const int32_t> inputs, int32_t value, bool alike) {
    bool only = true;
    int uses = 0;
    for (int32_t v : inputs) {
      uses += v == value;
      if (v == value || block_of(v) != block_of(value)) continue;
      only &= alike && same_place(*bound_.impls[v], *bound_.impls[value]) &&
              std::ranges::equal(bound_.impls[v]->sizes(),
                                 bound_.impls[value]->sizes());
    }
    return only && (alike || uses == 1);
  }
  int32_t block_of(int32_t v) const {
    return in_arena(v) ? block_[bound_.root[v]] : -2;
  }

  // A dense tensor in a block of its own, alive after the last node.
  TensorImpl* stage(const TensorImpl& like) {
    Tensor t = Tensor::adopt(new_impl());
    t->dtype = like.dtype;
    t->set_contiguous(like.sizes());
    staged_blocks_.push_back(new_block(t->nbytes(), end_, end_));
    plan_.staged_.push_back(t);
    return t.impl();
  }

  // Results are dense and the session's own: inputs, weights and strided views
  // are copied.
  void place_outputs(bool own_results) {
    const auto& outputs = bound_.graph.outputs;
    if (own_results) plan_.results_.reset(new Storage[outputs.size()]);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const int32_t v = outputs[i];
      TensorImpl* t = bound_.impls[v];
      int32_t block = in_arena(v) && t->contiguous ? block_of(v) : -1;
      if (own_results && block >= 0 && !fills(*t, block)) block = -1;
      if (block < 0) {
        TensorImpl* dense = stage(*t);
        plan_.copies_.push_back({t, dense});
        t = dense;
        block = staged_blocks_.back();
      }
      if (own_results) give_away(block, i);
      plan_.outputs_.push_back(Tensor::share(t));
    }
  }

  // Is it all of a block that is no result yet?
  bool fills(const TensorImpl& t, int32_t block) const {
    const bool taken =
        static_cast<size_t>(block) < owner_.size() && owner_[block] >= 0;
    return !taken && t.offset == 0 && t.nbytes() == blocks_[block].bytes;
  }

  // The block is the memory of result i: it has no place in the arena.
  void give_away(int32_t block, size_t i) {
    owner_.resize(blocks_.size(), -1);
    owner_[block] = static_cast<int32_t>(i);
    blocks_[block].bytes = 0;
    Storage& memory = plan_.results_[i];
    // Views keep references; the plan outlives them all.
    memory.release = [](Storage*) {};
  }

  void find_numbers() {
    for (int32_t n = 0; n < end_; ++n) {
      const auto& args = bound_.graph.nodes[n].args;
      for (size_t a = 0; a < args.size(); ++a) {
        if (args[a].tag != ArgTag::float_ || args[a].expr < 0) continue;
        plan_.numbers_.push_back(
            {&bound_.calls[n], static_cast<int>(a), args[a].expr});
      }
    }
  }

  // State that was not written in place is copied at the end. What is itself
  // state is staged, so that states may be exchanged.
  void place_updates() {
    std::vector<Copy> second;
    for (const StateUpdate& u : updates_) {
      TensorImpl* to = constants_[u.constant].impl();
      TensorImpl* from = bound_.impls[u.value];
      if (from == to) continue;
      const int32_t root = bound_.root[u.value];
      if (bound_.graph.values[root].role == ValueRole::state) {
        TensorImpl* dense = stage(*from);
        plan_.copies_.push_back({from, dense});
        from = dense;
      }
      second.push_back({from, to});
    }
    plan_.copies_.insert(plan_.copies_.end(), second.begin(), second.end());
  }

  void add_scratch(int64_t limit) {
    RunCost& cost = plan_.cost_;
    for (const Step& s : plan_.steps_) {
      if (s.tiles) continue;
      cost.scratch_bytes =
          std::max(cost.scratch_bytes, s.call ? workspace_bytes(*s.call)
                                              : s.control->workspace_bytes());
    }
    cost.nodes = static_cast<int>(plan_.steps_.size());
    if (cost.scratch_bytes > limit - cost.arena_bytes) {
      fail<MemoryError>("needs ", cost.arena_bytes, " + ", cost.scratch_bytes,
                        " bytes, over the cap of ", limit, " bytes of memory");
    }
  }

  void place(TensorImpl* t, Storage* arena, int32_t block) {
    Storage* to = owner_[block] < 0 ? arena : &plan_.results_[owner_[block]];
    if (t->storage != to) {
      if (t->storage) release(t->storage);
      retain(to);
      t->storage = to;
    }
    t->offset += blocks_[block].offset / itemsize(t->dtype);
  }

  void give_memory(Storage* arena) {
    const Graph& g = bound_.graph;
    for (size_t n = 0; n < g.nodes.size(); ++n) {
      const Node& node = g.nodes[n];
      // What follows the results is what was written in place.
      const size_t results = bound_.controls[n]
                                 ? node.outputs.size()
                                 : static_cast<size_t>(bound_.calls[n].nouts);
      for (size_t i = 0; i < results; ++i) {
        const int32_t v = node.outputs[i];
        if (!in_arena(v) || block_[bound_.root[v]] < 0) continue;
        place(bound_.impls[v], arena, block_[bound_.root[v]]);
      }
    }
    for (size_t i = 0; i < staged_blocks_.size(); ++i) {
      place(plan_.staged_[i].impl(), arena, staged_blocks_[i]);
    }
  }

  Plan& plan_;
  std::span<const StateUpdate> updates_;
  std::span<const Tensor> constants_;
  BoundGraph& bound_;
  int32_t end_;
  std::vector<bool> done_;    // nodes that do not run
  std::vector<bool> folded_;  // roots that such a node made
  int64_t folded_bytes_ = 0;
  std::vector<const FusedCalls*> fused_;  // of a node, or null
  std::vector<const TiledCalls*> tiled_;  // the same
  std::vector<MemoryBlock> blocks_;
  std::vector<int32_t> owner_;     // of a block: the result it is, or -1
  std::vector<bool> read_;         // of a root
  std::vector<int32_t> block_;     // of a root
  std::vector<int32_t> last_use_;  // of a root
  std::vector<int32_t> staged_blocks_;
};

Plan::Plan(BoundRegion region, std::span<const StateUpdate> updates,
           std::span<const Tensor> constants, Storage* arena,
           const PlanOptions& options, bool own_results)
    : region_(std::move(region)) {
  Builder(*this, updates, constants).build(arena, options, own_results);
}

Plan::Plan(const Program& program, const Signature& signature,
           const Graph& graph, std::span<const Tensor> inputs,
           std::span<const Tensor> constants, Storage* arena,
           const PlanOptions& options)
    : Plan(bind_signature(program, signature, graph, inputs, constants),
           signature.state_updates, constants, arena, options,
           options.own_results) {
  signature_ = &signature;
}

Plan::~Plan() = default;

bool Plan::fits(const Signature* signature,
                std::span<const Tensor> inputs) const {
  if (signature != signature_) return false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!std::ranges::equal(inputs[i].shape(), region_.inputs[i].shape())) {
      return false;
    }
  }
  return true;
}

std::vector<std::string> Plan::steps() const {
  std::vector<std::string> steps;
  for (const Step& s : steps_) {
    steps.push_back(step_name(s));
    if (s.call && s.call->prepared) steps.back() += ", prepared";
  }
  return steps;
}

const FusedCalls* Plan::fused(const Step& step) const {
  if (!step.call || !step.call->epilogue) return nullptr;
  const auto at = std::ranges::find_if(fused_, [&](const FusedCalls& f) {
    return step.call->epilogue == &f.epilogue;
  });
  return at == fused_.end() ? nullptr : &*at;
}

std::string Plan::step_name(const Step& step) const {
  const BoundGraph& bound = *region_.graph;
  if (step.tiles) {
    std::string name;
    for (int32_t n : step.tiles->nodes) {
      name += concat(name.empty() ? "" : " + ", bound.calls[n].op.name);
    }
    return name;
  }
  std::string name = bound.graph.nodes[step.node].op->name;
  if (const FusedCalls* f = fused(step)) {
    for (int32_t n : f->joined) name += concat(" + ", bound.calls[n].op.name);
  }
  return name;
}

// --- running ----------------------------------------------------------------

void Plan::set_input(size_t i, void* data) {
  region_.storage[i].data = data;
  region_.storage[i].nbytes = input_bytes(i);
}

void Plan::set_numbers(std::span<const double> numbers) {
  for (const Number& n : numbers_) n.call->args[n.arg].f = numbers[n.index];
}

void Plan::run(std::span<const Tensor> inputs, void* scratch,
               const RunContext& context) {
  for (size_t i = 0; i < inputs.size(); ++i) set_input(i, inputs[i]->bytes());
  run_given(scratch, context);
}

void Plan::run_step(const Step& step, void* scratch,
                    const RunContext& context) {
  if constexpr (kControlFlow) {
    if (step.control) return step.control->run(scratch, context.inner());
  }
  if (step.tiles) return step.tiles->program.run();
  OpCall& call = *step.call;
  if (call.op.random) {
    call.rng.seed = context.rng.seed;
    call.rng.offset = context.rng.offset++;
  }
  run_cpu_kernel(call, scratch);
}

void Plan::run_watched(size_t i, void* scratch, const RunContext& context) {
  const auto now = [] {
    const auto t = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(t).count();
  };
  if (names_.empty()) {
    for (const Step& s : steps_) names_.push_back(step_name(s));
  }
  const BoundGraph& bound = *region_.graph;
  const FusedCalls* f = fused(steps_[i]);
  const size_t last = f ? static_cast<size_t>(f->tail()) : steps_[i].node;
  const int64_t begin = now();
  run_step(steps_[i], scratch, context);
  context.watcher->step({names_[i].c_str(), bound.graph, region_.number,
                         bound.graph.nodes[last], bound.impls, context.depth,
                         begin, now()});
}

void Plan::run_given(void* scratch, const RunContext& context) {
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    try {
      context.stop_if_cancelled();
      if (context.watcher) [[unlikely]] {
        run_watched(i, scratch, context);
      } else {
        run_step(step, scratch, context);
      }
    } catch (Error& e) {
      e.prepend(node_tag(region_.graph->graph, step.node));
      throw;
    }
  }
  for (const Copy& c : copies_) strided_copy(*c.from, *c.to);
}

}  // namespace ferrule
