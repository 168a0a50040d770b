// Recording: packing a call into a node, unpacking what was saved, freeing.
#include "runtime/autograd/node.h"

#include <cstring>
#include <new>

#include "ferrule/capture.h"
#include "ferrule/ops.h"
#include "runtime/autograd/modes.h"
#include "runtime/core/allocator.h"

namespace ferrule {

// --- freeing without recursion ----------------------------------------------

namespace {

// Dead nodes wait here while one of them is being freed on this thread.
thread_local std::vector<TapeNode*>* dying = nullptr;

void free_node(TapeNode* n) {
  for (uint32_t i = 0; i < n->nedges; ++i) {
    if (n->edges[i].node) n->edges[i].node->release_history();
  }
  n->free();
}

}  // namespace

void TapeNode::release_history() noexcept {
  if (refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (dying) {
    dying->push_back(this);
    return;
  }
  std::vector<TapeNode*> queue;
  dying = &queue;
  free_node(this);
  while (!queue.empty()) {
    TapeNode* n = queue.back();
    queue.pop_back();
    free_node(n);
  }
  dying = nullptr;
}

// --- recording --------------------------------------------------------------

namespace {

constexpr size_t align16(size_t n) { return (n + 15) & ~size_t{15}; }

void* block_alloc(size_t bytes) {
  return bytes <= kMaxSmall ? small_alloc(bytes) : ::operator new(bytes);
}
void block_free(void* p, size_t bytes) {
  if (bytes <= kMaxSmall) {
    small_free(p, bytes);
  } else {
    ::operator delete(p);
  }
}

// Visits every tensor argument, lists element by element (null: absent entry).
template <class Visit>
void each_tensor(const Schema& s, const Arg* args, const Visit& visit) {
  for (int i = 0; i < s.n; ++i) {
    if (args[i].tag == ArgTag::tensor) {
      visit(i, args[i].tensor);
    } else if (args[i].tag == ArgTag::tensors) {
      for (int k = 0; k < args[i].n; ++k) visit(i, args[i].tensors[k]);
    }
  }
}

void fill(TensorRecord& r, TensorImpl* t, bool save, int64_t*& pool) {
  r.given = true;
  r.dtype = t->dtype;
  r.device = t->device;
  r.ndim = t->ndim;
  r.offset = t->offset;
  r.graph_value = t->graph_value;
  r.graph_epoch = t->graph_epoch;
  r.geometry = pool;
  std::memcpy(pool, t->shape, t->ndim * sizeof(int64_t));
  std::memcpy(pool + t->ndim, t->strides, t->ndim * sizeof(int64_t));
  pool += 2 * t->ndim;
  r.saved = save;
  if (save && t->storage) {
    r.storage = t->storage;
    retain(t->storage);
    r.version = t->storage->version.load(std::memory_order_relaxed);
  }
}

}  // namespace

OpNode* OpNode::record(const OpCall& c) {
  const Schema& s = c.info.schema;
  // One block: node, arguments, edges, records, integers.
  size_t ntensors = 0, dims = 0, nints = 0;
  uint32_t wanted = 0;
  each_tensor(s, c.args, [&](int i, TensorImpl* t) {
    ++ntensors;
    if (!t) return;
    dims += 2 * t->ndim;
    if (wants_grad(t)) wanted |= 1u << i;
  });
  for (int i = 0; i < c.nouts; ++i) dims += 2 * c.outs[i]->ndim;
  for (int i = 0; i < s.n; ++i) {
    if (c.args[i].tag == ArgTag::ints) nints += c.args[i].n;
  }
  size_t at_args = align16(sizeof(OpNode));
  size_t at_edges = at_args + s.n * sizeof(Arg);
  size_t at_records = at_edges + ntensors * sizeof(Edge);
  size_t at_ints =
      align16(at_records + (ntensors + c.nouts) * sizeof(TensorRecord));
  size_t at_dims = at_ints + nints * sizeof(Int);
  size_t total = at_dims + dims * sizeof(int64_t);

  char* block = static_cast<char*>(block_alloc(total));
  auto* node = new (block) OpNode;
  node->info = &c.info;
  node->bytes = total;
  node->nouts = c.nouts;
  node->wanted = wanted;
  node->nedges = static_cast<uint32_t>(ntensors);
  node->args = reinterpret_cast<Arg*>(block + at_args);
  node->edges = reinterpret_cast<Edge*>(block + at_edges);
  node->inputs = reinterpret_cast<TensorRecord*>(block + at_records);
  node->outputs = node->inputs + ntensors;
  Int* ints = reinterpret_cast<Int*>(block + at_ints);
  int64_t* pool = reinterpret_cast<int64_t*>(block + at_dims);

  // A gradient by decomposition runs the op again: it needs every input.
  const bool save_all = !c.op.vjp;
  uint32_t r = 0;
  each_tensor(s, c.args, [&](int i, TensorImpl* t) {
    auto& record = *new (&node->inputs[r]) TensorRecord;
    auto& edge = *new (&node->edges[r]) Edge;
    ++r;
    if (!t) return;
    const bool save = save_all || (c.info.saves_inputs[i] & wanted) != 0;
    if (save && t->inference) {
      fail<AutogradError>("[", c.op.name,
                          "] a tensor made under inference_mode cannot be "
                          "saved for the gradient; clone() it first");
    }
    if (save && i == 0 && c.in_place && !t->device.is_graph()) {
      // About to be overwritten: the gradient gets to see what it was before.
      const NoGrad no_grad;
      fill(record, op::clone(Tensor::share(t)).impl(), save, pool);
    } else {
      fill(record, t, save, pool);
    }
    node->has_saved |= save;
    edge = edge_of(t);
    if (edge.node) node->order = std::max(node->order, edge.node->order + 1);
  });
  note_site(*node);
  uint32_t first = 0;
  for (int i = 0; i < s.n; ++i) {
    Arg& a = *new (&node->args[i]) Arg(c.args[i]);
    if (a.tag == ArgTag::tensor) {
      a.i = first++;
    } else if (a.tag == ArgTag::tensors) {
      a.i = first;
      first += a.n;
    } else if (a.tag == ArgTag::ints) {
      for (int k = 0; k < a.n; ++k) new (&ints[k]) Int(c.args[i].ints[k]);
      a.ints = ints;
      ints += a.n;
    }
  }
  for (int i = 0; i < c.nouts; ++i) {
    auto& record = *new (&node->outputs[i]) TensorRecord;
    record.ndim = c.outs[i]->ndim;
    record.geometry = pool;
    pool += 2 * record.ndim;
  }
  return node;
}

void OpNode::finish(const OpCall& c) {
  for (uint32_t i = 0; i < nouts; ++i) {
    const bool save = (info->saves_outputs[i] & wanted) != 0;
    int64_t* pool = outputs[i].geometry;
    fill(outputs[i], c.outs[i], save, pool);
    has_saved |= save;
  }
  if (modes.saved_hooks) [[unlikely]]
    pack(nedges, nouts);
}

void OpNode::release_saved() {
  if (!has_saved) return;
  released = true;
  for (uint32_t i = 0; i < nedges + nouts; ++i) {
    if (Storage* s = std::exchange(inputs[i].storage, nullptr)) release(s);
  }
  if (extras) extras->saved.clear();
}

void OpNode::free() {
  for (uint32_t i = 0; i < nedges + nouts; ++i) {
    if (inputs[i].storage) release(inputs[i].storage);
  }
  size_t n = bytes;
  this->~OpNode();
  block_free(this, n);
}

// --- unpacking --------------------------------------------------------------

namespace {

Tensor unpack_hooked(const OpNode& node, const TensorRecord& r,
                     SavedTensor& saved) {
  Tensor t = saved.unpack();
  if (t.dtype() == r.dtype && Dims(t.shape()) == Dims(r.shape()) &&
      t.device() == r.device) {
    return t.detach();
  }
  fail<AutogradError>(
      "[", node.name(), "] the unpack hook of saved_tensors_hooks returned ",
      t.dtype(), " ", t.shape(), " on ", t.device(), " for a tensor that was ",
      r.dtype, " ", r.shape(), " on ", r.device);
}

Tensor unpack(const OpNode& node, const TensorRecord& r) {
  if (!r.saved) {
    fail<RuntimeError>("[", node.name(),
                       "] its gradient asks for a tensor that its definition "
                       "does not list under `saves`");
  }
  const auto at = static_cast<size_t>(&r - node.inputs);
  if (node.extras && at < node.extras->saved.size() && node.extras->saved[at]) {
    return unpack_hooked(node, r, *node.extras->saved[at]);
  }
  if (r.storage &&
      r.storage->version.load(std::memory_order_relaxed) != r.version) {
    const OpDef* writer = r.storage->last_writer;
    fail<AutogradError>("[", node.name(), "] a tensor saved for its gradient, ",
                        r.dtype, " ", r.shape(),
                        ", was overwritten in place by '",
                        writer ? writer->name : "another library",
                        "' after it was used; write into a clone() instead",
                        describe_site("used", node.site),
                        describe_site("overwritten", r.storage->writer_site));
  }
  TensorImpl* t = new_impl();
  t->dtype = r.dtype;
  t->device = r.device;
  t->storage = r.storage;
  if (t->storage) retain(t->storage);
  t->graph_value = r.graph_value;
  t->graph_epoch = r.graph_epoch;
  t->set_geometry(r.shape(), r.strides(), r.offset);
  return Tensor::adopt(t);
}

}  // namespace

void OpNode::pack(uint32_t first, uint32_t n) {
  const PackHook hook = modes.saved_hooks->pack;
  NoGrad no_grad;
  for (uint32_t i = first; i < first + n; ++i) {
    if (!inputs[i].saved) continue;
    auto& saved = more().saved;
    if (saved.empty()) saved.resize(nedges + nouts);
    saved[i] = hook(unpack(*this, inputs[i]));
    if (Storage* s = std::exchange(inputs[i].storage, nullptr)) release(s);
  }
}

Tensor OpNode::unpack_input(int i) const {
  Tensor t = unpack(*this, inputs[i]);
  if (edges[i].node) {
    edges[i].node->retain_history();
    set_history(t.impl(), edges[i].node, edges[i].nr);
  }
  return t;
}

Tensor OpNode::unpack_output(int i) {
  Tensor t = unpack(*this, outputs[i]);
  retain_history();
  set_history(t.impl(), this, i);
  return t;
}

// --- histories of tensors ---------------------------------------------------

void set_history(TensorImpl* t, TapeNode* node, uint32_t nr) {
  if (t->history) t->history->release_history();
  t->history = node;
  t->history_nr = nr;
}

namespace {

AccumulateGrad* accumulator_of(TensorImpl* leaf) {
  auto& slot = meta_of(leaf).accumulator;
  AccumulateGrad* a = slot.load(std::memory_order_acquire);
  if (a) return a;
  auto* fresh = new AccumulateGrad;
  fresh->leaf = leaf;
  if (!slot.compare_exchange_strong(a, fresh, std::memory_order_acq_rel)) {
    delete fresh;  // another thread was first
    return a;
  }
  return fresh;
}

}  // namespace

Edge edge_of(TensorImpl* t) {
  if (t->history) {
    t->history->retain_history();
    return {static_cast<TapeNode*>(t->history), t->history_nr};
  }
  if (!t->requires_grad) return {};
  AccumulateGrad* a = accumulator_of(t);
  a->retain_history();
  return {a, 0};
}

namespace {

// Number of the element of `root` that lies `place` behind its first one.
// Strides nest, as nothing overlaps: a place is like a number with digits.
int64_t number_of(const TensorImpl* root, int64_t place) {
  const Dims dense = contiguous_strides(root->sizes());
  uint32_t done = 0;
  int64_t n = 0;
  for (int k = 0; k < root->ndim; ++k) {
    int largest = -1;
    for (int i = 0; i < root->ndim; ++i) {
      if (done >> i & 1) continue;
      if (largest < 0 || root->strides[i] > root->strides[largest]) {
        largest = i;
      }
    }
    done |= 1u << largest;
    const int64_t step = root->strides[largest];
    if (root->shape[largest] < 2 || step == 0) continue;
    n += place / step * dense[largest];
    place %= step;
  }
  return n;
}

}  // namespace

// For a dense root that is the geometry itself; else places in memory are
// translated one step a dimension, which suffices because both are affine.
Look::Look(const TensorImpl* root, const TensorImpl* view)
    : size(view->sizes()),
      stride(view->steps()),
      offset(view->offset - root->offset) {
  if (root->contiguous || view->numel == 0) {
    if (view->numel == 0) offset = 0;
    return;
  }
  const int64_t first = number_of(root, offset.value);
  for (int i = 0; i < size.n; ++i) {
    if (size[i].value < 2) continue;
    stride[i] = number_of(root, offset.value + stride[i].value) - first;
  }
  offset = first;
}

namespace {

// `root` with the elements of another dtype: the parts of complex numbers, or
// complex numbers of real parts.
Tensor with_dtype(TensorImpl* root, DType dtype) {
  const Tensor whole = Tensor::share(root);
  if (!is_complex(dtype)) {
    // Flat, where that is possible, as there may be no rank left.
    return op::view_as_real(
        root->contiguous ? op::reshape(whole, IntList{numel_of(root)}) : whole);
  }
  if (!root->contiguous) return op::view_as_complex(whole);
  // The pairs begin at an even element of the memory.
  const int64_t first = root->offset % 2;
  const Int n = (numel_of(root) - first) / 2;
  return op::view_as_complex(
      op::as_strided(whole, IntList{n, 2}, IntList{2, 1}, first));
}

}  // namespace

void refresh_view(TensorImpl* t) {
  TensorImpl* root = t->root;
  t->history_seen = root->history_version;
  if (t->requires_grad && !t->history) return;  // a leaf of its own
  const GradMode recorded(true);
  Tensor again;
  if (t->device.is_graph()) {
    again = Capture::at(t->device).look_again(t);
  } else {
    const bool same = t->dtype == root->dtype;
    const Tensor base = same ? Tensor::share(root) : with_dtype(root, t->dtype);
    const Look look(base.impl(), t);
    again = op::as_strided(base, look.size, look.stride, look.offset);
  }
  t->graph_value = again->graph_value;
  set_history(t, static_cast<TapeNode*>(std::exchange(again->history, nullptr)),
              again->history_nr);
}

void rebind_history(TensorImpl* target, TapeNode* node, uint32_t nr) {
  set_history(target, node, nr);
  TensorImpl* root = target->root;
  if (!root) {
    ++target->history_version;
    return;
  }
  if (target->device.is_graph()) {
    Capture::at(target->device).write_back(target);
    return;
  }
  // The values are in place already: only the gradient of strided_write is
  // recorded, its kernel does not run.
  const Look look(root, target);
  OpCall c(op::strided_write);
  Arg args[] = {Arg(root), Arg(target), Arg(look.size), Arg(look.stride),
                Arg(look.offset)};
  c.bind(args, 5);
  c.device = root->device;
  c.out(0, root->dtype, root->sizes());
  OpNode* write = OpNode::record(c);
  write->finish(c);
  set_history(root, write, 0);
  target->history_seen = ++root->history_version;
}

AutogradMeta& meta_of(TensorImpl* t) {
  // Two threads may ask for the same leaf at once.
  auto slot = std::atomic_ref<GradMeta*>(t->grad);
  GradMeta* m = slot.load(std::memory_order_acquire);
  if (!m) {
    auto* fresh = new AutogradMeta;
    fresh->self = t;
    if (slot.compare_exchange_strong(m, fresh, std::memory_order_acq_rel)) {
      m = fresh;
    } else {
      delete fresh;
    }
  }
  return static_cast<AutogradMeta&>(*m);
}

AutogradMeta::~AutogradMeta() {
  if (AccumulateGrad* a = accumulator.load(std::memory_order_acquire)) {
    while (a->lock.test_and_set(std::memory_order_acquire)) {
    }
    a->leaf = nullptr;
    a->lock.clear(std::memory_order_release);
    a->release_history();
  }
  if (retained) {
    std::erase_if(retained->extras->hooks,
                  [&](const NodeHook& h) { return h.retain == self; });
    retained->release_history();
  }
}

}  // namespace ferrule
