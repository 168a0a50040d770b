// Gradients of convolutions as products of whole matrices (gemm.h): that of the
// weight is the gradient of the result times the columns of the image, and that
// of the input is folded from the weight, transposed, times the gradient.
//
// Columns stand for windows: a row for each channel and element of the kernel,
// which has, for every position of the result, what the element finds there.
// The weight is read where it lies, and its gradient is written once. That pays
// where there are many channels and few positions; with many positions the
// columns would be larger than what they are made for.
#pragma once

#include "runtime/cpu/conv2d.h"
#include "runtime/cpu/gemm.h"

namespace ferrule::cpu {

// The geometry of one channel. Both strides are alike, 1 or 2.
struct ConvColumns {
  Window h, w;
};

// image = what its columns add up to, and columns = what they find in it.
FE_SIMD(void conv_fold_f32(const ConvColumns& c, const float* columns,
                           float* image);
        void conv_fold_f64(const ConvColumns& c, const double* columns,
                           double* image);
        void conv_unfold_f32(const ConvColumns& c, const float* image,
                             float* columns);
        void conv_unfold_f64(const ConvColumns& c, const double* image,
                             double* columns);)

inline void fold(const ConvColumns& c, const float* columns, float* image) {
  FE_BEST(conv_fold_f32)(c, columns, image);
}
inline void fold(const ConvColumns& c, const double* columns, double* image) {
  FE_BEST(conv_fold_f64)(c, columns, image);
}
inline void unfold(const ConvColumns& c, const float* image, float* columns) {
  FE_BEST(conv_unfold_f32)(c, image, columns);
}
inline void unfold(const ConvColumns& c, const double* image, double* columns) {
  FE_BEST(conv_unfold_f64)(c, image, columns);
}

// What both gradients ask first. A unit is one group of one image.
struct ConvColumnsShape {
  ConvGroups m;
  bool in_place;  // the image is its columns
  int64_t rows;   // of columns

  explicit ConvColumnsShape(const Conv2dShape& s)
      : m(s), in_place(m.pointwise()), rows(m.in_group * m.taps) {}

  int64_t units() const { return m.s.batch * m.s.groups; }
  // Are there so many units that each is one thread's?
  bool many() const { return units() >= Units::kMany; }
  // Do columns pay that are made for `positions` or fewer?
  bool fits(int64_t positions) const {
    constexpr int64_t kChannels = 128;
    const int64_t stride = m.s.w.stride;
    return in_place ||
           ((stride == 1 || stride == 2) && m.s.h.stride == stride &&
            m.out_group >= kChannels && m.positions <= positions);
  }
  ConvColumns columns() const { return {m.s.h, m.s.w}; }
  // Channels whose columns are worth a visit of a thread.
  int64_t grain() const {
    constexpr int64_t kElements = 1 << 14;
    return std::max<int64_t>(kElements / (m.taps * m.positions), 1);
  }
};

template <class T>
struct ColumnsInputGradient : ConvColumnsShape {
  // The product of few positions is transposed: its rows are positions then,
  // and the weight, the larger matrix, is read along its rows.
  bool few;
  int64_t block;  // channels at a time

  explicit ColumnsInputGradient(const Conv2dShape& s)
      : ConvColumnsShape(s), few(m.positions < 128), block(m.in_group) {
    if (m.positions == 0) return;
    const int64_t elements = many() ? 1 << 18 : 1 << 21;  // of columns
    const int64_t least = ceil_div(256, m.taps);
    block = std::clamp(elements / (m.positions * m.taps),
                       std::min(least, m.in_group), m.in_group);
  }

  bool fits() const { return m.positions > 0 && ConvColumnsShape::fits(1024); }
  int64_t column_bytes() const {
    return align64(block * m.taps * m.positions * sizeof(T));
  }
  // The product for some channels from the first on, of the first unit.
  Gemm<T> product(int64_t channels, const T* grad, const T* weight,
                  T* to) const {
    Gemm<T> g{.m = channels * m.taps, .n = m.positions, .k = m.out_group};
    g.a = {weight, 1, rows};
    g.b = {grad, m.positions, 1};
    if (few) {
      std::swap(g.m, g.n);
      g.a = {grad, 1, m.positions};
      g.b = {weight, rows, 1};
    }
    g.c = to;
    g.c_row = g.n;
    return g;
  }
  int64_t gemm_bytes() const {
    auto bytes = [&](int64_t channels) {
      return gemm_scratch_bytes(product(channels, nullptr, nullptr, nullptr));
    };
    const int64_t last = m.in_group % block;
    return align64(std::max(bytes(block), last > 0 ? bytes(last) : 0));
  }
  Parts parts() const {
    return {units(), gemm_bytes() + (few ? column_bytes() : 0) +
                         (in_place ? 0 : column_bytes())};
  }
  int64_t scratch_bytes() const {
    return many() ? parts().scratch_bytes() : parts().bytes;
  }

  void run(const Operands<T>& x) const {
    if (many()) {
      return parts().run(x.scratch, [&](int64_t unit, char* scratch) {
        run_unit(x, unit, scratch);
      });
    }
    for (int64_t i = 0; i < units(); ++i) run_unit(x, i, x.scratch);
  }

 private:
  void run_unit(const Operands<T>& x, int64_t unit, char* scratch) const {
    T* const transposed = reinterpret_cast<T*>(scratch + gemm_bytes());
    T* const columns =
        few ? transposed + column_bytes() / sizeof(T) : transposed;
    const T* const grad = x.in[0] + unit * m.out_group * m.positions;
    const T* const weight = x.in[1] + unit % m.s.groups * m.out_group * rows;
    T* const image = x.out + unit * m.in_group * m.in_plane();
    for (int64_t first = 0; first < m.in_group; first += block) {
      const int64_t channels = std::min(block, m.in_group - first);
      T* const to = image + first * m.in_plane();
      T* const made = in_place ? to : columns;
      gemm(product(channels, grad, weight + first * m.taps,
                   few ? transposed : made),
           scratch);
      parallel_for(channels, grain(), [&](int64_t c, int64_t end) {
        if (few) {
          cpu::run(ConvTranspose<T>{.from = transposed + c * m.taps,
                                    .from_row = channels * m.taps,
                                    .rows = m.positions,
                                    .cols = (end - c) * m.taps,
                                    .to = made + c * m.taps * m.positions,
                                    .to_row = m.positions});
        }
        for (; !in_place && c < end; ++c) {
          fold(this->columns(), made + c * m.taps * m.positions,
               to + c * m.in_plane());
        }
      });
    }
  }
};

template <class T>
struct ColumnsWeightGradient : ConvColumnsShape {
  using ConvColumnsShape::ConvColumnsShape;

  // Images are taken one after the other, and threads share the work on each.
  bool fits() const {
    return !many() && ConvColumnsShape::fits(m.taps == 1 ? INT64_MAX : 256);
  }
  Gemm<T> product(const T* grad, const T* columns, T* to) const {
    Gemm<T> g{.m = m.out_group, .n = rows, .k = m.positions};
    g.a = {grad, m.positions, 1};
    g.b = {columns, 1, m.positions};
    g.c = to;
    g.c_row = rows;
    return g;
  }
  int64_t gemm_bytes() const {
    Gemm<T> g = product(nullptr, nullptr, nullptr);
    const int64_t first = gemm_scratch_bytes(g);
    g.accumulate = true;
    return align64(std::max(first, gemm_scratch_bytes(g)));
  }
  int64_t scratch_bytes() const {
    return gemm_bytes() +
           (in_place ? 0 : align64(rows * m.positions * sizeof(T)));
  }

  void run(const Operands<T>& x) const {
    T* const columns = reinterpret_cast<T*>(x.scratch + gemm_bytes());
    for (int64_t i = 0; i < units(); ++i) {
      const T* const image = x.in[1] + i * m.in_group * m.in_plane();
      if (!in_place) {
        parallel_for(m.in_group, grain(), [&](int64_t c, int64_t end) {
          for (; c < end; ++c) {
            unfold(this->columns(), image + c * m.in_plane(),
                   columns + c * m.taps * m.positions);
          }
        });
      }
      Gemm<T> g = product(x.in[0] + i * m.out_group * m.positions,
                          in_place ? image : columns,
                          x.out + i % m.s.groups * m.out_group * rows);
      g.accumulate = i >= m.s.groups;
      gemm(g, x.scratch);
    }
  }
};

}  // namespace ferrule::cpu
