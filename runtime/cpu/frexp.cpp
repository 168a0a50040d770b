// The kernel that takes numbers apart into mantissa and exponent.
#include <cmath>

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/operands.h"

namespace ferrule {
namespace cpu {
namespace {

void frexp(OpCall& c) {
  auto* exponent = c.out_impl(1).ptr<int32_t>();
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 1);
    parallel_for(c.out_impl().numel, 1 << 14, [&](int64_t i, int64_t end) {
      for (; i < end; ++i) {
        int e = 0;  // of infinity and NaN the C library leaves it open
        x.out[i] = std::frexp(x.in[0][i], &e);
        exponent[i] = std::isfinite(x.in[0][i]) ? e : 0;
      }
    });
    x.finish();
  });
}

}  // namespace
}  // namespace cpu

extern const KernelDef frexp_cpu = {
    .name = "frexp",
    .run = cpu::frexp,
    .scratch = [](const OpCall& c) { return cpu::operand_bytes(c, 1); },
};

}  // namespace ferrule
