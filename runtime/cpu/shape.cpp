// Kernels of the shape ops that cannot be views: they copy strided parts.
#include <algorithm>

#include "ferrule/op.h"
#include "runtime/cpu/elementwise.h"
#include "runtime/cpu/in_float.h"
#include "runtime/cpu/region.h"
#include "runtime/cpu/strided_copy.h"

namespace ferrule {

namespace cpu {
namespace {

// part += src
void add_part(const OpCall& c, const Region& part) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{part, t}, {c, 1, t}};
  elementwise(FE_BEST(binary_tile)(Binary::add, t), part, t, in);
}

}  // namespace
}  // namespace cpu

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

// The result may be written over the input.
void copy_input(const OpCall& c) {
  if (c.in(0).bytes() != c.out_impl().bytes()) {
    strided_copy(c.in(0), c.out_impl());
  }
}

void strided_write(OpCall& c) {
  const TensorImpl& out = c.out_impl();
  copy_input(c);
  strided_copy(c.in(1),
               Region(out, dims_of(c, 2), dims_of(c, 3), out.offset + c.i(4)));
}

// Where dimension `dim` of the dense `t` is start, start + step, ...: as many
// as `part` has.
Region part_of(const TensorImpl& t, const TensorImpl& part, int64_t dim,
               int64_t start, int64_t step) {
  Dims strides(t.steps());
  const int64_t first = start * strides[dim];
  strides[dim] *= step;
  return {t, part.sizes(), strides, t.offset + first};
}
// Where dimension `dim` has index `i`; the part lacks the dimension.
Region one_of(const TensorImpl& t, const TensorImpl& part, int64_t dim,
              int64_t i) {
  Dims strides(t.steps());
  const int64_t first = i * strides[dim];
  strides.erase(static_cast<int>(dim));
  return {t, part.sizes(), strides, t.offset + first};
}

// Arguments 2 to 5 of slice_dx and slice_add, 2 and 3 of the others.
Region slice_of(const OpCall& c, const TensorImpl& part) {
  const TensorImpl& out = c.out_impl();
  const int64_t d = wrap(c.i(2), out.ndim), size = out.shape[d];
  const int64_t start =
      c.has(3) ? std::clamp<int64_t>(wrap(c.i(3), size), 0, size) : 0;
  return part_of(out, part, d, start, c.i(5));
}
Region selection_of(const OpCall& c, const TensorImpl& part) {
  const TensorImpl& out = c.out_impl();
  const int64_t d = wrap(c.i(2), out.ndim);
  return one_of(out, part, d, wrap(c.i(3), out.shape[d]));
}

void slice_dx(OpCall& c) {
  cpu::fill_zero(c.out_impl());
  if (c.in(0).numel) strided_copy(c.in(0), slice_of(c, c.in(0)));
}
void select_dx(OpCall& c) {
  cpu::fill_zero(c.out_impl());
  strided_copy(c.in(0), selection_of(c, c.in(0)));
}

void slice_add(OpCall& c) {
  copy_input(c);
  if (c.in(1).numel) cpu::add_part(c, slice_of(c, c.in(1)));
}
void select_add(OpCall& c) {
  copy_input(c);
  cpu::add_part(c, selection_of(c, c.in(1)));
}

void cat(OpCall& c) {
  const TensorImpl& out = c.out_impl();
  const int64_t d = wrap(c.i(1), out.ndim);
  int64_t start = 0;
  for (const TensorImpl* t : c.list(0)) {
    if (t->ndim == 1 && t->numel == 0) continue;
    strided_copy(*t, part_of(out, *t, d, start, 1));
    start += t->shape[d];
  }
}

void stack(OpCall& c) {
  const int64_t d = wrap(c.i(1), c.out_impl().ndim);
  int64_t i = 0;
  for (const TensorImpl* t : c.list(0)) {
    strided_copy(*t, one_of(c.out_impl(), *t, d, i++));
  }
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
    .over_input = true,
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
extern const KernelDef slice_add_cpu = {
    .name = "slice_add",
    .run = slice_add,
    .contiguous = false,
    .over_input = true,
};
extern const KernelDef select_add_cpu = {
    .name = "select_add",
    .run = select_add,
    .contiguous = false,
    .over_input = true,
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
