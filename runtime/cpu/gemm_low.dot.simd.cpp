// The matrix product of 16-bit floats and of int8 for one instruction set.
#include "runtime/cpu/gemm_few.h"
#include "runtime/cpu/gemm_tiles.h"

namespace ferrule::cpu::FE_ISA {
namespace {

template <class T, class S>
void run(const Gemm<T, S>& g, void* scratch) {
  gemm_any(g, scratch, [&](const GemmPlan& plan, S* memory) {
    if (plan.way == GemmWay::dot) {
      dot(g, plan.pack_a ? memory : nullptr);
    } else if constexpr (!std::is_integral_v<S>) {
      stream(g);
    }
  });
}

}  // namespace

int64_t word_bf16() { return Kind<float, BFloat16>::group; }

int64_t word_i8() { return Kind<int32_t, int8_t>::group; }

void gemm_bf16(const Gemm<float, BFloat16>& g, void* scratch) {
  run(g, scratch);
}

void gemm_f16(const Gemm<float, Float16>& g, void* scratch) { run(g, scratch); }

void gemm_i8(const Gemm<int32_t, int8_t>& g, void* scratch) { run(g, scratch); }

}  // namespace ferrule::cpu::FE_ISA
