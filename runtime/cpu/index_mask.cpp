// Kernels of masks: argwhere, masked_fill, masked_select and masked_scatter.
#include <algorithm>
#include <cstring>
#include <utility>

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/cursor.h"
#include "runtime/cpu/elementwise.h"
#include "runtime/cpu/item.h"
#include "runtime/cpu/nonzero.h"
#include "runtime/cpu/region.h"
#include "runtime/cpu/row_order.h"

namespace ferrule::cpu {
namespace {

void masked_fill(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.in(0).dtype);
  const Input in[] = {{c, 1, DType::bool_}, {c, 2, t}, {c, 0, t}};
  to.take(FE_BEST(where_tile)(itemsize(t)), t, in);
}

// --- packing: the elements where a mask holds, one after another. Ranges of
// the mask go to threads; how many elements stand before each is counted first.

constexpr int64_t kRange = 32 * kTile;

Layout spread(const TensorImpl& t, std::span<const int64_t> shape) {
  return broadcast_layout(t, shape, row_order(static_cast<int>(shape.size())));
}

int64_t count_true(const uint8_t* mask, int64_t n) {
  // Eight at a time: a sum in every byte, of bits that are 1 where a byte of
  // the mask is not 0.
  constexpr uint64_t kLow = 0x7f7f7f7f7f7f7f7f, kOnes = 0x0101010101010101;
  constexpr int64_t kBlock = 255 * 8;
  int64_t count = 0, i = 0;
  while (i + 8 <= n) {
    const int64_t end = std::min(n - 8, i + kBlock - 8);
    uint64_t sums = 0;
    for (; i <= end; i += 8) {
      uint64_t v;
      std::memcpy(&v, mask + i, 8);
      sums += (((v & kLow) + kLow) | v) >> 7 & kOnes;
    }
    for (; sums; sums >>= 8) count += sums & 0xff;
  }
  for (; i < n; ++i) count += mask[i] != 0;
  return count;
}

// Calls visit(first, number, truth) for the tiles of a range.
template <class Visit>
void each_tile(Reader mask, int64_t begin, int64_t end, const Visit& visit) {
  TileBuffer buffer;
  mask.seek(begin);
  for (int64_t i = begin, n; i < end; i += n) {
    n = std::min(kTile, end - i);
    visit(i, n, static_cast<const uint8_t*>(mask.next(n, buffer.bytes)));
  }
}

// Calls visit(first, number, truth) for the tiles of a tensor, row by row:
// truth[k] is 0 where element first + k is. Complex numbers have two parts.
template <class Visit>
void each_truth(const TensorImpl& t, const Visit& visit) {
  if (t.numel == 0) return;
  const Layout layout = layout_of(t, row_order(t.ndim));
  if (!is_complex(t.dtype)) {
    return each_tile(Reader(t, layout, DType::bool_), 0, t.numel, visit);
  }
  Cursor cursor(t.bytes(), layout, itemsize(t.dtype));
  uint8_t truth[kTile];
  for (int64_t i = 0, n; i < t.numel; i += n) {
    n = std::min(kTile, t.numel - i);
    for (int64_t k = 0; k < n; ++k) {
      double v[2];
      cursor.gather(v, 1);
      const auto* f = reinterpret_cast<const float*>(v);
      truth[k] = t.dtype == DType::c64 ? f[0] != 0 || f[1] != 0
                                       : v[0] != 0 || v[1] != 0;
    }
    visit(i, n, truth);
  }
}

void argwhere(OpCall& c) {
  const TensorImpl& x = c.in(0);
  const int64_t total = c.out_impl().numel;
  auto* out = c.out_impl().ptr<int64_t>();
  const int64_t* end = out + total;
  const int last = x.ndim - 1;
  const int64_t length = x.ndim ? x.shape[last] : 1;
  int64_t row = 0;  // number of its first element
  int64_t index[kMaxRank] = {};
  each_truth(x, [&](int64_t first, int64_t n, const uint8_t* truth) {
    int16_t hits[kTile + 1];  // a loop without branches looks one too far
    int64_t count = 0;
    for (int64_t k = 0; k < n; ++k) {
      hits[count] = static_cast<int16_t>(k);
      count += truth[k] != 0;
    }
    for (int64_t h = 0; h < count && out < end; ++h) {
      const int64_t i = first + hits[h];
      while (i - row >= length) {
        row += length;
        for (int d = last - 1; d >= 0; --d) {
          if (++index[d] < x.shape[d]) break;
          index[d] = 0;
        }
      }
      for (int d = 0; d < last; ++d) out[d] = index[d];
      if (last >= 0) out[last] = i - row;
      out += x.ndim;
    }
  });
}

int64_t range_bytes(int64_t n) {
  return chunk_count(n, kRange) * static_cast<int64_t>(sizeof(int64_t));
}

// Notes for each range how many are True before it; returns how many in all.
int64_t count_before(const Reader& mask, int64_t n, int64_t* before) {
  const int64_t size = chunk_size(n, kRange);
  parallel_for(n, kRange, [&](int64_t begin, int64_t end) {
    int64_t count = 0;
    each_tile(mask, begin, end, [&](int64_t, int64_t m, const uint8_t* truth) {
      count += count_true(truth, m);
    });
    before[begin / size] = count;
  });
  int64_t total = 0;
  for (int64_t k = 0; k < chunk_count(n, kRange); ++k) {
    total += std::exchange(before[k], total);
  }
  return total;
}

template <class T>
struct Tile {
  T v[kTile + 1];  // a loop without branches looks one too far
};

// Packs the elements where the mask is True, and returns how many they are;
// what holds none is skipped by eight. `out` has room for one more.
template <class T>
int64_t pack_tile(T* out, const T* x, const uint8_t* mask, int64_t n) {
  constexpr int64_t kGroup = 8;
  int64_t k = 0, i = 0;
  for (; i + kGroup <= n; i += kGroup) {
    uint64_t group;
    std::memcpy(&group, mask + i, kGroup);
    if (group == 0) continue;
    for (int64_t j = i; j < i + kGroup; ++j) {
      out[k] = x[j];
      k += mask[j] != 0;
    }
  }
  for (; i < n; ++i) {
    out[k] = x[i];
    k += mask[i] != 0;
  }
  return k;
}

// out = x[mask], but no more than out has room for.
void pack(OpCall& c, const TensorImpl& x, const TensorImpl& mask,
          std::span<const int64_t> shape, int64_t n) {
  const TensorImpl& out = c.out_impl();
  const Reader truth(mask, spread(mask, shape), DType::bool_);
  const Reader values(x, spread(x, shape), x.dtype);
  auto* before = static_cast<int64_t*>(c.scratch);
  count_before(truth, n, before);
  const int64_t size = chunk_size(n, kRange);
  with_item(x.dtype, [&]<class T>(T) {
    T* to = out.ptr<T>();
    parallel_for(n, kRange, [&](int64_t begin, int64_t end) {
      int64_t at = before[begin / size];
      Reader own = values;
      own.seek(begin);
      Tile<T> buffer, packed;
      each_tile(truth, begin, end, [&](int64_t, int64_t m, const uint8_t* yes) {
        const auto* from = static_cast<const T*>(own.next(m, buffer.v));
        int64_t k = pack_tile(packed.v, from, yes, m);
        k = std::min(k, out.numel - at);
        if (k > 0) std::memcpy(to + at, packed.v, k * sizeof(T));
        at += k;
      });
    });
  });
}

void masked_select(OpCall& c) {
  const TensorImpl &x = c.in(0), &mask = c.in(1);
  const Dims shape = broadcast(c, x.sizes(), mask.sizes());
  pack(c, x, mask, shape, checked_numel(shape));
}

void masked_pack(OpCall& c) {
  const TensorImpl& x = c.in(0);
  fill_zero(c.out_impl());
  if (x.numel) pack(c, x, c.in(1), x.sizes(), x.numel);
}

void masked_scatter(OpCall& c) {
  const TensorImpl &x = c.in(0), &mask = c.in(1), &source = c.in(2);
  const TensorImpl& out = c.out_impl();
  const Reader truth(mask, spread(mask, out.sizes()), DType::bool_);
  const Reader values(x, spread(x, out.sizes()), x.dtype);
  Reader terms;
  if (source.numel) {
    terms = Reader(source, layout_of(source, row_order(source.ndim)), x.dtype);
  }
  const Writer target(out, layout_of(out, row_order(out.ndim)), x.dtype);
  auto* before = static_cast<int64_t*>(c.scratch);
  const int64_t total = count_before(truth, out.numel, before);
  const int64_t size = chunk_size(out.numel, kRange);
  if (total > source.numel) {
    c.report("the mask has {} elements that are True, source has only {}",
             total, source.numel);
    return;
  }
  with_item(x.dtype, [&]<class T>(T) {
    parallel_for(out.numel, kRange, [&](int64_t begin, int64_t end) {
      int64_t at = before[begin / size];
      Reader own = values, from = terms;
      Writer to = target;
      own.seek(begin);
      to.seek(begin);
      if (source.numel) from.seek(at);
      Tile<T> buffer, result, packed;
      each_tile(truth, begin, end, [&](int64_t, int64_t m, const uint8_t* yes) {
        const auto* old = static_cast<const T*>(own.next(m, buffer.v));
        const int64_t count = std::min(count_true(yes, m), source.numel - at);
        if (count > 0) from.read(packed.v, count);
        at += count;
        auto* o = static_cast<T*>(to.place(m, result.v));
        for (int64_t i = 0, k = 0; i < m; ++i) {
          const T either[] = {old[i], packed.v[k]};  // without a branch
          o[i] = either[yes[i] != 0];
          k += yes[i] != 0;
        }
        to.done(o, m);
      });
    });
  });
}

}  // namespace

int64_t count_nonzero(const TensorImpl& t) {
  int64_t n = 0;
  each_truth(t, [&](int64_t, int64_t m, const uint8_t* truth) {
    n += count_true(truth, m);
  });
  return n;
}

}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef argwhere_cpu = {
    .name = "argwhere",
    .run = cpu::argwhere,
    .contiguous = false,
};
extern const KernelDef masked_fill_cpu = {
    .name = "masked_fill",
    .tiles = cpu::masked_fill,
    .contiguous = false,
    .elementwise = true,
};

extern const KernelDef masked_select_cpu = {
    .name = "masked_select",
    .run = cpu::masked_select,
    .contiguous = false,
    .scratch =
        [](const OpCall& c) {
          return cpu::range_bytes(
              checked_numel(broadcast(c, c.in(0).sizes(), c.in(1).sizes())));
        },
};
extern const KernelDef masked_pack_cpu = {
    .name = "masked_pack",
    .run = cpu::masked_pack,
    .contiguous = false,
    .scratch = [](const OpCall& c) { return cpu::range_bytes(c.in(0).numel); },
};
extern const KernelDef masked_scatter_cpu = {
    .name = "masked_scatter",
    .run = cpu::masked_scatter,
    .contiguous = false,
    .scratch =
        [](const OpCall& c) { return cpu::range_bytes(c.out_impl().numel); },
    .over_input = true,
};

}  // namespace ferrule
