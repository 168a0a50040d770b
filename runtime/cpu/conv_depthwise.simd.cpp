// One plane by one kernel. Loops over the kernel are unrolled, and rows of the
// result are taken several at a time, so that what is read of a row of the
// image serves all of them.
#include "runtime/cpu/conv_depthwise.h"

#include "runtime/core/built.h"
#include "runtime/cpu/conv_part.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

constexpr int kLanes = lanes<float>;

constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// Rows of the result at a time. Images of networks have sides that 7 divides;
// with a kernel of 5 x 5, or with 16 registers, the sums would leave no room.
// Each result has the same bits however many there are.
template <int kernel>
inline constexpr int kRows = kSmall                              ? 1
                             : kernel == 3 && kVectorBytes == 64 ? 7
                                                                 : 4;
// The loop over rows of the image, up to 16 in all, as it is unrolled.
constexpr int kUnroll = kSmall ? 1 : 16;

// Where results [col, col + kLanes) of a row find their inputs in a row of the
// image.
template <int kernel, int stride>
struct Columns {
  static constexpr int kLoads = stride == 1 ? kernel : 2;
  static constexpr int kStep = stride == 1 ? 1 : kLanes;
  int64_t start;
  int64_t end;
  Part<float> part[kLoads];

  FE_INLINE Columns(const DepthwisePlane& p, int64_t col)
      : start(col * stride - p.pad_w), end(p.in_w) {
#pragma GCC unroll 5
    for (int i = 0; i < kLoads; ++i)
      part[i] = Part<float>::of(start + i * kStep, end);
  }

  // x[j][l] = row[start + stride * l + j] for the columns j of the kernel.
  FE_INLINE void load(const float* row, F32 (&x)[kernel]) const {
    row += start;
    F32 read[kLoads];
#pragma GCC unroll 5
    for (int i = 0; i < kLoads; ++i) read[i] = part[i].load(row + i * kStep);
    if constexpr (stride == 1) {
#pragma GCC unroll 5
      for (int j = 0; j < kernel; ++j) x[j] = read[j];
    } else {
      x[0] = every_other<0>(read[0], read[1]);
      x[1] = every_other<1>(read[0], read[1]);
#pragma GCC unroll 3
      for (int j = 2; j < kernel; ++j) {  // one element further
        const int at = j - 2 + 2 * kLanes;
        x[j] = shift_in(x[j - 2], splat(start + at < end ? row[at] : 0.0f));
      }
    }
  }
};

// The kernel, every element in all lanes.
template <int taps>
struct Kernel {
  F32 at[taps];

  FE_INLINE explicit Kernel(const DepthwisePlane& p) {
#pragma GCC unroll 25
    for (int k = 0; k < taps; ++k) {
      at[k] = splat(p.weight[p.flipped ? taps - 1 - k : k]);
    }
  }
};

// Calls visit(x, k, i) for what elements of the kernel's row i find where
// result row r + k needs them, for the `rows` results from row r on.
template <int kernel, int stride, int rows, class Visit>
FE_INLINE void each_row(const DepthwisePlane& p,
                        const Columns<kernel, stride>& columns, int64_t r,
                        const Visit& visit) {
  const int64_t first = r * stride - p.pad_h;
  const float* row = p.input + first * p.in_w;
#pragma GCC unroll kUnroll
  for (int y = 0; y < (rows - 1) * stride + kernel; ++y, row += p.in_w) {
    // What the next rows need, while these are computed.
    const float* const ahead = row + columns.start + rows * stride * p.in_w;
    __builtin_prefetch(ahead);
    if (stride == 2) __builtin_prefetch(ahead + kLanes);
    if (first + y < 0 || first + y >= p.in_h) continue;
    F32 x[kernel];
    columns.load(row, x);
#pragma GCC unroll 8
    for (int k = 0; k < rows; ++k) {
      const int i = y - k * stride;
      if (i >= 0 && i < kernel) visit(x, k, i);
    }
  }
}

// Calls visit.operator()<rows>(r) for all rows, several at a time.
template <int rows, class Visit>
FE_INLINE void by_rows(int64_t height, const Visit& visit) {
  int64_t r = 0;
  for (; r + rows <= height; r += rows) visit.template operator()<rows>(r);
  if constexpr (rows > 2) {
    for (; r + 2 <= height; r += 2) visit.template operator()<2>(r);
  }
  if (rows > 1 && r < height) visit.template operator()<1>(r);
}

// ---- Result

// Elements by which the result's memory is asked for before it is written: it
// may be in another core's cache.
constexpr int64_t kAhead = 512;

// As in epilogue.simd.cpp, without an addend.
FE_INLINE F32 finish(const Epilogue::Steps& s, F32 x) {
  x = (x - s.mean) * s.scale + s.shift;
  return smaller(splat(s.high), larger(splat(s.low), x));
}

template <int kernel, int stride>
void forward(const DepthwisePlane& p) {
  const Kernel<kernel * kernel> w(p);
  by_rows<kRows<kernel>>(p.out_h, [&]<int rows>(int64_t r) {
    for (int64_t col = 0; col < p.out_w; col += kLanes) {
      const int64_t n = p.out_w - col;
      F32 sum[rows];
#pragma GCC unroll 8
      for (int k = 0; k < rows; ++k) sum[k] = splat(p.bias);
      each_row<kernel, stride, rows>(
          p, {p, col}, r, [&](const F32(&x)[kernel], int k, int i) {
#pragma GCC unroll 5
            for (int j = 0; j < kernel; ++j) {
              sum[k] = fma(w.at[i * kernel + j], x[j], sum[k]);
            }
          });
      float* out = p.out + r * p.out_w + col;
#pragma GCC unroll 8
      for (int k = 0; k < rows; ++k, out += p.out_w) {
        if (p.add) sum[k] += load(out, n);
        if (p.then != nullptr) sum[k] = finish(*p.then, sum[k]);
        __builtin_prefetch(out + kAhead, 1);
        store(out, sum[k], n);
      }
    }
  });
}

// ---- Gradient of the input, stride 2. Elements whose place in the padded
// input is even get something from the even columns (or rows) j of the kernel,
// by element place / 2 - j / 2 of the gradient, and those at odd places from
// the odd ones.

// Rows at places 2 * first and the next 2 * pairs - 1.
template <int kernel, int pairs>
FE_INLINE void gradient2_rows(const DepthwisePlane& p,
                              const Kernel<kernel * kernel>& w, int64_t first) {
  constexpr int kOdd = kernel / 2;
  constexpr int kEven = kOdd + 1;
  for (int64_t col = 0; col < p.in_w; col += 2 * kLanes) {
    // Where the first elements at even and odd places find theirs for j = 0, 1.
    const int64_t even_at = (col + p.pad_w + 1) / 2;
    const int64_t odd_at = (col + p.pad_w) / 2;
    Part<float> even_part[kEven], odd_part[kOdd];
#pragma GCC unroll 3
    for (int j = 0; j < kEven; ++j) {
      even_part[j] = Part<float>::of(even_at - j, p.out_w);
      if (j < kOdd) odd_part[j] = Part<float>::of(odd_at - j, p.out_w);
    }
    F32 even[2 * pairs] = {}, odd[2 * pairs] = {};
    const float* grad = p.grad + (first - kOdd) * p.out_w;
#pragma GCC unroll 8
    for (int y = -kOdd; y < pairs; ++y, grad += p.out_w) {
      if (first + y < 0 || first + y >= p.out_h) continue;
      F32 even_g[kEven], odd_g[kOdd];
#pragma GCC unroll 3
      for (int j = 0; j < kEven; ++j) {
        even_g[j] = even_part[j].load(grad + even_at - j);
        if (j < kOdd) odd_g[j] = odd_part[j].load(grad + odd_at - j);
      }
#pragma GCC unroll 8
      for (int k = 0; k < 2 * pairs; ++k) {
        const int i = k - 2 * y;  // row of the kernel
        if (i < 0 || i >= kernel) continue;
#pragma GCC unroll 3
        for (int j = 0; j < kEven; ++j) {
          const int tap = i * kernel + 2 * j;
          even[k] = fma(w.at[tap], even_g[j], even[k]);
          if (j < kOdd) odd[k] = fma(w.at[tap + 1], odd_g[j], odd[k]);
        }
      }
    }
    const bool odd_first = p.pad_w % 2 != 0;
    float* out = p.out + (2 * first - p.pad_h) * p.in_w + col;
#pragma GCC unroll 8
    for (int k = 0; k < 2 * pairs; ++k, out += p.in_w) {
      const int64_t h = 2 * first - p.pad_h + k;
      if (h < 0 || h >= p.in_h) continue;
      const F32 a = odd_first ? odd[k] : even[k];
      const F32 b = odd_first ? even[k] : odd[k];
      const F32 both[] = {interleave<0>(a, b), interleave<1>(a, b)};
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        float* const to = out + v * kLanes;
        const int64_t n = p.in_w - col - v * kLanes;
        if (n <= 0) break;
        store(to, p.add ? load(to, n) + both[v] : both[v], n);
      }
    }
  }
}

template <int kernel>
void gradient2(const DepthwisePlane& p) {
  constexpr int kPairs = kernel == 3 && kVectorBytes == 64 ? 4 : 2;
  const Kernel<kernel * kernel> w(p);
  const int64_t end = (p.in_h - 1 + p.pad_h) / 2 + 1;
  for (int64_t first = p.pad_h / 2; first < end; first += kPairs) {
    gradient2_rows<kernel, kPairs>(p, w, first);
  }
}

// ---- Gradient of the weight

// Adds the sum of each vector to an element of `to`: lane i with lane i + width
// / 2, and so on.
template <int count>
FE_INLINE void add_sums(const F32 (&sum)[count], float* to) {
  constexpr int kCount = (count + kLanes - 1) / kLanes * kLanes;
  F32 all[kCount] = {};
#pragma GCC unroll 25
  for (int k = 0; k < count; ++k) all[k] = sum[k];
  alignas(kVectorBytes) float total[kCount];
  for (int first = 0; first < kCount; first += kLanes) {
    F32* const part = all + first;
#pragma GCC unroll 4
    for (int half = kLanes / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
      for (int k = 0; k < half; ++k) {
        part[k] = interleave<0>(part[k], part[k + half]) +
                  interleave<1>(part[k], part[k + half]);
      }
    }
    store(total + first, part[0]);
  }
  for (int k = 0; k < count; ++k) to[k] += total[k];
}

template <int kernel, int stride>
void weight_gradient(const DepthwisePlane& p) {
  // A vector is summed up for each element of the kernel.
  constexpr int kAtOnce = kernel == 3 ? kRows<kernel> : 1;
  F32 sum[kernel * kernel] = {};
  by_rows<kAtOnce>(p.out_h, [&]<int rows>(int64_t r) {
    for (int64_t col = 0; col < p.out_w; col += kLanes) {
      const int64_t n = p.out_w - col;
      // What lies beyond the last result is not multiplied, not even by 0: it
      // might be infinite.
      const I32 exist = iota<int32_t>() < splat(static_cast<int32_t>(n));
      F32 g[rows];
      const float* grad = p.grad + r * p.out_w + col;
#pragma GCC unroll 8
      for (int k = 0; k < rows; ++k, grad += p.out_w) g[k] = load(grad, n);
      each_row<kernel, stride, rows>(
          p, {p, col}, r, [&](const F32(&x)[kernel], int k, int i) {
#pragma GCC unroll 5
            for (int j = 0; j < kernel; ++j) {
              sum[i * kernel + j] =
                  fma(g[k], exist ? x[j] : F32{}, sum[i * kernel + j]);
            }
          });
    }
  });
  add_sums(sum, p.weight_grad);
}

}  // namespace

void depthwise(const DepthwisePlane& p) {
  if (p.kernel == 3) {
    p.stride == 1 ? forward<3, 1>(p) : forward<3, 2>(p);
  } else {
    p.stride == 1 ? forward<5, 1>(p) : forward<5, 2>(p);
  }
}

void depthwise_dx2(const DepthwisePlane& p) {
  p.kernel == 3 ? gradient2<3>(p) : gradient2<5>(p);
}

void depthwise_dw(const DepthwisePlane& p) {
  if (p.kernel == 3) {
    p.stride == 1 ? weight_gradient<3, 1>(p) : weight_gradient<3, 2>(p);
  } else {
    p.stride == 1 ? weight_gradient<5, 1>(p) : weight_gradient<5, 2>(p);
  }
}

}  // namespace ferrule::cpu::FE_ISA
