// CPU kernels of huber and its gradient.
#include "runtime/cpu/elementwise.h"

namespace ferrule {
namespace cpu {

FE_SIMD(TileFn huber_tile(DType t);)
FE_SIMD(TileFn huber_backward_tile(DType t);)

}  // namespace cpu

extern const KernelDef huber_cpu = {
    .name = "huber",
    .tiles =
        [](const OpCall& c, cpu::TileSink& to) {
          using namespace cpu;
          const DType t = compute_type(c.compute);
          const Input in[] = {{c, 0, t}, {c, 1, t}, {c, 2, t}};
          to.take(FE_BEST(huber_tile)(t), t, in);
        },
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef huber_backward_cpu = {
    .name = "huber_backward",
    .tiles =
        [](const OpCall& c, cpu::TileSink& to) {
          using namespace cpu;
          const DType t = compute_type(c.compute);
          const Input in[] = {{c, 0, t}, {c, 1, t}, {c, 2, t}, {c, 3, t}};
          to.take(FE_BEST(huber_backward_tile)(t), t, in);
        },
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
