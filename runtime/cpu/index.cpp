// Kernels of indexing: elements chosen by the integers of another tensor. What
// adds up is split by destination, so that every sum has one fixed order.
#include <algorithm>
#include <cstring>

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/in_float.h"
#include "runtime/cpu/item.h"
#include "runtime/cpu/region.h"

namespace ferrule::cpu {
namespace {

constexpr int64_t kGrain = 16384;  // elements worth a thread

// Reports the first wrong index, if there is one.
template <class I>
bool in_range(OpCall& c, const I* index, int64_t n, int64_t size) {
  for (int64_t k = 0; k < n; ++k) {
    if (index[k] >= 0 && index[k] < size) continue;
    if (size == 0) {
      c.report("index {} is out of range: the dimension is empty", index[k], 0);
    } else {
      c.report("index {} is out of range; valid: 0..{}", index[k], size - 1);
    }
    return false;
  }
  return true;
}

// Calls f with the index argument's elements as they are stored.
template <class F>
void with_index(const TensorImpl& index, const F& f) {
  if (index.dtype == DType::i32) {
    f(static_cast<const int32_t*>(index.ptr<int32_t>()));
  } else {
    f(static_cast<const int64_t*>(index.ptr<int64_t>()));
  }
}

// A dense tensor seen as (outer, size, inner) around one of its dimensions.
struct Around {
  int64_t outer = 1, size = 1, inner = 1;

  Around(const TensorImpl& t, int64_t dim) {
    if (t.ndim == 0) return;
    const int64_t d = dim < 0 ? dim + t.ndim : dim;
    size = t.shape[d];
    for (int64_t i = 0; i < d; ++i) outer *= t.shape[i];
    for (int64_t i = d + 1; i < t.ndim; ++i) inner *= t.shape[i];
  }
};

// Copies a slice and meanwhile asks for one that is read after the next: it
// lies anywhere, so the processor cannot guess where.
[[gnu::noinline]] void copy_and_fetch(char* to, const char* from,
                                      const char* later, int64_t bytes) {
  constexpr int64_t kPiece = 256, kLine = 64;
  int64_t i = 0;
  for (; i + kPiece <= bytes; i += kPiece) {
    for (int64_t k = i; k < i + kPiece; k += kLine) {
      __builtin_prefetch(later + k);
    }
    std::memcpy(to + i, from + i, kPiece);
  }
  for (int64_t k = i; k < bytes; k += kLine) __builtin_prefetch(later + k);
  std::memcpy(to + i, from + i, static_cast<size_t>(bytes - i));
}

// Copies the chosen slices; `inner` elements lie together in each.
template <class I>
void select(const TensorImpl& x, const Around& a, const I* at, int64_t n,
            const TensorImpl& out) {
  constexpr int64_t kAhead = 2;    // slices
  constexpr int64_t kLeast = 256;  // bytes worth asking for
  const int64_t rows = a.outer * n;
  if (rows == 0 || a.inner == 0) return;
  with_item(x.dtype, [&]<class T>(T) {
    const T* from = x.ptr<T>();
    T* to = out.ptr<T>();
    const int64_t bytes = a.inner * static_cast<int64_t>(sizeof(T));
    const int64_t grain = std::max<int64_t>(kGrain / a.inner, 1);
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
      const auto slice = [&](int64_t r) {
        return from + (r / n * a.size + at[r % n]) * a.inner;
      };
      for (int64_t r = begin; r < end; ++r) {
        if (bytes < kLeast) {
          std::copy_n(slice(r), a.inner, to + r * a.inner);
        } else {
          const T* later = slice(std::min(r + kAhead, end - 1));
          copy_and_fetch(reinterpret_cast<char*>(to + r * a.inner),
                         reinterpret_cast<const char*>(slice(r)),
                         reinterpret_cast<const char*>(later), bytes);
        }
      }
    });
  });
}

// Adds slices, in the order of `at`. Threads take different columns.
template <class T, class I>
void add_slices(T* sum, const T* src, const Around& a, const I* at, int64_t n,
                int64_t skip) {
  if (n == 0 || a.inner == 0) return;
  constexpr int64_t kColumns = 64;
  const int64_t per_row = (a.inner + kColumns - 1) / kColumns;
  const int64_t grain =
      std::max<int64_t>(kGrain / (std::min(a.inner, kColumns) * n), 1);
  parallel_for(a.outer * per_row, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / per_row;
      const int64_t first = task % per_row * kColumns;
      const int64_t last = std::min(first + kColumns, a.inner);
      for (int64_t k = 0; k < n; ++k) {
        if (at[k] == skip) continue;
        T* to = sum + (o * a.size + at[k]) * a.inner;
        const T* from = src + (o * n + k) * a.inner;
        for (int64_t i = first; i < last; ++i) {
          to[i] = static_cast<T>(to[i] + from[i]);
        }
      }
    }
  });
}

void index_select(OpCall& c) {
  const Around a(c.in(0), c.i(1));
  const int64_t n = c.in(2).numel;
  with_index(c.in(2), [&](const auto* at) {
    if (in_range(c, at, n, a.size)) select(c.in(0), a, at, n, c.out_impl());
  });
}

void embedding(OpCall& c) {
  const Around a(c.in(1), 0);
  const int64_t n = c.in(0).numel;
  with_index(c.in(0), [&](const auto* at) {
    if (in_range(c, at, n, a.size)) select(c.in(1), a, at, n, c.out_impl());
  });
}

void embedding_dw(OpCall& c) {
  const TensorImpl &index = c.in(1), &out = c.out_impl();
  const Around a(out, 0);
  int64_t padding = -1;
  if (c.has(3)) padding = c.i(3) < 0 ? c.i(3) + a.size : c.i(3);
  fill_zero(out);
  with_index(index, [&](const auto* at) {
    if (!in_range(c, at, index.numel, a.size)) return;
    add_in_float(c, out, c.in(0), [&]<class T>(T* sum, const T* src) {
      add_slices(sum, src, a, at, index.numel, padding);
    });
  });
}

}  // namespace
}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef index_select_cpu = {
    .name = "index_select",
    .run = cpu::index_select,
};
extern const KernelDef embedding_cpu = {
    .name = "embedding",
    .run = cpu::embedding,
};
extern const KernelDef embedding_dw_cpu = {
    .name = "embedding_dw",
    .run = cpu::embedding_dw,
    .scratch =
        [](const OpCall& c) { return cpu::float_bytes(c.out_impl(), c.in(0)); },
};

}  // namespace ferrule
