// Kernels of the shape ops that cannot be views: they copy strided parts.
#include <algorithm>

#include "ferrule/op.h"
#include "runtime/cpu/in_float.h"
#include "runtime/cpu/region.h"
#include "runtime/cpu/strided_copy.h"

namespace ferrule {
namespace {

using cpu::Region;

Dims dims_of(const OpCall& c, int arg) {
  Dims d;
  for (const Int& i : c.ints(arg)) d.push(i.value);
  return d;
}

int64_t wrap(int64_t i, int64_t n) { return i < 0 ? i + n : i; }

void reshape(OpCall& c) {
  const TensorImpl& out = c.out_impl();
  auto shape = c.in(0).sizes();
  strided_copy(c.in(0),
               Region(out, shape, contiguous_strides(shape), out.offset));
}

// The input is dense here.
void as_strided(OpCall& c) {
  const TensorImpl& x = c.in(0);
  strided_copy(Region(x, dims_of(c, 1), dims_of(c, 2), x.offset + c.i(3)),
               c.out_impl());
}

// Elements may be seen many times: they are added one by one, in order.
template <class T>
void add_strided(T* sum, const T* terms, int64_t n, const Dims& size,
                 const Dims& stride) {
  int64_t at[kMaxRank] = {};
  int64_t to = 0;
  for (int64_t k = 0; k < n; ++k) {
    sum[to] = static_cast<T>(sum[to] + terms[k]);
    for (int d = size.n - 1; d >= 0; --d) {
      to += stride[d];
      if (++at[d] < size[d]) break;
      to -= stride[d] * size[d];
      at[d] = 0;
    }
  }
}

void as_strided_dx(OpCall& c) {
  const TensorImpl& out = c.out_impl();
  const Dims size = dims_of(c, 2), stride = dims_of(c, 3);
  cpu::fill_zero(out);
  if (c.in(0).numel == 0) return;
  cpu::add_in_float(c, out, c.in(0), [&]<class T>(T* sum, const T* terms) {
    add_strided(sum + c.i(4), terms, c.in(0).numel, size, stride);
  });
}

void strided_write(OpCall& c) {
  const TensorImpl& out = c.out_impl();
  strided_copy(c.in(0), out);
  strided_copy(c.in(1),
               Region(out, dims_of(c, 2), dims_of(c, 3), out.offset + c.i(4)));
}

// Writes `part` into a dimension of the dense `out`, from element `start` on.
void put(const TensorImpl& part, const TensorImpl& out, int64_t dim,
         int64_t start, int64_t step) {
  Dims strides(out.steps());
  const int64_t first = start * strides[dim];
  strides[dim] *= step;
  strided_copy(part, Region(out, part.sizes(), strides, out.offset + first));
}

void slice_dx(OpCall& c) {
  const TensorImpl& out = c.out_impl();
  cpu::fill_zero(out);
  if (c.in(0).numel == 0) return;
  const int64_t d = wrap(c.i(2), out.ndim), size = out.shape[d];
  const int64_t start =
      c.has(3) ? std::clamp<int64_t>(wrap(c.i(3), size), 0, size) : 0;
  put(c.in(0), out, d, start, c.i(5));
}

// Writes `part` where dimension `dim` of the dense `out` has index `i`.
void put_one(const TensorImpl& part, const TensorImpl& out, int64_t dim,
             int64_t i) {
  Dims strides(out.steps());
  const int64_t first = i * strides[dim];
  strides.erase(static_cast<int>(dim));
  strided_copy(part, Region(out, part.sizes(), strides, out.offset + first));
}

void select_dx(OpCall& c) {
  const TensorImpl& out = c.out_impl();
  cpu::fill_zero(out);
  const int64_t d = wrap(c.i(2), out.ndim);
  put_one(c.in(0), out, d, wrap(c.i(3), out.shape[d]));
}

void cat(OpCall& c) {
  const TensorImpl& out = c.out_impl();
  const int64_t d = wrap(c.i(1), out.ndim);
  int64_t start = 0;
  for (const TensorImpl* t : c.list(0)) {
    if (t->ndim == 1 && t->numel == 0) continue;
    put(*t, out, d, start, 1);
    start += t->shape[d];
  }
}

void stack(OpCall& c) {
  const int64_t d = wrap(c.i(1), c.out_impl().ndim);
  int64_t i = 0;
  for (const TensorImpl* t : c.list(0)) put_one(*t, c.out_impl(), d, i++);
}

}  // namespace

extern const KernelDef reshape_cpu = {
    .name = "reshape",
    .run = reshape,
    .contiguous = false,
};
extern const KernelDef as_strided_cpu = {
    .name = "as_strided",
    .run = as_strided,
};
extern const KernelDef as_strided_dx_cpu = {
    .name = "as_strided_dx",
    .run = as_strided_dx,
    .scratch =
        [](const OpCall& c) { return cpu::float_bytes(c.out_impl(), c.in(0)); },
};
extern const KernelDef strided_write_cpu = {
    .name = "strided_write",
    .run = strided_write,
    .contiguous = false,
};
extern const KernelDef slice_dx_cpu = {
    .name = "slice_dx",
    .run = slice_dx,
    .contiguous = false,
};
extern const KernelDef select_dx_cpu = {
    .name = "select_dx",
    .run = select_dx,
    .contiguous = false,
};
extern const KernelDef cat_cpu = {
    .name = "cat",
    .run = cat,
    .contiguous = false,
};
extern const KernelDef stack_cpu = {
    .name = "stack",
    .run = stack,
    .contiguous = false,
};

}  // namespace ferrule
