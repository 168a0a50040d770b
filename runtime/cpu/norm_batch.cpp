// CPU kernels of batch_norm and its gradient. Where a channel's elements lie in
// runs, its statistics and its results are computed one after the other, while
// it is in the cache; else there are reductions over everything but the
// channels, then one elementwise pass.
#include <algorithm>
#include <cmath>

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/elementwise.h"
#include "runtime/cpu/epilogue.h"
#include "runtime/cpu/in_float.h"
#include "runtime/cpu/norm_planes.h"
#include "runtime/cpu/reduce.h"
#include "runtime/cpu/rows.h"
#include "runtime/cpu/slots.h"

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
  // Are the runs long enough, and all tensors dense, of the arithmetic's dtype
  // or of one 16-bit dtype?
  bool fits(std::initializer_list<const TensorImpl*> tensors) const {
    const DType stored = (*tensors.begin())->dtype;
    return planes_.length >= kShortest &&
           (stored == dtype_ || is_16_bit_float(stored)) &&
           std::ranges::all_of(tensors, [&](const TensorImpl* t) {
             return t->contiguous && t->dtype == stored;
           });
  }
  const NormPlanes& planes() const { return planes_; }

  // Calls visit(first, count, own) for all channels: some at a time where their
  // runs are short, so that memory is read and written in long pieces. `own` is
  // scratch for `copies` copies of them in float.
  template <class Visit>
  void each(int copies, void* scratch, const Visit& visit) const {
    slots(copies).each_unit(
        static_cast<char*>(scratch), [&](int64_t unit, char* own) {
          const int64_t i = unit * together();
          visit(i, std::min(together(), channels_ - i), own);
        });
  }
  int64_t scratch_bytes(int copies) const { return slots(copies).total(); }
  int64_t copy_bytes() const {
    return align64(planes_.count * together() * planes_.length *
                   int64_t{sizeof(float)});
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

  int64_t together() const {
    return std::max<int64_t>(1, kLong / std::max<int64_t>(1, planes_.length));
  }
  Slots slots(int copies) const {
    return {(channels_ + together() - 1) / together(), copies * copy_bytes(),
            std::max<int64_t>(1, grain_of(planes_.count) / together())};
  }
  int64_t grain_of(int64_t runs) const {
    return std::max<int64_t>(
        1, kGrain / std::max<int64_t>(1, runs * planes_.length));
  }

  DType dtype_;
  int64_t channels_;
  NormPlanes planes_;
};

// Runs of 16-bit floats, `step` elements from one to the next, and dense copies
// of them in float: fills the copies, or, if `back`, the runs.
void convert_runs(char* runs, DType t, int64_t step, char* copies,
                  int64_t count, int64_t length, bool back) {
  const Route route = back ? Route(DType::f32, t) : Route(t, DType::f32);
  for (int64_t k = 0; k < count; ++k) {
    for (int64_t i = 0; i < length; i += kTile) {
      char* run = runs + (k * step + i) * itemsize(t);
      char* copy = copies + (k * length + i) * int64_t{sizeof(float)};
      route.convert(back ? run : copy, back ? copy : run,
                    std::min(kTile, length - i));
    }
  }
}

// Some channels of a dense tensor as T: where they are, or, of 16-bit floats, a
// copy without the others between them, which is small enough for a cache.
template <class T>
class Piece {
 public:
  Piece(const TensorImpl& t, const NormPlanes& all, int64_t first, int64_t some,
        char* copy)
      : planes(all),
        own_(t.bytes() + first * all.length * itemsize(t.dtype)),
        stored_(t.dtype),
        step_(all.step) {
    if (copied()) planes.step = some * all.length;
    data = reinterpret_cast<T*>(copied() ? copy : own_);
  }

  NormPlanes planes;
  T* data;

  // Between the tensor and the copy, if there is one.
  void read() const { convert(false); }
  void write() const { convert(true); }

 private:
  bool copied() const { return sizeof(T) == 4 && is_16_bit_float(stored_); }
  void convert(bool back) const {
    if (!copied()) return;
    convert_runs(own_, stored_, step_, reinterpret_cast<char*>(data),
                 planes.count, planes.step, back);
  }

  char* own_;
  DType stored_;
  int64_t step_;
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

template <class T>
T reciprocal_root(const OpCall& c, T var) {
  return T(1) / std::sqrt(var + static_cast<T>(c.f(7)));
}

// Scratch: biased variance, weight * rstd, copies of weight, bias and running
// statistics; copies of channels, or partial sums.
int64_t forward_scratch(const OpCall& c) {
  const TensorImpl& x = c.in(0);
  const DType t = compute_type(c.compute);
  const int copies = is_16_bit_float(x.dtype) ? 1 : 0;
  return 5 * channel_bytes(x, t) +
         std::max(Channelwise(x, t).scratch_bytes(copies),
                  reduction_of(x, t).scratch_bytes());
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
  void* rest = scratch + 5 * bytes;
  T* mean = c.outs[1]->ptr<T>();
  T* rstd = c.outs[2]->ptr<T>();
  const bool training = kState && c.b(5);
  if (!training) {
    std::copy_n(parameters<T>(c, 1, n, T(0), spare), n, mean);
    std::copy_n(parameters<T>(c, 2, n, T(1), spare), n, var);
  }
  const Reduction r = reduction_of(x, t);
  const T count = static_cast<T>(r.count());
  const auto scale_channel = [&](int64_t i) {
    rstd[i] = reciprocal_root(c, var[i]);
    scale[i] = rstd[i] * weight[i];
  };

  const Channelwise channels(x, t);
  if (channels.fits({&x, c.outs[0]})) {
    const int copies = is_16_bit_float(x.dtype) ? 1 : 0;
    const auto normalize = [&](const NormPlanes& planes, T* out, const T* from,
                               int64_t first, int64_t some) {
      FE_BEST(normalize_planes)
      (planes, {some, out, from, mean + first, scale + first, bias + first}, t);
    };
    const auto find_statistics = [&](int64_t i, const NormPlanes& planes,
                                     const T* from) {
      const double sum = FE_BEST(sum_of_planes)(planes, from, t);
      mean[i] = static_cast<T>(sum) / count;
      const double squares =
          FE_BEST(squares_of_planes)(planes, from, mean + i, t);
      var[i] = static_cast<T>(squares) / count;
    };
    if (training || copies > 0) {
      channels.each(copies, rest, [&](int64_t first, int64_t some, char* own) {
        const Piece<T> in(x, channels.planes(), first, some, own);
        const Piece<T> out(*c.outs[0], channels.planes(), first, some, own);
        in.read();
        for (int64_t k = 0; k < some; ++k) {
          const T* from = in.data + k * in.planes.length;
          if (training) find_statistics(first + k, in.planes, from);
          scale_channel(first + k);
        }
        normalize(in.planes, out.data, in.data, first, some);
        out.write();
      });
    } else {
      for (int64_t i = 0; i < n; ++i) scale_channel(i);
      NormPlanes planes = channels.planes();
      planes.count = 1;
      channels.each_in_order([&](int64_t image, int64_t first, int64_t some) {
        const int64_t at = image * planes.step + first * planes.length;
        normalize(planes, c.outs[0]->ptr<T>() + at, x.ptr<T>() + at, first,
                  some);
      });
    }
  } else {
    if (training) {
      r.run(Fold::sum, {.a = &x}, mean, rest);
      for (int64_t i = 0; i < n; ++i) mean[i] /= count;
      r.run(Fold::square, {.a = &x, .centre = mean}, var, rest);
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
  by_float(compute_type(c.compute), [&]<class T>(T) { forward<T>(c); });
}

// Scratch: two sums' shares, weight * rstd, copies of mean, rstd and weight;
// copies of channels, or partial sums.
int64_t backward_scratch(const OpCall& c) {
  const TensorImpl& x = c.in(1);
  const DType t = compute_type(c.compute);
  const int copies = is_16_bit_float(x.dtype) ? 2 : 0;
  return 6 * channel_bytes(x, t) +
         std::max(Channelwise(x, t).scratch_bytes(copies),
                  reduction_of(x, t).scratch_bytes());
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
  void* rest = scratch + 6 * bytes;
  T* weight_grad = c.outs[1]->ptr<T>();
  T* bias_grad = c.outs[2]->ptr<T>();

  // With fixed statistics the gradient is grad * scale.
  const Reduction r = reduction_of(x, t);
  const T share = c.b(5) ? T(1) / static_cast<T>(r.count()) : T(0);
  const auto scale_channel = [&](int64_t i) {
    weight_grad[i] *= rstd[i];
    scale[i] = rstd[i] * weight[i];
    a[i] = bias_grad[i] * share * scale[i];
    b[i] = weight_grad[i] * rstd[i] * share * scale[i];
  };

  const Channelwise channels(x, t);
  if (channels.fits({&grad, &x, c.outs[0]})) {
    const NormPlanes& all = channels.planes();
    const int copies = is_16_bit_float(x.dtype) ? 2 : 0;
    channels.each(copies, rest, [&](int64_t first, int64_t some, char* own) {
      const Piece<T> slopes(grad, all, first, some, own);
      const Piece<T> in(x, all, first, some, own + channels.copy_bytes());
      const Piece<T> out(*c.outs[0], all, first, some, own);
      slopes.read();
      in.read();
      for (int64_t k = 0; k < some; ++k) {
        const int64_t i = first + k;
        const T* slope = slopes.data + k * in.planes.length;
        const T* from = in.data + k * in.planes.length;
        bias_grad[i] =
            static_cast<T>(FE_BEST(sum_of_planes)(in.planes, slope, t));
        weight_grad[i] = static_cast<T>(
            FE_BEST(products_of_planes)(in.planes, slope, from, mean + i, t));
        scale_channel(i);
      }
      FE_BEST(normalize_planes_backward)
      (in.planes,
       {some, out.data, slopes.data, in.data, mean + first, a + first,
        b + first, scale + first},
       t);
      out.write();
    });
    return;
  }
  r.run(Fold::sum, {.a = &grad}, bias_grad, rest);
  r.run(Fold::product, {.a = &grad, .b = &x, .centre = mean}, weight_grad,
        rest);
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
  by_float(compute_type(c.compute), [&]<class T>(T) { backward<T>(c); });
}

}  // namespace
}  // namespace cpu

extern const KernelDef batch_norm_cpu = {
    .name = "batch_norm",
    .run = cpu::forward_kernel,
    .contiguous = false,
    .scratch = cpu::forward_scratch,
    .over_input = true,
    .join = [](const OpCall& c, int arg,
               Epilogue& e) { return arg == 0 && e.set_norm(c); },
};
extern const KernelDef batch_norm_backward_cpu = {
    .name = "batch_norm_backward",
    .run = cpu::backward_kernel,
    .contiguous = false,
    .scratch = cpu::backward_scratch,
};

}  // namespace ferrule
