// Kernels of running sums, products and extremes: each line along the dimension
// is one loop, in the order of its elements.
#include <cmath>
#include <limits>

#include "ferrule/op.h"
#include "runtime/cpu/rows.h"

namespace ferrule::cpu {
namespace {

int wrapped(int64_t dim, int ndim) {
  return static_cast<int>(dim < 0 ? dim + ndim : dim);
}

// Lines along `dim` in the dtype that result 0 is computed in.
RowPlan lines_of(const OpCall& c, int64_t dim) {
  const TensorImpl& x = c.in(0);
  return RowPlan(x.sizes(), wrapped(dim, x.ndim),
                 compute_type(c.out_impl().dtype));
}

int64_t scan_scratch(const OpCall& c) {
  return lines_of(c, c.i(1)).scratch_bytes(3, false);
}

// out[i] = next(out[i - 1], x[i]) along argument 1, in the wider type Sum.
template <class T, class Sum, class Next>
void scan_lines(OpCall& c, Sum start, const Next& next) {
  const RowPlan plan = lines_of(c, c.i(1));
  const TensorImpl* in[] = {&c.in(0)};
  each_row(plan, &c.out_impl(), in, c.scratch, [&](const Row& row) {
    const T* x = static_cast<const T*>(row.in[0]);
    T* out = static_cast<T*>(row.out);
    Sum value = start;
    for (int64_t i = 0; i < plan.length; ++i) {
      value = next(value, static_cast<Sum>(x[i]));
      out[i] = static_cast<T>(value);
    }
  });
}

// float is summed in double; integers wrap, as unsigned ones may.
template <class Start, class Next>
void scan(OpCall& c, Start start, const Next& next) {
  switch (compute_type(c.out_impl().dtype)) {
    case DType::f32:
      return scan_lines<float, double>(c, start, next);
    case DType::f64:
      return scan_lines<double, double>(c, start, next);
    default:
      return scan_lines<uint64_t, uint64_t>(c, start, next);
  }
}

void cumsum(OpCall& c) {
  scan(c, 0, [](auto sum, auto x) { return sum + x; });
}

void cumprod(OpCall& c) {
  scan(c, 1, [](auto product, auto x) { return product * x; });
}

// log(exp(a) + exp(b)); equal infinities are themselves.
double log_add_exp(double a, double b) {
  if (a == b && std::isinf(a)) return a;
  return std::fmax(a, b) + std::log1p(std::exp(-std::fabs(a - b)));
}

void logcumsumexp(OpCall& c) {
  constexpr double kNothing = -std::numeric_limits<double>::infinity();
  if (compute_type(c.out_impl().dtype) == DType::f32) {
    scan_lines<float, double>(c, kNothing, log_add_exp);
  } else {
    scan_lines<double, double>(c, kNothing, log_add_exp);
  }
}

template <class T>
void linear_scan_as(OpCall& c) {
  const RowPlan plan = lines_of(c, c.i(2));
  const bool reverse = c.b(3);
  const TensorImpl* in[] = {&c.in(0), &c.in(1)};
  each_row(plan, &c.out_impl(), in, c.scratch, [&](const Row& row) {
    const T* x = static_cast<const T*>(row.in[0]);
    const T* factor = static_cast<const T*>(row.in[1]);
    T* out = static_cast<T*>(row.out);
    T value = 0;
    for (int64_t k = 0; k < plan.length; ++k) {
      const int64_t i = reverse ? plan.length - 1 - k : k;
      value = k == 0 ? x[i] : x[i] + factor[i] * value;
      out[i] = value;
    }
  });
}

void linear_scan(OpCall& c) {
  if (compute_type(c.out_impl().dtype) == DType::f32) {
    linear_scan_as<float>(c);
  } else {
    linear_scan_as<double>(c);
  }
}

int64_t linear_scan_scratch(const OpCall& c) {
  return lines_of(c, c.i(2)).scratch_bytes(3, false);
}

RowPlan running_lines(const OpCall& c) {
  const TensorImpl& x = c.in(0);
  return RowPlan(x.sizes(), wrapped(c.i(1), x.ndim), compute_type(x.dtype));
}

template <class T>
void running_argmax_as(OpCall& c) {
  const RowPlan plan = running_lines(c);
  const bool largest = c.b(2);
  int64_t* out = c.out_impl().ptr<int64_t>();
  const TensorImpl* in[] = {&c.in(0)};
  each_row(plan, nullptr, in, c.scratch, [&](const Row& row) {
    const T* x = static_cast<const T*>(row.in[0]);
    int64_t* to = out + row.index / plan.inner * plan.inner * plan.length +
                  row.index % plan.inner;
    int64_t best = 0;
    for (int64_t i = 0; i < plan.length; ++i) {
      const bool better = largest ? x[i] >= x[best] : x[i] <= x[best];
      if (better || x[i] != x[i]) best = i;
      to[i * plan.inner] = best;
    }
  });
}

void running_argmax(OpCall& c) {
  switch (compute_type(c.in(0).dtype)) {
    case DType::f32:
      return running_argmax_as<float>(c);
    case DType::f64:
      return running_argmax_as<double>(c);
    default:
      return running_argmax_as<int64_t>(c);
  }
}

int64_t running_scratch(const OpCall& c) {
  return running_lines(c).scratch_bytes(2, false);
}

}  // namespace
}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef cumsum_cpu = {
    .name = "cumsum",
    .run = cpu::cumsum,
    .scratch = cpu::scan_scratch,
};
extern const KernelDef cumprod_cpu = {
    .name = "cumprod",
    .run = cpu::cumprod,
    .scratch = cpu::scan_scratch,
};
extern const KernelDef logcumsumexp_cpu = {
    .name = "logcumsumexp",
    .run = cpu::logcumsumexp,
    .scratch = cpu::scan_scratch,
};
extern const KernelDef linear_scan_cpu = {
    .name = "linear_scan",
    .run = cpu::linear_scan,
    .scratch = cpu::linear_scan_scratch,
};
extern const KernelDef running_argmax_cpu = {
    .name = "running_argmax",
    .run = cpu::running_argmax,
    .scratch = cpu::running_scratch,
};

}  // namespace ferrule
