// The kernels of interpolation along one dimension and of its transpose. The
// weights are computed once for the dimension; then every line is a sum of few
// others.
#include "runtime/cpu/resize.h"

#include <algorithm>

#include "ferrule/op.h"
#include "runtime/core/resize.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/operands.h"

namespace ferrule {
namespace cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;  // multiplications worth a thread
constexpr int64_t kColumns = 512;    // of the transpose, a unit of work

ResizeAxis axis_of(const OpCall& c, int64_t in, int64_t out) {
  return ResizeAxis(resize_mode(c.str(3)), in, out, c.b(4),
                    c.has(5) ? c.f(5) : 0, c.b(6));
}

// What lies before and behind the dimension, and its weights as numbers of T.
template <class T>
class Lines {
 public:
  int64_t outer = 1, inner = 1;
  int64_t in, out, most;

  Lines(const OpCall& c, const ResizeAxis& axis, char* scratch)
      : in(axis.in), out(axis.out), most(axis.most()) {
    const TensorImpl& t = c.out_impl();
    const int dim = c.dim(1, t.ndim);
    for (int d = 0; d < dim; ++d) outer *= t.shape[d];
    for (int d = dim + 1; d < t.ndim; ++d) inner *= t.shape[d];
    auto* exact = reinterpret_cast<double*>(scratch);
    begins_ = reinterpret_cast<int64_t*>(exact + most);
    counts_ = begins_ + out;
    weights_ = reinterpret_cast<T*>(counts_ + out);
    for (int64_t o = 0; o < out; ++o) {
      counts_[o] = axis.weights(o, &begins_[o], exact);
      std::copy_n(exact, counts_[o], weights_ + o * most);
    }
    if (most != 1 || out % in != 0) return;
    repeats_ = out / in;
    for (int64_t o = 0; o < out; ++o) {
      if (begins_[o] != o / repeats_) repeats_ = 0;
      if (repeats_ == 0) return;
    }
  }

  static int64_t bytes(const ResizeAxis& axis) {
    return (axis.most() + axis.out * (2 + axis.most())) * int64_t{8};
  }

  int64_t begin(int64_t o) const { return begins_[o]; }
  int64_t count(int64_t o) const { return counts_[o]; }
  const T* weights(int64_t o) const { return weights_ + o * most; }
  // How many times every element is repeated; 0: that differs, or the result is
  // more than repeated elements.
  int64_t repeats() const { return repeats_; }
  // Lines of so many multiplications that are worth a thread.
  int64_t grain(int64_t line) const {
    return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, line * most));
  }

 private:
  int64_t* begins_;
  int64_t* counts_;
  T* weights_;
  int64_t repeats_ = 0;
};

// Neighbours lie side by side. With one weight, as of the nearest element, it
// is 1.
template <class T>
void resize_line(const Lines<T>& l, const T* x, T* out) {
  if (l.most == 1) {
    for (int64_t o = 0; o < l.out; ++o) out[o] = x[l.begin(o)];
    return;
  }
  for (int64_t o = 0; o < l.out; ++o) {
    const T* w = l.weights(o);
    const T* from = x + l.begin(o);
    T sum = w[0] * from[0];
    for (int64_t k = 1; k < l.count(o); ++k) sum += w[k] * from[k];
    out[o] = sum;
  }
}

// to[i] = the sum of the i-th `repeats` elements of g.
template <class T>
[[gnu::always_inline]] inline void sum_repeated(const T* g, T* to, int64_t n,
                                                int64_t repeats) {
  for (int64_t i = 0; i < n; ++i, g += repeats) {
    T sum = g[0];
    for (int64_t k = 1; k < repeats; ++k) sum += g[k];
    to[i] = sum;
  }
}

// The transpose; `to` is all 0. With one weight, what goes to one element comes
// together, and its sum is kept in a register.
template <class T>
void resize_dx_line(const Lines<T>& l, const T* g, T* to) {
  // Two is what upsampling mostly repeats.
  if (l.repeats() == 2) return sum_repeated(g, to, l.in, 2);
  if (l.repeats() > 0) return sum_repeated(g, to, l.in, l.repeats());
  if (l.most == 1) {
    for (int64_t o = 0; o < l.out;) {
      const int64_t at = l.begin(o);
      T sum = g[o++];
      while (o < l.out && l.begin(o) == at) sum += g[o++];
      to[at] = sum;
    }
    return;
  }
  for (int64_t o = 0; o < l.out; ++o) {
    const T* w = l.weights(o);
    T* at = to + l.begin(o);
    for (int64_t k = 0; k < l.count(o); ++k) at[k] += w[k] * g[o];
  }
}

void resize(OpCall& c) {
  const TensorImpl& result = c.out_impl();
  if (result.numel == 0) return;
  const int dim = c.dim(1, result.ndim);
  const ResizeAxis axis = axis_of(c, c.in(0).shape[dim], result.shape[dim]);
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 1);
    const Lines<T> l(c, axis, x.scratch);
    if (l.inner == 1) {
      parallel_for(l.outer, l.grain(l.out), [&](int64_t i, int64_t end) {
        for (; i < end; ++i) {
          resize_line(l, x.in[0] + i * l.in, x.out + i * l.out);
        }
      });
    } else {
      const auto loops = FE_BEST(resize_loops)(compute_type(result.dtype));
      parallel_for(
          l.outer * l.out, l.grain(l.inner), [&](int64_t i, int64_t end) {
            for (; i < end; ++i) {
              const int64_t o = i % l.out;
              const T* plane = x.in[0] + i / l.out * l.in * l.inner;
              loops.mix(x.out + i * l.inner, plane + l.begin(o) * l.inner,
                        l.inner, l.weights(o), l.count(o), l.inner);
            }
          });
    }
    x.finish();
  });
}

void resize_dx(OpCall& c) {
  const TensorImpl& result = c.out_impl();
  if (result.numel == 0) return;
  const int dim = c.dim(1, result.ndim);
  const ResizeAxis axis = axis_of(c, result.shape[dim], c.in(0).shape[dim]);
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 1);
    const Lines<T> l(c, axis, x.scratch);
    const auto loops = FE_BEST(resize_loops)(compute_type(result.dtype));
    const int64_t blocks = (l.inner + kColumns - 1) / kColumns;
    const int64_t width = std::min(l.inner, kColumns);
    parallel_for(
        l.outer * blocks, l.grain(l.out * width), [&](int64_t i, int64_t end) {
          for (; i < end; ++i) {
            const int64_t first = i % blocks * kColumns;
            const int64_t n = std::min(kColumns, l.inner - first);
            const T* g = x.in[0] + i / blocks * l.out * l.inner + first;
            T* to = x.out + i / blocks * l.in * l.inner + first;
            for (int64_t k = 0; k < l.in; ++k) {
              std::fill_n(to + k * l.inner, n, T(0));
            }
            if (l.inner == 1) {
              resize_dx_line(l, g, to);
              continue;
            }
            for (int64_t o = 0; o < l.out; ++o, g += l.inner) {
              const T* w = l.weights(o);
              T* at = to + l.begin(o) * l.inner;
              for (int64_t k = 0; k < l.count(o); ++k, at += l.inner) {
                loops.add(at, g, static_cast<double>(w[k]), n);
              }
            }
          }
        });
    x.finish();
  });
}

int64_t resize_scratch(const OpCall& c) {
  const int dim = c.dim(1, c.out_impl().ndim);
  return operand_bytes(c, 1) +
         Lines<double>::bytes(
             axis_of(c, c.in(0).shape[dim], c.out_impl().shape[dim]));
}
int64_t resize_dx_scratch(const OpCall& c) {
  const int dim = c.dim(1, c.out_impl().ndim);
  return operand_bytes(c, 1) +
         Lines<double>::bytes(
             axis_of(c, c.out_impl().shape[dim], c.in(0).shape[dim]));
}

}  // namespace
}  // namespace cpu

extern const KernelDef resize_cpu = {
    .name = "resize",
    .run = cpu::resize,
    .scratch = cpu::resize_scratch,
};

extern const KernelDef resize_dx_cpu = {
    .name = "resize_dx",
    .run = cpu::resize_dx,
    .scratch = cpu::resize_dx_scratch,
};

}  // namespace ferrule
