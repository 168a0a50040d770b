// The matrix product of float and double for one instruction set.
#include "runtime/cpu/gemm_tiles.h"

namespace ferrule::cpu::FE_ISA {
namespace {

template <class T>
void run(const Gemm<T>& g, void* scratch) {
  gemm_any(g, scratch, [&](const GemmPlan& plan, T* memory) {
    if (plan.way == GemmWay::dot) {
      gemm_dot(g, plan.pack_a ? memory : nullptr);
    } else {
      gemm_stream(g);
    }
  });
}

template <class T>
void pack_all(const Gemm<T>& g, T* to) {
  Gemm<T> all = g;
  all.b_packed = to;
  const GemmPlan plan = plan_gemm(all);
  Tiles<T, T> tiles{all, plan, false, nullptr, nullptr};
  tiles.each_block([&] {
    tiles.b_scratch = to + tiles.packed_block();
    tiles.pack_block();
  });
}

}  // namespace

void gemm_f32(const Gemm<float>& g, void* scratch) { run(g, scratch); }

void gemm_f64(const Gemm<double>& g, void* scratch) { run(g, scratch); }

void pack_b_f32(const Gemm<float>& g, float* to) { pack_all(g, to); }

void pack_b_f64(const Gemm<double>& g, double* to) { pack_all(g, to); }

}  // namespace ferrule::cpu::FE_ISA
