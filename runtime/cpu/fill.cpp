// Kernels that fill tensors with known values.
#include <algorithm>
#include <cstring>

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/cursor.h"
#include "runtime/cpu/region.h"
#include "runtime/cpu/row_order.h"
#include "runtime/cpu/strided_copy.h"

namespace ferrule::cpu {
namespace {

// Any strides and dtype.
void fill_with(const TensorImpl& out, const Arg& number) {
  const DType computed = compute_type(out.dtype);
  alignas(16) char value[16];
  fill_number(number, computed, value, 1);
  Storage storage;
  storage.data = value;
  TensorImpl one;
  one.dtype = computed;
  one.storage = &storage;
  strided_copy(one, out);
}

// Element i of the result is value(i), computed as T and converted.
template <class T, class Value>
void fill_each(const TensorImpl& out, DType computed, const Value& value) {
  if (out.numel == 0) return;
  const Writer all(out, layout_of(out, row_order(out.ndim)), computed);
  parallel_for(out.numel, 64 * kTile, [&](int64_t begin, int64_t end) {
    Writer writer = all;
    writer.seek(begin);
    TileBuffer tile;
    for (int64_t i = begin; i < end; i += kTile) {
      const int64_t n = std::min(kTile, end - i);
      T* to = static_cast<T*>(writer.place(n, &tile));
      for (int64_t k = 0; k < n; ++k) to[k] = value(i + k);
      writer.done(to, n);
    }
  });
}

// The value is a number or a 0-d tensor.
void full(OpCall& c) {
  if (c.is_tensor(1)) return strided_copy(c.in(1), c.out_impl());
  fill_with(c.out_impl(), c.args[1]);
}
void ones(OpCall& c) { fill_with(c.out_impl(), Arg(1)); }
void zeros(OpCall& c) { fill_zero(c.out_impl()); }
void zeros_in_place(OpCall& c) { fill_with(c.out_impl(), Arg(0)); }
void nothing(OpCall&) {}

void copy(OpCall& c) { strided_copy(c.in(1), c.out_impl()); }

// Integers are exact; others are start + i step in double, rounded once.
void arange(OpCall& c) {
  const bool whole = !c.has(1);
  const Arg& start = c.args[0];
  const Arg& step = c.args[2];
  if ((whole || start.tag != ArgTag::float_) && step.tag == ArgTag::int_) {
    const auto from = static_cast<uint64_t>(
        whole ? 0
              : static_cast<int64_t>(start.tag == ArgTag::int_ ? start.i
                                                               : start.b));
    const auto by = static_cast<uint64_t>(step.i);
    return fill_each<int64_t>(c.out_impl(), DType::i64, [=](int64_t i) {
      return static_cast<int64_t>(from + static_cast<uint64_t>(i) * by);
    });
  }
  const double from = whole ? 0.0 : c.number(0), by = c.number(2);
  fill_each<double>(c.out_impl(), DType::f64, [=](int64_t i) {
    return from + static_cast<double>(i) * by;
  });
}

// From both ends to the middle, so that both borders are exact.
void linspace(OpCall& c) {
  const double start = c.number(0), end = c.number(1);
  const int64_t n = c.i(2);
  const double step = n > 1 ? (end - start) / static_cast<double>(n - 1) : 0;
  fill_each<double>(c.out_impl(), DType::f64, [=](int64_t i) {
    return i < n / 2 || n == 1 ? start + static_cast<double>(i) * step
                               : end - static_cast<double>(n - 1 - i) * step;
  });
}

void eye(OpCall& c) {
  const TensorImpl& out = c.out_impl();
  fill_zero(out);
  const Dims size{std::min(out.shape[0], out.shape[1])};
  fill_with(Region(out, size, Dims{out.shape[1] + 1}, out.offset), Arg(1));
}

}  // namespace
}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef full_cpu = {.name = "full", .run = cpu::full};
extern const KernelDef ones_cpu = {.name = "ones", .run = cpu::ones};
extern const KernelDef zeros_cpu = {.name = "zeros", .run = cpu::zeros};
extern const KernelDef empty_cpu = {.name = "empty", .run = cpu::nothing};
extern const KernelDef full_like_cpu = {
    .name = "full_like",
    .run = cpu::full,
    .contiguous = false,
};
extern const KernelDef ones_like_cpu = {
    .name = "ones_like",
    .run = cpu::ones,
    .contiguous = false,
};
extern const KernelDef zeros_like_cpu = {
    .name = "zeros_like",
    .run = cpu::zeros,
    .contiguous = false,
};
extern const KernelDef empty_like_cpu = {
    .name = "empty_like",
    .run = cpu::nothing,
    .contiguous = false,
};
extern const KernelDef arange_cpu = {.name = "arange", .run = cpu::arange};
extern const KernelDef linspace_cpu = {
    .name = "linspace",
    .run = cpu::linspace,
};
extern const KernelDef eye_cpu = {.name = "eye", .run = cpu::eye};

extern const KernelDef copy__cpu = {
    .name = "copy_",
    .run = cpu::copy,
    .contiguous = false,
};
extern const KernelDef fill__cpu = {
    .name = "fill_",
    .run = cpu::full,
    .contiguous = false,
};
extern const KernelDef zero__cpu = {
    .name = "zero_",
    .run = cpu::zeros_in_place,
    .contiguous = false,
};

}  // namespace ferrule
