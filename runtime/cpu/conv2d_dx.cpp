// The kernel of conv2d_dx: the transposed weight times what an element of the
// kernel finds of the gradient.
#include <new>
#include <utility>

#include "runtime/cpu/conv2d.h"
#include "runtime/cpu/conv_columns.h"
#include "runtime/cpu/conv_plain.h"
#include "runtime/cpu/conv_winograd.h"

namespace ferrule {
namespace cpu {
namespace {

// Elements of the kernel by the phase of the input that they act on.
struct KernelPhase {
  int64_t count = 0;   // of this phase
  int64_t before = 0;  // of lower phases

  KernelPhase(const Window& w, int64_t phase) {
    for (int64_t k = 0; k < w.kernel; ++k) {
      const int64_t of = k * w.dilation % w.stride;
      count += of == phase;
      before += of < phase;
    }
  }
};

// The elements of the input whose rows and columns, padding included, are
// `phase` modulo the stride get theirs from a part of the kernel, by a
// convolution of stride 1.
template <class T>
struct InputGradient {
  ConvGroups m;
  GradAxis h, w;
  Planes planes;
  bool in_place;  // the gradient serves as planes
  Units units;

  explicit InputGradient(const Conv2dShape& s)
      : m(s),
        h(s.h),
        w(s.w),
        planes{h.axis, w.axis},
        in_place(m.pointwise() && m.positions >= kMostTilePositions),
        units(s.batch, s.groups, m.out_group,
              in_place ? 0 : planes.elements() * sizeof(T)) {}

  int64_t phases() const { return m.s.h.stride * m.s.w.stride; }
  bool fits() const {
    constexpr int64_t kMost = 64;  // strides of any use
    return planes_fit(m, planes) && m.s.h.stride <= kMost &&
           m.s.w.stride <= kMost;
  }
  int64_t weight_elements() const {
    return m.s.out_channels * m.in_group * m.taps;
  }
  int64_t offset_bytes() const {
    return align64(m.out_group * m.taps * sizeof(int64_t));
  }
  int64_t weight_bytes() const {
    return align64(weight_elements() * sizeof(T));
  }
  int64_t natural_bytes() const { return phases() > 1 ? weight_bytes() : 0; }
  int64_t scratch_bytes() const {
    if (!fits()) return 0;
    return offset_bytes() + weight_bytes() + natural_bytes() + stage_bytes() +
           units.scratch_bytes();
  }

  // Calls visit(i, j) for the elements of the kernel of one phase.
  template <class Visit>
  void each_tap(int64_t phase, const Visit& visit) const {
    const Window& y = m.s.h;
    const Window& x = m.s.w;
    for (int64_t i = 0; i < y.kernel; ++i) {
      if (i * y.dilation % y.stride != phase / x.stride) continue;
      for (int64_t j = 0; j < x.kernel; ++j) {
        if (j * x.dilation % x.stride == phase % x.stride) visit(i, j);
      }
    }
  }
  // Elements of the kernel in phases below this one.
  int64_t taps_before(int64_t phase) const {
    const KernelPhase y(m.s.h, phase / m.s.w.stride);
    const KernelPhase x(m.s.w, phase % m.s.w.stride);
    return y.before * m.s.w.kernel + y.count * x.before;
  }

  // The weight of each group and phase as a matrix with a row for each channel
  // of the input: its columns are elements of the kernel, and for each of them
  // the channels of the result. That is the transpose, which `natural` gets,
  // but for the order of elements.
  void pack_weight(const T* weight, T* natural, T* to) const {
    constexpr int64_t kChannels = 16;
    const int64_t blocks = ceil_div(m.in_group, kChannels);
    const int64_t of_group = m.out_group * m.in_group * m.taps;
    T* const transposed = phases() == 1 ? to : natural;
    if (m.out_group == 1 && phases() == 1) {  // nothing to transpose
      std::copy_n(weight, weight_elements(), to);
      return;
    }
    parallel_for(m.s.groups * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t group = unit / blocks * of_group;
        const int64_t c = unit % blocks * kChannels;
        const int64_t c_end = std::min(c + kChannels, m.in_group);
        cpu::run(ConvTranspose<T>{
            .from = weight + group + c * m.taps,
            .from_row = m.in_group * m.taps,
            .rows = m.out_group,
            .cols = (c_end - c) * m.taps,
            .to = transposed + group + c * m.taps * m.out_group,
            .to_row = m.out_group});
        for (int64_t phase = 0; phases() > 1 && phase < phases(); ++phase) {
          pack_phase(natural + group, phase, c, c_end, to + group);
        }
      }
    });
  }
  void pack_phase(const T* natural, int64_t phase, int64_t c, int64_t c_end,
                  T* to) const {
    const int64_t before = taps_before(phase);
    const int64_t taps = taps_before(phase + 1) - before;
    to += (before * m.in_group + c * taps) * m.out_group;
    for (; c < c_end; ++c) {
      each_tap(phase, [&](int64_t i, int64_t j) {
        const int64_t k = c * m.taps + i * m.s.w.kernel + j;
        to = std::copy_n(natural + k * m.out_group, m.out_group, to);
      });
    }
  }

  // offset[k] for phases one after the other, from the first element of the
  // phase.
  void find_offsets(int64_t* offset) const {
    for (int64_t phase = 0; phase < phases(); ++phase) {
      const InputPhase y(m.s.h, phase / m.s.w.stride);
      const InputPhase x(m.s.w, phase % m.s.w.stride);
      each_tap(phase, [&](int64_t i, int64_t j) {
        const int64_t behind_y = i * m.s.h.dilation / m.s.h.stride;
        const int64_t behind_x = j * m.s.w.dilation / m.s.w.stride;
        const int64_t from = planes.index(0, 0, y.q - behind_y - h.axis.first,
                                          x.q - behind_x - w.axis.first);
        for (int64_t o = 0; o < m.out_group; ++o) {
          *offset++ = from + o * planes.elements();
        }
      });
    }
  }

  // The whole product of one phase, of image and group 0.
  ConvProduct<T> product(int64_t phase, const T* weight, const int64_t* offset,
                         T* out) const {
    const InputPhase y(m.s.h, phase / m.s.w.stride);
    const InputPhase x(m.s.w, phase % m.s.w.stride);
    const int64_t before = taps_before(phase);
    ConvProduct<T> p{.rows = m.in_group,
                     .depth = m.out_group * (taps_before(phase + 1) - before)};
    p.a = weight + before * m.in_group * m.out_group;
    p.offset = offset + before * m.out_group;
    p.out = out + y.first * m.s.w.in + x.first;
    p.out_plane = m.in_plane();
    if (in_place) {
      p.pitch = p.cols = p.end = p.readable = m.positions;
      return p;
    }
    p.pitch = planes.pitch();
    p.cols = x.count;
    if (y.count > 0 && x.count > 0) p.end = (y.count - 1) * p.pitch + x.count;
    p.readable = p.end + kMostTilePositions;
    p.out_row = m.s.h.stride * m.s.w.in;
    p.out_col = m.s.w.stride;
    return p;
  }

  void run(const Operands<T>& x) const {
    if (!fits()) return plain_conv2d_dx(m, x);
    auto* offset = reinterpret_cast<int64_t*>(x.scratch);
    char* after = x.scratch + offset_bytes();
    T* weight = reinterpret_cast<T*>(after);
    T* natural = reinterpret_cast<T*>(after += weight_bytes());
    auto* stage = reinterpret_cast<Stage*>(after += natural_bytes());
    find_offsets(offset);
    pack_weight(x.in[1], natural, weight);
    for (int64_t phase = 0; phase < phases(); ++phase) {
      new (&stage[phase]) Stage(*this, product(phase, weight, offset, x.out));
    }
    units.run(
        after + stage_bytes(), phases(),
        [&](int64_t unit, int64_t c, char* to) {
          fill_planes(planes, x.in[0] + (unit * m.out_group + c) * m.positions,
                      reinterpret_cast<T*>(to));
        },
        [&](int64_t phase) { return stage[phase].cut.count(); },
        [&](int64_t phase, int64_t piece, int64_t unit, const char* copy) {
          ConvProduct<T> p = stage[phase].product;
          p.a += unit % m.s.groups * m.out_group * m.in_group * m.taps;
          p.b = in_place ? x.in[0] + unit * m.out_group * m.positions
                         : reinterpret_cast<const T*>(copy);
          p.out += unit * m.in_group * m.in_plane();
          cpu::run(stage[phase].cut.piece(p, piece));
        });
  }

  // The work on one phase.
  struct Stage {
    ConvProduct<T> product;
    ProductCut cut;

    Stage(const InputGradient& d, const ConvProduct<T>& p)
        : product(p),
          cut(p.rows, p.end, p.depth, d.m.out_group,
              d.units.pieces(1.0 * p.rows * p.depth * p.end), sizeof(T)) {}
  };
  int64_t stage_bytes() const { return align64(phases() * sizeof(Stage)); }
};

Conv2dShape shape_of(const OpCall& c) {
  return {c, c.out_impl().sizes(), c.in(1).sizes()};
}

// The gradient is convolved with the kernel turned around.
template <class T>
Winograd<T> winograd_of(const ConvGroups& m) {
  auto back = [](const Window& w) {
    Window b = w;
    b.in = w.out;
    b.padding = w.kernel - 1 - w.padding;
    b.out = w.in;
    return b;
  };
  return {m.s.batch,  m.s.groups,  m.out_group,
          m.in_group, back(m.s.h), back(m.s.w)};
}

void depthwise_gradient(const ConvGroups& m, const Operands<float>& x) {
  each_depthwise(m, [&](int64_t plane, int64_t output) {
    DepthwisePlane p = depthwise_plane(m.s);
    p.weight = x.in[1] + output % m.s.out_channels * m.taps;
    p.out = x.out + plane * m.in_plane();
    p.add = output % m.out_group > 0;
    const float* grad = x.in[0] + output * m.positions;
    if (p.stride == 2) {
      p.grad = grad;
      FE_BEST(depthwise_dx2)(p);
    } else {
      std::swap(p.in_h, p.out_h);
      std::swap(p.in_w, p.out_w);
      p.pad_h = p.kernel - 1 - p.pad_h;
      p.pad_w = p.kernel - 1 - p.pad_w;
      p.flipped = true;
      p.input = grad;
      FE_BEST(depthwise)(p);
    }
  });
}

int64_t conv2d_dx_scratch(const OpCall& c) {
  const Conv2dShape s = shape_of(c);
  return operand_bytes(c, 2) + by_float(c, [&]<class T>(T) {
           const Winograd<T> fast = winograd_of<T>(ConvGroups(s));
           const ColumnsInputGradient<T> columns(s);
           return fast.fits()      ? fast.weight_bytes() + fast.scratch_bytes()
                  : columns.fits() ? columns.scratch_bytes()
                                   : InputGradient<T>(s).scratch_bytes();
         });
}

void conv2d_dx(OpCall& c) {
  if (c.out_impl().numel == 0) return;
  const Conv2dShape s = shape_of(c);
  by_float(c, [&]<class T>(T) {
    const Operands<T> x(c, 2);
    const ConvGroups m(s);
    const Winograd<T> fast = winograd_of<T>(m);
    const ColumnsInputGradient<T> columns(s);
    if constexpr (sizeof(T) == sizeof(float)) {
      if (depthwise_fits(s)) {
        depthwise_gradient(m, x);
        x.finish();
        return;
      }
    }
    if (fast.fits()) {
      WinogradWeight<T> weight{.from = x.in[1]};
      weight.from_row = m.taps;
      weight.from_col = m.in_group * m.taps;
      weight.flipped = true;
      T* const transformed = reinterpret_cast<T*>(x.scratch);
      fast.transform(weight, m.out_group * m.in_group * m.taps, transformed);
      fast.run(x.in[0], transformed, nullptr, x.out,
               x.scratch + fast.weight_bytes());
    } else if (columns.fits()) {
      columns.run(x);
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
