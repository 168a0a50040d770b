// The one path of every op: check, shape, compute, record.
#include <algorithm>
#include <cstring>
#include <optional>

#include "ferrule/capture.h"
#include "ferrule/ops.h"
#include "ferrule/random.h"
#include "runtime/autograd/autocast.h"
#include "runtime/autograd/compose.h"
#include "runtime/autograd/layout.h"
#include "runtime/autograd/modes.h"
#include "runtime/autograd/node.h"
#include "runtime/core/backend.h"
#include "runtime/core/profile.h"
#include "runtime/cpu/strided_copy.h"

namespace ferrule {
namespace {

thread_local Workspace workspace;

template <class Visit>
void each_input(OpCall& c, const Visit& visit) {
  for (int i = 0; i < c.info.schema.n; ++i) {
    if (c.args[i].tag == ArgTag::tensor) {
      visit(i, c.args[i].tensor);
    } else if (c.args[i].tag == ArgTag::tensors) {
      for (int k = 0; k < c.args[i].n; ++k) {
        if (c.args[i].tensors[k]) visit(i, c.args[i].tensors[k]);
      }
    }
  }
}

[[noreturn]] [[gnu::cold]] void device_mismatch(const OpCall& c, Device first,
                                                int i, Device other) {
  c.fail<DeviceError>("tensors on different devices: ", first,
                      " for the arguments before '",
                      c.info.schema.params[i].name, "', which is on ", other,
                      "; move it with .to(\"", first, "\")");
}

// Symbolic sizes, random draws and symbolic tensors make an op part of the
// graph; everything else runs now, which folds constants for free.
Device device_in_graph(const OpCall& c) {
  if (c.op.random) return modes.capture->device();
  // Sizes are symbolic in the outermost capture alone.
  constexpr Device outermost{DeviceKind::graph, 0};
  for (int i = 0; i < c.info.schema.n; ++i) {
    const Arg& a = c.args[i];
    if (a.tag == ArgTag::int_ && a.n >= 0) return outermost;
    if (a.tag == ArgTag::device && a.device.is_graph()) return a.device;
    if (a.tag != ArgTag::ints) continue;
    for (int k = 0; k < a.n; ++k) {
      if (a.ints[k].symbolic()) return outermost;
    }
  }
  return c.device;
}

// Device of the call; also refreshes views whose base was written since, and
// finds out whether anything wants a gradient.
bool scan_inputs(OpCall& c) {
  bool any = false, grad = false;
  c.cut = Cut::none;
  Device device;
  each_input(c, [&](int i, TensorImpl* t) {
    if (t->device.is_graph()) {
      if (Capture* capture = Capture::find(t->device)) capture->catch_up(t);
    }
    if (is_stale(t)) [[unlikely]]
      refresh_view(t);
    grad |= wants_grad(t);
    if (t->cut != Cut::none) c.cut = t->cut;
    if (t->device.is_graph()) {
      if (!modes.capture || t->device.index > modes.capture->device().index) {
        c.fail<RuntimeError>(
            "a symbolic tensor is used outside of the capture that made it");
      }
      // The innermost: to it those of outer captures are constants.
      if (!device.is_graph() || t->device.index > device.index) {
        device = t->device;
      }
      any = true;
      return;
    }
    if (device.is_graph()) return;  // a constant of the graph
    if (!any) {
      device = t->device;
      any = true;
    } else if (t->device != device) {
      device_mismatch(c, device, i, t->device);
    }
  });
  if (!any) {
    for (int i = 0; i < c.info.schema.n; ++i) {
      if (c.args[i].tag == ArgTag::device) device = c.args[i].device;
    }
  }
  c.device = device;
  if (modes.capture && (c.op.random || !device.is_graph())) {
    c.device = device_in_graph(c);
  }
  return grad;
}

bool overlaps(const TensorImpl* a, const TensorImpl* b) {
  return a->storage && a->storage == b->storage;
}
bool same_geometry(const TensorImpl* a, const TensorImpl* b) {
  return a->dtype == b->dtype && a->offset == b->offset && a->ndim == b->ndim &&
         std::memcmp(a->shape, b->shape, a->ndim * sizeof a->shape[0]) == 0 &&
         std::memcmp(a->strides, b->strides, a->ndim * sizeof a->strides[0]) ==
             0;
}

// NumPy's rule: an operand that overlaps the target is read before the write.
// `Copies` must outlive the call.
struct Copies {
  std::vector<Tensor> tensors;
  std::vector<TensorImpl*> lists[kMaxArgs];
};
void copy_overlapping(OpCall& c, bool grad, std::optional<Copies>& kept) {
  const TensorImpl* target = c.args[0].tensor;
  // Element by element, an operand at the target's very place is fine, unless
  // its old values are to be seen by the gradient.
  const bool elementwise = c.info.cpu && c.info.cpu->elementwise && !grad;
  auto must_copy = [&](const TensorImpl* t) {
    return t && overlaps(target, t) &&
           !(elementwise && same_geometry(target, t));
  };
  auto clone = [&](TensorImpl* t) {
    if (!kept) kept.emplace();
    kept->tensors.push_back(op::clone(Tensor::share(t)));
    return kept->tensors.back().impl();
  };
  for (int i = 1; i < c.info.schema.n; ++i) {
    if (c.is_tensor(i) && must_copy(c.args[i].tensor)) {
      c.args[i].tensor = clone(c.args[i].tensor);
    } else if (c.args[i].tag == ArgTag::tensors) {
      auto list = c.list(i);
      if (std::none_of(list.begin(), list.end(), must_copy)) continue;
      std::vector<TensorImpl*> copy(list.begin(), list.end());
      for (TensorImpl*& t : copy) {
        if (must_copy(t)) t = clone(t);
      }
      c.args[i].tensors = copy.data();
      kept->lists[i] = std::move(copy);
    }
  }
}

// A write in place may round, and wrap, but not change the kind of number.
bool casts_in_place(DType from, DType to) {
  const auto kind = [](DType t) {
    return t == DType::bool_ ? 0 : is_integer(t) ? 1 : is_float(t) ? 2 : 3;
  };
  return kind(from) <= kind(to);
}

// The result of an in-place op must be what the target can hold.
void check_fits(const OpCall& c, const TensorImpl* out,
                const TensorImpl* target) {
  if (!casts_in_place(out->dtype, target->dtype)) {
    c.fail<DTypeError>("the result is ", out->dtype,
                       ", which cannot be written in place into a tensor of ",
                       target->dtype);
  }
  if (!std::equal(out->shape, out->shape + out->ndim, target->shape,
                  target->shape + target->ndim)) {
    c.fail<ShapeError>("the result has shape ", out->sizes(),
                       ", which cannot be written in place into shape ",
                       target->sizes());
  }
}

// Result 0 takes the memory of argument 0.
void place_over_input(OpCall& c) {
  TensorImpl* target = c.args[0].tensor;
  TensorImpl* out = c.outs[0];
  if (c.alias[0] >= 0) return;  // infer made it a view already
  out->set_geometry(target->sizes(), target->steps(), target->offset);
  out->storage = target->storage;
  if (out->storage) retain(out->storage);
}

void note_write(const OpCall& c, TensorImpl* t) {
  if (!t->storage) return;
  t->storage->version.fetch_add(1, std::memory_order_relaxed);
  t->storage->last_writer = &c.op;
  t->storage->writer_site = call_sites.written ? call_sites.written() : 0;
}

void check_writable(const OpCall& c, TensorImpl* t, bool recorded) {
  if (overlaps_itself(t)) {
    c.fail<ValueError>("elements of the tensor that is written, shape ",
                       t->sizes(), " with strides ", t->steps(),
                       ", share memory (it was expanded or unfolded); write "
                       "into a clone()");
  }
  if (t->storage && t->storage->read_only) {
    c.fail<ValueError>("the memory of a tensor (", t->dtype, " ", t->sizes(),
                       ") was shared as read-only and cannot be written in "
                       "place; clone() the tensor first");
  }
  if (!modes.grad) return;
  const TensorImpl* root = t->root ? t->root : t;
  if (root->dtype != t->dtype && (recorded || wants_grad(root))) {
    c.fail<AutogradError>("a write through a view of ", t->dtype,
                          " into a tensor of ", root->dtype,
                          " cannot be recorded; compute both parts and join "
                          "them with complex(), or write under fe.no_grad()");
  }
  if ((t->requires_grad && !t->history) ||
      (root->requires_grad && !root->history)) {
    c.fail<AutogradError>(
        t == root ? "a leaf tensor that requires grad"
                  : "a view of a leaf tensor that requires grad",
        " (", t->dtype, " ", t->sizes(),
        ") cannot be written in place while gradients are recorded; "
        "wrap the update in `with fe.no_grad():`");
  }
  // scan_inputs has refreshed it, so it is outside of the history on purpose.
  if (root->history && !t->history && is_differentiable(t->dtype)) {
    c.fail<AutogradError>(
        "a view made under no_grad (", t->dtype, " ", t->sizes(),
        ") of a tensor with a history cannot be written in place while "
        "gradients are recorded; make the view where they are, or detach() it");
  }
}

// Visits the tensors that the call writes into, besides its results.
template <class Visit>
void each_target(const OpCall& c, bool in_place, bool mutates,
                 const Visit& visit) {
  const Schema& s = c.info.schema;
  for (int i = 0; i < s.n; ++i) {
    if (!(i == 0 && in_place) && !(mutates && s.params[i].mutated)) continue;
    if (c.args[i].tag == ArgTag::tensor) visit(c.args[i].tensor);
    if (c.args[i].tag != ArgTag::tensors) continue;
    for (TensorImpl* t : c.list(i)) {
      if (t) visit(t);
    }
  }
}

// NAME_ of an op whose kernel cannot write over what it reads, or that has
// none, or whose result is of another dtype: it is computed apart and copied
// over the target.
Results run_apart(OpCall& c, bool grad) {
  const Tensor target = c.tensor(0);
  Tensor before;
  if (grad && !c.device.is_graph()) {
    // The gradient gets to see what is about to be overwritten.
    before = op::clone(target);
    c.args[0].tensor = before.impl();
  }
  const Tensor result = std::move(c.op.call(c.args, c.info.schema.n)[0]);
  check_fits(c, result.impl(), target.impl());
  Results r;
  r.n = 1;
  r[0] = op::copy_(target, result);
  return r;
}

// Scratch stays with the thread, and so in its caches, but for what is larger
// than these: the allocator keeps that for all threads.
void run_with_scratch(OpCall& c) {
  constexpr int64_t kKept = int64_t{32} << 20;
  const int64_t bytes = workspace_bytes(c);
  if (bytes <= kKept) {
    return run_cpu_kernel(c, bytes ? workspace.reserve(bytes) : nullptr);
  }
  Workspace large;
  run_cpu_kernel(c, large.reserve(bytes));
}

void compute(OpCall& c, bool mutates) {
  bool fresh = c.nouts == 0;
  for (int i = 0; i < c.nouts; ++i) {
    TensorImpl* t = c.outs[i];
    if (c.alias[i] >= 0) continue;
    fresh = true;
    if (!t->storage) t->storage = new_storage(t->nbytes(), c.device);
  }
  if (!fresh && !mutates) return;  // only views
  if (c.op.random) {
    RngState s = next_tick();
    c.rng = {s.seed, s.offset};
  }
  if (c.device.is_cpu()) {
    run_with_scratch(c);
  } else if (!run_backend_kernel(c)) {
    c.fail<DeviceError>("no kernel for device ", c.device,
                        "; move the tensors with .to(\"cpu\")");
  }
}

bool has_kernel(const OpCall& c) {
  if (!c.op.decompose) return true;
  if (modes.decompose) [[unlikely]]
    return false;
  // A graph holds what the CPU runtime can run.
  if (c.device.is_cpu() || c.device.is_graph()) return c.info.cpu != nullptr;
  return c.op.infer &&
         backend_of(c.device)->find_kernel(c.op.name, c.op.version) != nullptr;
}

bool has_complex(OpCall& c) {
  bool any = false;
  each_input(c, [&](int, TensorImpl* t) { any |= is_complex(t->dtype); });
  for (int i = 0; i < c.info.schema.n; ++i) {
    any |= c.args[i].tag == ArgTag::dtype && is_complex(c.args[i].dtype);
  }
  return any;
}

bool writes_over_input(const KernelDef* k) {
  return k && (k->elementwise || k->over_input);
}

struct NodeGuard {
  OpNode* node;
  ~NodeGuard() {
    if (node) node->release_history();
  }
};

void note_made(const OpCall& c) {
  for (int i = 0; i < c.nouts; ++i) {
    if (c.alias[i] < 0 && c.outs[i]) modes.capture->note_made(c.outs[i]);
  }
}

Results run_dense(OpCall& c) {
  bool wanted = scan_inputs(c);
  bool grad = wanted && modes.grad;
  const Schema& s = c.info.schema;
  bool mutates = s.mutates && writes(c.info, c.args);
  // copy_, fill_: argument 0 is written by the op itself.
  bool in_place = c.in_place || (mutates && s.nouts == 1 &&
                                 s.params[0].mutated && c.is_tensor(0));
  if (in_place || mutates) {
    each_target(c, in_place, mutates, [&](TensorImpl* t) {
      check_writable(c, t, grad);
      if (c.device.is_graph() && !t->device.is_graph()) {
        Capture::at(c.device).adopt(t);
      }
    });
  }
  if (c.op.complex && has_complex(c)) {
    return c.in_place ? run_apart(c, grad) : compose(c, c.op.complex);
  }
  if (!has_kernel(c)) {
    return c.in_place ? run_apart(c, grad) : compose(c, c.op.decompose);
  }
  if (c.in_place && !mutates && !writes_over_input(c.info.cpu)) {
    return run_apart(c, grad);
  }

  std::optional<Copies> copies;
  if (in_place && !c.device.is_graph()) copy_overlapping(c, grad, copies);

  if (c.op.data_dependent && c.device.is_graph()) {
    c.fail<RuntimeError>(
        Capture::at(c.device).purpose() == Capture::For::replay
            ? "the size of its result depends on data, so that it would differ "
              "from sample to sample under fe.vmap"
            : "the size of its result depends on data, which that of a "
              "captured program cannot",
        "; use where or masked_fill to keep the size");
  }
  c.op.infer(c);
  if (in_place) {
    c.in_place = true;
    check_fits(c, c.outs[0], c.args[0].tensor);
    if (c.outs[0]->dtype != c.args[0].tensor->dtype) return run_apart(c, grad);
    place_over_input(c);
  }
  bool differentiable =
      grad && (c.op.vjp || c.op.decompose) && !modes.inference;
  if (differentiable) {
    differentiable = false;
    for (int i = 0; i < c.nouts; ++i) {
      differentiable |= is_differentiable(c.outs[i]->dtype);
    }
  }
  NodeGuard guard{differentiable ? OpNode::record(c) : nullptr};
  std::vector<Tensor> held;
  if (modes.saved_hooks && guard.node) [[unlikely]] {
    // A hook is foreign code, which might drop the arguments.
    each_input(c,
               [&](int, TensorImpl* t) { held.push_back(Tensor::share(t)); });
    guard.node->pack(0, guard.node->nedges);
  }

  if (c.device.is_graph()) {
    Capture& capture = Capture::at(c.device);
    capture.emit(c);
    // A recorded write is written back below, by rebind_history.
    if (in_place || mutates) {
      each_target(c, in_place, mutates, [&](TensorImpl* t) {
        if (t->root && !guard.node) capture.write_back(t);
      });
    }
  } else {
    compute(c, mutates);
    if (modes.capture) [[unlikely]]
      note_made(c);
    if (in_place || mutates) {
      each_target(c, in_place, mutates,
                  [&](TensorImpl* t) { note_write(c, t); });
    }
  }

  if (guard.node) guard.node->finish(c);
  if (OpNode* node = std::exchange(guard.node, nullptr)) {
    if (in_place) {
      rebind_history(c.args[0].tensor, node, 0);
    } else {
      int users = 0;
      for (int i = 0; i < c.nouts; ++i) {
        if (!is_differentiable(c.outs[i]->dtype)) continue;
        if (users++) node->retain_history();
        set_history(c.outs[i], node, i);
      }
    }
  }
  Results r;
  r.n = c.nouts;
  if (in_place) {
    r.n = 1;
    r.v[0] = Tensor::share(c.args[0].tensor);
    return r;
  }
  const Cut cut = wanted && !modes.grad ? Cut::no_grad : c.cut;
  for (int i = 0; i < c.nouts; ++i) {
    if (modes.inference) c.outs[i]->inference = true;
    c.outs[i]->cut = cut;
    r.v[i] = Tensor::adopt(std::exchange(c.outs[i], nullptr));
  }
  return r;
}

// Inlined, so that asking for the profiler costs no call.
[[gnu::always_inline]] inline Results run_any_layout(OpCall& c) {
  const bool channels_last = c.op.keeps_channels_last && c.is_tensor(0) &&
                             !c.in(0).contiguous && is_channels_last(c.in(0));
  Results r = run_dense(c);
  if (!channels_last || c.device.is_graph()) return r;
  for (int i = 0; i < r.n; ++i) {
    if (r[i].ndim() == c.in(0).ndim) r[i] = to_channels_last(r[i]);
  }
  return r;
}

// Where autocast is on. What an op calls inside is not cast once more, unless
// it is a composition that leaves casting to its parts. In-place forms compute
// in the dtype of what they write into.
[[gnu::noinline]] Results run_autocast(OpCall& c) {
  if (c.op.autocast == Autocast::pass && !c.info.cpu) return run_any_layout(c);
  const uint8_t kinds = modes.autocast;
  AutocastOff off;
  if (c.op.autocast <= Autocast::keep || c.in_place) return run_any_layout(c);
  const CastOperands casts(c, kinds);
  return run_any_layout(c);
}

Results run_cast(OpCall& c) {
  if (modes.autocast) [[unlikely]]
    return run_autocast(c);
  return run_any_layout(c);
}

[[gnu::cold]] [[gnu::noinline]] Results run_profiled(OpCall& c) {
  ProfileSpan span(c.op.name, EventKind::op);
  std::vector<const TensorImpl*> tensors;
  each_input(c, [&](int, TensorImpl* t) { tensors.push_back(t); });
  span.inputs(tensors, c.in_place);
  Results r = run_cast(c);
  tensors.clear();
  for (int i = 0; i < r.n; ++i) {
    if (r[i]) tensors.push_back(r[i].impl());
  }
  span.finish(tensors);
  return r;
}

}  // namespace

Results run(OpCall& c) {
  if (profiling()) [[unlikely]]
    return run_profiled(c);
  return run_cast(c);
}

Results OpDef::call(const Arg* given, int n, bool in_place) const {
  OpCall c(*this);
  c.bind(given, n);
  if (in_place) {
    if (!has_inplace || !c.is_tensor(0)) {
      c.fail<ValueError>("has no in-place form for these arguments");
    }
    c.in_place = true;
  }
  return run(c);
}

}  // namespace ferrule
