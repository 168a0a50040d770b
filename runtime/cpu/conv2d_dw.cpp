// The kernel of conv2d_dw: the gradient times the transposed matrix of the
// input, summed over positions and images.
//
// The images are dealt out to a few sums, as many as the shape tells, which are
// added up in order at the end.
#include "runtime/cpu/conv2d.h"

#include "runtime/cpu/depthwise.h"
#include "runtime/cpu/gemm.h"
#include "runtime/cpu/im2col.h"

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

  Sums(int64_t images, int64_t weights)
      : batch(images),
        elements(weights),
        count(std::clamp<int64_t>(
            std::min(images, kElements / std::max<int64_t>(weights, 1)), 1,
            kMost)) {}

  int64_t first_image(int64_t sum) const { return batch * sum / count; }
  int64_t bytes(int64_t itemsize) const {
    return align64((count - 1) * elements * itemsize);
  }
  // The first sum is made in the result, the others in `rest`.
  template <class T>
  T* at(T* result, T* rest, int64_t sum) const {
    return sum == 0 ? result : rest + (sum - 1) * elements;
  }
  template <class T>
  void add_up(T* result, const T* rest) const {
    if (count == 1) return;
    parallel_for(elements, 1 << 13, [&](int64_t begin, int64_t end) {
      for (int64_t sum = 0; sum + 1 < count; ++sum) {
        const T* other = rest + sum * elements;
        for (int64_t i = begin; i < end; ++i) result[i] += other[i];
      }
    });
  }
};

// ---- Matrix form. A unit is some channels of one group in one sum.

template <class T>
struct WeightGradient {
  static constexpr int64_t kRows = 512;  // of the matrix, if channels are small

  ConvMatrix m;
  Sums sums;
  int64_t channels;  // of a unit
  int64_t splits;    // units of a group
  int64_t block;
  int64_t matrix_bytes;
  Parts parts;

  explicit WeightGradient(const Conv2dShape& s)
      : m(s), sums(s.batch, m.s.out_channels * m.in_group * m.taps) {
    const int64_t most = std::max<int64_t>(1, kRows / m.taps);
    splits = blocks_of(m.in_group, most);
    channels = blocks_of(m.in_group, std::max<int64_t>(splits, 1));
    const int64_t rows = channels * m.taps;
    block = std::min(m.block(rows, sizeof(T)), m.positions);
    matrix_bytes = m.in_place ? 0 : align64(rows * block * sizeof(T));
    int64_t bytes = 0;
    for (int64_t c : {channels, last_channels()}) {
      for (int64_t depth : {block, last_block()}) {
        if (c > 0 && depth > 0) {
          bytes = std::max(bytes, gemm_scratch_bytes(product(c, depth)));
        }
      }
    }
    parts = {sums.count * m.s.groups * splits, matrix_bytes + bytes};
  }

  int64_t last_channels() const { return m.in_group - (splits - 1) * channels; }
  int64_t last_block() const {
    return block > 0 ? (m.positions - 1) % block + 1 : 0;
  }
  int64_t scratch_bytes() const {
    return sums.bytes(sizeof(T)) + parts.scratch_bytes();
  }

  Gemm<T> product(int64_t of_channels, int64_t depth) const {
    Gemm<T> g{.m = m.out_group, .n = of_channels * m.taps, .k = depth};
    g.a = {nullptr, m.positions, 1};
    g.b = {nullptr, 1, m.in_place ? m.positions : block};
    g.c_row = m.in_group * m.taps;
    return g;
  }

  void run(const Operands<T>& x) const {
    T* rest = reinterpret_cast<T*>(x.scratch);
    parts.run(
        x.scratch + sums.bytes(sizeof(T)), [&](int64_t unit, char* scratch) {
          const int64_t first = unit % splits * channels;
          const int64_t count = std::min(channels, m.in_group - first);
          if (count <= 0) return;
          const int64_t group = unit / splits % m.s.groups;
          const int64_t sum = unit / splits / m.s.groups;
          T* out = sums.at(x.out, rest, sum) +
                   (group * m.out_group * m.in_group + first) * m.taps;
          bool started = false;
          for (int64_t i = sums.first_image(sum); i < sums.first_image(sum + 1);
               ++i) {
            const int64_t image_group = i * m.s.groups + group;
            const T* grad = x.in[0] + image_group * m.out_group * m.positions;
            const T* input =
                x.in[1] + (image_group * m.in_group + first) * m.in_plane();
            for (int64_t from = 0; from < m.positions; from += block) {
              const int64_t to = std::min(from + block, m.positions);
              Gemm<T> g = product(count, to - from);
              g.a.data = grad + from;
              if (m.in_place) {
                g.b.data = input + from;
              } else {
                T* matrix = reinterpret_cast<T*>(scratch);
                im2col(m.s, input, count, from, to, matrix, block);
                g.b.data = matrix;
              }
              g.c = out;
              g.accumulate = started;
              gemm(g, scratch + matrix_bytes);
              started = true;
            }
          }
        });
    sums.add_up(x.out, rest);
  }
};

// ---- Groups of one channel. A unit is one group in one sum.

template <class T>
struct DepthwiseWeightGradient {
  ConvMatrix m;
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
    return sums.bytes(sizeof(T)) + offset_bytes + parts.scratch_bytes();
  }

  void run(const Operands<T>& x) const {
    T* rest = reinterpret_cast<T*>(x.scratch);
    char* after = x.scratch + sums.bytes(sizeof(T));
    auto* offset = reinterpret_cast<int64_t*>(after);
    find_offsets(m.s, d, offset);
    parts.run(after + offset_bytes, [&](int64_t unit, char* scratch) {
      const int64_t group = unit % m.s.groups;
      const int64_t sum = unit / m.s.groups;
      T* plane = reinterpret_cast<T*>(scratch);
      T* out = sums.at(x.out, rest, sum) + group * m.out_group * d.taps;
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
    sums.add_up(x.out, rest);
  }
};

Conv2dShape shape_of(const OpCall& c) {
  return {c, c.in(1).sizes(), c.out_impl().sizes()};
}

int64_t conv2d_dw_scratch(const OpCall& c) {
  const Conv2dShape s = shape_of(c);
  return operand_bytes(c, 2) + by_float(c, [&]<class T>(T) {
           return ConvMatrix(s).depthwise()
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
    } else if (ConvMatrix(s).depthwise()) {
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
