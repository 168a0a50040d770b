// CPU kernel of require_within: a copy that looks at what it copies.
#include "runtime/cpu/cursor.h"
#include "runtime/cpu/strided_copy.h"

namespace ferrule {
namespace cpu {
namespace {

void kernel(OpCall& c) {
  const TensorImpl& t = c.in(0);
  const double low = c.f(1), high = c.f(2);
  Reader reader(t, layout_of(t, memory_order(t)), DType::f64);
  TileBuffer buffer;
  for (int64_t i = 0; i < t.numel; i += kTile) {
    const int64_t n = std::min(kTile, t.numel - i);
    const auto* x = static_cast<const double*>(reader.next(n, buffer.bytes));
    bool within = true;
    for (int64_t k = 0; k < n; ++k) within &= x[k] >= low && x[k] <= high;
    if (within) continue;
    return c.report(c.args[3].str, 0, 0, ErrorKind::value);
  }
  strided_copy(t, c.out_impl());
}

}  // namespace
}  // namespace cpu

extern const KernelDef require_within_cpu = {
    .name = "require_within",
    .run = cpu::kernel,
    .contiguous = false,
};

}  // namespace ferrule
