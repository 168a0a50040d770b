// The kernel of conv2d: the weight, a matrix, times what an element of the
// kernel finds at every position.
#include "runtime/cpu/conv2d.h"
#include "runtime/cpu/conv_plain.h"
#include "runtime/cpu/conv_winograd.h"
#include "runtime/cpu/epilogue.h"

namespace ferrule {
namespace cpu {
namespace {

// How the positions of one image are multiplied.
template <class T>
struct Forward {
  ConvGroups m;
  Planes planes;
  int64_t band;  // rows of the result that are made at a time
  int64_t depth;
  bool in_place;  // the input serves as planes
  bool compact;   // what the kernel finds is copied once more, without gaps
  int64_t rests;  // positions apart from the others, see ConvProduct
  Units units;

  explicit Forward(const Conv2dShape& s)
      : m(s),
        planes{input_axis(s.h), input_axis(s.w)},
        band(band_rows()),
        depth(m.in_group * m.taps),
        in_place(m.pointwise() && m.positions >= kLeastInPlace),
        compact(!in_bands() && gaps() && gaps_cost()),
        rests(in_bands() || (gaps() && !compact) ? 0 : rests_of()),
        units(s.batch, s.groups, m.in_group,
              in_place ? 0 : planes.elements() * sizeof(T),
              matrix_bytes() + rest_bytes()) {}

  // Large images of few channels are cut into bands of rows: whoever computes
  // one lays out what it reads of the image, which stays near.
  int64_t band_rows() {
    constexpr int64_t kNearWeight = 64 << 10;  // bytes, read for every band
    constexpr int64_t kNear = 96 << 10;        // of planes
    constexpr int64_t kLeastRows = 8;
    const int64_t rows = m.s.h.out;
    const bool gaps = planes.pitch() > m.s.w.out;  // product() takes rows then
    if (!gaps || m.s.batch * m.s.groups >= Units::kMany ||
        m.out_group * m.in_group * m.taps * sizeof(T) > kNearWeight ||
        !planes_fit(m, planes)) {
      return rows;
    }
    const int64_t row_bytes = m.in_group * planes.h.phases * planes.w.phases *
                              planes.pitch() * int64_t{sizeof(T)};
    const int64_t most = kNear / std::max<int64_t>(row_bytes, 1);
    if (most < kLeastRows || rows < 2 * most) return rows;
    const int64_t result = ceil_div(rows, round_to(ceil_div(rows, most), 2));
    planes.h.size += result - rows;
    return result;
  }
  bool in_bands() const { return band < m.s.h.out; }
  Parts bands() const {
    return {m.s.batch * m.s.groups * ceil_div(m.s.h.out, band),
            units.copy_bytes()};
  }

  // Are there, between rows of planes, positions that are not of the result?
  bool gaps() const { return !in_place && planes.pitch() > m.s.w.out; }
  // Do the vectors saved by a copy without gaps outweigh it?
  bool gaps_cost() const {
    constexpr double kMostBytes = 2 << 20;
    constexpr int64_t kCopy = 6;  // multiply-adds that copying a vector takes
    const int64_t with = (m.s.h.out - 1) * planes.pitch() + m.s.w.out;
    const int64_t saved = ceil_div(with, kMostLanes) - dense() / kMostLanes;
    const int64_t copied = m.s.h.out * ceil_div(m.s.w.out, kMostLanes);
    return saved * m.out_group > copied * kCopy &&
           1.0 * depth * dense() * sizeof(T) <= kMostBytes;
  }
  // A sum along the depth takes some steps itself.
  int64_t rests_of() const {
    constexpr int64_t kLeastDepth = 64;
    const int64_t rests = m.positions % kMostLanes;
    return m.positions > kMostLanes && depth >= kLeastDepth &&
                   rests <= kMostRests
               ? rests
               : 0;
  }
  // Positions apart from the rests, in whole vectors.
  int64_t dense() const {
    return round_to(m.positions - rests_of(), kMostLanes);
  }

  int64_t offset_bytes() const { return align64(depth * sizeof(int64_t)); }
  int64_t matrix_bytes() const {
    if (!compact) return 0;
    return align64((depth * dense() + kMostTilePositions) * sizeof(T));
  }
  int64_t rest_bytes() const { return rests * depth * sizeof(T); }
  int64_t scratch_bytes() const {
    if (!planes_fit(m, planes)) return 0;
    return 2 * offset_bytes() +
           (in_bands() ? bands().scratch_bytes() : units.scratch_bytes());
  }

  // All positions of `height` rows of a unit; see ConvProduct.
  ConvProduct<T> product(int64_t height) const {
    ConvProduct<T> p{.rows = m.out_group, .depth = depth};
    p.rests = rests;
    p.out_plane = m.positions;
    p.out_row = m.s.w.out;
    if (gaps() && !compact) {
      p.pitch = planes.pitch();
      p.cols = m.s.w.out;
      p.end = (height - 1) * p.pitch + p.cols;
      p.by_rows = p.cols % kMostLanes == 0;
    } else {  // without a gap between them, rows are as good as one
      p.pitch = p.cols = m.positions;
      p.end = m.positions - rests;
    }
    p.readable = in_place ? m.positions : p.end + kMostTilePositions;
    return p;
  }

  // What the product of a unit reads and writes, but for the image.
  void place(const Operands<T>& x, const Epilogue* epilogue, int64_t unit,
             ConvProduct<T>& p) const {
    p.channel = unit % m.s.groups * m.out_group;
    p.a = x.in[1] + p.channel * depth;
    if (x.in[2] != nullptr) p.bias = x.in[2] + p.channel;
    p.epilogue = epilogue;
    p.out = x.out + unit * m.out_group * m.positions;
  }

  void run_bands(const Operands<T>& x, const Epilogue* epilogue,
                 const int64_t* offset) const {
    const int64_t count = ceil_div(m.s.h.out, band);
    bands().run(x.scratch + 2 * offset_bytes(), [&](int64_t i, char* copy) {
      const int64_t unit = i / count;
      const int64_t row = i % count * band;
      Planes part = planes;
      part.h.first += row * m.s.h.stride;
      for (int64_t c = 0; c < m.in_group; ++c) {
        fill_planes(part, x.in[0] + (unit * m.in_group + c) * m.in_plane(),
                    reinterpret_cast<T*>(copy + c * units.channel_bytes));
      }
      ConvProduct<T> p = product(std::min(band, m.s.h.out - row));
      place(x, epilogue, unit, p);
      p.b = reinterpret_cast<const T*>(copy);
      p.offset = offset;
      p.out += row * m.s.w.out;
      cpu::run(p);
    });
  }

  void run(const Operands<T>& x, const Epilogue* epilogue) const {
    if (!planes_fit(m, planes)) return plain_conv2d(m, x);
    auto* offset = reinterpret_cast<int64_t*>(x.scratch);
    auto* row = reinterpret_cast<int64_t*>(x.scratch + offset_bytes());
    kernel_offsets(m, planes, offset);
    if (in_bands()) return run_bands(x, epilogue, offset);
    for (int64_t k = 0; compact && k < depth; ++k) row[k] = k * dense();
    ConvProduct<T> all = product(m.s.h.out);
    all.offset = compact ? row : offset;
    const double work = 1.0 * m.out_group * depth * all.end;
    const int64_t read = compact    ? m.taps
                         : in_place ? 1
                                    : planes.h.phases * planes.w.phases;
    const ProductCut cut(m.out_group, all.end, depth, m.in_group * read,
                         units.pieces(work), sizeof(T),
                         all.by_rows ? all.pitch : kMostLanes);
    const int64_t gathers = compact || rests > 0 ? 1 : 0;
    units.run(
        x.scratch + 2 * offset_bytes(), gathers + 1,
        [&](int64_t unit, int64_t c, char* to) {
          fill_planes(planes, x.in[0] + (unit * m.in_group + c) * m.in_plane(),
                      reinterpret_cast<T*>(to));
        },
        [&](int64_t stage) {
          return stage < gathers ? gather_pieces() : cut.count();
        },
        [&](int64_t stage, int64_t piece, int64_t unit, char* copy) {
          const T* b = in_place ? x.in[0] + unit * m.in_group * m.positions
                                : reinterpret_cast<const T*>(copy);
          T* matrix = reinterpret_cast<T*>(copy + units.copy_bytes());
          T* rest = matrix + matrix_bytes() / int64_t{sizeof(T)};
          if (stage < gathers) return gather(piece, b, offset, matrix, rest);
          ConvProduct<T> p = all;
          place(x, epilogue, unit, p);
          p.b = compact ? matrix : b;
          p.rest = rest;
          cpu::run(cut.piece(p, piece));
        });
  }

  // What the kernel finds, some of the depth at a time.
  static constexpr int64_t kGatherDepth = 256;
  int64_t gather_pieces() const { return ceil_div(depth, kGatherDepth); }
  void gather(int64_t piece, const T* from, const int64_t* offset, T* matrix,
              T* rest) const {
    const int64_t k = piece * kGatherDepth;
    ConvGather<T> g{.count = std::min(depth - k, kGatherDepth), .from = from};
    g.offset = offset + k;
    g.pitch = in_place ? m.positions : planes.pitch();
    g.cols = in_place ? m.positions : m.s.w.out;
    g.dense = m.positions - rests;
    if (compact) g.to = matrix + k * dense();
    g.to_row = dense();
    g.rest = rest + k;
    g.rest_row = depth;
    g.rests = rests;
    cpu::run(g);
  }
};

Conv2dShape shape_of(const OpCall& c) {
  return {c, c.in(0).sizes(), c.in(1).sizes()};
}

template <class T>
Winograd<T> winograd_of(const ConvGroups& m) {
  return {m.s.batch, m.s.groups, m.in_group, m.out_group, m.s.h, m.s.w};
}

// To Winograd::weight_bytes() of memory.
template <class T>
void transform_weight(const ConvGroups& m, const T* from, T* to) {
  WinogradWeight<T> weight{.from = from};
  weight.from_row = m.in_group * m.taps;
  weight.from_col = m.taps;
  winograd_of<T>(m).transform(weight, m.out_group * m.in_group * m.taps, to);
}

constexpr PrepareDef kTransformedWeight = {
    .arg = 1,
    .bytes =
        [](const OpCall& c) {
          return by_float(c, [&]<class T>(T) {
            const Winograd<T> fast = winograd_of<T>(ConvGroups(shape_of(c)));
            const bool as_is = widened_bytes(c.in(1)) == 0;
            return as_is && fast.fits() ? fast.weight_bytes() : 0;
          });
        },
    .run =
        [](const OpCall& c, void* to) {
          by_float(c, [&]<class T>(T) {
            transform_weight<T>(ConvGroups(shape_of(c)), c.in(1).ptr<T>(),
                                static_cast<T*>(to));
          });
        },
};

void depthwise_forward(const ConvGroups& m, const Operands<float>& x,
                       const Epilogue* epilogue) {
  // So many elements stay in the first-level cache until the epilogue, if it
  // does not fit into the kernel.
  constexpr int64_t kNear = 4096;
  const int64_t channels = m.s.out_channels;
  const int64_t together = std::max<int64_t>(1, kNear / m.positions);
  const bool apart = epilogue != nullptr && !epilogue->steps_only();
  each_depthwise_range(m, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin, n; first < end; first += n) {
      const int64_t channel = first % channels;
      n = std::min({together, end - first, channels - channel});
      for (int64_t i = 0; i < n; ++i) {
        DepthwisePlane p = depthwise_plane(m.s);
        p.input = x.in[0] + (first + i) / m.out_group * m.in_plane();
        p.weight = x.in[1] + (channel + i) * m.taps;
        if (x.in[2] != nullptr) p.bias = x.in[2][channel + i];
        p.out = x.out + (first + i) * m.positions;
        Epilogue::Steps steps;
        if (epilogue != nullptr && !apart) {
          steps = epilogue->steps(channel + i);
          p.then = &steps;
        }
        FE_BEST(depthwise)(p);
      }
      if (!apart) continue;
      FE_BEST(finish_rows)
      (*epilogue, channel, n, x.out + first * m.positions, m.positions,
       m.positions);
    }
  });
}

int64_t conv2d_scratch(const OpCall& c) {
  const Conv2dShape s = shape_of(c);
  return operand_bytes(c, 3) + by_float(c, [&]<class T>(T) {
           const Winograd<T> fast = winograd_of<T>(ConvGroups(s));
           if (!fast.fits()) return Forward<T>(s).scratch_bytes();
           return fast.scratch_bytes() +
                  (c.prepared != nullptr ? 0 : fast.weight_bytes());
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
        depthwise_forward(m, x, c.epilogue);
        x.finish();
        return;
      }
    }
    if (fast.fits()) {
      char* scratch = x.scratch;
      const T* weight = static_cast<const T*>(c.prepared);
      if (weight == nullptr) {
        T* const to = reinterpret_cast<T*>(scratch);
        transform_weight(m, x.in[1], to);
        weight = to;
        scratch += fast.weight_bytes();
      }
      fast.run(x.in[0], weight, x.in[2], x.out, scratch, c.epilogue);
    } else {
      Forward<T>(s).run(x, c.epilogue);
    }
    x.finish();
  });
}

// What is computed by the definition has none.
bool has_epilogue(const OpCall& c) {
  const Conv2dShape s = shape_of(c);
  const Forward<float> plain(s);
  return depthwise_fits(s) || winograd_of<float>(plain.m).fits() ||
         planes_fit(plain.m, plain.planes);
}

}  // namespace
}  // namespace cpu

extern const KernelDef conv2d_cpu = {
    .name = "conv2d",
    .run = cpu::conv2d,
    .scratch = cpu::conv2d_scratch,
    .prepare = kSmall ? nullptr : &cpu::kTransformedWeight,
    .has_epilogue = cpu::has_epilogue,
};

}  // namespace ferrule
