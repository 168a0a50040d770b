// Convolutions by their definition, for geometries whose planes would be out of
// all proportion to the image: a dilation of a million, for example.
#pragma once

#include "runtime/cpu/conv2d.h"

namespace ferrule::cpu {

// Do planes of so many elements pay? (No integer overflows here.)
inline bool planes_fit(const ConvGroups& m, const Planes& p) {
  const double elements =
      1.0 * static_cast<double>(p.h.phases) * static_cast<double>(p.w.phases) *
      static_cast<double>(p.h.size) * static_cast<double>(p.w.size);
  const double image =
      static_cast<double>(m.in_plane()) + static_cast<double>(m.positions);
  return elements <= 64 * image + (1 << 16);
}

// Calls visit(p, e, k) for channel o of the result of one image: position p,
// element e of the image and element k of the channel's kernel meet.
template <class Visit>
void each_product(const ConvGroups& m, int64_t o, const Visit& visit) {
  const int64_t first = o / m.out_group * m.in_group;  // channel
  int64_t k = 0;
  for (int64_t c = first; c < first + m.in_group; ++c) {
    for (int64_t y = 0; y < m.s.h.kernel; ++y) {
      for (int64_t x = 0; x < m.s.w.kernel; ++x, ++k) {
        const Inside rows(m.s.h, y, 0, m.s.h.out);
        const Inside cols(m.s.w, x, 0, m.s.w.out);
        for (int64_t r = rows.begin; r < rows.end; ++r) {
          const int64_t h = m.s.h.start(r) + y * m.s.h.dilation;
          for (int64_t j = cols.begin; j < cols.end; ++j) {
            const int64_t w = m.s.w.start(j) + x * m.s.w.dilation;
            visit(r * m.s.w.out + j, (c * m.s.h.in + h) * m.s.w.in + w, k);
          }
        }
      }
    }
  }
}

template <class T>
void plain_conv2d(const ConvGroups& m, const Operands<T>& x) {
  const int64_t depth = m.in_group * m.taps;
  const int64_t image = m.s.in_channels * m.in_plane();
  parallel_for(m.s.batch * m.s.out_channels, 1, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) {
      const int64_t o = i % m.s.out_channels;
      const T* input = x.in[0] + i / m.s.out_channels * image;
      const T* weight = x.in[1] + o * depth;
      T* out = x.out + i * m.positions;
      std::fill_n(out, m.positions, x.in[2] != nullptr ? x.in[2][o] : T(0));
      each_product(m, o, [&](int64_t p, int64_t e, int64_t k) {
        out[p] += input[e] * weight[k];
      });
    }
  });
}

template <class T>
void plain_conv2d_dx(const ConvGroups& m, const Operands<T>& x) {
  const int64_t depth = m.in_group * m.taps;
  const int64_t image = m.s.in_channels * m.in_plane();
  parallel_for(m.s.batch, 1, [&](int64_t n, int64_t end) {
    for (; n < end; ++n) {
      T* out = x.out + n * image;
      std::fill_n(out, image, T(0));
      for (int64_t o = 0; o < m.s.out_channels; ++o) {
        const T* grad = x.in[0] + (n * m.s.out_channels + o) * m.positions;
        const T* weight = x.in[1] + o * depth;
        each_product(m, o, [&](int64_t p, int64_t e, int64_t k) {
          out[e] += grad[p] * weight[k];
        });
      }
    }
  });
}

template <class T>
void plain_conv2d_dw(const ConvGroups& m, const Operands<T>& x) {
  const int64_t depth = m.in_group * m.taps;
  const int64_t image = m.s.in_channels * m.in_plane();
  parallel_for(m.s.out_channels, 1, [&](int64_t o, int64_t end) {
    for (; o < end; ++o) {
      T* out = x.out + o * depth;
      std::fill_n(out, depth, T(0));
      for (int64_t n = 0; n < m.s.batch; ++n) {
        const T* grad = x.in[0] + (n * m.s.out_channels + o) * m.positions;
        const T* input = x.in[1] + n * image;
        each_product(m, o, [&](int64_t p, int64_t e, int64_t k) {
          out[k] += grad[p] * input[e];
        });
      }
    }
  });
}

}  // namespace ferrule::cpu
