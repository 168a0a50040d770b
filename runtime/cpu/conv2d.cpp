// The kernel of conv2d: the weight, a matrix, times what an element of the
// kernel finds at every position.
#include "runtime/cpu/conv2d.h"

#include "runtime/cpu/depthwise.h"

namespace ferrule {
namespace cpu {
namespace {

// ---- Groups of several channels

template <class T>
struct Forward {
  ConvGroups m;
  Planes planes;
  bool in_place;  // the input serves as planes
  int64_t depth;
  int64_t images;  // at a time

  explicit Forward(const Conv2dShape& s)
      : m(s),
        planes{input_axis(s.h), input_axis(s.w)},
        in_place(m.pointwise() && m.positions >= kMostTilePositions),
        depth(m.in_group * m.taps),
        images(in_place
                   ? s.batch
                   : images_at_once(s.batch, image_elements() * sizeof(T))) {}

  int64_t image_elements() const { return m.s.in_channels * planes.elements(); }
  int64_t offset_bytes() const { return align64(depth * sizeof(int64_t)); }
  int64_t scratch_bytes() const {
    if (in_place) return offset_bytes();
    return offset_bytes() +
           align64((images * image_elements() + kMostTilePositions) *
                   sizeof(T));
  }

  void run(const Operands<T>& x) const {
    auto* offset = reinterpret_cast<int64_t*>(x.scratch);
    T* copy = reinterpret_cast<T*>(x.scratch + offset_bytes());
    kernel_offsets(m, planes, offset);
    // All positions of one image and group; see ConvProduct.
    ConvProduct<T> all{.rows = m.out_group, .depth = depth, .offset = offset};
    all.pitch = in_place ? m.positions : planes.pitch();
    all.cols = in_place ? m.positions : m.s.w.out;
    all.end =
        in_place ? m.positions : (m.s.h.out - 1) * planes.pitch() + m.s.w.out;
    all.readable = in_place ? m.positions : all.end + kMostTilePositions;
    all.out_plane = m.positions;
    all.out_row = m.s.w.out;
    for (int64_t first = 0; first < m.s.batch; first += images) {
      const int64_t count = std::min(images, m.s.batch - first);
      const T* input = x.in[0] + first * m.s.in_channels * m.in_plane();
      if (!in_place) {
        copy_planes(planes, input, count * m.s.in_channels, copy);
      }
      const int64_t units = count * m.s.groups;
      const ProductCut cut(m.out_group, depth, all.end, m.in_group, units,
                           sizeof(T));
      parallel_for(units * cut.count(), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t unit = i / cut.count();
          const int64_t channel = unit % m.s.groups * m.out_group;
          ConvProduct<T> p = all;
          p.a = x.in[1] + channel * depth;
          p.b =
              (in_place ? input : copy) + unit * m.in_group * planes.elements();
          if (x.in[2] != nullptr) p.bias = x.in[2] + channel;
          p.out =
              x.out + (first * m.s.groups + unit) * m.out_group * m.positions;
          cpu::run(cut.piece(p, i % cut.count()));
        }
      });
    }
  }
};

// ---- Groups of one channel. A unit is one plane of the input.

template <class T>
struct DepthwiseForward {
  ConvGroups m;
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
           return ConvGroups(s).depthwise()
                      ? DepthwiseForward<T>(s).scratch_bytes()
                      : Forward<T>(s).scratch_bytes();
         });
}

void conv2d(OpCall& c) {
  if (c.out_impl().numel == 0) return;
  const Conv2dShape s = shape_of(c);
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 3);
    if (ConvGroups(s).depthwise()) {
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
