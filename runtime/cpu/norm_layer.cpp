// CPU kernels of layer_norm and its gradient.
#include <algorithm>
#include <cstring>

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/norm.h"
#include "runtime/cpu/rows.h"

namespace ferrule {
namespace cpu {
namespace {

int64_t row_length(std::span<const Int> normalized_shape) {
  int64_t n = 1;
  for (const Int& d : normalized_shape) n *= d.value;
  return n;
}

RowPlan plan_of(const OpCall& c, int input, int shape) {
  return RowPlan(c.in(input).numel, row_length(c.ints(shape)),
                 compute_type(c.compute));
}

int64_t vector_bytes(const RowPlan& plan) {
  return align64(plan.length * itemsize(plan.dtype));
}

const void* vector_of(const OpCall& c, int arg, const RowPlan& plan,
                      void* buffer) {
  return c.is_tensor(arg) ? dense_values(c.in(arg), plan.dtype, buffer)
                          : nullptr;
}

// Scratch: weight, bias, rows.
int64_t forward_scratch(const OpCall& c) {
  const RowPlan plan = plan_of(c, 0, 1);
  return 2 * vector_bytes(plan) +
         plan.scratch_bytes(2, c.in(0).dtype == plan.dtype);
}

void forward_kernel(OpCall& c) {
  RowPlan plan = plan_of(c, 0, 1);
  plan.past_caches = true;
  char* scratch = static_cast<char*>(c.scratch);
  const int64_t bytes = vector_bytes(plan);
  const void* weight = vector_of(c, 2, plan, scratch);
  const void* bias = vector_of(c, 3, plan, scratch + bytes);
  char* mean = c.outs[1]->bytes();
  char* rstd = c.outs[2]->bytes();
  const int64_t size = itemsize(plan.dtype);
  const auto fn = FE_BEST(layer_norm_row);
  const TensorImpl* in[] = {&c.in(0)};
  each_row(plan, c.outs[0], in, scratch + 2 * bytes, [&](const Row& row) {
    const bool past_caches = row.past_caches != nullptr;
    fn({past_caches ? row.past_caches : row.out, past_caches, row.in[0], weight,
        bias, mean + row.index * size, rstd + row.index * size, c.f(4)},
       plan.length, plan.dtype);
  });
}

// Every chunk of rows has its own sums for the parameters' gradients; they are
// added in the order of the chunks.
int64_t backward_scratch(const OpCall& c) {
  const RowPlan plan = plan_of(c, 1, 5);
  return (1 + 2 * plan.chunks()) * vector_bytes(plan) +
         plan.scratch_bytes(
             3, c.in(1).dtype == plan.dtype && c.in(0).dtype == plan.dtype);
}

template <class T>
void add_chunks(T* total, const char* parts, int64_t chunks, int64_t bytes,
                int64_t n) {
  std::fill_n(total, n, T(0));
  for (int64_t k = 0; k < chunks; ++k) {
    const T* part = reinterpret_cast<const T*>(parts + k * bytes);
    for (int64_t i = 0; i < n; ++i) total[i] += part[i];
  }
}

void backward_kernel(OpCall& c) {
  const RowPlan plan = plan_of(c, 1, 5);
  char* scratch = static_cast<char*>(c.scratch);
  const int64_t bytes = vector_bytes(plan);
  const void* weight = vector_of(c, 4, plan, scratch);
  const int64_t chunks = plan.chunks();
  char* weight_parts = scratch + bytes;
  char* bias_parts = weight_parts + chunks * bytes;
  if (chunks > 0) std::memset(weight_parts, 0, 2 * chunks * bytes);
  const char* mean = c.in(2).bytes();
  const char* rstd = c.in(3).bytes();
  const int64_t size = itemsize(plan.dtype);
  const auto fn = FE_BEST(layer_norm_backward_row);
  const TensorImpl* in[] = {&c.in(0), &c.in(1)};
  each_row(plan, c.outs[0], in, bias_parts + chunks * bytes,
           [&](const Row& row) {
             fn({row.out, row.in[0], row.in[1], weight, mean + row.index * size,
                 rstd + row.index * size, weight_parts + row.chunk * bytes,
                 bias_parts + row.chunk * bytes},
                plan.length, plan.dtype);
           });
  const auto add = [&](int out, const char* parts) {
    by_float(plan.dtype, [&]<class T>(T) {
      add_chunks(c.outs[out]->ptr<T>(), parts, chunks, bytes, plan.length);
    });
  };
  add(1, weight_parts);
  add(2, bias_parts);
}

}  // namespace
}  // namespace cpu

extern const KernelDef layer_norm_cpu = {
    .name = "layer_norm",
    .run = cpu::forward_kernel,
    .scratch = cpu::forward_scratch,
};
extern const KernelDef layer_norm_backward_cpu = {
    .name = "layer_norm_backward",
    .run = cpu::backward_kernel,
    .scratch = cpu::backward_scratch,
};

}  // namespace ferrule
