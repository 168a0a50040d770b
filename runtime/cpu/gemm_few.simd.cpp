// Products with few rows of A, of float and double.
#include "runtime/cpu/gemm_few.h"

namespace ferrule::cpu::FE_ISA {

void gemm_dot(const Gemm<float>& g, float* packed) { dot(g, packed); }
void gemm_dot(const Gemm<double>& g, double* packed) { dot(g, packed); }

void gemm_stream(const Gemm<float>& g) { stream(g); }
void gemm_stream(const Gemm<double>& g) { stream(g); }

}  // namespace ferrule::cpu::FE_ISA
