// CPU kernels of sum, mean, prod, any, all, amax, amin, var, argmax, argmin.
#include <algorithm>

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/reduce.h"

namespace ferrule {
namespace cpu {
namespace {

constexpr int64_t align64(int64_t n) { return (n + 63) & ~int64_t{63}; }

// Of `dim: int[]?` or `dim: int?` at argument 1; infer has checked it.
uint32_t mask_of(const OpCall& c) {
  const int ndim = c.in(0).ndim;
  const auto bit = [ndim](int64_t d) {
    return ndim == 0 ? 0u : 1u << (d < 0 ? d + ndim : d);
  };
  if (c.args[1].tag == ArgTag::int_) return bit(c.i(1));
  uint32_t mask = 0;
  if (c.has(1)) {
    for (const Int& d : c.ints(1)) mask |= bit(d.value);
  }
  return mask != 0 ? mask : (1u << ndim) - 1;
}

Reduction reduction_of(const OpCall& c) {
  return Reduction(c.in(0).sizes(), mask_of(c), compute_type(c.compute));
}

// One number a result, in the dtype of the arithmetic.
int64_t values_bytes(const Reduction& r) { return align64(r.results() * 8); }

int64_t reduce_scratch(const OpCall& c) {
  const Reduction r = reduction_of(c);
  return values_bytes(r) + r.scratch_bytes();
}

// The result's own memory if it has the dtype of the arithmetic.
void* values_of(const OpCall& c) {
  return c.out_impl().dtype == compute_type(c.compute) ? c.out_impl().bytes()
                                                       : c.scratch;
}

template <class T>
void divide(T* values, int64_t n, double by) {
  for (int64_t i = 0; i < n; ++i) values[i] /= static_cast<T>(by);
}

void divide(const OpCall& c, void* values, int64_t n, double by) {
  if (compute_type(c.compute) == DType::f32) {
    divide(static_cast<float*>(values), n, by);
  } else {
    divide(static_cast<double*>(values), n, by);
  }
}

void write_values(const OpCall& c, const void* values) {
  const TensorImpl& out = c.out_impl();
  const DType t = compute_type(c.compute);
  if (out.dtype == t) return;
  const Route route(t, out.dtype);
  for (int64_t i = 0; i < out.numel; i += kTile) {
    route.convert(out.bytes() + i * itemsize(out.dtype),
                  static_cast<const char*>(values) + i * itemsize(t),
                  std::min(kTile, out.numel - i));
  }
}

char* partials(const OpCall& c, const Reduction& r, int buffers = 1) {
  return static_cast<char*>(c.scratch) + buffers * values_bytes(r);
}

template <Fold fold>
void reduce_kernel(OpCall& c) {
  const Reduction r = reduction_of(c);
  void* values = values_of(c);
  r.run(fold, {.a = &c.in(0)}, values, partials(c, r));
  write_values(c, values);
}

void mean_kernel(OpCall& c) {
  const Reduction r = reduction_of(c);
  void* values = values_of(c);
  r.run(Fold::sum, {.a = &c.in(0)}, values, partials(c, r));
  divide(c, values, r.results(), static_cast<double>(r.count()));
  write_values(c, values);
}

template <Fold fold>
void arg_kernel(OpCall& c) {
  const Reduction r = reduction_of(c);
  r.run(fold, {.a = &c.in(0)}, c.scratch, partials(c, r));
  r.find(c.in(0), c.scratch, c.out_impl().ptr<int64_t>());
}

// The mean first, then the squares of what differs from it: exact where the
// mean is large (T. Chan, G. Golub, R. LeVeque, "Algorithms for computing the
// sample variance", 1983).
void var_kernel(OpCall& c) {
  const Reduction r = reduction_of(c);
  const double correction = c.has(4)   ? c.number(4)
                            : c.has(2) ? static_cast<double>(c.b(2))
                                       : 1.0;
  const double freedom =
      std::max(0.0, static_cast<double>(r.count()) - correction);
  void* mean = static_cast<char*>(c.scratch) + values_bytes(r);
  void* values = values_of(c);
  r.run(Fold::sum, {.a = &c.in(0)}, mean, partials(c, r, 2));
  divide(c, mean, r.results(), static_cast<double>(r.count()));
  r.run(Fold::square, {.a = &c.in(0), .centre = mean}, values,
        partials(c, r, 2));
  divide(c, values, r.results(), freedom);
  write_values(c, values);
}

// Folds the elements of every result one after another, tile by tile:
// value = step(value, elements, n).
template <class T, class Read, class Step>
void fold_in_order(OpCall& c, DType read_as, T start, T* values,
                   const Step& step) {
  const TensorImpl& x = c.in(0);
  const uint32_t mask = mask_of(c);
  Order order;
  int64_t results = 1, count = 1;
  for (int d = 0; d < x.ndim; ++d) {
    if (mask >> d & 1) continue;
    order.push(d);
    results *= x.shape[d];
  }
  for (int d = 0; d < x.ndim; ++d) {
    if (!(mask >> d & 1)) continue;
    order.push(d);
    count *= x.shape[d];
  }
  if (count == 0) {
    std::fill_n(values, results, start);
    return;
  }
  const Reader reader(x, layout_of(x, order), read_as);
  constexpr int64_t kGrain = 16384;
  parallel_for(results, std::max<int64_t>(1, kGrain / count),
               [&](int64_t r, int64_t end) {
                 Reader in = reader;
                 TileBuffer buffer;
                 in.seek(r * count);
                 for (; r < end; ++r) {
                   T value = start;
                   for (int64_t at = 0; at < count; at += kTile) {
                     const int64_t n = std::min(kTile, count - at);
                     value = step(
                         value,
                         static_cast<const Read*>(in.next(n, buffer.bytes)), n);
                   }
                   values[r] = value;
                 }
               });
}

// Integers wrap around, which unsigned ones are allowed to.
template <class T>
void multiply_all(OpCall& c, void* values) {
  fold_in_order<T, T>(c, compute_type(c.compute), T(1), static_cast<T*>(values),
                      [](T value, const T* x, int64_t n) {
                        for (int64_t k = 0; k < n; ++k) value *= x[k];
                        return value;
                      });
}

void prod_kernel(OpCall& c) {
  void* values = values_of(c);
  const DType t = compute_type(c.compute);
  if (t == DType::f32) multiply_all<float>(c, values);
  if (t == DType::f64) multiply_all<double>(c, values);
  if (t == DType::i64) multiply_all<uint64_t>(c, values);
  write_values(c, values);
}

template <bool kAll>
void truth_kernel(OpCall& c) {
  fold_in_order<uint8_t, uint8_t>(
      c, DType::bool_, kAll, c.out_impl().ptr<uint8_t>(),
      [](uint8_t value, const uint8_t* x, int64_t n) {
        for (int64_t k = 0; k < n; ++k) {
          value = static_cast<uint8_t>(kAll ? value & x[k] : value | x[k]);
        }
        return value;
      });
}

int64_t prod_scratch(const OpCall& c) {
  return align64(c.out_impl().numel * 8);
}

int64_t var_scratch(const OpCall& c) {
  return reduce_scratch(c) + values_bytes(reduction_of(c));
}

}  // namespace
}  // namespace cpu

extern const KernelDef sum_cpu = {
    .name = "sum",
    .run = cpu::reduce_kernel<cpu::Fold::sum>,
    .contiguous = false,
    .scratch = cpu::reduce_scratch,
};
extern const KernelDef mean_cpu = {
    .name = "mean",
    .run = cpu::mean_kernel,
    .contiguous = false,
    .scratch = cpu::reduce_scratch,
};
extern const KernelDef prod_cpu = {
    .name = "prod",
    .run = cpu::prod_kernel,
    .contiguous = false,
    .scratch = cpu::prod_scratch,
};
extern const KernelDef any_cpu = {
    .name = "any",
    .run = cpu::truth_kernel<false>,
    .contiguous = false,
};
extern const KernelDef all_cpu = {
    .name = "all",
    .run = cpu::truth_kernel<true>,
    .contiguous = false,
};
extern const KernelDef amax_cpu = {
    .name = "amax",
    .run = cpu::reduce_kernel<cpu::Fold::max>,
    .contiguous = false,
    .scratch = cpu::reduce_scratch,
};
extern const KernelDef amin_cpu = {
    .name = "amin",
    .run = cpu::reduce_kernel<cpu::Fold::min>,
    .contiguous = false,
    .scratch = cpu::reduce_scratch,
};
extern const KernelDef var_cpu = {
    .name = "var",
    .run = cpu::var_kernel,
    .contiguous = false,
    .scratch = cpu::var_scratch,
};
extern const KernelDef argmax_cpu = {
    .name = "argmax",
    .run = cpu::arg_kernel<cpu::Fold::max>,
    .contiguous = false,
    .scratch = cpu::reduce_scratch,
};
extern const KernelDef argmin_cpu = {
    .name = "argmin",
    .run = cpu::arg_kernel<cpu::Fold::min>,
    .contiguous = false,
    .scratch = cpu::reduce_scratch,
};

}  // namespace ferrule
