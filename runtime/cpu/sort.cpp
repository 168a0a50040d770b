// The kernel of sort: elements become unsigned keys of the same order, and the
// keys are sorted together with their indices, by radix, which is stable.
#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"

namespace ferrule::cpu {
namespace {

// Lines shorter than this are sorted by insertion.
constexpr int64_t kShort = 48;
constexpr int64_t kGrain = 16384;  // elements worth a thread
// Lines that are sorted at a time have so many bytes of scratch between them.
constexpr int64_t kMaxScratch = int64_t{64} << 20;
constexpr int64_t kMaxParts = 32;

template <class Key, class Index>
struct Item {
  Key key;
  Index index;
};
using Small = Item<uint32_t, uint32_t>;
using Large = Item<uint64_t, int64_t>;

// --- keys

// Bits of a float of `kBits` (sign, exponent, mantissa): negative ones are
// turned round. Both zeros are equal, and so are all NaNs, the largest.
template <class U, U kInfinity>
U float_key(U bits) {
  constexpr U kSign = static_cast<U>(U{1} << (sizeof(U) * 8 - 1));
  const U size = static_cast<U>(bits & ~kSign);
  if (size > kInfinity) return static_cast<U>(~U{0});
  if (size == 0) return kSign;
  return static_cast<U>(bits & kSign ? ~bits : bits | kSign);
}

struct Half {
  uint16_t bits;
};
struct Brain {
  uint16_t bits;
};
uint32_t key_of(Half v) { return float_key<uint16_t, 0x7c00>(v.bits); }
uint32_t key_of(Brain v) { return float_key<uint16_t, 0x7f80>(v.bits); }
uint32_t key_of(float v) {
  return float_key<uint32_t, 0x7f800000>(std::bit_cast<uint32_t>(v));
}
uint64_t key_of(double v) {
  return float_key<uint64_t, 0x7ff0000000000000>(std::bit_cast<uint64_t>(v));
}
uint64_t key_of(int64_t v) {
  return static_cast<uint64_t>(v) ^ uint64_t { 1 } << 63;
}
template <std::integral T>
uint32_t key_of(T v) {
  return static_cast<uint32_t>(static_cast<int32_t>(v)) ^ uint32_t { 1 } << 31;
}

// --- sorting

template <class T>
void insertion_sort(T* a, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {
    const T item = a[i];
    int64_t k = i;
    for (; k > 0 && a[k - 1].key > item.key; --k) a[k] = a[k - 1];
    a[k] = item;
  }
}

// Sorts by one byte of the key after another, the lowest first; those that all
// keys share are passed over. Returns a or b, where the result lies.
template <class T>
T* radix_sort(T* a, T* b, int64_t n) {
  constexpr int kBytes = sizeof(a->key);
  int64_t counts[kBytes][256] = {};
  for (int64_t i = 0; i < n; ++i) {
    for (int k = 0; k < kBytes; ++k) ++counts[k][a[i].key >> (8 * k) & 255];
  }
  for (int k = 0; k < kBytes; ++k) {
    if (counts[k][a[0].key >> (8 * k) & 255] == n) continue;
    int64_t start = 0;
    for (int64_t& count : counts[k]) start += std::exchange(count, start);
    for (int64_t i = 0; i < n; ++i) {
      b[counts[k][a[i].key >> (8 * k) & 255]++] = a[i];
    }
    std::swap(a, b);
  }
  return a;
}

// --- lines along the dimension

struct Lines {
  int64_t count = 1, length = 1, step = 1;
  int64_t bytes = 0;  // of scratch for one of them
  int64_t parts = 1;  // how many are sorted at a time

  explicit Lines(const OpCall& c) {
    const TensorImpl& x = c.in(0);
    if (x.ndim > 0) {
      const int64_t d = c.i(1) < 0 ? c.i(1) + x.ndim : c.i(1);
      length = x.shape[d];
      for (int i = 0; i < x.ndim; ++i) {
        if (i != d) count *= x.shape[i];
        if (i > d) step *= x.shape[i];
      }
    }
    const bool large = itemsize(x.dtype) == 8 || length > UINT32_MAX;
    bytes = 2 * length *
            static_cast<int64_t>(large ? sizeof(Large) : sizeof(Small));
    bytes = (bytes + 63) & ~int64_t{63};
    const int64_t enough = count * length / kGrain + 1;
    const int64_t room =
        bytes == 0 ? 1 : std::max<int64_t>(1, kMaxScratch / bytes);
    parts = std::min({count, enough, room, kMaxParts});
  }
};

template <class T, class Entry>
void sort_lines(OpCall& c, const Lines& lines) {
  const T* x = c.in(0).ptr<T>();
  T* values = c.outs[0]->ptr<T>();
  int64_t* indices = c.outs[1]->ptr<int64_t>();
  using Key = decltype(Entry::key);
  const Key turn = c.b(2) ? static_cast<Key>(~Key{0}) : Key{0};
  parallel_for(lines.parts, 1, [&](int64_t part, int64_t end) {
    for (; part < end; ++part) {
      Entry* a = reinterpret_cast<Entry*>(static_cast<char*>(c.scratch) +
                                          part * lines.bytes);
      const int64_t last = lines.count * (part + 1) / lines.parts;
      for (int64_t r = lines.count * part / lines.parts; r < last; ++r) {
        const int64_t first =
            r / lines.step * lines.step * lines.length + r % lines.step;
        for (int64_t i = 0; i < lines.length; ++i) {
          const Key key = key_of(x[first + i * lines.step]);
          a[i].key = static_cast<Key>(key ^ turn);
          a[i].index = static_cast<decltype(Entry::index)>(i);
        }
        const Entry* sorted = a;
        if (lines.length < kShort) {
          insertion_sort(a, lines.length);
        } else {
          sorted = radix_sort(a, a + lines.length, lines.length);
        }
        for (int64_t i = 0; i < lines.length; ++i) {
          const auto from = static_cast<int64_t>(sorted[i].index);
          values[first + i * lines.step] = x[first + from * lines.step];
          indices[first + i * lines.step] = from;
        }
      }
    }
  });
}

template <class T>
void sort_as(OpCall& c) {
  const Lines lines(c);
  if constexpr (sizeof(T) < 8) {
    if (lines.length <= UINT32_MAX) return sort_lines<T, Small>(c, lines);
  }
  sort_lines<T, Large>(c, lines);
}

void sort(OpCall& c) {
  switch (c.in(0).dtype) {
    case DType::bool_:
    case DType::u8:
      return sort_as<uint8_t>(c);
    case DType::i8:
      return sort_as<int8_t>(c);
    case DType::i16:
      return sort_as<int16_t>(c);
    case DType::i32:
      return sort_as<int32_t>(c);
    case DType::i64:
      return sort_as<int64_t>(c);
    case DType::f16:
      return sort_as<Half>(c);
    case DType::bf16:
      return sort_as<Brain>(c);
    case DType::f32:
      return sort_as<float>(c);
    default:
      return sort_as<double>(c);
  }
}

int64_t sort_scratch(const OpCall& c) {
  const Lines lines(c);
  return lines.parts * lines.bytes;
}

}  // namespace
}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef sort_cpu = {
    .name = "sort",
    .run = cpu::sort,
    .scratch = cpu::sort_scratch,
};

}  // namespace ferrule
