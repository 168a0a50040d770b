// Kernels of random numbers. Element i, counted row by row, takes its words of
// the Philox stream by its number i alone: words i for numbers of 32 bits, 2i
// and 2i + 1 for those of 64.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ferrule/op.h"
#include "runtime/core/random.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/cursor.h"
#include "runtime/cpu/random_bits.h"
#include "runtime/cpu/row_order.h"

namespace ferrule::cpu {
namespace {

constexpr int64_t kGrain = 16 * kTile;

// Words of the elements [first, first + n), first a multiple of 4, n <= kTile.
struct Words {
  alignas(64) uint32_t w[2 * kTile];

  void draw(const OpCall& c, int64_t first, int64_t n, int each) {
    FE_BEST(philox_bits)
    (w, first * each / 4, (n * each + 3) / 4, c.rng.seed, c.rng.offset);
  }
  uint64_t wide(int64_t k) const {
    return uint64_t{w[2 * k]} << 32 | w[2 * k + 1];
  }
};

// Writes the elements of a result tile by tile: make(to, words, first, n).
template <class T, class Make>
void each_tile(OpCall& c, const TensorImpl& out, DType computed, int each,
               const Make& make) {
  if (out.numel == 0) return;
  const Writer all(out, layout_of(out, row_order(out.ndim)), computed);
  parallel_for(out.numel, kGrain, [&](int64_t begin, int64_t end) {
    Writer writer = all;
    writer.seek(begin);
    TileBuffer tile;
    Words words;
    for (int64_t i = begin; i < end; i += kTile) {
      const int64_t n = std::min(kTile, end - i);
      words.draw(c, i, n, each);
      T* to = static_cast<T*>(writer.place(n, &tile));
      make(to, words, i, n);
      writer.done(to, n);
    }
  });
}

// Bits of the significand, so that the numbers below 1 stay below 1.
int uniform_bits(DType t) {
  switch (t) {
    case DType::f64:
      return 53;
    case DType::f16:
      return 11;
    case DType::bf16:
      return 8;
    default:
      return 24;
  }
}

void fill_uniform(OpCall& c, double low, double high) {
  const TensorImpl& out = c.out_impl();
  const double by = high - low;
  if (out.dtype == DType::f64) {
    return each_tile<double>(
        c, out, DType::f64, 2,
        [&](double* to, const Words& words, int64_t, int64_t n) {
          for (int64_t k = 0; k < n; ++k) {
            const double u = static_cast<double>(words.wide(k) >> 11) * 0x1p-53;
            to[k] = u * by + low;
          }
        });
  }
  const int shift = 32 - uniform_bits(out.dtype);
  const double unit = 1.0 / static_cast<double>(uint64_t{1} << (32 - shift));
  each_tile<double>(c, out, DType::f64, 1,
                    [&](double* to, const Words& words, int64_t, int64_t n) {
                      for (int64_t k = 0; k < n; ++k) {
                        const double u = words.w[k] >> shift;
                        to[k] = u * unit * by + low;
                      }
                    });
}

// Elements 2i and 2i + 1 are made of the words of both.
template <class Map>
void fill_normal(OpCall& c, double mean, double std, const Map& map) {
  const TensorImpl& out = c.out_impl();
  const bool wide = out.dtype == DType::f64;
  each_tile<double>(
      c, out, DType::f64, wide ? 2 : 1,
      [&](double* to, const Words& words, int64_t, int64_t n) {
        double u1[kTile / 2], u2[kTile / 2], z[kTile];
        const int64_t pairs = (n + 1) / 2;
        for (int64_t k = 0; k < pairs; ++k) {
          if (wide) {
            u1[k] =
                static_cast<double>((words.wide(2 * k) >> 11) + 1) * 0x1p-53;
            u2[k] = static_cast<double>(words.wide(2 * k + 1) >> 11) * 0x1p-53;
          } else {
            u1[k] = (static_cast<double>(words.w[2 * k]) + 1.0) * 0x1p-32;
            u2[k] = static_cast<double>(words.w[2 * k + 1]) * 0x1p-32;
          }
        }
        FE_BEST(box_muller)(z, u1, u2, pairs);
        for (int64_t k = 0; k < n; ++k) to[k] = map(z[k] * std + mean);
      });
}

void rand(OpCall& c) { fill_uniform(c, 0, 1); }
void randn(OpCall& c) {
  fill_normal(c, 0, 1, [](double x) { return x; });
}
void uniform(OpCall& c) { fill_uniform(c, c.f(1), c.f(2)); }
void normal(OpCall& c) {
  fill_normal(c, c.f(1), c.f(2), [](double x) { return x; });
}

// Exponential numbers of rate 1: -ln u, as half the square of a radius of
// Box and Muller's, which is the same on every machine.
template <class Make>
void fill_from_exponential(OpCall& c, const Make& make) {
  each_tile<double>(c, c.out_impl(), DType::f64, 2,
                    [&](double* to, const Words& words, int64_t, int64_t n) {
                      double u1[kTile], u2[kTile] = {}, z[2 * kTile];
                      for (int64_t k = 0; k < n; ++k) {
                        u1[k] = static_cast<double>((words.wide(k) >> 11) + 1) *
                                0x1p-53;
                      }
                      FE_BEST(box_muller)(z, u1, u2, n);
                      for (int64_t k = 0; k < n; ++k) {
                        to[k] = make(0.5 * z[2 * k] * z[2 * k]);
                      }
                    });
}

void exponential(OpCall& c) {
  const double lambd = c.f(1);
  fill_from_exponential(c, [=](double e) { return e / lambd; });
}

void geometric(OpCall& c) {
  const double rate = -std::log1p(-c.f(1));
  fill_from_exponential(
      c, [=](double e) { return std::max(1.0, std::ceil(e / rate)); });
}

// cot(2 pi u) is the quotient of cosine and sine, which Box and Muller give.
void cauchy(OpCall& c) {
  const double median = c.f(1), sigma = c.f(2);
  each_tile<double>(
      c, c.out_impl(), DType::f64, 2,
      [&](double* to, const Words& words, int64_t, int64_t n) {
        double u1[kTile], u2[kTile], z[2 * kTile];
        for (int64_t k = 0; k < n; ++k) {
          u1[k] = 0.5;
          // Neither 0 nor 1/2, where the sine is 0.
          u2[k] = (static_cast<double>(words.wide(k) >> 12) + 0.5) * 0x1p-52;
        }
        FE_BEST(box_muller)(z, u1, u2, n);
        for (int64_t k = 0; k < n; ++k) {
          to[k] = median + sigma * (z[2 * k] / z[2 * k + 1]);
        }
      });
}

void log_normal(OpCall& c) {
  fill_normal(c, c.f(1), c.f(2), [](double x) { return std::exp(x); });
}

// One row of weights; false when they are none.
struct Weights {
  const TensorImpl& w;
  int64_t row, n = w.shape[w.ndim - 1];

  void read(double* to) const {
    Reader reader(w, layout_of(w, row_order(w.ndim)), DType::f64);
    reader.seek(row * n);
    TileBuffer tile;
    for (int64_t i = 0; i < n; i += kTile) {
      const int64_t count = std::min(kTile, n - i);
      std::memcpy(to + i, reader.next(count, &tile), count * sizeof *to);
    }
  }
};

// Number `i` of 64 bits of the call.
uint64_t wide_word(const OpCall& c, int64_t i) {
  const Philox4 p = philox(c.rng.seed, c.rng.offset, i / 2);
  const int k = i % 2 * 2;
  return uint64_t{p.v[k]} << 32 | p.v[k + 1];
}

struct Race {
  double time;
  int64_t index;
  bool operator<(const Race& o) const {
    return time != o.time ? time < o.time : index < o.index;
  }
};

// Rows one after the other: this is not where time goes.
void multinomial(OpCall& c) {
  const TensorImpl& w = c.in(0);
  const int64_t n = w.shape[w.ndim - 1], count = c.i(1);
  const int64_t rows = w.numel / n;
  auto* weight = static_cast<double*>(c.scratch);
  auto* race = reinterpret_cast<Race*>(weight + n);
  auto* to = c.out_impl().ptr<int64_t>();
  for (int64_t row = 0; row < rows; ++row, to += count) {
    Weights{w, row}.read(weight);
    double sum = 0;
    int64_t usable = 0;
    for (int64_t i = 0; i < n; ++i) {
      if (!(weight[i] >= 0 &&
            weight[i] <= std::numeric_limits<double>::max())) {
        return c.report("weight {} is negative or not finite; n = {}", i, n);
      }
      usable += weight[i] > 0;
      sum += weight[i];
    }
    const int64_t wanted = c.b(2) ? 1 : count;
    if (usable < wanted) {
      return c.report("{} weights are above 0, needed: {}", usable, wanted);
    }
    if (!c.b(2)) {
      for (int64_t i = 0; i < n; ++i) {
        const uint64_t bits = (wide_word(c, row * n + i) >> 11) + 1;
        const double e = -std::log(static_cast<double>(bits) * 0x1p-53);
        race[i] = {weight[i] > 0 ? e / weight[i]
                                 : std::numeric_limits<double>::infinity(),
                   i};
      }
      std::partial_sort(race, race + count, race + n);
      for (int64_t k = 0; k < count; ++k) to[k] = race[k].index;
      continue;
    }
    double below = 0;
    int64_t last = 0;
    for (int64_t i = 0; i < n; ++i) {
      if (weight[i] > 0) last = i;
      weight[i] = below += weight[i];
    }
    for (int64_t k = 0; k < count; ++k) {
      const uint64_t bits = wide_word(c, row * count + k) >> 11;
      const double u = static_cast<double>(bits) * 0x1p-53 * below;
      to[k] = std::min(std::upper_bound(weight, weight + n, u) - weight, last);
    }
  }
}

// The upper half of the product of 64 random bits and the number of values.
void fill_integers(OpCall& c, uint64_t low, uint64_t range) {
  each_tile<int64_t>(
      c, c.out_impl(), DType::i64, 2,
      [&](int64_t* to, const Words& words, int64_t, int64_t n) {
        __extension__ typedef unsigned __int128 Product;
        for (int64_t k = 0; k < n; ++k) {
          const Product p = static_cast<Product>(words.wide(k)) * range;
          to[k] = static_cast<int64_t>(low + static_cast<uint64_t>(p >> 64));
        }
      });
}

void randint(OpCall& c) {
  const auto low = static_cast<uint64_t>(c.i(0));
  fill_integers(c, low, static_cast<uint64_t>(c.i(1)) - low);
}

// The integers from 0 up to the greatest below which the dtype has them all.
uint64_t integers_of(DType t) {
  switch (t) {
    case DType::bool_:
      return 2;
    case DType::f64:
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      return (uint64_t{1} << uniform_bits(t)) + 1;
    case DType::u8:
      return 256;
    default:
      return uint64_t{1} << (8 * itemsize(t) - 1);
  }
}

void random(OpCall& c) {
  if (!c.has(1)) return fill_integers(c, 0, integers_of(c.in(0).dtype));
  const auto first = static_cast<uint64_t>(c.i(1));
  if (!c.has(2)) return fill_integers(c, 0, first);
  fill_integers(c, first, static_cast<uint64_t>(c.i(2)) - first);
}

struct Key {
  uint64_t random;
  int64_t index;
  bool operator<(const Key& o) const {
    return random != o.random ? random < o.random : index < o.index;
  }
};

void randperm(OpCall& c) {
  const TensorImpl& out = c.out_impl();
  if (out.numel == 0) return;
  auto* keys = static_cast<Key*>(c.scratch);
  parallel_for(out.numel, kGrain, [&](int64_t begin, int64_t end) {
    Words words;
    for (int64_t i = begin; i < end; i += kTile) {
      const int64_t n = std::min(kTile, end - i);
      words.draw(c, i, n, 2);
      for (int64_t k = 0; k < n; ++k) keys[i + k] = {words.wide(k), i + k};
    }
  });
  std::sort(keys, keys + out.numel);
  Writer writer(out, layout_of(out, row_order(1)), DType::i64);
  TileBuffer tile;
  for (int64_t i = 0; i < out.numel; i += kTile) {
    const int64_t n = std::min(kTile, out.numel - i);
    auto* to = static_cast<int64_t*>(writer.place(n, &tile));
    for (int64_t k = 0; k < n; ++k) to[k] = keys[i + k].index;
    writer.done(to, n);
  }
}

double uniform_word(uint32_t w) { return static_cast<double>(w) * 0x1p-32; }

void bernoulli_in_place(OpCall& c);

void bernoulli(OpCall& c) {
  const TensorImpl& p = c.in(0);
  if (p.numel == 0) return;
  if (c.has(1)) return bernoulli_in_place(c);
  const Reader probabilities(p, layout_of(p, row_order(p.ndim)), DType::f64);
  each_tile<float>(c, c.out_impl(), DType::f32, 1,
                   [&](float* to, const Words& words, int64_t i, int64_t n) {
                     Reader reader = probabilities;
                     reader.seek(i);
                     TileBuffer tile;
                     auto* p =
                         static_cast<const double*>(reader.next(n, &tile));
                     for (int64_t k = 0; k < n; ++k) {
                       to[k] = uniform_word(words.w[k]) < p[k] ? 1.0f : 0.0f;
                     }
                   });
}

void bernoulli_in_place(OpCall& c) {
  const double p = c.f(1);
  each_tile<float>(c, c.out_impl(), DType::f32, 1,
                   [&](float* to, const Words& words, int64_t, int64_t n) {
                     for (int64_t k = 0; k < n; ++k) {
                       to[k] = uniform_word(words.w[k]) < p ? 1.0f : 0.0f;
                     }
                   });
}

template <class T>
void dropout_as(OpCall& c, DType t) {
  const TensorImpl& x = c.in(0);
  if (x.numel == 0) return;
  const double p = c.f(1);
  const T scale = p < 1 ? static_cast<T>(1 / (1 - p)) : T{};
  const Reader all(x, layout_of(x, row_order(x.ndim)), t);
  bool* mask = c.out_impl(1).ptr<bool>();
  each_tile<T>(c, c.out_impl(), t, 1,
               [&](T* to, const Words& words, int64_t i, int64_t n) {
                 Reader reader = all;
                 reader.seek(i);
                 TileBuffer tile;
                 const T* from = static_cast<const T*>(reader.next(n, &tile));
                 for (int64_t k = 0; k < n; ++k) {
                   const bool keep = !(uniform_word(words.w[k]) < p);
                   mask[i + k] = keep;
                   to[k] = keep ? from[k] * scale : T{};
                 }
               });
}

void native_dropout(OpCall& c) {
  if (c.in(0).dtype == DType::f64) return dropout_as<double>(c, DType::f64);
  dropout_as<float>(c, DType::f32);
}

template <class T>
void dropout_dx_as(OpCall& c, DType t) {
  const TensorImpl &g = c.in(0), &m = c.in(1), &out = c.out_impl();
  if (out.numel == 0) return;
  const double p = c.f(2);
  const T scale = p < 1 ? static_cast<T>(1 / (1 - p)) : T{};
  const Order order = row_order(g.ndim);
  const Reader grads(g, layout_of(g, order), t);
  const Reader masks(m, layout_of(m, order), DType::bool_);
  const Writer all(out, layout_of(out, order), t);
  parallel_for(out.numel, 128 * kTile, [&](int64_t begin, int64_t end) {
    Reader grad = grads, mask = masks;
    Writer writer = all;
    grad.seek(begin);
    mask.seek(begin);
    writer.seek(begin);
    TileBuffer grad_tile, mask_tile, tile;
    for (int64_t i = begin; i < end; i += kTile) {
      const int64_t n = std::min(kTile, end - i);
      auto* from = static_cast<const T*>(grad.next(n, &grad_tile));
      auto* keep = static_cast<const bool*>(mask.next(n, &mask_tile));
      T* to = static_cast<T*>(writer.place(n, &tile));
      for (int64_t k = 0; k < n; ++k) to[k] = keep[k] ? from[k] * scale : T{};
      writer.done(to, n);
    }
  });
}

void dropout_dx(OpCall& c) {
  if (c.in(0).dtype == DType::f64) return dropout_dx_as<double>(c, DType::f64);
  dropout_dx_as<float>(c, DType::f32);
}

}  // namespace
}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef rand_cpu = {.name = "rand", .run = cpu::rand};
extern const KernelDef randn_cpu = {.name = "randn", .run = cpu::randn};
extern const KernelDef rand_like_cpu = {
    .name = "rand_like",
    .run = cpu::rand,
    .contiguous = false,
};
extern const KernelDef randn_like_cpu = {
    .name = "randn_like",
    .run = cpu::randn,
    .contiguous = false,
};
extern const KernelDef randint_cpu = {.name = "randint", .run = cpu::randint};
extern const KernelDef randperm_cpu = {
    .name = "randperm",
    .run = cpu::randperm,
    .scratch =
        [](const OpCall& c) {
          return c.out_impl().numel * static_cast<int64_t>(sizeof(cpu::Key));
        },
};
extern const KernelDef bernoulli_cpu = {
    .name = "bernoulli",
    .run = cpu::bernoulli,
    .contiguous = false,
};
extern const KernelDef native_dropout_cpu = {
    .name = "native_dropout",
    .run = cpu::native_dropout,
    .contiguous = false,
};
extern const KernelDef dropout_dx_cpu = {
    .name = "dropout_dx",
    .run = cpu::dropout_dx,
    .contiguous = false,
};
extern const KernelDef normal__cpu = {
    .name = "normal_",
    .run = cpu::normal,
    .contiguous = false,
};
extern const KernelDef uniform__cpu = {
    .name = "uniform_",
    .run = cpu::uniform,
    .contiguous = false,
};
extern const KernelDef bernoulli__cpu = {
    .name = "bernoulli_",
    .run = cpu::bernoulli_in_place,
    .contiguous = false,
};

extern const KernelDef exponential__cpu = {
    .name = "exponential_",
    .run = cpu::exponential,
    .contiguous = false,
};
extern const KernelDef geometric__cpu = {
    .name = "geometric_",
    .run = cpu::geometric,
    .contiguous = false,
};
extern const KernelDef cauchy__cpu = {
    .name = "cauchy_",
    .run = cpu::cauchy,
    .contiguous = false,
};
extern const KernelDef log_normal__cpu = {
    .name = "log_normal_",
    .run = cpu::log_normal,
    .contiguous = false,
};
extern const KernelDef random__cpu = {
    .name = "random_",
    .run = cpu::random,
    .contiguous = false,
};
extern const KernelDef multinomial_cpu = {
    .name = "multinomial",
    .run = cpu::multinomial,
    .contiguous = false,
    .scratch =
        [](const OpCall& c) {
          const TensorImpl& w = c.in(0);
          return w.shape[w.ndim - 1] *
                 static_cast<int64_t>(sizeof(double) + sizeof(cpu::Race));
        },
};

}  // namespace ferrule
