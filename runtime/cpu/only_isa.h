// The macros of isa.h in a build for one instruction set alone, which
// FE_ONLY_ISA names (FERRULE_ISA in CMakeLists.txt).
#pragma once

#define FE_SIMD(...)      \
  namespace FE_ONLY_ISA { \
  __VA_ARGS__             \
  }
#define FE_BEST(function) (&FE_ONLY_ISA::function)
#define FE_SIMD_DOT(...) FE_SIMD(__VA_ARGS__)
#define FE_BEST_DOT(function) FE_BEST(function)
