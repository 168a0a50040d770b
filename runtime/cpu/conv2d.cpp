// The kernel of conv2d: the weight, a matrix, times what an element of the
// kernel finds at every position.
#include "runtime/cpu/conv2d.h"
#include "runtime/cpu/conv_plain.h"
#include "runtime/cpu/conv_winograd.h"

namespace ferrule {
namespace cpu {
namespace {

template <class T>
struct Forward {
  ConvGroups m;
  Planes planes;
  bool in_place;  // the input serves as planes
  int64_t depth;
  Units units;

  explicit Forward(const Conv2dShape& s)
      : m(s),
        planes{input_axis(s.h), input_axis(s.w)},
        in_place(m.pointwise() && m.positions >= kMostTilePositions),
        depth(m.in_group * m.taps),
        units(s.batch, s.groups, m.in_group,
              in_place ? 0 : planes.elements() * sizeof(T)) {}

  int64_t offset_bytes() const { return align64(depth * sizeof(int64_t)); }
  int64_t scratch_bytes() const {
    if (!planes_fit(m, planes)) return 0;
    return offset_bytes() + units.scratch_bytes();
  }

  // All positions of a unit; see ConvProduct.
  ConvProduct<T> product() const {
    ConvProduct<T> p{.rows = m.out_group, .depth = depth};
    p.out_plane = m.positions;
    p.out_row = m.s.w.out;
    if (in_place) {
      p.pitch = p.cols = p.end = p.readable = m.positions;
    } else {
      p.pitch = planes.pitch();
      p.cols = m.s.w.out;
      p.end = (m.s.h.out - 1) * p.pitch + p.cols;
      p.readable = p.end + kMostTilePositions;
      // Without a gap between them, rows are as good as one.
      if (p.pitch == p.cols) p.pitch = p.cols = p.end;
    }
    return p;
  }

  void run(const Operands<T>& x) const {
    if (!planes_fit(m, planes)) return plain_conv2d(m, x);
    auto* offset = reinterpret_cast<int64_t*>(x.scratch);
    kernel_offsets(m, planes, offset);
    const ConvProduct<T> all = product();
    const double work = 1.0 * m.out_group * depth * all.end;
    const int64_t read = in_place ? 1 : planes.h.phases * planes.w.phases;
    const ProductCut cut(m.out_group, all.end, m.in_group * read,
                         units.pieces(work), sizeof(T));
    units.run(
        x.scratch + offset_bytes(), 1,
        [&](int64_t unit, int64_t c, char* to) {
          fill_planes(planes, x.in[0] + (unit * m.in_group + c) * m.in_plane(),
                      reinterpret_cast<T*>(to));
        },
        [&](int64_t) { return cut.count(); },
        [&](int64_t, int64_t piece, int64_t unit, const char* copy) {
          const int64_t channel = unit % m.s.groups * m.out_group;
          ConvProduct<T> p = all;
          p.a = x.in[1] + channel * depth;
          p.b = in_place ? x.in[0] + unit * m.in_group * m.positions
                         : reinterpret_cast<const T*>(copy);
          p.offset = offset;
          if (x.in[2] != nullptr) p.bias = x.in[2] + channel;
          p.out = x.out + unit * m.out_group * m.positions;
          cpu::run(cut.piece(p, piece));
        });
  }
};

Conv2dShape shape_of(const OpCall& c) {
  return {c, c.in(0).sizes(), c.in(1).sizes()};
}

template <class T>
Winograd<T> winograd_of(const ConvGroups& m) {
  return {m.s.batch, m.s.groups, m.in_group, m.out_group, m.s.h, m.s.w};
}

void depthwise_forward(const ConvGroups& m, const Operands<float>& x) {
  each_depthwise(m, [&](int64_t plane, int64_t output) {
    const int64_t channel = output % m.s.out_channels;
    DepthwisePlane p = depthwise_plane(m.s);
    p.input = x.in[0] + plane * m.in_plane();
    p.weight = x.in[1] + channel * m.taps;
    if (x.in[2] != nullptr) p.bias = x.in[2][channel];
    p.out = x.out + output * m.positions;
    FE_BEST(depthwise)(p);
  });
}

int64_t conv2d_scratch(const OpCall& c) {
  const Conv2dShape s = shape_of(c);
  return operand_bytes(c, 3) + by_float(c, [&]<class T>(T) {
           const Winograd<T> fast = winograd_of<T>(ConvGroups(s));
           return fast.fits() ? fast.scratch_bytes()
                              : Forward<T>(s).scratch_bytes();
         });
}

void conv2d(OpCall& c) {
  if (c.out_impl().numel == 0) return;
  const Conv2dShape s = shape_of(c);
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 3);
    const ConvGroups m(s);
    const Winograd<T> fast = winograd_of<T>(m);
    if constexpr (sizeof(T) == sizeof(float)) {
      if (depthwise_fits(s)) {
        depthwise_forward(m, x);
        x.finish();
        return;
      }
    }
    if (fast.fits()) {
      WinogradWeight<T> weight{.from = x.in[1]};
      weight.from_row = m.in_group * m.taps;
      weight.from_col = m.taps;
      fast.run(x.in[0], weight, m.out_group * m.in_group * m.taps, x.in[2],
               x.out, x.scratch);
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
