// Tensor headers, storages and views.
#include "ferrule/tensor.h"

#include <cstring>
#include <new>

#include "runtime/core/allocator.h"
#include "runtime/core/backend.h"
#include "runtime/core/symbolic.h"

namespace ferrule {

Dims::Dims(std::span<const int64_t> s) {
  if (s.size() > kMaxRank) {
    fail<ShapeError>("a shape of ", s.size(), " dimensions; at most ", kMaxRank,
                     " are supported");
  }
  n = static_cast<int>(s.size());
  for (int i = 0; i < n; ++i) v[i] = s[i];
}

void Dims::push(int64_t d) { insert(n, d); }

void Dims::insert(int at, int64_t d) {
  if (n == kMaxRank) {
    fail<ShapeError>("a shape of ", n + 1, " dimensions; at most ", kMaxRank,
                     " are supported");
  }
  for (int i = n; i > at; --i) v[i] = v[i - 1];
  v[at] = d;
  ++n;
}

void Dims::erase(int at) {
  for (int i = at; i + 1 < n; ++i) v[i] = v[i + 1];
  --n;
}

bool Dims::operator==(const Dims& o) const {
  return n == o.n && std::memcmp(v, o.v, n * sizeof v[0]) == 0;
}

void append(std::string& out, std::span<const int64_t> shape) {
  out += '(';
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i) out += ", ";
    append_int(out, shape[i]);
  }
  if (shape.size() == 1) out += ',';
  out += ')';
}

void append(std::string& out, DType t) { out += name(t); }
void append(std::string& out, Device d) { out += to_string(d); }

int64_t checked_numel(std::span<const int64_t> shape) {
  int64_t n = 1;
  bool empty = false;
  for (int64_t d : shape) {
    if (d < 0) {
      fail<ShapeError>("negative size ", d, " in shape ", shape);
    }
    if (d == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(n, d, &n) || n > kMaxNumel) {
      fail<ShapeError>("shape ", shape, " has more than 2^56 elements");
    }
  }
  return empty ? 0 : n;
}

Dims contiguous_strides(std::span<const int64_t> shape) {
  Dims s;
  s.n = static_cast<int>(shape.size());
  int64_t step = 1;
  for (int i = s.n - 1; i >= 0; --i) {
    s[i] = step;
    if (shape[i] > 1) step *= shape[i];
  }
  return s;
}

// --- storage ----------------------------------------------------------------

namespace {

constexpr int64_t kHeader = 128;  // keeps data 64-byte aligned
static_assert(sizeof(Storage) <= kHeader);

void release_inline(Storage* s) {
  int64_t bytes = kHeader + s->nbytes;
  s->~Storage();
  data_free(s, bytes);
}

Storage* new_cpu_storage(int64_t nbytes) {
  void* block = data_alloc(kHeader + nbytes);
  if (!block) {
    fail<MemoryError>("out of memory: cannot allocate ", nbytes,
                      " bytes on cpu (", memory_stats().allocated,
                      " bytes are in use)");
  }
  auto* s = new (block) Storage;
  s->data = static_cast<char*>(block) + kHeader;
  s->nbytes = nbytes;
  s->release = release_inline;
  return s;
}

struct Foreign {
  Storage storage;
  void (*release)(void*);
};

void release_foreign(Storage* s) {
  auto* f = reinterpret_cast<Foreign*>(s);
  if (f->release) f->release(s->context);
  delete f;
}

}  // namespace

Storage* new_storage(int64_t nbytes, Device device) {
  return device.is_cpu() ? new_cpu_storage(nbytes)
                         : new_backend_storage(nbytes, device);
}

bool is_foreign(const Storage* s) { return s->release == release_foreign; }

void retain(Storage* s) { s->refs.fetch_add(1, std::memory_order_relaxed); }

void release(Storage* s) {
  if (s->refs.load(std::memory_order_acquire) == 1 ||
      s->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    s->release(s);
  }
}

// --- tensors ----------------------------------------------------------------

TensorImpl* new_impl() {
  return new (small_alloc(sizeof(TensorImpl))) TensorImpl;
}

void destroy(TensorImpl* t) noexcept {
  if (t->history) t->history->release_history();
  delete t->grad;
  if (t->root) release(t->root);
  if (t->storage) release(t->storage);
  small_free(t, sizeof(TensorImpl));
}

void TensorImpl::set_contiguous(std::span<const int64_t> sizes) {
  numel = checked_numel(sizes);
  ndim = static_cast<uint8_t>(sizes.size());
  contiguous = true;
  int64_t step = 1;
  for (int i = ndim - 1; i >= 0; --i) {
    shape[i] = sizes[i];
    strides[i] = step;
    if (sizes[i] > 1) step *= sizes[i];
  }
}

void TensorImpl::set_geometry(std::span<const int64_t> sizes,
                              std::span<const int64_t> steps, int64_t off) {
  numel = 1;
  ndim = static_cast<uint8_t>(sizes.size());
  offset = off;
  contiguous = true;
  int64_t step = 1;
  for (int i = ndim - 1; i >= 0; --i) {
    shape[i] = sizes[i];
    strides[i] = steps[i];
    numel *= sizes[i];
    if (sizes[i] != 1) {
      contiguous &= steps[i] == step;
      step *= sizes[i];
    }
  }
  if (numel == 0) contiguous = true;
}

Tensor Tensor::empty(std::span<const int64_t> shape, DType dtype,
                     Device device) {
  Tensor t = adopt(new_impl());
  t->dtype = dtype;
  t->device = device;
  t->set_contiguous(shape);
  if (!device.is_graph()) t->storage = new_storage(t->nbytes(), device);
  return t;
}

Tensor Tensor::wrap(void* data, std::span<const int64_t> shape,
                    std::span<const int64_t> strides, DType dtype,
                    Device device, void (*release)(void*), void* context) {
  checked_numel(shape);
  auto* f = new Foreign;
  f->release = release;
  f->storage.release = release_foreign;
  f->storage.context = context;
  f->storage.data = data;
  f->storage.device = device;
  Tensor t = adopt(new_impl());
  t->dtype = dtype;
  t->device = device;
  t->storage = &f->storage;
  t->set_geometry(shape, strides, 0);
  f->storage.nbytes = t->nbytes();
  return t;
}

bool overlaps_itself(const TensorImpl* t) {
  if (t->contiguous || t->numel < 2) return false;
  // Dimensions by stride: each must step over all that the smaller ones reach.
  uint32_t done = 0;
  int64_t reach = 0;
  for (int k = 0; k < t->ndim; ++k) {
    int next = -1;
    for (int i = 0; i < t->ndim; ++i) {
      if (done >> i & 1 || t->shape[i] < 2) continue;
      if (next < 0 || t->strides[i] < t->strides[next]) next = i;
    }
    if (next < 0) break;
    done |= 1u << next;
    if (t->strides[next] <= reach) return true;
    reach += t->strides[next] * (t->shape[next] - 1);
  }
  return false;
}

TensorImpl* new_view(TensorImpl* base) {
  TensorImpl* v = new_impl();
  v->dtype = base->dtype;
  v->device = base->device;
  v->inference = base->inference;
  v->storage = base->storage;
  if (v->storage) retain(v->storage);
  v->root = base->root ? base->root : base;
  retain(v->root);
  v->history_seen = v->root->history_version;
  return v;
}

Tensor Tensor::detach() const {
  TensorImpl* d = new_impl();
  d->dtype = impl_->dtype;
  d->device = impl_->device;
  d->storage = impl_->storage;
  if (d->storage) retain(d->storage);
  d->graph_value = impl_->graph_value;
  d->graph_epoch = impl_->graph_epoch;
  d->set_geometry(shape(), strides(), impl_->offset);
  d->cut = requires_grad() ? Cut::detach : impl_->cut;
  if (d->device.is_graph() && symbolic_hooks.share) [[unlikely]]
    symbolic_hooks.share(impl_, d);
  return adopt(d);
}

Tensor Tensor::view_as(std::span<const int64_t> shape,
                       std::span<const int64_t> strides, int64_t offset) const {
  Tensor v = adopt(new_view(impl_));
  v->set_geometry(shape, strides, offset);
  return v;
}

}  // namespace ferrule
