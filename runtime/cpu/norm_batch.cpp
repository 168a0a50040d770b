// CPU kernels of batch_norm and its gradient: reductions over everything but
// the channels, then one elementwise pass.
#include <cmath>

#include "runtime/cpu/elementwise.h"
#include "runtime/cpu/reduce.h"
#include "runtime/cpu/rows.h"

namespace ferrule {
namespace cpu {
namespace {

// One number a channel, seen as (C, 1, ..., 1) beside (N, C, ...).
class Channels {
 public:
  Channels(const void* data, const TensorImpl& x, DType t) {
    storage_.data = const_cast<void*>(data);  // only read
    tensor_.storage = &storage_;
    tensor_.dtype = t;
    Dims shape;
    for (int d = 1; d < x.ndim; ++d) shape.push(d == 1 ? x.shape[1] : 1);
    tensor_.set_contiguous(shape);
  }
  Channels(const Channels&) = delete;
  operator Input() const { return Input(tensor_, tensor_.dtype); }

 private:
  Storage storage_;
  TensorImpl tensor_;
};

Reduction reduction_of(const TensorImpl& x, DType t) {
  return Reduction(x.sizes(), ~2u, t);
}

int64_t channel_bytes(const TensorImpl& x, DType t) {
  return align64(x.shape[1] * itemsize(t));
}

// Parameters in the arithmetic's dtype, or a constant.
template <class T>
const T* parameters(const OpCall& c, int arg, int64_t n, T otherwise,
                    void* buffer) {
  if (c.is_tensor(arg)) {
    const DType t = sizeof(T) == 4 ? DType::f32 : DType::f64;
    return static_cast<const T*>(dense_values(c.in(arg), t, buffer));
  }
  std::fill_n(static_cast<T*>(buffer), n, otherwise);
  return static_cast<const T*>(buffer);
}

// running = (1 - momentum) * running + momentum * now
template <class T>
void update(const OpCall& c, int arg, const T* now, double factor,
            void* buffer) {
  if (!c.is_tensor(arg)) return;
  const TensorImpl& running = c.in(arg);
  constexpr DType t = sizeof(T) == 4 ? DType::f32 : DType::f64;
  Order order;
  order.push(0);
  const Layout layout = layout_of(running, order);
  T* values = static_cast<T*>(buffer);
  Reader(running, layout, t).read(values, running.numel);
  const T momentum = static_cast<T>(c.f(6));
  for (int64_t i = 0; i < running.numel; ++i) {
    values[i] = (T(1) - momentum) * values[i] +
                momentum * (now[i] * static_cast<T>(factor));
  }
  Writer(running, layout, t).done(values, running.numel);
}

// Scratch: biased variance, weight * rstd, bias, a copy of parameters, partial
// sums.
int64_t forward_scratch(const OpCall& c) {
  const DType t = compute_type(c.compute);
  return 4 * channel_bytes(c.in(0), t) +
         reduction_of(c.in(0), t).scratch_bytes();
}

template <class T>
void forward(OpCall& c) {
  const TensorImpl& x = c.in(0);
  const DType t = compute_type(c.compute);
  const int64_t n = x.shape[1];
  const int64_t bytes = channel_bytes(x, t);
  char* scratch = static_cast<char*>(c.scratch);
  T* var = reinterpret_cast<T*>(scratch);
  T* scale = reinterpret_cast<T*>(scratch + bytes);
  void* spare = scratch + 3 * bytes;
  T* mean = c.outs[1]->ptr<T>();
  T* rstd = c.outs[2]->ptr<T>();
  if (c.b(5)) {
    const Reduction r = reduction_of(x, t);
    const T count = static_cast<T>(r.count());
    void* partial = scratch + 4 * bytes;
    r.run(Fold::sum, {.a = &x}, mean, partial);
    for (int64_t i = 0; i < n; ++i) mean[i] /= count;
    r.run(Fold::square, {.a = &x, .centre = mean}, var, partial);
    for (int64_t i = 0; i < n; ++i) var[i] /= count;
    update(c, 1, mean, 1, spare);
    // PyTorch keeps the unbiased variance, but normalises by the biased one.
    const double unbiased =
        static_cast<double>(r.count()) / (static_cast<double>(r.count()) - 1);
    update(c, 2, var, unbiased, spare);
  } else {
    const T* running_mean = parameters<T>(c, 1, n, T(0), spare);
    std::copy_n(running_mean, n, mean);
    const T* running_var = parameters<T>(c, 2, n, T(1), spare);
    std::copy_n(running_var, n, var);
  }
  const T* weight = parameters<T>(c, 3, n, T(1), spare);
  for (int64_t i = 0; i < n; ++i) {
    rstd[i] = T(1) / std::sqrt(var[i] + static_cast<T>(c.f(7)));
    scale[i] = rstd[i] * weight[i];
  }
  const T* bias = parameters<T>(c, 4, n, T(0), scratch + 2 * bytes);
  const Channels means(mean, x, t);
  const Channels scales(scale, x, t);
  const Channels shifts(bias, x, t);
  const Input in[] = {{x, t}, means, scales, shifts};
  elementwise(FE_BEST(normalize_tile)(t), *c.outs[0], t, in);
}

void forward_kernel(OpCall& c) {
  compute_type(c.compute) == DType::f32 ? forward<float>(c)
                                        : forward<double>(c);
}

// Scratch: two sums' shares, weight * rstd, copies of mean, rstd and weight,
// partial sums.
int64_t backward_scratch(const OpCall& c) {
  const DType t = compute_type(c.compute);
  return 6 * channel_bytes(c.in(1), t) +
         reduction_of(c.in(1), t).scratch_bytes();
}

template <class T>
void backward(OpCall& c) {
  const TensorImpl& grad = c.in(0);
  const TensorImpl& x = c.in(1);
  const DType t = compute_type(c.compute);
  const int64_t n = x.shape[1];
  const int64_t bytes = channel_bytes(x, t);
  char* scratch = static_cast<char*>(c.scratch);
  T* a = reinterpret_cast<T*>(scratch);
  T* b = reinterpret_cast<T*>(scratch + bytes);
  T* scale = reinterpret_cast<T*>(scratch + 2 * bytes);
  const T* mean = parameters<T>(c, 2, n, T(0), scratch + 3 * bytes);
  const T* rstd = parameters<T>(c, 3, n, T(0), scratch + 4 * bytes);
  const T* weight = parameters<T>(c, 4, n, T(1), scratch + 5 * bytes);
  void* partial = scratch + 6 * bytes;
  T* weight_grad = c.outs[1]->ptr<T>();
  T* bias_grad = c.outs[2]->ptr<T>();

  const Reduction r = reduction_of(x, t);
  r.run(Fold::sum, {.a = &grad}, bias_grad, partial);
  r.run(Fold::product, {.a = &grad, .b = &x, .centre = mean}, weight_grad,
        partial);
  // With fixed statistics the gradient is grad * scale.
  const T share = c.b(5) ? T(1) / static_cast<T>(r.count()) : T(0);
  for (int64_t i = 0; i < n; ++i) {
    weight_grad[i] *= rstd[i];
    a[i] = bias_grad[i] * share;
    b[i] = weight_grad[i] * rstd[i] * share;
    scale[i] = rstd[i] * weight[i];
  }
  const Channels means(mean, x, t);
  const Channels sums(a, x, t);
  const Channels products(b, x, t);
  const Channels scales(scale, x, t);
  const Input in[] = {{grad, t}, {x, t}, means, sums, products, scales};
  elementwise(FE_BEST(normalize_backward_tile)(t), *c.outs[0], t, in);
}

void backward_kernel(OpCall& c) {
  compute_type(c.compute) == DType::f32 ? backward<float>(c)
                                        : backward<double>(c);
}

}  // namespace
}  // namespace cpu

extern const KernelDef batch_norm_cpu = {
    .name = "batch_norm",
    .run = cpu::forward_kernel,
    .contiguous = false,
    .scratch = cpu::forward_scratch,
};
extern const KernelDef batch_norm_backward_cpu = {
    .name = "batch_norm_backward",
    .run = cpu::backward_kernel,
    .contiguous = false,
    .scratch = cpu::backward_scratch,
};

}  // namespace ferrule
