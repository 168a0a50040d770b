// The kernel of flip: a copy of the same elements seen with negative strides.
#include "ferrule/op.h"
#include "runtime/cpu/region.h"
#include "runtime/cpu/strided_copy.h"

namespace ferrule {

extern const KernelDef flip_cpu = {
    .name = "flip",
    .run =
        [](OpCall& c) {
          const TensorImpl& x = c.in(0);
          Dims strides(x.steps());
          int64_t first = x.offset;
          for (const Int& given : c.ints(1)) {
            if (x.ndim == 0) break;
            const auto d = static_cast<int>(
                given.value < 0 ? given.value + x.ndim : given.value);
            first += (x.shape[d] - 1) * strides[d];
            strides[d] = -strides[d];
          }
          strided_copy(cpu::Region(x, x.sizes(), strides, first), c.out_impl());
        },
    .contiguous = false,
};

}  // namespace ferrule
