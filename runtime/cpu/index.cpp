// Kernels of indexing: elements chosen by the integers of another tensor. What
// adds up is split by destination, so that every sum has one fixed order.
#include <algorithm>
#include <cstring>

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/in_float.h"
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

// Calls f with an unsigned integer as large as an element.
template <class F>
void with_item(DType t, const F& f) {
  switch (itemsize(t)) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    case 8:
      return f(uint64_t{});
    default:
      struct Complex128 {
        uint64_t v[2];
      };
      return f(Complex128{});
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

// The lines of `index` along dim, and where each starts in `index` and in the
// tensor that it counts in, which may be larger.
class Lines {
 public:
  Lines(const TensorImpl& index, const TensorImpl& x, int64_t dim) {
    const Dims steps = contiguous_strides(x.sizes());
    const int64_t d = dim < 0 ? dim + x.ndim : dim;
    for (int i = 0; i < index.ndim; ++i) {
      if (i == d) {
        length = index.shape[i];
        index_step = index.strides[i];
        x_step = steps[i];
        x_size = x.shape[i];
        continue;
      }
      size_[n_] = index.shape[i];
      index_steps_[n_] = index.strides[i];
      x_steps_[n_++] = steps[i];
      count *= index.shape[i];
    }
  }

  int64_t count = 1, length = 1, index_step = 1, x_step = 1, x_size = 1;

  struct Start {
    int64_t in_index, in_x;
  };
  Start start(int64_t line) const {
    Start s{0, 0};
    for (int i = n_ - 1; i >= 0; --i) {
      const int64_t at = line % size_[i];
      line /= size_[i];
      s.in_index += at * index_steps_[i];
      s.in_x += at * x_steps_[i];
    }
    return s;
  }

 private:
  int n_ = 0;
  int64_t size_[kMaxRank], index_steps_[kMaxRank], x_steps_[kMaxRank];
};

void gather(OpCall& c) {
  const TensorImpl &x = c.in(0), &index = c.in(2);
  if (index.numel == 0) return;
  const Lines lines(index, x, c.i(1));
  with_index(index, [&]<class I>(const I* at) {
    if (!in_range(c, at, index.numel, lines.x_size)) return;
    with_item(x.dtype, [&]<class T>(T) {
      const T* from = x.ptr<T>();
      T* to = c.out_impl().ptr<T>();
      const int64_t grain = std::max<int64_t>(kGrain / lines.length, 1);
      parallel_for(lines.count, grain, [&](int64_t begin, int64_t end) {
        for (int64_t line = begin; line < end; ++line) {
          const Lines::Start s = lines.start(line);
          for (int64_t j = 0; j < lines.length; ++j) {
            const int64_t k = s.in_index + j * lines.index_step;
            to[k] = from[s.in_x + at[k] * lines.x_step];
          }
        }
      });
    });
  });
}

// Lines go to different elements, so they can be added at once.
void scatter_add(OpCall& c) {
  const TensorImpl &x = c.in(0), &index = c.in(2), &out = c.out_impl();
  if (x.numel) std::memcpy(out.bytes(), x.bytes(), x.nbytes());
  if (index.numel == 0) return;
  const Lines lines(index, x, c.i(1));
  with_index(index, [&]<class I>(const I* at) {
    if (!in_range(c, at, index.numel, lines.x_size)) return;
    add_in_float(c, out, c.in(3), [&]<class T>(T* sum, const T* src) {
      const int64_t grain = std::max<int64_t>(kGrain / lines.length, 1);
      parallel_for(lines.count, grain, [&](int64_t begin, int64_t end) {
        for (int64_t line = begin; line < end; ++line) {
          const Lines::Start s = lines.start(line);
          for (int64_t j = 0; j < lines.length; ++j) {
            const int64_t k = s.in_index + j * lines.index_step;
            T& to = sum[s.in_x + at[k] * lines.x_step];
            to = static_cast<T>(to + src[k]);
          }
        }
      });
    });
  });
}

// Copies the chosen slices; `inner` elements lie together in each.
template <class I>
void select(const TensorImpl& x, const Around& a, const I* at, int64_t n,
            const TensorImpl& out) {
  const int64_t rows = a.outer * n;
  if (rows == 0 || a.inner == 0) return;
  with_item(x.dtype, [&]<class T>(T) {
    const T* from = x.ptr<T>();
    T* to = out.ptr<T>();
    const int64_t grain = std::max<int64_t>(kGrain / a.inner, 1);
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t row = r / n * a.size + at[r % n];
        std::copy_n(from + row * a.inner, a.inner, to + r * a.inner);
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

void index_add(OpCall& c) {
  const TensorImpl &x = c.in(0), &out = c.out_impl();
  const Around a(x, c.i(1));
  const int64_t n = c.in(2).numel;
  if (x.numel) std::memcpy(out.bytes(), x.bytes(), x.nbytes());
  with_index(c.in(2), [&](const auto* at) {
    if (!in_range(c, at, n, a.size)) return;
    add_in_float(c, out, c.in(3), [&]<class T>(T* sum, const T* src) {
      add_slices(sum, src, a, at, n, -1);
    });
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

extern const KernelDef gather_cpu = {.name = "gather", .run = cpu::gather};
extern const KernelDef scatter_add_cpu = {
    .name = "scatter_add",
    .run = cpu::scatter_add,
    .scratch =
        [](const OpCall& c) { return cpu::float_bytes(c.in(0), c.in(3)); },
};
extern const KernelDef index_select_cpu = {
    .name = "index_select",
    .run = cpu::index_select,
};
extern const KernelDef index_add_cpu = {
    .name = "index_add",
    .run = cpu::index_add,
    .scratch =
        [](const OpCall& c) { return cpu::float_bytes(c.in(0), c.in(3)); },
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
