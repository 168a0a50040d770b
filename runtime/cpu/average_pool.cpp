// The kernels of average pooling, with windows that slide or adapt, and of its
// gradients. Planes are independent of one another.
#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/core/window.h"
#include "runtime/cpu/operands.h"
#include "runtime/cpu/reduce.h"

namespace ferrule {
namespace cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;  // element visits worth a thread

// One dimension of a window: elements [begin, end), and its share of the number
// that the sum is divided by.
struct Span {
  int64_t begin, end, count;
};

// Finds the spans of both dimensions; input and result are `planes` planes.
struct Averages {
  int64_t planes;
  int64_t in_h, in_w, out_h, out_w;
  int64_t most;  // elements in a window, about

  int64_t planes_per_thread() const {
    const int64_t visits = std::max(in_h * in_w, out_h * out_w * most);
    return std::max<int64_t>(1, kGrain / std::max<int64_t>(visits, 1));
  }
};

// Windows of avg_pool2d, whose arguments start at `first`.
struct SlidingAverages : Averages {
  PoolShape s;
  bool count_padding;

  SlidingAverages(const OpCall& c, int first, std::span<const int64_t> input)
      : s(c, first, input, c.b(first + 3)), count_padding(c.b(first + 4)) {
    planes = s.planes;
    in_h = s.h.in;
    in_w = s.w.in;
    out_h = s.h.out;
    out_w = s.w.out;
    most = s.h.kernel * s.w.kernel;
  }
  Span span(const Window& window, int64_t o) const {
    const AverageWindow w(window, o);
    return {w.begin, w.end, count_padding ? w.padded_count : w.count()};
  }
  Span rows(int64_t o) const { return span(s.h, o); }
  Span cols(int64_t o) const { return span(s.w, o); }
};

struct AdaptiveAverages : Averages {
  AdaptiveAverages(const Image& in, const Image& out) {
    planes = in.planes();
    in_h = in.height;
    in_w = in.width;
    out_h = out.height;
    out_w = out.width;
    most = out_h * out_w == 0 ? 0 : (in_h / out_h + 1) * (in_w / out_w + 1);
  }
  static Span span(int64_t in, int64_t out, int64_t o) {
    const AdaptiveWindow w(in, out, o);
    return {w.begin, w.end, w.end - w.begin};
  }
  Span rows(int64_t o) const { return span(in_h, out_h, o); }
  Span cols(int64_t o) const { return span(in_w, out_w, o); }
};

// Of planes that are one window each; `count` is what sums are divided by.
template <class T>
[[gnu::noinline]] void average_whole_planes(const Averages& w, int64_t count,
                                            const T* in, T* out) {
  const int64_t size = w.in_h * w.in_w;
  const FoldRunFn sum_runs =
      FE_BEST(sum_run)(sizeof(T) == 4 ? DType::f32 : DType::f64);
  parallel_for(w.planes, w.planes_per_thread(), [&](int64_t p, int64_t end) {
    sum_runs(out + p, {.a = in + p * size}, end - p, size);
    for (; p < end; ++p) out[p] /= static_cast<T>(count);
  });
}

template <class Windows>
void average(OpCall& c, const Windows& w) {
  if (c.out_impl().numel == 0) return;
  const Span first_rows = w.rows(0), first_cols = w.cols(0);
  const bool whole_planes = w.out_h * w.out_w == 1 &&
                            first_rows.end - first_rows.begin == w.in_h &&
                            first_cols.end - first_cols.begin == w.in_w;
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 1);
    if (whole_planes) {
      const int64_t count = first_rows.count * first_cols.count;
      average_whole_planes(w, count, x.in[0], x.out);
    } else {
      parallel_for(
          w.planes, w.planes_per_thread(), [&](int64_t p, int64_t end) {
            for (; p < end; ++p) {
              const T* in = x.in[0] + p * w.in_h * w.in_w;
              T* out = x.out + p * w.out_h * w.out_w;
              for (int64_t o_h = 0; o_h < w.out_h; ++o_h) {
                const Span rows = w.rows(o_h);
                for (int64_t o_w = 0; o_w < w.out_w; ++o_w) {
                  const Span cols = w.cols(o_w);
                  T sum = 0;
                  for (int64_t h = rows.begin; h < rows.end; ++h) {
                    for (int64_t k = cols.begin; k < cols.end; ++k) {
                      sum += in[h * w.in_w + k];
                    }
                  }
                  *out++ = sum / static_cast<T>(rows.count * cols.count);
                }
              }
            }
          });
    }
    x.finish();
  });
}

template <class Windows>
void spread(OpCall& c, const Windows& w) {
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 1);
    parallel_for(w.planes, w.planes_per_thread(), [&](int64_t p, int64_t end) {
      for (; p < end; ++p) {
        const T* grad = x.in[0] + p * w.out_h * w.out_w;
        T* out = x.out + p * w.in_h * w.in_w;
        std::fill_n(out, w.in_h * w.in_w, T(0));
        for (int64_t o_h = 0; o_h < w.out_h; ++o_h) {
          const Span rows = w.rows(o_h);
          for (int64_t o_w = 0; o_w < w.out_w; ++o_w) {
            const Span cols = w.cols(o_w);
            const T share = *grad++ / static_cast<T>(rows.count * cols.count);
            for (int64_t h = rows.begin; h < rows.end; ++h) {
              for (int64_t k = cols.begin; k < cols.end; ++k) {
                out[h * w.in_w + k] += share;
              }
            }
          }
        }
      }
    });
    x.finish();
  });
}

void avg_pool2d(OpCall& c) {
  average(c, SlidingAverages(c, 1, c.in(0).sizes()));
}

void avg_pool2d_dx(OpCall& c) {
  spread(c, SlidingAverages(c, 2, c.out_impl().sizes()));
}

void adaptive_avg_pool2d(OpCall& c) {
  average(
      c, AdaptiveAverages(Image(c.in(0).sizes()), Image(c.out_impl().sizes())));
}

void adaptive_avg_pool2d_dx(OpCall& c) {
  spread(c,
         AdaptiveAverages(Image(c.out_impl().sizes()), Image(c.in(0).sizes())));
}

int64_t scratch(const OpCall& c) { return operand_bytes(c, 1); }

}  // namespace
}  // namespace cpu

extern const KernelDef avg_pool2d_cpu = {
    .name = "avg_pool2d",
    .run = cpu::avg_pool2d,
    .scratch = cpu::scratch,
};

extern const KernelDef avg_pool2d_dx_cpu = {
    .name = "avg_pool2d_dx",
    .run = cpu::avg_pool2d_dx,
    .scratch = cpu::scratch,
};

extern const KernelDef adaptive_avg_pool2d_cpu = {
    .name = "adaptive_avg_pool2d",
    .run = cpu::adaptive_avg_pool2d,
    .scratch = cpu::scratch,
};

extern const KernelDef adaptive_avg_pool2d_dx_cpu = {
    .name = "adaptive_avg_pool2d_dx",
    .run = cpu::adaptive_avg_pool2d_dx,
    .scratch = cpu::scratch,
};

}  // namespace ferrule
