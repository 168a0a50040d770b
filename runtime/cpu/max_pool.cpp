// The kernels of max pooling. Planes are independent of one another.
#include <limits>
#include <type_traits>

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

template <class T>
MaxRowFn<T> max_row_fn() {
  if constexpr (sizeof(T) == 4) {
    return FE_BEST(max_row_f32);
  } else {
    return FE_BEST(max_row_f64);
  }
}

// One row of the result: each element of the window is compared for all windows
// of the row. `element` has room for integers as large as T; it counts the
// window's elements and is -1 where the window has seen nothing.
template <class T>
void max_row(const PoolShape& s, const T* plane, int64_t o_h, T* best,
             int64_t* index, void* element) {
  using Element = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  auto* const k = static_cast<Element*>(element);
  const MaxRowFn<T> compare = max_row_fn<T>();
  std::fill_n(best, s.w.out, -std::numeric_limits<T>::infinity());
  std::fill_n(k, s.w.out, Element{-1});
  for (int64_t i = 0; i < s.h.kernel; ++i) {
    const int64_t h = s.h.start(o_h) + i * s.h.dilation;
    if (h < 0 || h >= s.h.in) continue;
    for (int64_t j = 0; j < s.w.kernel; ++j) {
      const Inside w(s.w, j, 0, s.w.out);
      if (w.begin == w.end) continue;
      const T* first =
          plane + h * s.w.in + s.w.start(w.begin) + j * s.w.dilation;
      compare(first, s.w.stride, w.end - w.begin, i * s.w.kernel + j,
              best + w.begin, k + w.begin);
    }
  }
  for (int64_t o = 0; o < s.w.out; ++o) {
    const int64_t i = k[o] / s.w.kernel;
    const int64_t j = k[o] - i * s.w.kernel;
    const int64_t h = s.h.start(o_h) + i * s.h.dilation;
    const int64_t w = s.w.start(o) + j * s.w.dilation;
    index[o] = k[o] < 0 ? -1 : h * s.w.in + w;
  }
}

int64_t grain_of(const PoolShape& s) {
  return planes_per_thread(s.h.out * s.w.out * s.h.kernel * s.w.kernel);
}

void max_pool2d(OpCall& c) {
  if (c.out_impl().numel == 0) return;
  const PoolShape s(c, 1, c.in(0).sizes(), c.b(5), 4);
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 1);
    int64_t* index = c.out_impl(1).ptr<int64_t>();
    const int64_t positions = s.h.out * s.w.out;
    // Each chunk of planes has a row of elements in scratch.
    const int64_t grain = grain_of(s);
    const int64_t size = chunk_size(s.planes, grain);
    const int64_t row = align64(s.w.out * sizeof(T));
    parallel_for(s.planes, grain, [&](int64_t p, int64_t end) {
      char* element = x.scratch + p / size * row;
      for (; p < end; ++p) {
        for (int64_t o_h = 0; o_h < s.h.out; ++o_h) {
          const int64_t to = p * positions + o_h * s.w.out;
          max_row(s, x.in[0] + p * s.h.in * s.w.in, o_h, x.out + to, index + to,
                  element);
        }
      }
    });
    x.finish();
  });
}

int64_t max_pool2d_scratch(const OpCall& c) {
  const PoolShape s(c, 1, c.in(0).sizes(), c.b(5), 4);
  const int64_t rows = chunk_count(s.planes, grain_of(s));
  return operand_bytes(c, 1) + rows * align64(s.w.out * int64_t{8});
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
    .scratch = cpu::max_pool2d_scratch,
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
