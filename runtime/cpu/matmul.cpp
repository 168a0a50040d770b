// The kernels of matmul, linear and int_mm: finds the matrices in the operands
// and gives them to the matrix product. Operands may have any strides. Products
// of 16-bit floats are summed in float, and the result is rounded once.
#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/gemm.h"
#include "runtime/cpu/operands.h"

namespace ferrule {
namespace cpu {
namespace {

// Where an operand's elements are: its own strides, or, of integers in matmul,
// those of the dense copy that they are widened to.
Dims strides_of(const TensorImpl& t) {
  return !is_float(t.dtype) && widened_bytes(t) > 0
             ? contiguous_strides(t.sizes())
             : Dims(t.steps());
}

// Calls run(T(), S()): result 0 is computed in T from operands of S.
template <class Run>
auto by_types(const OpCall& c, const Run& run) {
  const DType t = c.out_impl().dtype;
  if constexpr (built(DType::bf16)) {
    if (t == DType::bf16) return run(float(), BFloat16());
  }
  if constexpr (built(DType::f16)) {
    if (t == DType::f16) return run(float(), Float16());
  }
  return by_float(t, [&]<class T>(T) { return run(T(), T()); });
}

// The memory that a result is computed in: its own, or `scratch` if it is to be
// rounded.
template <class T>
T* sums_of(const TensorImpl& result, void* scratch) {
  return widened_bytes(result) > 0 ? static_cast<T*>(scratch) : result.ptr<T>();
}

template <class T>
void round_sums(const TensorImpl& result, const T* sums) {
  if (widened_bytes(result) == 0) return;
  convert_dense(result.bytes(), result.dtype, sums, DType::f32, result.numel);
}

// With no more rows than these, the matrix on the right is read in place.
constexpr int64_t kUnpackedRows = 28;
// With fewer columns, there is nothing to gain from packing it once.
constexpr int64_t kPackedColumns = 16;

// Everything about a call of matmul but the data. Strides are in elements.
struct Matmul {
  int64_t m = 1;
  int64_t n = 1;
  int64_t k = 1;
  int64_t a_row = 1, a_col = 1;
  int64_t b_row = 1, b_col = 1;
  int64_t batch = 1;
  int dims = 0;  // of the batch, outermost first
  int64_t size[kMaxRank];
  int64_t a_step[kMaxRank];
  int64_t b_step[kMaxRank];

  explicit Matmul(const OpCall& c) {
    const TensorImpl& a = c.in(0);
    const TensorImpl& b = c.in(1);
    const Dims a_strides = strides_of(a);
    const Dims b_strides = strides_of(b);
    const int a_batch = std::max(a.ndim - 2, 0);
    const int b_batch = std::max(b.ndim - 2, 0);
    if (a.ndim == 1) {
      k = a.shape[0];
      a_col = a_strides[0];
    } else {
      const int row = a_batch + (c.b(2) ? 1 : 0);
      const int col = a_batch + (c.b(2) ? 0 : 1);
      m = a.shape[row];
      k = a.shape[col];
      a_row = a_strides[row];
      a_col = a_strides[col];
    }
    if (b.ndim == 1) {
      b_row = b_strides[0];
    } else {
      const int row = b_batch + (c.b(3) ? 1 : 0);
      const int col = b_batch + (c.b(3) ? 0 : 1);
      n = b.shape[col];
      b_row = b_strides[row];
      b_col = b_strides[col];
    }
    dims = std::max(a_batch, b_batch);
    for (int d = 0; d < dims; ++d) {
      const int in_a = d - (dims - a_batch);
      const int in_b = d - (dims - b_batch);
      const int64_t a_size = in_a < 0 ? 1 : a.shape[in_a];
      const int64_t b_size = in_b < 0 ? 1 : b.shape[in_b];
      size[d] = a_size == 1 ? b_size : a_size;
      a_step[d] = a_size == 1 ? 0 : a_strides[in_a];
      b_step[d] = b_size == 1 ? 0 : b_strides[in_b];
      batch *= size[d];
    }
    if (batch > 0) fold();
  }

  // Matrices that are multiplied by the same one, and whose rows follow one
  // another, are one tall matrix. (Those of the result always do.)
  void fold() {
    for (; dims > 0; --dims) {
      const int d = dims - 1;
      if (size[d] != 1) {
        if (b_step[d] != 0) return;
        if (m != 1 && a_step[d] != m * a_row) return;
        if (m == 1) a_row = a_step[d];
        m *= size[d];
        batch /= size[d];
      }
    }
  }

  GemmOffset offset(int64_t i) const {
    GemmOffset at;
    at.c = i * m * n;
    for (int d = dims - 1; d >= 0; --d) {
      at.a += i % size[d] * a_step[d];
      at.b += i % size[d] * b_step[d];
      i /= size[d];
    }
    return at;
  }

  // One matrix on the right for a batch whose rows do not follow one another:
  // is it worth packing once for all?
  template <class T, class S>
  bool shares_b() const {
    if (!std::is_same_v<T, S> || batch < 2 || m <= kUnpackedRows ||
        n < kPackedColumns) {
      return false;
    }
    for (int d = 0; d < dims; ++d) {
      if (size[d] != 1 && b_step[d] != 0) return false;
    }
    return true;
  }
  template <class T, class S>
  int64_t packed_bytes() const {
    return shares_b<T, S>() ? align64(packed_b_bytes<T>(k, n)) : 0;
  }

  template <class T, class S>
  Gemm<T, S> gemm() const {
    Gemm<T, S> g{.m = m, .n = n, .k = k};
    g.a = {nullptr, a_row, a_col};
    g.b = {nullptr, b_row, b_col};
    g.c_row = n;
    return g;
  }
};

// Integers: wraps around, as all of their arithmetic does. Narrower ones are
// widened, which gives the same low bits.
void multiply_integers(const Matmul& p, const int64_t* a, const int64_t* b,
                       int64_t* c) {
  const int64_t row_work = std::max<int64_t>(1, p.n * p.k);
  parallel_for(
      p.batch * p.m, (1 << 15) / row_work, [&](int64_t i, int64_t end) {
        for (; i < end; ++i) {
          const GemmOffset at = p.offset(i / p.m);
          const int64_t* a_i = a + at.a + i % p.m * p.a_row;
          int64_t* c_i = c + i * p.n;
          std::fill_n(c_i, p.n, 0);
          for (int64_t k = 0; k < p.k; ++k) {
            const auto factor = static_cast<uint64_t>(a_i[k * p.a_col]);
            const int64_t* b_k = b + at.b + k * p.b_row;
            for (int64_t j = 0; j < p.n; ++j) {
              c_i[j] = static_cast<int64_t>(
                  static_cast<uint64_t>(c_i[j]) +
                  factor * static_cast<uint64_t>(b_k[j * p.b_col]));
            }
          }
        }
      });
}

int64_t matmul_scratch(const OpCall& c) {
  const Matmul p(c);
  if (!is_float(c.out_impl().dtype)) return operand_bytes(c, 2);
  return widened_bytes(c.out_impl()) + by_types(c, [&]<class T, class S>(T, S) {
           return p.packed_bytes<T, S>() +
                  gemm_batch_scratch_bytes(p.gemm<T, S>(), p.batch);
         });
}

void matmul(OpCall& c) {
  if (c.out_impl().numel == 0) return;
  const Matmul p(c);
  if constexpr (computes(DType::i64)) {
    if (!is_float(c.out_impl().dtype)) {
      const Operands<int64_t> x(c, 2);
      multiply_integers(p, x.in[0], x.in[1], x.out);
      x.finish();
      return;
    }
  }
  by_types(c, [&]<class T, class S>(T, S) {
    const TensorImpl& result = c.out_impl();
    Gemm<T, S> g = p.gemm<T, S>();
    g.a.data = c.in(0).ptr<S>();
    g.b.data = c.in(1).ptr<S>();
    g.c = sums_of<T>(result, c.scratch);
    g.epilogue = c.epilogue;
    char* scratch = static_cast<char*>(c.scratch) + widened_bytes(result);
    if constexpr (std::is_same_v<T, S>) {
      if (p.shares_b<T, S>()) {
        pack_b(g, reinterpret_cast<T*>(scratch));
        g.b_packed = reinterpret_cast<T*>(scratch);
        scratch += p.packed_bytes<T, S>();
      }
    }
    gemm_batch(g, p.batch, [&](int64_t i) { return p.offset(i); }, scratch);
    round_sums(result, g.c);
  });
}

template <class T, class S>
Gemm<T, S> linear_gemm(const OpCall& c) {
  const TensorImpl& weight = c.in(1);
  Gemm<T, S> g;
  g.n = weight.shape[0];
  g.k = weight.shape[1];
  g.m = 1;
  for (int d = 0; d + 1 < c.in(0).ndim; ++d) g.m *= c.in(0).shape[d];
  g.a = {nullptr, g.k, 1};
  g.b = {nullptr, 1, g.k};
  g.c_row = g.n;
  if constexpr (std::is_same_v<T, S>) {
    g.b_packed = static_cast<const T*>(c.prepared);
  }
  return g;
}

// The weight in panels, for products that would make them anew.
constexpr PrepareDef kPackedWeight = {
    .arg = 1,
    .bytes =
        [](const OpCall& c) {
          return by_types(c, [&]<class T, class S>(T, S) -> int64_t {
            if constexpr (std::is_same_v<T, S>) {
              const Gemm<T> g = linear_gemm<T, T>(c);
              if (packs_b(g)) return packed_b_bytes<T>(g.k, g.n);
            }
            return 0;
          });
        },
    .run =
        [](const OpCall& c, void* to) {
          by_types(c, [&]<class T, class S>(T, S) {
            if constexpr (std::is_same_v<T, S>) {
              Gemm<T> g = linear_gemm<T, T>(c);
              g.b.data = c.in(1).ptr<T>();
              pack_b(g, static_cast<T*>(to));
            }
          });
        },
};

// Of a bias in 16 bits, for its sums in float.
int64_t bias_bytes(const OpCall& c) {
  return c.is_tensor(2) ? widened_bytes(c.in(2)) : 0;
}

int64_t linear_scratch(const OpCall& c) {
  return widened_bytes(c.out_impl()) + bias_bytes(c) +
         by_types(c, [&]<class T, class S>(T, S) {
           return gemm_scratch_bytes(linear_gemm<T, S>(c));
         });
}

void linear(OpCall& c) {
  by_types(c, [&]<class T, class S>(T, S) {
    const TensorImpl& result = c.out_impl();
    Gemm<T, S> g = linear_gemm<T, S>(c);
    g.a.data = c.in(0).ptr<S>();
    g.b.data = c.in(1).ptr<S>();
    g.c = sums_of<T>(result, c.scratch);
    g.epilogue = c.epilogue;
    char* scratch = static_cast<char*>(c.scratch) + widened_bytes(result);
    if (c.is_tensor(2)) {
      const TensorImpl& bias = c.in(2);
      if (bias_bytes(c) > 0) widen(bias, DType::f32, scratch);
      g.col_bias = bias_bytes(c) > 0 ? reinterpret_cast<const T*>(scratch)
                                     : bias.ptr<T>();
      scratch += bias_bytes(c);
    }
    gemm(g, scratch);
    round_sums(result, g.c);
  });
}

// Four dimensions are a convolution's, see Epilogue::set_norm.
bool has_epilogue(const OpCall& c) { return c.out_impl().ndim != 4; }

Gemm<int32_t, int8_t> int_mm_gemm(const OpCall& c) {
  const TensorImpl& a = c.in(0);
  const TensorImpl& b = c.in(1);
  const Dims a_steps(a.steps());
  const Dims b_steps(b.steps());
  Gemm<int32_t, int8_t> g{.m = a.shape[0], .n = b.shape[1], .k = a.shape[1]};
  g.a = {nullptr, a_steps[0], a_steps[1]};
  g.b = {nullptr, b_steps[0], b_steps[1]};
  g.c_row = g.n;
  return g;
}

void int_mm(OpCall& c) {
  Gemm<int32_t, int8_t> g = int_mm_gemm(c);
  g.a.data = c.in(0).ptr<int8_t>();
  g.b.data = c.in(1).ptr<int8_t>();
  g.c = c.out_impl().ptr<int32_t>();
  gemm(g, c.scratch);
}

}  // namespace
}  // namespace cpu

extern const KernelDef matmul_cpu = {
    .name = "matmul",
    .run = cpu::matmul,
    .contiguous = false,
    .scratch = cpu::matmul_scratch,
    .has_epilogue = cpu::has_epilogue,
};

extern const KernelDef linear_cpu = {
    .name = "linear",
    .run = cpu::linear,
    .scratch = cpu::linear_scratch,
    .prepare = &cpu::kPackedWeight,
    .has_epilogue = cpu::has_epilogue,
};

extern const KernelDef int_mm_cpu = {
    .name = "int_mm",
    .run = cpu::int_mm,
    .contiguous = false,
    .scratch =
        [](const OpCall& c) {
          return cpu::gemm_scratch_bytes(cpu::int_mm_gemm(c));
        },
};

}  // namespace ferrule
