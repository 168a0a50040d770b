// Matrix product: C = A B, plus a bias, for matrices with any strides.
//
//   Gemm<float> g{.m = m, .n = n, .k = k};
//   g.a = {x, k, 1};    // data, row stride, column stride, in elements
//   g.b = {w, 1, k};    // w transposed
//   g.c = y;
//   g.c_row = n;
//   gemm(g, scratch);   // gemm_scratch_bytes(g) bytes, 64-byte aligned
//
// Every element of C is summed over k in one order that the shape and the
// strides determine, whatever the number of threads.
#pragma once

#include <cstdint>

#include "runtime/core/function_ref.h"
#include "runtime/cpu/isa.h"

namespace ferrule {
struct Epilogue;
}
namespace ferrule::cpu {

// 16-bit floats, as their bits.
struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

template <class T>
struct MatrixView {
  const T* data = nullptr;
  int64_t row = 0;  // strides in elements
  int64_t col = 0;
};

// A and B of S, C of T: float, double; float from BFloat16 or Float16, whose
// products are exact and summed in float; int32_t from int8_t, which is exact
// modulo 2^32.
template <class T, class S = T>
struct Gemm {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  MatrixView<S> a = {};  // m x k
  MatrixView<S> b = {};  // k x n
  T* c = nullptr;        // m x n, dense rows, apart from a and b
  int64_t c_row = 0;
  const T* col_bias = nullptr;  // n elements, or null
  const T* row_bias = nullptr;  // m elements, or null
  bool accumulate = false;      // C += A B instead
  const T* b_packed = nullptr;  // what pack_b() made of b, which is not read
  // What follows on the result, or null; of float only. `column` is the number
  // that the first column has there.
  const Epilogue* epilogue = nullptr;
  int64_t column = 0;
};

// Parallel, unless called inside a parallel_for. Scratch depends on everything
// in `g` but the pointers.
template <class T, class S>
void gemm(const Gemm<T, S>& g, void* scratch);
template <class T, class S>
int64_t gemm_scratch_bytes(const Gemm<T, S>& g);

// `batch` products: the i-th is `g` with its data moved by offset(i), in
// elements. The results must not overlap. Small products run side by side.
struct GemmOffset {
  int64_t a = 0;
  int64_t b = 0;
  int64_t c = 0;
};
template <class T, class S>
void gemm_batch(const Gemm<T, S>& g, int64_t batch,
                FunctionRef<GemmOffset(int64_t i)> offset, void* scratch);
template <class T, class S>
int64_t gemm_batch_scratch_bytes(const Gemm<T, S>& g, int64_t batch);

// B in the order that tiles read it in, for matrices that many products share:
//
//   T* packed = ...;       // packed_b_bytes<T>(k, n) bytes, 64-byte aligned
//   pack_b(g, packed);     // reads g.k, g.n and g.b
//   g.b_packed = packed;   // the products: g.k and g.n as before, any g.m
//   gemm(g, scratch);
//
// T is float or double. The order belongs to the process: it is not to be
// stored.
template <class T>
int64_t packed_b_bytes(int64_t k, int64_t n);
template <class T>
void pack_b(const Gemm<T>& g, T* to);
// Would the product pack B by itself, and has it the same bits with B packed?
template <class T>
bool packs_b(const Gemm<T>& g);

// What these call.
FE_SIMD(void gemm_f32(const Gemm<float>& g, void* scratch);
        void gemm_f64(const Gemm<double>& g, void* scratch);
        void gemm_f16(const Gemm<float, Float16>& g, void* scratch);
        void pack_b_f32(const Gemm<float>& g, float* to);
        void pack_b_f64(const Gemm<double>& g, double* to);)
FE_SIMD_DOT(void gemm_bf16(const Gemm<float, BFloat16>& g, void* scratch);
            void gemm_i8(const Gemm<int32_t, int8_t>& g, void* scratch);)

}  // namespace ferrule::cpu
