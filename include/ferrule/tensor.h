// Tensor: a value-semantic handle to an n-dimensional array on some device.
//
//   auto x = Tensor::empty({2, 3}, DType::f32);
//   float* p = x.data<float>();
//
// Copying a Tensor copies the handle. Views share `Storage`. Shapes are int64
// and inline up to rank 8, so that making a view allocates one small block.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>

#include "ferrule/device.h"
#include "ferrule/dtype.h"
#include "ferrule/error.h"

namespace ferrule {

struct OpDef;

inline constexpr int kMaxRank = 8;
// No tensor has more elements than this, so that sizes in bytes and sums of
// offsets never overflow an int64.
inline constexpr int64_t kMaxNumel = int64_t{1} << 56;

// Shape or strides, inline.
struct Dims {
  int n = 0;
  int64_t v[kMaxRank] = {};

  Dims() = default;
  Dims(std::initializer_list<int64_t> list)
      : Dims(std::span(list.begin(), list.size())) {}
  explicit Dims(std::span<const int64_t> s);

  int64_t& operator[](int i) { return v[i]; }
  int64_t operator[](int i) const { return v[i]; }
  int size() const { return n; }
  const int64_t* begin() const { return v; }
  const int64_t* end() const { return v + n; }
  void push(int64_t d);
  void insert(int at, int64_t d);
  void erase(int at);
  operator std::span<const int64_t>() const {
    return {v, static_cast<size_t>(n)};
  }
  bool operator==(const Dims& o) const;
};

inline void append(std::string& out, const Dims& d) {
  append(out, std::span<const int64_t>(d));
}
void append(std::string& out, DType t);
void append(std::string& out, Device d);

// Product with overflow check; throws ShapeError that names the shape.
int64_t checked_numel(std::span<const int64_t> shape);
Dims contiguous_strides(std::span<const int64_t> shape);

// The bytes. Blocks that Ferrule allocates itself hold header and data in one
// piece, data 64-byte aligned.
struct Storage {
  std::atomic<uint32_t> refs{1};
  // Counts in-place writes; a saved tensor remembers the number it saw.
  std::atomic<uint32_t> version{0};
  void* data = nullptr;
  int64_t nbytes = 0;
  Device device;
  // Last op that wrote in place, for the error message.
  const OpDef* last_writer = nullptr;
  uint64_t writer_site = 0;  // and where it was called from (autograd.h)
  bool read_only = false;    // its owner forbids writing: ops in place refuse
  // Frees data (and, for one-piece blocks, the header with it).
  void (*release)(Storage*) = nullptr;
  void* context = nullptr;
};

void retain(Storage* s);
void release(Storage* s);
// Fresh memory on `device`; throws MemoryError with the size.
Storage* new_storage(int64_t nbytes, Device device);
// Does the memory belong to somebody else, who may look at it at any time?
bool is_foreign(const Storage* s);

// What autograd hangs on a tensor; owned by runtime/autograd, opaque here.
struct History {
  virtual void retain_history() noexcept = 0;
  virtual void release_history() noexcept = 0;

 protected:
  ~History() = default;
};
// Rare per-tensor data of autograd (gradient, hooks); opaque here.
struct GradMeta {
  virtual ~GradMeta() = default;
};

// Why a tensor has no history though it was computed from something that wants
// gradients: for the message of a backward pass that finds none.
enum class Cut : uint8_t { none, no_grad, detach };

struct TensorImpl {
  std::atomic<uint32_t> refs{1};
  DType dtype = DType::f32;
  Device device;
  uint8_t ndim = 0;
  bool requires_grad = false;
  bool inference = false;  // made under inference_mode: may never be recorded
  bool contiguous = true;
  Cut cut = Cut::none;
  // Which output of `history` this is.
  uint32_t history_nr = 0;
  int32_t graph_value = -1;      // value id while capturing (device graph)
  int32_t graph_view = -1;       // of a view: how it was made (Capture)
  uint32_t graph_epoch = 0;      // which capture it belongs to
  uint32_t history_seen = 0;     // of a view: root's `history_version` it knows
  uint32_t history_version = 0;  // of a root: counts recorded in-place writes
  int64_t numel = 1;
  int64_t offset = 0;  // in elements
  Storage* storage = nullptr;
  TensorImpl* root = nullptr;  // of a view: the tensor it looks into (owned)
  History* history = nullptr;
  GradMeta* grad = nullptr;
  int64_t shape[kMaxRank];
  int64_t strides[kMaxRank];

  std::span<const int64_t> sizes() const { return {shape, ndim}; }
  std::span<const int64_t> steps() const { return {strides, ndim}; }
  char* bytes() const {
    return static_cast<char*>(storage->data) + offset * itemsize(dtype);
  }
  template <class T>
  T* ptr() const {
    return reinterpret_cast<T*>(bytes());
  }
  int64_t nbytes() const { return numel * itemsize(dtype); }
  // Sets shape with contiguous strides and numel (checked).
  void set_contiguous(std::span<const int64_t> sizes);
  void set_geometry(std::span<const int64_t> sizes,
                    std::span<const int64_t> steps, int64_t off);
};

TensorImpl* new_impl();
void destroy(TensorImpl* t) noexcept;
inline void retain(TensorImpl* t) {
  t->refs.fetch_add(1, std::memory_order_relaxed);
}
inline void release(TensorImpl* t) noexcept {
  if (t->refs.load(std::memory_order_acquire) == 1 ||
      t->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    destroy(t);
  }
}

class Tensor {
 public:
  Tensor() = default;
  Tensor(const Tensor& o) : impl_(o.impl_) {
    if (impl_) retain(impl_);
  }
  Tensor(Tensor&& o) noexcept : impl_(std::exchange(o.impl_, nullptr)) {}
  Tensor& operator=(Tensor o) noexcept {
    std::swap(impl_, o.impl_);
    return *this;
  }
  ~Tensor() {
    if (impl_) release(impl_);
  }
  // Takes over one reference.
  static Tensor adopt(TensorImpl* impl) {
    Tensor t;
    t.impl_ = impl;
    return t;
  }
  static Tensor share(TensorImpl* impl) {
    if (impl) retain(impl);
    return adopt(impl);
  }
  TensorImpl* leave() { return std::exchange(impl_, nullptr); }

  // Uninitialised memory; throws MemoryError with the size when there is none.
  static Tensor empty(std::span<const int64_t> shape, DType dtype,
                      Device device = {});
  static Tensor empty(std::initializer_list<int64_t> shape, DType dtype,
                      Device device = {}) {
    return empty(std::span(shape.begin(), shape.size()), dtype, device);
  }
  // Looks at memory of somebody else; `release(context)` is called at the end.
  static Tensor wrap(void* data, std::span<const int64_t> shape,
                     std::span<const int64_t> strides, DType dtype,
                     Device device, void (*release)(void*), void* context);

  explicit operator bool() const { return impl_ != nullptr; }
  TensorImpl* impl() const { return impl_; }
  TensorImpl* operator->() const { return impl_; }
  bool same(const Tensor& o) const { return impl_ == o.impl_; }

  DType dtype() const { return impl_->dtype; }
  Device device() const { return impl_->device; }
  int ndim() const { return impl_->ndim; }
  int64_t numel() const { return impl_->numel; }
  std::span<const int64_t> shape() const { return impl_->sizes(); }
  std::span<const int64_t> strides() const { return impl_->steps(); }
  int64_t size(int dim) const { return impl_->shape[dim]; }
  bool is_contiguous() const { return impl_->contiguous; }
  bool requires_grad() const {
    return impl_->requires_grad || impl_->history != nullptr;
  }
  template <class T>
  T* data() const {
    return impl_->ptr<T>();
  }

  // Same memory, no history.
  Tensor detach() const;
  // Same memory, other geometry; becomes a view of the same root.
  Tensor view_as(std::span<const int64_t> shape,
                 std::span<const int64_t> strides, int64_t offset) const;

 private:
  TensorImpl* impl_ = nullptr;
};

// May two indices of `t` be the same element, so that a write is ambiguous?
// (By nested strides: true also for a few exotic geometries without overlap.)
bool overlaps_itself(const TensorImpl* t);

// A tensor's look into the memory of `base`: shares storage and root.
// The caller sets the geometry.
TensorImpl* new_view(TensorImpl* base);

}  // namespace ferrule
