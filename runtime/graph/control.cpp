// Binds and runs control flow nodes.
#include "runtime/graph/control.h"

#include <algorithm>
#include <string_view>

#include "runtime/core/copy_bytes.h"
#include "runtime/cpu/strided_copy.h"
#include "runtime/graph/plan.h"

namespace ferrule {
namespace {

constexpr int64_t kAlign = 64;

// Says where a type is not what it must be, e.g. "[scan] carry 1".
void check_same(const TensorImpl& got, const TensorImpl& want,
                std::string_view op, std::string_view what, size_t i) {
  if (got.dtype == want.dtype && std::ranges::equal(got.sizes(), want.sizes()))
    return;
  fail<FormatError>("[", op, "] ", what, " ", i, " is ", got.dtype, " ",
                    got.sizes(), " after a step, and ", want.dtype, " ",
                    want.sizes(), " before it");
}

void check_predicate(const TensorImpl& t, std::string_view op) {
  if (t.dtype == DType::bool_ && t.numel == 1) return;
  fail<FormatError>("[", op, "] the condition is ", t.dtype, " ", t.sizes(),
                    ", it must be one bool");
}

ControlKind kind_of(const OpDef& op) {
  const std::string_view name = op.name;
  return name == "cond"         ? ControlKind::cond
         : name == "while_loop" ? ControlKind::while_loop
                                : ControlKind::scan;
}

std::vector<TensorImpl*> tensors(const OpCall& call, int arg) {
  const auto list = call.list(arg);
  for (TensorImpl* t : list) {
    if (!t) call.fail<FormatError>("an operand is missing");
  }
  return {list.begin(), list.end()};
}

Tensor header(DType dtype, const Dims& shape) {
  Tensor t = Tensor::adopt(new_impl());
  t->dtype = dtype;
  t->set_contiguous(shape);
  return t;
}

TensorImpl& result_of(const BoundRegion& r, size_t i) {
  return *r.graph->impls[r.graph->graph.outputs[i]];
}
size_t result_count(const BoundRegion& r) {
  return r.graph->graph.outputs.size();
}

}  // namespace

// --- binding ----------------------------------------------------------------

BoundRegion::BoundRegion(const Program& program, int32_t graph_number,
                         const Graph& g, std::span<TensorImpl* const> like,
                         std::span<const Tensor> constants,
                         const std::vector<int64_t>& symbols, Nesting& nesting)
    : number(graph_number), storage(new Storage[like.size()]) {
  std::vector<TensorImpl*> impls;
  for (size_t i = 0; i < like.size(); ++i) {
    Tensor t = header(like[i]->dtype, Dims(like[i]->sizes()));
    t->storage = &storage[i];
    // Views keep references; the region outlives them all.
    t->storage->release = [](Storage*) {};
    impls.push_back(t.impl());
    inputs.push_back(std::move(t));
  }
  if (impls.size() != g.inputs.size()) {
    fail<FormatError>("graph '", g.name, "' takes ", g.inputs.size(),
                      " inputs, and is given ", impls.size());
  }
  graph = std::make_unique<BoundGraph>(program, g, impls, constants, symbols,
                                       nesting);
}

BoundRegion bind_signature(const Program& program, const Signature& signature,
                           const Graph& graph, std::span<const Tensor> inputs,
                           std::span<const Tensor> constants) {
  std::vector<TensorImpl*> impls;
  for (const Tensor& t : inputs) impls.push_back(t.impl());
  std::vector<int64_t> symbols;
  bind_symbols(program, signature, impls, symbols);
  Nesting nesting;
  return BoundRegion(program, signature.graph, graph, impls, constants, symbols,
                     nesting);
}

BoundControl::BoundControl(const Program& program, const Node& node,
                           const OpCall& call,
                           std::span<const Tensor> constants,
                           const std::vector<int64_t>& symbols,
                           Nesting& nesting)
    : kind(kind_of(*node.op)) {
  const char* name = node.op->name;
  const size_t wanted = kind == ControlKind::scan ? 1 : 2;
  if (node.regions.size() != wanted) {
    call.fail<FormatError>("has ", node.regions.size(), " graphs, needs ",
                           wanted);
  }
  std::vector<Tensor> slices;
  if (kind == ControlKind::cond) {
    predicate = call.args[0].tensor;
    check_predicate(*predicate, name);
    consts = tensors(call, 1);
  } else {
    carry = tensors(call, 0);
    consts = tensors(call, 1);
  }
  if (kind == ControlKind::scan) {
    xs = tensors(call, 2);
    length = call.i(3);
    reverse = call.b(4);
    if (length < 0) call.fail<ShapeError>("a length of ", length);
    for (TensorImpl* x : xs) {
      if (x->ndim == 0 || x->shape[0] != length) {
        call.fail<ShapeError>("takes ", length, " steps, and shape ",
                              x->sizes(), " to go through");
      }
      Dims rest(x->sizes());
      rest.erase(0);
      slices.push_back(header(x->dtype, rest));
    }
  }
  std::vector<TensorImpl*> operands = carry;
  operands.insert(operands.end(), consts.begin(), consts.end());
  for (const Tensor& t : slices) operands.push_back(t.impl());
  for (int32_t g : node.regions) {
    regions.emplace_back(program, g, program.graphs[g], operands, constants,
                         symbols, nesting);
  }

  const BoundRegion& step = regions.back();
  if (kind == ControlKind::cond) {
    if (result_count(regions[0]) != result_count(step)) {
      call.fail<FormatError>("its graphs have ", result_count(regions[0]),
                             " and ", result_count(step), " results");
    }
  } else if (result_count(step) < carry.size() ||
             (kind == ControlKind::while_loop &&
              result_count(step) != carry.size())) {
    call.fail<FormatError>("a step has ", result_count(step),
                           " results, the carry ", carry.size());
  }
  if (kind == ControlKind::while_loop) {
    if (result_count(regions[0]) != 1) {
      call.fail<FormatError>("the condition has ", result_count(regions[0]),
                             " results, it must be one bool");
    }
    check_predicate(result_of(regions[0], 0), name);
  }
  for (size_t i = 0; i < result_count(step); ++i) {
    const TensorImpl& t = result_of(step, i);
    Dims shape(t.sizes());
    if (kind == ControlKind::cond) {
      const TensorImpl& other = result_of(regions[0], i);
      if (other.dtype != t.dtype ||
          !std::ranges::equal(other.sizes(), t.sizes())) {
        call.fail<FormatError>("result ", i, " is ", other.dtype, " ",
                               other.sizes(), " if true, and ", t.dtype, " ",
                               t.sizes(), " if not");
      }
    } else if (i < carry.size()) {
      check_same(t, *carry[i], name, "carry", i);
    } else {
      shape.insert(0, length);
      checked_numel(shape);
    }
    results.push_back(header(t.dtype, shape));
  }
}

// --- running ----------------------------------------------------------------

struct ControlStep::Region {
  Region(BoundRegion bound, std::span<const Tensor> constants,
         const PlanOptions& options)
      : plan(std::move(bound), {}, constants, &arena, options) {
    arena.release = [](Storage*) {};
  }
  int64_t bytes() const {
    return (plan.cost().arena_bytes + kAlign - 1) / kAlign * kAlign +
           plan.cost().scratch_bytes;
  }
  void run(char* memory, const RunContext& context) {
    context.stop_if_cancelled();
    arena.data = memory;
    arena.nbytes = plan.cost().arena_bytes;
    plan.run_given(memory + (arena.nbytes + kAlign - 1) / kAlign * kAlign,
                   context);
  }
  Storage arena;  // its memory is in the workspace
  Plan plan;
};

namespace {

bool is_true(const TensorImpl& t) { return *t.bytes() != 0; }

int64_t reserve(int64_t& end, int64_t bytes) {
  const int64_t at = end;
  end += (bytes + kAlign - 1) / kAlign * kAlign;
  return at;
}

}  // namespace

ControlStep::ControlStep(BoundControl& control,
                         std::span<const Tensor> constants,
                         const PlanOptions& options)
    : control_(control),
      max_steps_(options.max_steps),
      carry_(control.carry.size()),
      consts_(control.consts.size()),
      xs_(control.xs.size()) {
  for (const auto* list : {&control.carry, &control.consts, &control.xs}) {
    for (const TensorImpl* t : *list) {
      dense_.push_back(t->contiguous ? -1 : reserve(region_at_, t->nbytes()));
    }
  }
  for (const TensorImpl* t : control.carry) {
    kept_.push_back(reserve(region_at_, t->nbytes()));
  }
  int64_t bytes = 0;
  for (BoundRegion& r : control.regions) {
    regions_.push_back(
        std::make_unique<Region>(std::move(r), constants, options));
    bytes = std::max(bytes, regions_.back()->bytes());
  }
  if (bytes > options.limit - region_at_) {
    fail<MemoryError>("needs ", region_at_, " + ", bytes,
                      " bytes, over the cap of ", options.limit,
                      " bytes of memory");
  }
  workspace_ = region_at_ + bytes;
}

ControlStep::~ControlStep() = default;

int64_t ControlStep::elements() const {
  int64_t n = 0;
  for (const auto& r : regions_) n += r->plan.cost().elements;
  return n;
}

void ControlStep::fail_too_long() const {
  fail<RuntimeError>("a loop takes more than ", max_steps_,
                     " steps, the cap of this session (max_steps)");
}

void ControlStep::run(void* workspace, const RunContext& context) {
  memory_ = static_cast<char*>(workspace) + region_at_;
  read_operands(static_cast<char*>(workspace));
  switch (control_.kind) {
    case ControlKind::cond:
      choose(context);
      break;
    case ControlKind::while_loop:
      loop(context);
      break;
    case ControlKind::scan:
      scan(context);
      break;
  }
}

// Operands where they lie, or dense copies of them.
void ControlStep::read_operands(char* workspace) {
  size_t n = 0;
  const auto read = [&](const std::vector<TensorImpl*>& list,
                        std::vector<char*>& at) {
    for (size_t i = 0; i < list.size(); ++i, ++n) {
      TensorImpl& t = *list[i];
      at[i] = t.bytes();
      if (dense_[n] < 0) continue;
      at[i] = workspace + dense_[n];
      Storage place;
      place.data = at[i];
      place.nbytes = t.nbytes();
      TensorImpl copy;
      copy.dtype = t.dtype;
      copy.set_contiguous(t.sizes());
      copy.storage = &place;
      strided_copy(t, copy);
      copy.storage = nullptr;
    }
  };
  read(control_.carry, carry_);
  read(control_.consts, consts_);
  read(control_.xs, xs_);
}

void ControlStep::give(Region& region, int64_t step) {
  size_t n = 0;
  for (char* p : carry_) region.plan.set_input(n++, p);
  for (char* p : consts_) region.plan.set_input(n++, p);
  for (size_t i = 0; i < xs_.size(); ++i, ++n) {
    region.plan.set_input(n, xs_[i] + step * region.plan.input_bytes(n));
  }
}

// The results of a step are the next one's carry.
void ControlStep::take_carry(Region& region) {
  char* workspace = memory_ - region_at_;
  for (size_t i = 0; i < carry_.size(); ++i) {
    const Tensor& t = region.plan.outputs()[i];
    carry_[i] = workspace + kept_[i];
    copy_bytes(carry_[i], t->bytes(), t->nbytes());
  }
}

void ControlStep::finish_carry() {
  for (size_t i = 0; i < carry_.size(); ++i) {
    const Tensor& to = control_.results[i];
    copy_bytes(to->bytes(), carry_[i], to->nbytes());
  }
}

void ControlStep::choose(const RunContext& context) {
  Region& region = *regions_[is_true(*control_.predicate) ? 0 : 1];
  give(region);
  region.run(memory_, context);
  for (size_t i = 0; i < control_.results.size(); ++i) {
    const Tensor& to = control_.results[i];
    copy_bytes(to->bytes(), region.plan.outputs()[i]->bytes(), to->nbytes());
  }
}

void ControlStep::loop(const RunContext& context) {
  Region& condition = *regions_[0];
  Region& step = *regions_[1];
  for (int64_t n = 0;; ++n) {
    give(condition);
    condition.run(memory_, context);
    if (!is_true(*condition.plan.outputs()[0].impl())) break;
    if (n == max_steps_) fail_too_long();
    give(step);
    step.run(memory_, context);
    take_carry(step);
  }
  finish_carry();
}

void ControlStep::scan(const RunContext& context) {
  Region& step = *regions_[0];
  if (control_.length > max_steps_) fail_too_long();
  for (int64_t n = 0; n < control_.length; ++n) {
    const int64_t at = control_.reverse ? control_.length - 1 - n : n;
    give(step, at);
    step.run(memory_, context);
    const auto outputs = step.plan.outputs();
    for (size_t i = carry_.size(); i < outputs.size(); ++i) {
      const int64_t bytes = outputs[i]->nbytes();
      char* to = control_.results[i]->bytes();
      copy_bytes(to + at * bytes, outputs[i]->bytes(), bytes);
    }
    take_carry(step);
  }
  finish_carry();
}

}  // namespace ferrule
