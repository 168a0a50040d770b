// The kernel of conv2d_dw: what an element of the kernel finds at every
// position times the gradient there, summed over positions and images.
//
// The images are dealt out to a few sums, as many as the shape tells, which are
// added up in order at the end.
#include "runtime/cpu/conv2d.h"

#include "runtime/cpu/depthwise.h"

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

// ---- Groups of several channels. The weight's gradient is made transposed,
// with a row for each channel and element of the kernel, because the channels
// of the result make better vectors.

template <class T>
struct WeightGradient {
  ConvGroups m;
  Planes planes;
  bool in_place;  // the input serves as planes
  int64_t rows;
  int64_t cols;  // channels of the result, whole vectors
  Sums sums;
  int64_t images;  // at a time
  int64_t row_block, row_blocks;

  explicit WeightGradient(const Conv2dShape& s)
      : m(s),
        planes{input_axis(s.h), input_axis(s.w)},
        in_place(m.pointwise()),
        rows(m.in_group * m.taps),
        cols(round_to(m.out_group, kMostLanes)),
        sums(s.batch, s.groups * rows * cols),
        images(images_at_once(
            s.batch, (plane_elements() + grad_elements()) * sizeof(T))) {
    constexpr int64_t kLeastRows = 28;
    const int64_t units = sums.count * s.groups;
    const double work = 1.0 * rows * cols * m.positions * s.batch * s.groups;
    const int64_t parts = std::clamp<int64_t>(
        pieces_of(work, units), 1, std::max<int64_t>(rows / kLeastRows, 1));
    row_block = ceil_div(rows, parts);
    row_blocks = ceil_div(rows, row_block);
  }

  // Of one image.
  int64_t plane_elements() const {
    return in_place ? 0 : m.s.in_channels * planes.elements();
  }
  int64_t grad_elements() const { return m.s.groups * m.positions * cols; }
  int64_t offset_bytes() const { return align64(rows * sizeof(int64_t)); }
  int64_t sum_bytes() const {
    return align64(sums.count * sums.elements * sizeof(T));
  }
  int64_t grad_bytes() const {
    return align64(images * grad_elements() * sizeof(T));
  }
  int64_t scratch_bytes() const {
    return offset_bytes() + sum_bytes() + grad_bytes() +
           align64(images * plane_elements() * sizeof(T));
  }

  void run(const Operands<T>& x) const {
    auto* offset = reinterpret_cast<int64_t*>(x.scratch);
    char* after = x.scratch + offset_bytes();
    T* sum = reinterpret_cast<T*>(after);
    T* grad = reinterpret_cast<T*>(after += sum_bytes());
    T* copy = reinterpret_cast<T*>(after + grad_bytes());
    kernel_offsets(m, planes, offset);
    for (int64_t first = 0; first < m.s.batch; first += images) {
      const int64_t count = std::min(images, m.s.batch - first);
      const T* input = x.in[1] + first * m.s.in_channels * m.in_plane();
      if (!in_place) {
        copy_planes(planes, input, count * m.s.in_channels, copy);
      }
      transpose_grad(x.in[0] + first * m.s.out_channels * m.positions, count,
                     grad);
      const T* from = in_place ? input : copy;
      parallel_for(sums.count * m.s.groups * row_blocks, 1,
                   [&](int64_t begin, int64_t end) {
                     for (int64_t unit = begin; unit < end; ++unit) {
                       add_images(unit, first, first + count, from, grad,
                                  offset, sum);
                     }
                   });
    }
    sums.add_up(sum);
    parallel_for(m.s.groups, 1, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) {
        cpu::run(ConvTranspose<T>{.from = sum + g * rows * cols,
                                  .from_row = cols,
                                  .rows = rows,
                                  .cols = m.out_group,
                                  .to = x.out + g * m.out_group * rows,
                                  .to_row = rows});
      }
    });
  }

  // The gradient with a row for each position.
  void transpose_grad(const T* from, int64_t count, T* to) const {
    constexpr int64_t kPositions = 1024;
    const int64_t blocks = ceil_div(m.positions, kPositions);
    parallel_for(count * m.s.groups * blocks, 4,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t p = i % blocks * kPositions;
                     const int64_t unit = i / blocks;
                     cpu::run(ConvTranspose<T>{
                         .from = from + unit * m.out_group * m.positions + p,
                         .from_row = m.positions,
                         .rows = m.out_group,
                         .cols = std::min(kPositions, m.positions - p),
                         .to = to + (unit * m.positions + p) * cols,
                         .to_row = cols,
                         .pad = true});
                   }
                 });
  }

  // What images [begin, end) give to some rows of one group in one sum. `from`
  // and `grad` start with image `begin`.
  void add_images(int64_t unit, int64_t begin, int64_t end, const T* from,
                  const T* grad, const int64_t* offset, T* sum) const {
    const int64_t row = unit % row_blocks * row_block;
    const int64_t group = unit / row_blocks % m.s.groups;
    const int64_t nr = unit / row_blocks / m.s.groups;
    ConvOuter<T> p{.rows = std::min(row_block, rows - row),
                   .offset = offset + row,
                   .pitch = planes.pitch(),
                   .height = m.s.h.out,
                   .width = m.s.w.out,
                   .cols = cols};
    p.c = sum + nr * sums.elements + (group * rows + row) * cols;
    const int64_t first = sums.first_image(nr);
    for (int64_t i = std::max(begin, first);
         i < std::min(end, sums.first_image(nr + 1)); ++i) {
      const int64_t image_group = (i - begin) * m.s.groups + group;
      p.a = from + image_group * m.in_group * planes.elements();
      p.b = grad + image_group * m.positions * cols;
      p.add = i > first;
      cpu::run(p);
    }
  }
};

// ---- Groups of one channel. A unit is one group in one sum.

template <class T>
struct DepthwiseWeightGradient {
  ConvGroups m;
  DepthwiseShape d;
  Sums sums;
  int64_t offset_bytes;
  Parts parts;

  explicit DepthwiseWeightGradient(const Conv2dShape& s)
      : m(s),
        d(s),
        sums(s.batch, s.out_channels * d.taps),
        offset_bytes(align64(d.taps * sizeof(int64_t))),
        parts{sums.count * s.groups, align64(d.elements * sizeof(T))} {}

  int64_t scratch_bytes() const {
    return sum_bytes() + offset_bytes + parts.scratch_bytes();
  }
  int64_t sum_bytes() const {
    return align64(sums.count * sums.elements * sizeof(T));
  }

  void run(const Operands<T>& x) const {
    T* sums_of = reinterpret_cast<T*>(x.scratch);
    char* after = x.scratch + sum_bytes();
    auto* offset = reinterpret_cast<int64_t*>(after);
    find_offsets(m.s, d, offset);
    parts.run(after + offset_bytes, [&](int64_t unit, char* scratch) {
      const int64_t group = unit % m.s.groups;
      const int64_t sum = unit / m.s.groups;
      T* plane = reinterpret_cast<T*>(scratch);
      T* out = sums_of + sum * sums.elements + group * m.out_group * d.taps;
      std::fill_n(plane, d.elements, T(0));
      std::fill_n(out, m.out_group * d.taps, T(0));
      for (int64_t i = sums.first_image(sum); i < sums.first_image(sum + 1);
           ++i) {
        const int64_t image_group = i * m.s.groups + group;
        const T* input = x.in[1] + image_group * m.in_plane();
        each_split(m.s, d,
                   [&](int64_t from, int64_t to) { plane[to] = input[from]; });
        for (int64_t o = 0; o < m.out_group; ++o) {
          depthwise_fn<T>(DepthwiseKind::dw)(
              {.shape = d,
               .offset = offset,
               .plane = plane,
               .weight = nullptr,
               .result = nullptr,
               .grad = x.in[0] + (image_group * m.out_group + o) * m.positions,
               .weight_grad = out + o * d.taps});
        }
      }
    });
    sums.add_up(sums_of);
    std::copy_n(sums_of, sums.elements, x.out);
  }
};

Conv2dShape shape_of(const OpCall& c) {
  return {c, c.in(1).sizes(), c.out_impl().sizes()};
}

int64_t conv2d_dw_scratch(const OpCall& c) {
  const Conv2dShape s = shape_of(c);
  return operand_bytes(c, 2) + by_float(c, [&]<class T>(T) {
           return ConvGroups(s).depthwise()
                      ? DepthwiseWeightGradient<T>(s).scratch_bytes()
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
    } else if (ConvGroups(s).depthwise()) {
      DepthwiseWeightGradient<T>(s).run(x);
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
