// The kernel of conv2d_dx: the transposed weight times the gradient is the
// gradient of the input as a matrix, which is then added up.
#include "runtime/cpu/conv2d.h"

#include "runtime/cpu/depthwise.h"
#include "runtime/cpu/gemm.h"
#include "runtime/cpu/im2col.h"

namespace ferrule {
namespace cpu {
namespace {

// ---- Matrix form. A unit is some channels of one group of one image; its
// blocks of positions overlap in the result and are done one after another.

template <class T>
struct InputGradient {
  static constexpr int64_t kRows = 512;  // of the matrix, if channels are small

  ConvMatrix m;
  int64_t channels;  // of a unit
  int64_t splits;    // units of a group
  int64_t block;
  int64_t matrix_bytes;
  Parts parts;

  explicit InputGradient(const Conv2dShape& s) : m(s) {
    const int64_t most = std::max<int64_t>(1, kRows / m.taps);
    splits = blocks_of(m.in_group, most);
    channels = blocks_of(m.in_group, std::max<int64_t>(splits, 1));
    const int64_t rows = channels * m.taps;
    block = m.in_place ? m.positions
                       : std::min(m.block(rows, sizeof(T)), m.positions);
    matrix_bytes = m.in_place ? 0 : align64(rows * block * sizeof(T));
    int64_t bytes = 0;
    for (int64_t c : {channels, last_channels()}) {
      for (int64_t columns : {block, last_block()}) {
        if (c > 0 && columns > 0) {
          bytes = std::max(bytes, gemm_scratch_bytes(product(c, columns)));
        }
      }
    }
    parts = {m.s.batch * m.s.groups * splits, matrix_bytes + bytes};
  }

  int64_t last_channels() const { return m.in_group - (splits - 1) * channels; }
  int64_t last_block() const {
    return block > 0 ? (m.positions - 1) % block + 1 : 0;
  }

  Gemm<T> product(int64_t of_channels, int64_t columns) const {
    Gemm<T> g{.m = of_channels * m.taps, .n = columns, .k = m.out_group};
    g.a = {nullptr, 1, m.in_group * m.taps};
    g.b = {nullptr, m.positions, 1};
    g.c_row = m.in_place ? m.positions : block;
    return g;
  }

  void run(const Operands<T>& x) const {
    parts.run(x.scratch, [&](int64_t unit, char* scratch) {
      const int64_t first = unit % splits * channels;
      const int64_t count = std::min(channels, m.in_group - first);
      if (count <= 0) return;
      const int64_t image_group = unit / splits;
      const int64_t group = image_group % m.s.groups;
      const T* grad = x.in[0] + image_group * m.out_group * m.positions;
      const T* weight =
          x.in[1] + (group * m.out_group * m.in_group + first) * m.taps;
      T* out = x.out + (image_group * m.in_group + first) * m.in_plane();
      T* matrix = m.in_place ? out : reinterpret_cast<T*>(scratch);
      if (!m.in_place) std::fill_n(out, count * m.in_plane(), T(0));
      for (int64_t from = 0; from < m.positions; from += block) {
        const int64_t to = std::min(from + block, m.positions);
        Gemm<T> g = product(count, to - from);
        g.a.data = weight;
        g.b.data = grad + from;
        g.c = matrix;
        gemm(g, scratch + matrix_bytes);
        if (!m.in_place) col2im(m.s, matrix, block, count, from, to, out);
      }
    });
  }
};

// ---- Groups of one channel. A unit is one plane of the input.

template <class T>
struct DepthwiseInputGradient {
  ConvMatrix m;
  DepthwiseShape d;
  int64_t offset_bytes;
  Parts parts;

  explicit DepthwiseInputGradient(const Conv2dShape& s)
      : m(s),
        d(s),
        offset_bytes(align64(d.taps * sizeof(int64_t))),
        parts{s.batch * s.groups, align64(d.elements * sizeof(T))} {}

  int64_t scratch_bytes() const { return offset_bytes + parts.scratch_bytes(); }

  void run(const Operands<T>& x) const {
    auto* offset = reinterpret_cast<int64_t*>(x.scratch);
    find_offsets(m.s, d, offset);
    parts.run(x.scratch + offset_bytes, [&](int64_t unit, char* scratch) {
      T* plane = reinterpret_cast<T*>(scratch);
      std::fill_n(plane, d.elements, T(0));
      for (int64_t o = 0; o < m.out_group; ++o) {
        const int64_t channel = unit % m.s.groups * m.out_group + o;
        depthwise_fn<T>(DepthwiseKind::dx)(
            {.shape = d,
             .offset = offset,
             .plane = plane,
             .weight = x.in[1] + channel * d.taps,
             .result = nullptr,
             .grad = x.in[0] + (unit * m.out_group + o) * m.positions,
             .weight_grad = nullptr});
      }
      T* out = x.out + unit * m.in_plane();
      std::fill_n(out, m.in_plane(), T(0));  // what no window reaches
      each_split(m.s, d,
                 [&](int64_t to, int64_t from) { out[to] = plane[from]; });
    });
  }
};

Conv2dShape shape_of(const OpCall& c) {
  return {c, c.out_impl().sizes(), c.in(1).sizes()};
}

int64_t conv2d_dx_scratch(const OpCall& c) {
  const Conv2dShape s = shape_of(c);
  return operand_bytes(c, 2) + by_float(c, [&]<class T>(T) {
           return ConvMatrix(s).depthwise()
                      ? DepthwiseInputGradient<T>(s).scratch_bytes()
                      : InputGradient<T>(s).parts.scratch_bytes();
         });
}

void conv2d_dx(OpCall& c) {
  if (c.out_impl().numel == 0) return;
  const Conv2dShape s = shape_of(c);
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 2);
    if (ConvMatrix(s).depthwise()) {
      DepthwiseInputGradient<T>(s).run(x);
    } else {
      InputGradient<T>(s).run(x);
    }
    x.finish();
  });
}

}  // namespace
}  // namespace cpu

extern const KernelDef conv2d_dx_cpu = {
    .name = "conv2d_dx",
    .run = cpu::conv2d_dx,
    .scratch = cpu::conv2d_dx_scratch,
};

}  // namespace ferrule
