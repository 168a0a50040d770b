// The kernel of conv2d: each block of positions is a product of the weight with
// the input as a matrix.
#include "runtime/cpu/conv2d.h"

#include "runtime/cpu/depthwise.h"
#include "runtime/cpu/gemm.h"
#include "runtime/cpu/im2col.h"

namespace ferrule {
namespace cpu {
namespace {

// ---- Matrix form. A unit is a block of positions of one group of one image.

template <class T>
struct Forward {
  ConvMatrix m;
  int64_t rows;  // of the matrix
  int64_t block;
  int64_t blocks;
  int64_t matrix_bytes;
  Parts parts;

  explicit Forward(const Conv2dShape& s) : m(s) {
    rows = m.in_group * m.taps;
    block = std::min(m.block(rows, sizeof(T)), m.positions);
    blocks = m.positions == 0 ? 0 : blocks_of(m.positions, block);
    matrix_bytes = m.in_place ? 0 : align64(rows * block * sizeof(T));
    int64_t bytes = 0;
    if (blocks > 0) {
      const int64_t last = m.positions - (blocks - 1) * block;
      bytes = std::max(gemm_scratch_bytes(product(block)),
                       gemm_scratch_bytes(product(last)));
    }
    parts = {m.s.batch * m.s.groups * blocks, matrix_bytes + bytes};
  }

  Gemm<T> product(int64_t columns) const {
    Gemm<T> g{.m = m.out_group, .n = columns, .k = rows};
    g.a = {nullptr, rows, 1};
    g.b = {nullptr, m.in_place ? m.positions : block, 1};
    g.c_row = m.positions;
    return g;
  }

  void run(const Operands<T>& x) const {
    parts.run(x.scratch, [&](int64_t unit, char* scratch) {
      const int64_t from = unit % blocks * block;
      const int64_t to = std::min(from + block, m.positions);
      const int64_t image_group = unit / blocks;
      const int64_t group = image_group % m.s.groups;
      const T* input = x.in[0] + image_group * m.in_group * m.in_plane();
      Gemm<T> g = product(to - from);
      g.a.data = x.in[1] + group * m.out_group * rows;
      if (m.in_place) {
        g.b.data = input + from;
      } else {
        T* matrix = reinterpret_cast<T*>(scratch);
        im2col(m.s, input, m.in_group, from, to, matrix, block);
        g.b.data = matrix;
      }
      g.c = x.out + image_group * m.out_group * m.positions + from;
      if (x.in[2] != nullptr) g.row_bias = x.in[2] + group * m.out_group;
      gemm(g, scratch + matrix_bytes);
    });
  }
};

// ---- Groups of one channel. A unit is one plane of the input.

template <class T>
struct DepthwiseForward {
  ConvMatrix m;
  DepthwiseShape d;
  int64_t offset_bytes;
  Parts parts;

  explicit DepthwiseForward(const Conv2dShape& s)
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
      const T* input = x.in[0] + unit * m.in_plane();
      each_split(m.s, d,
                 [&](int64_t from, int64_t to) { plane[to] = input[from]; });
      for (int64_t o = 0; o < m.out_group; ++o) {
        const int64_t channel = unit % m.s.groups * m.out_group + o;
        depthwise_fn<T>(DepthwiseKind::forward)(
            {.shape = d,
             .offset = offset,
             .plane = plane,
             .weight = x.in[1] + channel * d.taps,
             .result = x.out + (unit * m.out_group + o) * m.positions,
             .grad = nullptr,
             .weight_grad = nullptr,
             .bias = x.in[2] != nullptr ? x.in[2][channel] : T(0)});
      }
    });
  }
};

Conv2dShape shape_of(const OpCall& c) {
  return {c, c.in(0).sizes(), c.in(1).sizes()};
}

int64_t conv2d_scratch(const OpCall& c) {
  const Conv2dShape s = shape_of(c);
  return operand_bytes(c, 3) + by_float(c, [&]<class T>(T) {
           return ConvMatrix(s).depthwise()
                      ? DepthwiseForward<T>(s).scratch_bytes()
                      : Forward<T>(s).parts.scratch_bytes();
         });
}

void conv2d(OpCall& c) {
  if (c.out_impl().numel == 0) return;
  const Conv2dShape s = shape_of(c);
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 3);
    if (ConvMatrix(s).depthwise()) {
      DepthwiseForward<T>(s).run(x);
    } else {
      Forward<T>(s).run(x);
    }
    x.finish();
  });
}

}  // namespace
}  // namespace cpu

extern const KernelDef conv2d_cpu = {
    .name = "conv2d",
    .run = cpu::conv2d,
    .scratch = cpu::conv2d_scratch,
};

}  // namespace ferrule
