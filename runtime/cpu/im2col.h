// A convolution's input as a matrix: one row for each channel and element of
// the kernel, one column for each position of the result.
#pragma once

#include <algorithm>
#include <cstring>

#include "runtime/core/window.h"

namespace ferrule::cpu {

// Positions o in [begin, end) whose element k lies inside of the input.
struct Inside {
  int64_t begin, end;

  Inside(const Window& w, int64_t k, int64_t first, int64_t last) {
    // 0 <= o * stride + shift < in
    const int64_t shift = k * w.dilation - w.padding;
    const int64_t low = shift >= 0 ? 0 : (-shift + w.stride - 1) / w.stride;
    const int64_t high =
        shift >= w.in ? 0 : (w.in - shift + w.stride - 1) / w.stride;
    begin = std::clamp(low, first, last);
    end = std::clamp(high, begin, last);
  }
};

// Calls piece(row, o_h, o_w, o_w_end, column) for every part of a row of the
// result that lies in positions [from, to) and every element of the kernel:
// `row` counts channels and elements, `column` starts at 0 for `from`.
template <class Piece>
void each_piece(const Conv2dShape& s, int64_t channels, int64_t from,
                int64_t to, const Piece& piece) {
  int64_t row = 0;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < s.h.kernel; ++i) {
      for (int64_t j = 0; j < s.w.kernel; ++j, ++row) {
        for (int64_t p = from; p < to;) {
          const int64_t o_h = p / s.w.out;
          const int64_t o_w = p - o_h * s.w.out;
          const int64_t o_w_end = std::min(s.w.out, o_w + to - p);
          piece(row, c, i, j, o_h, o_w, o_w_end, p - from);
          p += o_w_end - o_w;
        }
      }
    }
  }
}

// Columns [from, to) of the matrix of `channels` planes at x. Rows are `width`
// apart.
template <class T>
void im2col(const Conv2dShape& s, const T* x, int64_t channels, int64_t from,
            int64_t to, T* col, int64_t width) {
  each_piece(s, channels, from, to,
             [&](int64_t row, int64_t c, int64_t i, int64_t j, int64_t o_h,
                 int64_t o_w, int64_t o_w_end, int64_t column) {
               T* out = col + row * width + column - o_w;
               const int64_t h = s.h.start(o_h) + i * s.h.dilation;
               if (h < 0 || h >= s.h.in) {
                 std::fill(out + o_w, out + o_w_end, T(0));
                 return;
               }
               const Inside w(s.w, j, o_w, o_w_end);
               const T* in = x + (c * s.h.in + h) * s.w.in + j * s.w.dilation -
                             s.w.padding;
               std::fill(out + o_w, out + w.begin, T(0));
               if (s.w.stride == 1) {
                 std::copy(in + w.begin, in + w.end, out + w.begin);
               } else {
                 for (int64_t o = w.begin; o < w.end; ++o) {
                   out[o] = in[o * s.w.stride];
                 }
               }
               std::fill(out + w.end, out + o_w_end, T(0));
             });
}

// The transpose: adds every element of the matrix to the one it came from.
template <class T>
void col2im(const Conv2dShape& s, const T* col, int64_t width, int64_t channels,
            int64_t from, int64_t to, T* x) {
  each_piece(s, channels, from, to,
             [&](int64_t row, int64_t c, int64_t i, int64_t j, int64_t o_h,
                 int64_t o_w, int64_t o_w_end, int64_t column) {
               const int64_t h = s.h.start(o_h) + i * s.h.dilation;
               if (h < 0 || h >= s.h.in) return;
               const T* in = col + row * width + column - o_w;
               const Inside w(s.w, j, o_w, o_w_end);
               T* out = x + (c * s.h.in + h) * s.w.in + j * s.w.dilation -
                        s.w.padding;
               for (int64_t o = w.begin; o < w.end; ++o) {
                 out[o * s.w.stride] += in[o];
               }
             });
}

}  // namespace ferrule::cpu
