// CPU kernels of batch_norm and its gradient. Where a channel's elements lie in
// runs, its statistics and its results are computed one after the other, while
// it is in the cache; else there are reductions over everything but the
// channels, then one elementwise pass.
#include <algorithm>
#include <cmath>

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/elementwise.h"
#include "runtime/cpu/norm_planes.h"
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

// The runs of the channels of a dense tensor (N, C, ...).
class Channelwise {
 public:
  Channelwise(const TensorImpl& x, DType t) : dtype_(t), channels_(x.shape[1]) {
    int64_t length = 1;
    for (int d = 2; d < x.ndim; ++d) length *= x.shape[d];
    planes_ = {x.shape[0], length, channels_ * length};
  }
  // Are the runs long enough, and all tensors dense and of the arithmetic's
  // dtype?
  bool fits(std::initializer_list<const TensorImpl*> tensors) const {
    return planes_.length >= kShortest &&
           std::ranges::all_of(tensors, [&](const TensorImpl* t) {
             return t->contiguous && t->dtype == dtype_;
           });
  }
  const Planes& planes() const { return planes_; }

  // The first element of a channel.
  template <class T>
  T* at(const TensorImpl& t, int64_t channel) const {
    return t.ptr<T>() + channel * planes_.length;
  }

  // Calls visit(first, count) for all channels: some at a time where their runs
  // are short, so that memory is read and written in long pieces.
  template <class Visit>
  void each(const Visit& visit) const {
    const int64_t together = std::max<int64_t>(1, kLong / planes_.length);
    const int64_t grain = std::max(together, grain_of(planes_.count));
    parallel_for(channels_, grain, [&](int64_t i, int64_t end) {
      for (; i < end; i += together) visit(i, std::min(together, end - i));
    });
  }

  // Calls visit(image, first, count) for all channels of all images, in the
  // order of memory.
  template <class Visit>
  void each_in_order(const Visit& visit) const {
    const int64_t runs = planes_.count * channels_;
    parallel_for(runs, grain_of(1), [&](int64_t i, int64_t end) {
      for (int64_t n; i < end; i += n) {
        n = std::min(end - i, channels_ - i % channels_);
        visit(i / channels_, i % channels_, n);
      }
    });
  }

 private:
  static constexpr int64_t kShortest = 16;
  static constexpr int64_t kLong = 1024;
  static constexpr int64_t kGrain = 1 << 15;  // elements worth a thread

  int64_t grain_of(int64_t runs) const {
    return std::max<int64_t>(
        1, kGrain / std::max<int64_t>(1, runs * planes_.length));
  }

  DType dtype_;
  int64_t channels_;
  Planes planes_;
};

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

// Scratch: biased variance, weight * rstd, copies of weight, bias and running
// statistics, partial sums.
int64_t forward_scratch(const OpCall& c) {
  const DType t = compute_type(c.compute);
  return 5 * channel_bytes(c.in(0), t) +
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
  const T* weight = parameters<T>(c, 3, n, T(1), scratch + 2 * bytes);
  const T* bias = parameters<T>(c, 4, n, T(0), scratch + 3 * bytes);
  void* spare = scratch + 4 * bytes;
  void* partial = scratch + 5 * bytes;
  T* mean = c.outs[1]->ptr<T>();
  T* rstd = c.outs[2]->ptr<T>();
  const bool training = c.b(5);
  if (!training) {
    std::copy_n(parameters<T>(c, 1, n, T(0), spare), n, mean);
    std::copy_n(parameters<T>(c, 2, n, T(1), spare), n, var);
  }
  const Reduction r = reduction_of(x, t);
  const T count = static_cast<T>(r.count());
  const auto scale_channel = [&](int64_t i) {
    rstd[i] = T(1) / std::sqrt(var[i] + static_cast<T>(c.f(7)));
    scale[i] = rstd[i] * weight[i];
  };

  const Channelwise channels(x, t);
  if (channels.fits({&x, c.outs[0]})) {
    Planes planes = channels.planes();
    const auto normalize = [&](int64_t image, int64_t first, int64_t some) {
      const int64_t at = image * planes.step + first * planes.length;
      FE_BEST(normalize_planes)
      (planes,
       {some, c.outs[0]->ptr<T>() + at, x.ptr<T>() + at, mean + first,
        scale + first, bias + first},
       t);
    };
    if (training) {
      channels.each([&](int64_t first, int64_t some) {
        for (int64_t i = first; i < first + some; ++i) {
          const T* from = channels.at<T>(x, i);
          const double sum = FE_BEST(sum_of_planes)(planes, from, t);
          mean[i] = static_cast<T>(sum) / count;
          const double squares =
              FE_BEST(squares_of_planes)(planes, from, mean + i, t);
          var[i] = static_cast<T>(squares) / count;
          scale_channel(i);
        }
        normalize(0, first, some);
      });
    } else {
      for (int64_t i = 0; i < n; ++i) scale_channel(i);
      planes.count = 1;
      channels.each_in_order(normalize);
    }
  } else {
    if (training) {
      r.run(Fold::sum, {.a = &x}, mean, partial);
      for (int64_t i = 0; i < n; ++i) mean[i] /= count;
      r.run(Fold::square, {.a = &x, .centre = mean}, var, partial);
      for (int64_t i = 0; i < n; ++i) var[i] /= count;
    }
    for (int64_t i = 0; i < n; ++i) scale_channel(i);
    const Channels means(mean, x, t);
    const Channels scales(scale, x, t);
    const Channels shifts(bias, x, t);
    const Input in[] = {{x, t}, means, scales, shifts};
    elementwise(FE_BEST(normalize_tile)(t), *c.outs[0], t, in);
  }
  if (!training) return;
  update(c, 1, mean, 1, spare);
  // PyTorch keeps the unbiased variance, but normalises by the biased one.
  const double unbiased =
      static_cast<double>(r.count()) / (static_cast<double>(r.count()) - 1);
  update(c, 2, var, unbiased, spare);
}

void forward_kernel(OpCall& c) {
  if (c.in(0).shape[1] == 0) return;
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

  // With fixed statistics the gradient is grad * scale.
  const Reduction r = reduction_of(x, t);
  const T share = c.b(5) ? T(1) / static_cast<T>(r.count()) : T(0);
  const auto scale_channel = [&](int64_t i) {
    weight_grad[i] *= rstd[i];
    a[i] = bias_grad[i] * share;
    b[i] = weight_grad[i] * rstd[i] * share;
    scale[i] = rstd[i] * weight[i];
  };

  const Channelwise channels(x, t);
  if (channels.fits({&grad, &x, c.outs[0]})) {
    const Planes& planes = channels.planes();
    const auto find_sums = [&](int64_t i) {
      const T* slope = channels.at<T>(grad, i);
      bias_grad[i] = static_cast<T>(FE_BEST(sum_of_planes)(planes, slope, t));
      weight_grad[i] = static_cast<T>(FE_BEST(products_of_planes)(
          planes, slope, channels.at<T>(x, i), mean + i, t));
    };
    channels.each([&](int64_t first, int64_t some) {
      for (int64_t i = first; i < first + some; ++i) {
        find_sums(i);
        scale_channel(i);
      }
      FE_BEST(normalize_planes_backward)
      (planes,
       {some, channels.at<T>(*c.outs[0], first), channels.at<T>(grad, first),
        channels.at<T>(x, first), mean + first, a + first, b + first,
        scale + first},
       t);
    });
    return;
  }
  r.run(Fold::sum, {.a = &grad}, bias_grad, partial);
  r.run(Fold::product, {.a = &grad, .b = &x, .centre = mean}, weight_grad,
        partial);
  for (int64_t i = 0; i < n; ++i) scale_channel(i);
  const Channels means(mean, x, t);
  const Channels sums(a, x, t);
  const Channels products(b, x, t);
  const Channels scales(scale, x, t);
  const Input in[] = {{grad, t}, {x, t}, means, sums, products, scales};
  elementwise(FE_BEST(normalize_backward_tile)(t), *c.outs[0], t, in);
}

void backward_kernel(OpCall& c) {
  if (c.in(1).shape[1] == 0) return;
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
    .over_input = true,
};
extern const KernelDef batch_norm_backward_cpu = {
    .name = "batch_norm_backward",
    .run = cpu::backward_kernel,
    .contiguous = false,
    .scratch = cpu::backward_scratch,
};

}  // namespace ferrule
