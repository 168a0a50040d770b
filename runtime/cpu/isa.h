// Which instruction set this machine has, and how code compiled for each of
// them is declared and called.
//
// CMake compiles every `*.simd.cpp` once per instruction set, with FE_ISA
// defined as its name, and the file puts what it defines into
// `namespace ferrule::cpu::FE_ISA`:
//
//   scale.h          FE_SIMD(void scale(float* x, int64_t n, float by);)
//   scale.simd.cpp   namespace ferrule::cpu::FE_ISA {
//                    void scale(float* x, int64_t n, float by) { ... }
//                    }
//   anything.cpp     FE_BEST(scale)(x, n, 2.0f);
//
// What `*.dot.simd.cpp` files define is compiled with dot products of narrow
// numbers in addition, and declared and called by FE_SIMD_DOT and FE_BEST_DOT.
//
// FE_SIMD stands in namespace ferrule::cpu. A `*.simd.cpp` may use functions
// from elsewhere only if they are always inlined or not inline at all: the
// linker keeps one copy of an inline function, and must not find the one that
// was compiled for AVX-512.
#pragma once

#include <atomic>

// FE_ISA is a macro in `*.simd.cpp` only; the names are namespaces everywhere.
#if defined(FE_ONLY_ISA)  // a build for one of them
#include "runtime/cpu/only_isa.h"
#elif defined(__x86_64__)
#define FE_SIMD(...) \
  namespace v2 {     \
  __VA_ARGS__        \
  }                  \
  namespace v3 {     \
  __VA_ARGS__        \
  }                  \
  namespace v4 {     \
  __VA_ARGS__        \
  }
#define FE_BEST(function) \
  (::ferrule::cpu::best(&v2::function, &v3::function, &v4::function))
#define FE_SIMD_DOT(...) \
  FE_SIMD(__VA_ARGS__)   \
  namespace v4dot {      \
  __VA_ARGS__            \
  }
#define FE_BEST_DOT(function)                                             \
  (::ferrule::cpu::isa() == ::ferrule::cpu::Isa::v4dot ? &v4dot::function \
                                                       : FE_BEST(function))
#elif defined(__aarch64__)
#define FE_SIMD(...) \
  namespace neon {   \
  __VA_ARGS__        \
  }
#define FE_BEST(function) (&neon::function)
#define FE_SIMD_DOT(...) \
  FE_SIMD(__VA_ARGS__)   \
  namespace neondot {    \
  __VA_ARGS__            \
  }                      \
  namespace neonmm {     \
  __VA_ARGS__            \
  }
#define FE_BEST_DOT(function)                                    \
  (::ferrule::cpu::best_dot(&neon::function, &neondot::function, \
                            &neonmm::function))
#else
#error "Ferrule has no CPU kernels for this architecture yet"
#endif

namespace ferrule::cpu {

enum class Isa : int {
  v2 = 1,   // x86-64-v2: SSE4.2
  v3,       // x86-64-v3: AVX2, FMA, F16C
  v4,       // x86-64-v4: AVX-512 F, BW, CD, DQ, VL
  v4dot,    // and AVX-512 VNNI, BF16
  neon,     // aarch64: the base instruction set
  neondot,  // and the dot products of ARMv8.2
  neonmm,   // and the int8 and bfloat16 matrix products of ARMv8.6
};

// "v2", "v3", "v4", "v4dot", "neon", "neondot" or "neonmm".
const char* isa_name(Isa isa);

// The best instruction set of this machine, as found on the first call. The
// environment's FERRULE_ISA asks for a lesser one, for tests.
Isa find_isa();

inline constinit std::atomic<Isa> found_isa{};

inline Isa isa() {
  const Isa found = found_isa.load(std::memory_order_relaxed);
  return found != Isa{} ? found : find_isa();
}

#if defined(__x86_64__)
template <class Function>
inline Function* best(Function* v2, Function* v3, Function* v4) {
  const Isa have = isa();
  return have >= Isa::v4 ? v4 : have == Isa::v3 ? v3 : v2;
}
#elif defined(__aarch64__)
template <class Function>
inline Function* best_dot(Function* neon, Function* neondot, Function* neonmm) {
  const Isa have = isa();
  return have == Isa::neonmm ? neonmm : have == Isa::neondot ? neondot : neon;
}
#endif

}  // namespace ferrule::cpu
