// The kernels of max pooling. Planes are independent of one another.
#include <algorithm>
#include <limits>

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/core/window.h"
#include "runtime/cpu/max_pool.h"
#include "runtime/cpu/operands.h"

namespace ferrule {
namespace cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;  // element visits worth a thread

int64_t planes_per_thread(int64_t visits) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(visits, 1));
}

// Those of a window that lie inside of the input, where the window starts at
// `start`.
struct Elements {
  int64_t begin, end;

  Elements(const Window& w, int64_t start) : begin(0), end(w.kernel) {
    const int64_t last = start + (w.kernel - 1) * w.dilation;
    if (start >= 0 && last < w.in) return;
    // The first element that is not before `place`.
    const auto from = [&](int64_t place) {
      if (place <= start) return int64_t{0};
      return std::min((place - start + w.dilation - 1) / w.dilation, w.kernel);
    };
    begin = from(0);
    end = from(w.in);
  }
  int64_t count() const { return end - begin; }
};

template <class T>
auto max_windows() {
  if constexpr (sizeof(T) == 4) {
    return FE_BEST(max_windows_f32);
  } else {
    return FE_BEST(max_windows_f64);
  }
}

// Windows that lie inside of the input see the same of it. Calls visit(o,
// count) for them, and for each of the others.
class Parts {
 public:
  explicit Parts(const Window& w) : out_(w.out) {
    const Inside first(w, 0, 0, w.out);
    const Inside last(w, w.kernel - 1, 0, w.out);
    begin_ = std::max(first.begin, last.begin);
    end_ = std::max(begin_, std::min(first.end, last.end));
  }
  template <class Visit>
  void each(const Visit& visit) const {
    for (int64_t o = 0; o < begin_; ++o) visit(o, int64_t{1});
    if (begin_ < end_) visit(begin_, end_ - begin_);
    for (int64_t o = end_; o < out_; ++o) visit(o, int64_t{1});
  }

 private:
  int64_t begin_, end_, out_;
};

template <class T>
void see_nothing(int64_t lines, int64_t count, int64_t out_step, T* best,
                 int64_t* index) {
  for (int64_t i = 0; i < lines; ++i) {
    std::fill_n(best + i * out_step, count,
                -std::numeric_limits<T>::infinity());
    if (index) std::fill_n(index + i * out_step, count, int64_t{-1});
  }
}

// One plane. `index` may be null.
template <class T>
void max_plane(const PoolShape& s, const Parts& parts_h, const Parts& parts_w,
               const T* plane, T* best, int64_t* index) {
  const auto max_of = max_windows<T>();
  parts_h.each([&](int64_t o_h, int64_t lines) {
    const Elements rows(s.h, s.h.start(o_h));
    parts_w.each([&](int64_t o_w, int64_t count) {
      const Elements cols(s.w, s.w.start(o_w));
      const int64_t to = o_h * s.w.out + o_w;
      int64_t* const index_to = index ? index + to : nullptr;
      if (rows.count() == 0 || cols.count() == 0) {
        see_nothing(lines, count, s.w.out, best + to, index_to);
        return;
      }
      const int64_t at = (s.h.start(o_h) + rows.begin * s.h.dilation) * s.w.in +
                         s.w.start(o_w) + cols.begin * s.w.dilation;
      max_of({.first = plane + at,
              .index = at,
              .lines = lines,
              .line_step = s.h.stride * s.w.in,
              .count = count,
              .step = s.w.stride,
              .rows = rows.count(),
              .row_step = s.h.dilation * s.w.in,
              .cols = cols.count(),
              .col_step = s.w.dilation,
              .out_step = s.w.out},
             best + to, index_to);
    });
  });
}

void max_pool2d(OpCall& c) {
  if (c.out_impl().numel == 0) return;
  const PoolShape s(c, 1, c.in(0).sizes(), c.b(5), 4);
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 1);
    int64_t* index = c.wants(1) ? c.out_impl(1).ptr<int64_t>() : nullptr;
    const Parts parts_h(s.h);
    const Parts parts_w(s.w);
    const int64_t positions = s.h.out * s.w.out;
    const int64_t visits = positions * s.h.kernel * s.w.kernel;
    parallel_for(
        s.planes, planes_per_thread(visits), [&](int64_t p, int64_t end) {
          for (; p < end; ++p) {
            max_plane(s, parts_h, parts_w, x.in[0] + p * s.h.in * s.w.in,
                      x.out + p * positions,
                      index ? index + p * positions : nullptr);
          }
        });
    x.finish();
  });
}

// Is -1, or an element of the plane? Reports it if not.
bool valid(OpCall& c, int64_t index, int64_t size) {
  if (index >= -1 && index < size) return true;
  c.report("index {} is out of range for a plane of {} elements", index, size);
  return false;
}

void max_pool2d_dx(OpCall& c) {
  const Image image(c.out_impl().sizes());
  const Image pooled(c.in(1).sizes());
  const int64_t size = image.height * image.width;
  const int64_t positions = pooled.height * pooled.width;
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 1);
    const int64_t* index = c.in(1).ptr<int64_t>();
    parallel_for(image.planes(), planes_per_thread(size + positions),
                 [&](int64_t p, int64_t end) {
                   for (; p < end; ++p) {
                     T* out = x.out + p * size;
                     std::fill_n(out, size, T(0));
                     for (int64_t k = p * positions; k < (p + 1) * positions;
                          ++k) {
                       if (!valid(c, index[k], size)) return;
                       if (index[k] >= 0) out[index[k]] += x.in[0][k];
                     }
                   }
                 });
    x.finish();
  });
}

void max_pool2d_gather(OpCall& c) {
  if (c.out_impl().numel == 0) return;
  const Image image(c.in(0).sizes());
  const Image pooled(c.in(1).sizes());
  const int64_t size = image.height * image.width;
  const int64_t positions = pooled.height * pooled.width;
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 1);
    const int64_t* index = c.in(1).ptr<int64_t>();
    parallel_for(image.planes(), planes_per_thread(positions),
                 [&](int64_t p, int64_t end) {
                   for (; p < end; ++p) {
                     const T* in = x.in[0] + p * size;
                     for (int64_t k = p * positions; k < (p + 1) * positions;
                          ++k) {
                       if (!valid(c, index[k], size)) return;
                       x.out[k] = index[k] >= 0 ? in[index[k]] : T(0);
                     }
                   }
                 });
    x.finish();
  });
}

int64_t scratch(const OpCall& c) { return operand_bytes(c, 1); }

}  // namespace
}  // namespace cpu

extern const KernelDef max_pool2d_cpu = {
    .name = "max_pool2d",
    .run = cpu::max_pool2d,
    .scratch = cpu::scratch,
    .optional_results = 1 << 1,
};

extern const KernelDef max_pool2d_dx_cpu = {
    .name = "max_pool2d_dx",
    .run = cpu::max_pool2d_dx,
    .scratch = cpu::scratch,
};

extern const KernelDef max_pool2d_gather_cpu = {
    .name = "max_pool2d_gather",
    .run = cpu::max_pool2d_gather,
    .scratch = cpu::scratch,
};

}  // namespace ferrule
