// One plane by one kernel. Loops over the kernel are unrolled.
#include "runtime/cpu/conv_depthwise.h"

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

constexpr int kLanes = lanes<float>;

constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// Part of a row at the image's margin: elements [start, start + kLanes) of a
// row that has elements [0, end); zeros where there are none.
#if defined(__AVX512F__)
FE_INLINE F32 load_part(const float* row, int64_t start, int64_t end) {
  if (start >= 0) return load(row + start, most(end - start, 0));
  const I32 lane = iota<int32_t>() + splat(static_cast<int32_t>(start));
  return bits<F32>(_mm512_maskz_permutexvar_ps(
      static_cast<__mmask16>(~first(-start)), bits<__m512i>(lane),
      bits<__m512>(load(row, most(end, 0)))));
}
#else
[[gnu::noinline]] F32 load_part(const float* row, int64_t start, int64_t end) {
  if (start >= 0) return load(row + start, most(end - start, 0));
  alignas(kVectorBytes) float part[kLanes] = {};
  for (int64_t l = -start; l < least(kLanes, end - start); ++l) {
    part[l] = row[start + l];
  }
  return load(part);
}
#endif

// The even (or odd) elements of two vectors.
template <int parity>
FE_INLINE F32 every_other(F32 a, F32 b) {
  return [&]<int... l>(std::integer_sequence<int, l...>) {
    return __builtin_shufflevector(a, b, (2 * l + parity)...);
  }(std::make_integer_sequence<int, kLanes>());
}

// The first and the second half of the elements of two vectors, taken in turn.
template <int half>
FE_INLINE F32 interleave(F32 a, F32 b) {
  return [&]<int... l>(std::integer_sequence<int, l...>) {
    return __builtin_shufflevector(
        a, b, (half * kLanes / 2 + l / 2 + l % 2 * kLanes)...);
  }(std::make_integer_sequence<int, kLanes>());
}

// Where a vector of results finds its inputs in a row of the image.
struct Columns {
  int64_t start;
  int64_t end;  // of what may be read
  bool inside;  // all of it exists

  // For results [col, col + n) of a row.
  template <int kernel, int stride>
  FE_INLINE static Columns of(const DepthwisePlane& p, int64_t col, int64_t n) {
    Columns c;
    c.start = col * stride - p.pad_w;
    // What lies beyond the last result is not multiplied, not even by 0: it
    // might be infinite.
    c.end = least(p.in_w, c.start + (n - 1) * stride + kernel);
    // For stride 2 pairs of vectors are read.
    c.inside = n == kLanes && c.start >= 0 &&
               c.start + kernel - 1 + stride * kLanes <= p.in_w;
    return c;
  }
  FE_INLINE F32 load_at(const float* row, int64_t i) const {
    if (inside) [[likely]]
      return load(row + start + i);
    return load_part(row, start + i, end);
  }
};

// x[j][l] = row[start + stride * l + j] for the columns j of the kernel.
template <int kernel, int stride>
FE_INLINE void load_row(const float* row, const Columns& at, F32 (&x)[kernel]) {
  if constexpr (stride == 1) {
#pragma GCC unroll 5
    for (int j = 0; j < kernel; ++j) x[j] = at.load_at(row, j);
  } else {
#pragma GCC unroll 5
    for (int j = 0; j < kernel; j += 2) {
      const F32 a = at.load_at(row, j);
      const F32 b = at.load_at(row, j + kLanes);
      x[j] = every_other<0>(a, b);
      if (j + 1 < kernel) x[j + 1] = every_other<1>(a, b);
    }
  }
}

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

// ---- Result

// `rows` rows of the result from row r, columns [col, col + n).
template <int kernel, int stride, int rows>
FE_INLINE void forward_rows(const DepthwisePlane& p,
                            const Kernel<kernel * kernel>& w, const Columns& at,
                            int64_t r, int64_t col, int64_t n) {
  F32 sum[rows];
#pragma GCC unroll 4
  for (int k = 0; k < rows; ++k) sum[k] = splat(p.bias);
  const int64_t first = r * stride - p.pad_h;
#pragma GCC unroll 12
  for (int y = 0; y < (rows - 1) * stride + kernel; ++y) {
    if (first + y < 0 || first + y >= p.in_h) continue;
    F32 x[kernel];
    load_row<kernel, stride>(p.input + (first + y) * p.in_w, at, x);
#pragma GCC unroll 4
    for (int k = 0; k < rows; ++k) {
      const int i = y - k * stride;
      if (i < 0 || i >= kernel) continue;
#pragma GCC unroll 5
      for (int j = 0; j < kernel; ++j) {
        sum[k] = fma(w.at[i * kernel + j], x[j], sum[k]);
      }
    }
  }
#pragma GCC unroll 4
  for (int k = 0; k < rows; ++k) {
    float* const out = p.out + (r + k) * p.out_w + col;
    if (p.add) sum[k] += load(out, n);
    store(out, sum[k], n);
  }
}

template <int kernel, int stride>
void forward(const DepthwisePlane& p) {
  const Kernel<kernel * kernel> w(p);
  for (int64_t col = 0; col < p.out_w; col += kLanes) {
    const int64_t n = least(kLanes, p.out_w - col);
    const Columns at = Columns::of<kernel, stride>(p, col, n);
    int64_t r = 0;
    for (; r + 4 <= p.out_h; r += 4) {
      forward_rows<kernel, stride, 4>(p, w, at, r, col, n);
    }
    for (; r + 2 <= p.out_h; r += 2) {
      forward_rows<kernel, stride, 2>(p, w, at, r, col, n);
    }
    if (r < p.out_h) forward_rows<kernel, stride, 1>(p, w, at, r, col, n);
  }
}

// ---- Gradient of the input, stride 2. With q = (column + padding) / 2, even
// columns of the padded input get something from the even columns j of the
// kernel, by column q - j / 2 of the gradient, and odd ones from the odd.

template <int kernel>
void gradient2(const DepthwisePlane& p) {
  const Kernel<kernel * kernel> w(p);
  const int64_t q_end = (p.in_w - 1 + p.pad_w) / 2 + 1;
  for (int64_t h = 0; h < p.in_h; ++h) {
    float* const out = p.out + h * p.in_w;
    for (int64_t q = p.pad_w / 2; q < q_end; q += kLanes) {
      F32 sum[2] = {};
#pragma GCC unroll 5
      for (int i = 0; i < kernel; ++i) {
        const int64_t twice = h + p.pad_h - i;
        if (twice < 0 || twice % 2 != 0 || twice / 2 >= p.out_h) continue;
        const float* const grad = p.grad + twice / 2 * p.out_w;
#pragma GCC unroll 5
        for (int j = 0; j < kernel; j += 2) {
          const F32 g = load_part(grad, q - j / 2, p.out_w);
          sum[0] = fma(w.at[i * kernel + j], g, sum[0]);
          if (j + 1 == kernel) continue;
          sum[1] = fma(w.at[i * kernel + j + 1], g, sum[1]);
        }
      }
      alignas(kVectorBytes) float both[2 * kLanes];
      store(both, interleave<0>(sum[0], sum[1]));
      store(both + kLanes, interleave<1>(sum[0], sum[1]));
      const int64_t col = 2 * q - p.pad_w;  // -1 if the padding is odd
      const int64_t end = least(2 * kLanes, p.in_w - col);
      for (int64_t l = most(-col, 0); l < end; l += kLanes) {
        F32 v = load(both + l, end - l);
        if (p.add) v += load(out + col + l, end - l);
        store(out + col + l, v, end - l);
      }
    }
  }
}

// ---- Gradient of the weight

template <int kernel, int stride>
void weight_gradient(const DepthwisePlane& p) {
  F32 sum[kernel * kernel] = {};
  for (int64_t col = 0; col < p.out_w; col += kLanes) {
    const int64_t n = least(kLanes, p.out_w - col);
    const Columns at = Columns::of<kernel, stride>(p, col, n);
    const I32 exist = iota<int32_t>() < splat(static_cast<int32_t>(n));
    for (int64_t r = 0; r < p.out_h; ++r) {
      const F32 g = load(p.grad + r * p.out_w + col, n);
#pragma GCC unroll 5
      for (int i = 0; i < kernel; ++i) {
        const int64_t row = r * stride - p.pad_h + i;
        if (row < 0 || row >= p.in_h) continue;
        F32 x[kernel];
        load_row<kernel, stride>(p.input + row * p.in_w, at, x);
#pragma GCC unroll 5
        for (int j = 0; j < kernel; ++j) {
          if (!at.inside) x[j] = exist ? x[j] : F32{};
          sum[i * kernel + j] = fma(g, x[j], sum[i * kernel + j]);
        }
      }
    }
  }
  for (int k = 0; k < kernel * kernel; ++k) {
    p.weight_grad[k] += FE_ISA::sum(sum[k]);
  }
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
