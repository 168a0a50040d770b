// Moves images into columns and back, see conv_columns.h.
#include "runtime/cpu/conv_columns.h"

#include "runtime/cpu/conv_part.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// The elements k of a kernel that give something to the element of the image at
// `place`, counted from the padding's first: windows (place - k dilation) /
// stride, for which nothing may remain.
template <int stride>
struct Taps {
  int64_t first, step;
  int64_t window;  // of the first
  int64_t back;    // windows from one to the next

  FE_INLINE Taps(int64_t place, const Window& w) {
    const bool odd = stride == 2 && place % 2 != 0;
    step = stride == 2 && w.dilation % 2 != 0 ? 2 : 1;
    first = !odd ? 0 : step == 2 ? 1 : w.kernel;
    window = (place - first * w.dilation) >> (stride - 1);
    back = (step * w.dilation) >> (stride - 1);
  }
};

template <class T, int stride>
void fold(const ConvColumns& c, const T* columns, T* image) {
  constexpr int64_t kLanes = lanes<T>;
  const int64_t positions = c.h.out * c.w.out;
  for (int64_t h = 0; h < c.h.in; ++h, image += c.w.in) {
    Taps<stride> rows(h + c.h.padding, c.h);
    for (; rows.window >= c.h.out; rows.first += rows.step) {
      rows.window -= rows.back;
    }
    const T* const from =
        columns + rows.first * c.w.kernel * positions + rows.window * c.w.out;
    const int64_t next =
        rows.step * c.w.kernel * positions - rows.back * c.w.out;
    // Columns of the kernel, of which none counts if no row does.
    const int64_t last =
        rows.first < c.h.kernel && rows.window >= 0 ? c.w.kernel : 0;
    for (int64_t col = 0; col < c.w.in; col += stride * kLanes) {
      Vec<T> sum[stride] = {};  // of elements at col + stride * lane + phase
#pragma GCC unroll 2
      for (int phase = 0; phase < stride; ++phase) {
        Taps<stride> cols(col + phase + c.w.padding, c.w);
        for (int64_t j = cols.first; j < last; j += cols.step) {
          const Part<T> part = Part<T>::of(cols.window, c.w.out);
          const T* row = from + j * positions + cols.window;
          int64_t window = rows.window;
          for (int64_t i = rows.first; i < c.h.kernel && window >= 0;
               i += rows.step, window -= rows.back, row += next) {
            sum[phase] += part.load(row);
          }
          cols.window -= cols.back;
        }
      }
      const int64_t n = c.w.in - col;
      if constexpr (stride == 1) {
        store(image + col, sum[0], n);
      } else {
        store(image + col, interleave<0>(sum[0], sum[1]), n);
        if (n <= kLanes) break;
        store(image + col + kLanes, interleave<1>(sum[0], sum[1]), n - kLanes);
      }
    }
  }
}

template <class T, int stride>
void unfold(const ConvColumns& c, const T* image, T* columns) {
  constexpr int64_t kLanes = lanes<T>;
  for (int64_t i = 0; i < c.h.kernel; ++i) {
    for (int64_t j = 0; j < c.w.kernel; ++j) {
      const int64_t top = i * c.h.dilation - c.h.padding;
      for (int64_t q = 0; q < c.w.out; q += kLanes) {
        const int64_t col = q * stride - c.w.padding + j * c.w.dilation;
        const auto part = Part<T>::of(col, c.w.in);
        const auto more = Part<T>::of(col + kLanes, c.w.in);
        const T* from = image + top * c.w.in + col;
        T* to = columns + q;
        for (int64_t r = 0; r < c.h.out; ++r) {
          Vec<T> found{};
          if (const int64_t h = r * stride + top; h >= 0 && h < c.h.in) {
            found = part.load(from);
            if constexpr (stride == 2) {
              found = every_other<0>(found, more.load(from + kLanes));
            }
          }
          store(to, found, c.w.out - q);
          from += stride * c.w.in;
          to += c.w.out;
        }
      }
      columns += c.h.out * c.w.out;
    }
  }
}

}  // namespace

void conv_fold_f32(const ConvColumns& c, const float* columns, float* image) {
  c.w.stride == 1 ? fold<float, 1>(c, columns, image)
                  : fold<float, 2>(c, columns, image);
}
void conv_fold_f64(const ConvColumns& c, const double* columns, double* image) {
  c.w.stride == 1 ? fold<double, 1>(c, columns, image)
                  : fold<double, 2>(c, columns, image);
}
void conv_unfold_f32(const ConvColumns& c, const float* image, float* columns) {
  c.w.stride == 1 ? unfold<float, 1>(c, image, columns)
                  : unfold<float, 2>(c, image, columns);
}
void conv_unfold_f64(const ConvColumns& c, const double* image,
                     double* columns) {
  c.w.stride == 1 ? unfold<double, 1>(c, image, columns)
                  : unfold<double, 2>(c, image, columns);
}

}  // namespace ferrule::cpu::FE_ISA
