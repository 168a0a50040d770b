// CPU kernels of softmax, log_softmax and their gradients.
#include "runtime/cpu/softmax.h"

#include "runtime/cpu/rows.h"

namespace ferrule {
namespace cpu {
namespace {

// `dim` is the argument that names the dimension; infer has checked it.
RowPlan plan_of(const OpCall& c, int dim) {
  const int ndim = c.in(0).ndim;
  const int64_t d = c.i(dim) < 0 ? c.i(dim) + ndim : c.i(dim);
  RowPlan plan(c.in(0).sizes(), static_cast<int>(d), compute_type(c.compute));
  plan.past_caches = true;
  return plan;
}

bool is_compute_type(const OpCall& c) {
  return c.compute == compute_type(c.compute);
}

int64_t forward_scratch(const OpCall& c) {
  return plan_of(c, 1).scratch_bytes(2, is_compute_type(c));
}

int64_t backward_scratch(const OpCall& c) {
  return plan_of(c, 2).scratch_bytes(3, is_compute_type(c));
}

template <bool log>
void forward_kernel(OpCall& c) {
  const RowPlan plan = plan_of(c, 1);
  const TensorImpl* in[] = {&c.in(0)};
  const auto fn = FE_BEST(softmax_row);
  each_row(plan, &c.out_impl(), in, c.scratch, [&](const Row& row) {
    fn({row.out, row.past_caches}, row.in[0], plan.length, log, plan.dtype);
  });
}

template <bool log>
void backward_kernel(OpCall& c) {
  const RowPlan plan = plan_of(c, 2);
  const TensorImpl* in[] = {&c.in(0), &c.in(1)};
  const auto fn = FE_BEST(softmax_backward_row);
  each_row(plan, &c.out_impl(), in, c.scratch, [&](const Row& row) {
    fn({row.out, row.past_caches}, row.in[0], row.in[1], plan.length, log,
       plan.dtype);
  });
}

}  // namespace
}  // namespace cpu

extern const KernelDef softmax_cpu = {
    .name = "softmax",
    .run = cpu::forward_kernel<false>,
    .scratch = cpu::forward_scratch,
};
extern const KernelDef log_softmax_cpu = {
    .name = "log_softmax",
    .run = cpu::forward_kernel<true>,
    .scratch = cpu::forward_scratch,
};
extern const KernelDef softmax_backward_cpu = {
    .name = "softmax_backward",
    .run = cpu::backward_kernel<false>,
    .scratch = cpu::backward_scratch,
};
extern const KernelDef log_softmax_backward_cpu = {
    .name = "log_softmax_backward",
    .run = cpu::backward_kernel<true>,
    .scratch = cpu::backward_scratch,
};

}  // namespace ferrule
