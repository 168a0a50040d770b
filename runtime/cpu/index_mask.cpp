// Kernels of masks: nonzero and masked_fill.
#include <algorithm>

#include "ferrule/op.h"
#include "runtime/cpu/cursor.h"
#include "runtime/cpu/elementwise.h"
#include "runtime/cpu/nonzero.h"
#include "runtime/cpu/row_order.h"

namespace ferrule::cpu {
namespace {

// Calls visit(index, is not zero) for every element, row by row. Complex
// numbers have two parts.
template <class Visit>
void each_truth(const TensorImpl& t, const Visit& visit) {
  if (t.numel == 0) return;
  if (is_complex(t.dtype)) {
    const int64_t size = itemsize(t.dtype);
    Cursor cursor(t.bytes(), layout_of(t, row_order(t.ndim)), size);
    for (int64_t i = 0; i < t.numel; ++i) {
      double v[2];
      cursor.gather(v, 1);
      const auto* f = reinterpret_cast<const float*>(v);
      visit(i, size == 8 ? f[0] != 0 || f[1] != 0 : v[0] != 0 || v[1] != 0);
    }
    return;
  }
  Reader reader(t, layout_of(t, row_order(t.ndim)), DType::bool_);
  TileBuffer tile;
  for (int64_t i = 0; i < t.numel; i += kTile) {
    const int64_t n = std::min(kTile, t.numel - i);
    const auto* truth = static_cast<const uint8_t*>(reader.next(n, &tile));
    for (int64_t k = 0; k < n; ++k) visit(i + k, truth[k] != 0);
  }
}

void nonzero(OpCall& c) {
  const TensorImpl& x = c.in(0);
  auto* out = c.out_impl().ptr<int64_t>();
  each_truth(x, [&](int64_t i, bool truth) {
    if (!truth) return;
    for (int d = x.ndim - 1; d >= 0; --d) {
      out[d] = i % x.shape[d];
      i /= x.shape[d];
    }
    out += x.ndim;
  });
}

template <class T>
void masked_fill_tile(void* out, const void* const* in, int64_t n) {
  auto* to = static_cast<T*>(out);
  const auto* x = static_cast<const T*>(in[0]);
  const auto* mask = static_cast<const uint8_t*>(in[1]);
  const auto* value = static_cast<const T*>(in[2]);
  for (int64_t i = 0; i < n; ++i) to[i] = mask[i] ? value[i] : x[i];
}

void masked_fill(OpCall& c) {
  const DType t = compute_type(c.in(0).dtype);
  const Input in[] = {{c, 0, t}, {c, 1, DType::bool_}, {c, 2, t}};
  const TileFn fn = itemsize(t) == 4 ? masked_fill_tile<uint32_t>
                                     : masked_fill_tile<uint64_t>;
  elementwise(fn, c.out_impl(), t, in);
}

}  // namespace

int64_t count_nonzero(const TensorImpl& t) {
  int64_t n = 0;
  each_truth(t, [&](int64_t, bool truth) { n += truth; });
  return n;
}

}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef nonzero_cpu = {
    .name = "nonzero",
    .run = cpu::nonzero,
    .contiguous = false,
};
extern const KernelDef masked_fill_cpu = {
    .name = "masked_fill",
    .run = cpu::masked_fill,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
