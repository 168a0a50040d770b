// The kernel of conv2d_dw: what an element of the kernel finds at every
// position times the gradient there, summed over positions and images.
//
// The images are dealt out to a few sums, as many as the shape tells, which are
// added up in order at the end.
#include "runtime/cpu/conv2d.h"
#include "runtime/cpu/conv_columns.h"
#include "runtime/cpu/conv_plain.h"
#include "runtime/cpu/conv_winograd_dw.h"

namespace ferrule {
namespace cpu {
namespace {

// How many sums, and which images each of them has.
struct Sums {
  static constexpr int64_t kMost = 16;
  static constexpr int64_t kElements = 1 << 20;  // of all sums, about

  int64_t batch;
  int64_t elements;  // of one
  int64_t count;

  Sums(int64_t images, int64_t of_one)
      : batch(images),
        elements(of_one),
        count(std::clamp<int64_t>(
            std::min(images, kElements / std::max<int64_t>(of_one, 1)), 1,
            kMost)) {}

  int64_t first_image(int64_t sum) const { return batch * sum / count; }
  // Adds all sums, which stand one after the other, to the first.
  template <class T>
  void add_up(T* first) const {
    if (count == 1) return;
    parallel_for(elements, 1 << 13, [&](int64_t begin, int64_t end) {
      for (int64_t sum = 1; sum < count; ++sum) {
        const T* other = first + sum * elements;
        for (int64_t i = begin; i < end; ++i) first[i] += other[i];
      }
    });
  }
};

// ---- Groups of several channels
//
// A matrix with a row for each channel and element of the kernel (`left`), and
// one with a row for each position and a column for each channel of the result
// (`right`) make the gradient transposed; channels of the result make better
// vectors. If the kernel has one element, their roles are exchanged, and
// nothing is left to transpose.

template <class T>
struct WeightGradient {
  ConvGroups m;
  Planes planes;
  bool pointwise;  // the input serves as planes
  int64_t rows;
  int64_t width;  // of a row, if it were not
  int64_t cols;   // ... filled up to whole vectors
  Sums sums;
  int64_t images;   // at a time
  bool one_by_one;  // each unit finishes its rows
  int64_t row_block, row_blocks;
  Parts parts;

  explicit WeightGradient(const Conv2dShape& s)
      : m(s),
        planes{input_axis(s.h), input_axis(s.w)},
        pointwise(m.pointwise()),
        rows(pointwise ? m.out_group : m.in_group * m.taps),
        width(pointwise ? m.in_group : m.out_group),
        cols(round_to(width, kMostLanes)),
        sums(s.batch, s.groups * rows * cols),
        images(images_at_once(s.batch)),
        one_by_one(sums.count == 1 && images >= s.batch) {
    constexpr int64_t kLeastRows = 28;
    constexpr int64_t kMostRows = 112;  // whose sums stay near
    const int64_t units = sums.count * s.groups;
    const double work = 1.0 * rows * cols * m.positions * s.batch * s.groups;
    const int64_t most = std::max<int64_t>(rows / kLeastRows, 1);
    const int64_t least = one_by_one ? ceil_div(rows, kMostRows) : 1;
    const int64_t count =
        std::clamp(pieces_of(work, units), std::min(least, most), most);
    row_block = ceil_div(rows, count);
    row_blocks = ceil_div(rows, row_block);
    parts = {units * row_blocks,
             one_by_one ? align64(row_block * cols * sizeof(T)) : 0};
  }

  // So few that their copies stay in a cache.
  int64_t images_at_once(int64_t batch) const {
    constexpr int64_t kBytes = 8 << 20;
    const int64_t one = (plane_elements() + right_elements()) * sizeof(T);
    return std::clamp<int64_t>(kBytes / std::max<int64_t>(one, 1), 1,
                               std::max<int64_t>(batch, 1));
  }
  // Of one image.
  int64_t plane_elements() const {
    return pointwise ? 0 : m.s.in_channels * planes.elements();
  }
  int64_t right_elements() const { return m.s.groups * m.positions * cols; }
  int64_t offset_bytes() const { return align64(rows * sizeof(int64_t)); }
  int64_t sum_bytes() const {
    if (one_by_one) return parts.scratch_bytes();
    return align64(sums.count * sums.elements * sizeof(T));
  }
  int64_t right_bytes() const {
    return align64(images * right_elements() * sizeof(T));
  }
  int64_t scratch_bytes() const {
    return offset_bytes() + sum_bytes() + right_bytes() +
           align64(images * plane_elements() * sizeof(T));
  }

  void run(const Operands<T>& x) const {
    auto* offset = reinterpret_cast<int64_t*>(x.scratch);
    char* after = x.scratch + offset_bytes();
    T* sum = reinterpret_cast<T*>(after);
    T* right = reinterpret_cast<T*>(after += sum_bytes());
    T* copy = reinterpret_cast<T*>(after + right_bytes());
    if (pointwise) {
      for (int64_t o = 0; o < rows; ++o) offset[o] = o * m.positions;
    } else {
      kernel_offsets(m, planes, offset);
    }
    for (int64_t first = 0; first < m.s.batch; first += images) {
      const int64_t count = std::min(images, m.s.batch - first);
      const T* grad = x.in[0] + first * m.s.out_channels * m.positions;
      const T* input = x.in[1] + first * m.s.in_channels * m.in_plane();
      if (!pointwise) {
        copy_planes(input, count * m.s.in_channels, copy);
      }
      transpose(pointwise ? input : grad, count * m.s.groups, right);
      const T* left = pointwise ? grad : copy;
      parts.run(reinterpret_cast<char*>(sum), [&](int64_t unit, char* own) {
        ConvOuter<T> p = outer(unit, offset);
        const int64_t nr = unit / row_blocks;  // of group and sum
        p.c = one_by_one ? reinterpret_cast<T*>(own)
                         : sum + nr * rows * cols + first_row(unit) * cols;
        add_images(p, nr, first, first + count, left, right);
        if (one_by_one) write(p.c, nr, first_row(unit), p.rows, x.out);
      });
    }
    if (one_by_one) return;
    sums.add_up(sum);
    parallel_for(m.s.groups * row_blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = first_row(i);
        const int64_t group = i / row_blocks;
        write(sum + (group * rows + row) * cols, group, row,
              std::min(row_block, rows - row), x.out);
      }
    });
  }

  int64_t first_row(int64_t unit) const {
    return unit % row_blocks * row_block;
  }

  void copy_planes(const T* from, int64_t count, T* to) const {
    constexpr int64_t kElements = 1 << 14;  // worth a visit
    parallel_for(count, kElements / planes.elements(),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     fill_planes(planes, from + i * m.in_plane(),
                                 to + i * planes.elements());
                   }
                 });
  }

  // With a row for each position.
  void transpose(const T* from, int64_t count, T* to) const {
    constexpr int64_t kPositions = 1024;
    const int64_t blocks = ceil_div(m.positions, kPositions);
    parallel_for(count * blocks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t p = i % blocks * kPositions;
        const int64_t unit = i / blocks;
        cpu::run(ConvTranspose<T>{.from = from + unit * width * m.positions + p,
                                  .from_row = m.positions,
                                  .rows = width,
                                  .cols = std::min(kPositions, m.positions - p),
                                  .to = to + (unit * m.positions + p) * cols,
                                  .to_row = cols,
                                  .pad = true});
      }
    });
  }

  ConvOuter<T> outer(int64_t unit, const int64_t* offset) const {
    const int64_t row = first_row(unit);
    ConvOuter<T> p{.rows = std::min(row_block, rows - row),
                   .offset = offset + row,
                   .pitch = pointwise ? m.positions : planes.pitch(),
                   .height = pointwise ? 1 : m.s.h.out,
                   .width = pointwise ? m.positions : m.s.w.out,
                   .cols = cols};
    return p;
  }

  // Adds what images [begin, end) give to one group in one sum. `left` and
  // `right` start with image `begin`.
  void add_images(ConvOuter<T> p, int64_t nr, int64_t begin, int64_t end,
                  const T* left, const T* right) const {
    const int64_t group = nr % m.s.groups;
    const int64_t sum = nr / m.s.groups;
    const int64_t left_elements =
        pointwise ? m.out_group * m.positions : m.in_group * planes.elements();
    const int64_t first = sums.first_image(sum);
    for (int64_t i = std::max(begin, first);
         i < std::min(end, sums.first_image(sum + 1)); ++i) {
      const int64_t unit = (i - begin) * m.s.groups + group;
      p.a = left + unit * left_elements;
      p.b = right + unit * m.positions * cols;
      p.add = i > first;
      cpu::run(p);
    }
  }

  // Some rows of a group into the result.
  void write(const T* from, int64_t group, int64_t row, int64_t count,
             T* out) const {
    out += group * rows * width;
    if (pointwise) {
      for (int64_t i = 0; i < count; ++i) {
        std::copy_n(from + i * cols, width, out + (row + i) * width);
      }
    } else {
      cpu::run(ConvTranspose<T>{.from = from,
                                .from_row = cols,
                                .rows = count,
                                .cols = width,
                                .to = out + row,
                                .to_row = rows});
    }
  }
};

// ---- Groups of one channel. A unit is one group in one sum.

template <class T>
struct DepthwiseWeightGradient {
  ConvGroups m;
  Planes planes;
  Sums sums;
  Parts parts;

  explicit DepthwiseWeightGradient(const Conv2dShape& s)
      : m(s),
        planes{input_axis(s.h), input_axis(s.w)},
        sums(s.batch, s.out_channels * m.taps),
        parts{sums.count * s.groups, align64(planes.elements() * sizeof(T))} {}

  int64_t offset_bytes() const { return align64(m.taps * sizeof(int64_t)); }
  int64_t sum_bytes() const {
    return align64(sums.count * sums.elements * sizeof(T));
  }
  int64_t scratch_bytes() const {
    return offset_bytes() + sum_bytes() + parts.scratch_bytes();
  }

  void run(const Operands<T>& x) const {
    auto* offset = reinterpret_cast<int64_t*>(x.scratch);
    char* after = x.scratch + offset_bytes();
    T* all_sums = reinterpret_cast<T*>(after);
    kernel_offsets(m, planes, offset);
    parts.run(after + sum_bytes(), [&](int64_t unit, char* scratch) {
      const int64_t group = unit % m.s.groups;
      const int64_t sum = unit / m.s.groups;
      const int64_t weights = m.out_group * m.taps;  // of a group
      T* out = all_sums + sum * sums.elements + group * weights;
      std::fill_n(out, weights, T(0));
      for (int64_t i = sums.first_image(sum); i < sums.first_image(sum + 1);
           ++i) {
        const int64_t image_group = i * m.s.groups + group;
        add_image(x.in[1] + image_group * m.in_plane(),
                  x.in[0] + image_group * m.out_group * m.positions, offset,
                  reinterpret_cast<T*>(scratch), out);
      }
    });
    sums.add_up(all_sums);
    std::copy_n(all_sums, sums.elements, x.out);
  }

  void add_image(const T* input, const T* grad, const int64_t* offset, T* copy,
                 T* out) const {
    if constexpr (sizeof(T) == sizeof(float)) {
      if (depthwise_fits(m.s)) {
        for (int64_t o = 0; o < m.out_group; ++o) {
          DepthwisePlane p = depthwise_plane(m.s);
          p.input = input;
          p.grad = grad + o * m.positions;
          p.weight_grad = out + o * m.taps;
          FE_BEST(depthwise_dw)(p);
        }
        return;
      }
    }
    fill_planes(planes, input, copy);
    for (int64_t o = 0; o < m.out_group; ++o) {
      cpu::run(ConvDots<T>{.count = m.taps,
                           .a = copy,
                           .offset = offset,
                           .pitch = planes.pitch(),
                           .height = m.s.h.out,
                           .width = m.s.w.out,
                           .b = grad + o * m.positions,
                           .c = out + o * m.taps});
    }
  }
};

Conv2dShape shape_of(const OpCall& c) {
  return {c, c.in(1).sizes(), c.out_impl().sizes()};
}

int64_t conv2d_dw_scratch(const OpCall& c) {
  const Conv2dShape s = shape_of(c);
  return operand_bytes(c, 2) + by_float(c, [&]<class T>(T) {
           if (!planes_fit(ConvGroups(s), {input_axis(s.h), input_axis(s.w)})) {
             return int64_t{0};
           }
           const WinogradWeightGradient<T> fast(s);
           const ColumnsWeightGradient<T> columns(s);
           return ConvGroups(s).depthwise()
                      ? DepthwiseWeightGradient<T>(s).scratch_bytes()
                  : fast.fits()    ? fast.scratch_bytes()
                  : columns.fits() ? columns.scratch_bytes()
                                   : WeightGradient<T>(s).scratch_bytes();
         });
}

void conv2d_dw(OpCall& c) {
  if (c.out_impl().numel == 0) return;
  const Conv2dShape s = shape_of(c);
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 2);
    if (s.batch == 0 || s.h.out == 0 || s.w.out == 0) {
      std::fill_n(x.out, c.out_impl().numel, T(0));
    } else if (!planes_fit(ConvGroups(s), {input_axis(s.h), input_axis(s.w)})) {
      plain_conv2d_dw(ConvGroups(s), x);
    } else if (ConvGroups(s).depthwise()) {
      DepthwiseWeightGradient<T>(s).run(x);
    } else if (const WinogradWeightGradient<T> fast(s); fast.fits()) {
      fast.run(x);
    } else if (const ColumnsWeightGradient<T> columns(s); columns.fits()) {
      columns.run(x);
    } else {
      WeightGradient<T>(s).run(x);
    }
    x.finish();
  });
}

}  // namespace
}  // namespace cpu

extern const KernelDef conv2d_dw_cpu = {
    .name = "conv2d_dw",
    .run = cpu::conv2d_dw,
    .scratch = cpu::conv2d_dw_scratch,
};

}  // namespace ferrule
