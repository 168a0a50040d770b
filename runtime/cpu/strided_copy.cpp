// Copies between geometries and dtypes.
#include "runtime/cpu/strided_copy.h"

#include <algorithm>
#include <cstring>

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/cursor.h"

namespace ferrule {
namespace cpu {
namespace {

constexpr int64_t kGrainBytes = 1 << 18;

void dense_copy(const TensorImpl& from, const TensorImpl& to) {
  const char* in = from.bytes();
  char* out = to.bytes();
  if (in == out) return;
  const bool streams = to.nbytes() >= kStreamFrom;
  parallel_for(to.nbytes(), kGrainBytes, [&](int64_t begin, int64_t end) {
    if (!streams) {
      std::memcpy(out + begin, in + begin, end - begin);
      return;
    }
    const Ahead ahead{in + begin + kFetchAhead, end - begin};
    FE_BEST(stream_copy)(out + begin, in + begin, end - begin, &ahead, 1);
    FE_BEST(end_streams)();
  });
}

// Dimensions that both sides walk, outermost first, in the target's order.
struct Pair {
  int n = 0;
  int64_t size[kMaxRank];
  int64_t in[kMaxRank];  // byte steps
  int64_t out[kMaxRank];

  void push(int64_t new_size, int64_t new_in, int64_t new_out) {
    if (new_size == 1) return;
    if (n > 0 && in[n - 1] == new_size * new_in &&
        out[n - 1] == new_size * new_out) {
      size[n - 1] *= new_size;
      in[n - 1] = new_in;
      out[n - 1] = new_out;
      return;
    }
    size[n] = new_size;
    in[n] = new_in;
    out[n++] = new_out;
  }
};

Pair pair_of(const TensorImpl& from, const TensorImpl& to) {
  const Order order = memory_order(to);
  const int64_t bytes = itemsize(to.dtype);
  Pair p;
  for (int k = 0; k < order.n; ++k) {
    const int d = order.dim[k];
    const int own = d - (to.ndim - from.ndim);
    const bool repeated = own < 0 || from.shape[own] == 1;
    p.push(to.shape[d], repeated ? 0 : from.strides[own] * bytes,
           to.strides[d] * bytes);
  }
  return p;
}

// Rows of `out` are columns of `in`: both are dense in one dimension only. In
// squares whose lines stay in the cache.
constexpr int64_t kSquare = 32;

template <class T>
void transpose_square(char* out, const char* in, int64_t rows, int64_t columns,
                      int64_t out_step, int64_t in_step) {
  for (int64_t r = 0; r < rows; ++r) {
    char* line = out + r * out_step;
    const char* column = in + r * sizeof(T);
    for (int64_t c = 0; c < columns; ++c) {
      std::memcpy(line + c * sizeof(T), column + c * in_step, sizeof(T));
    }
  }
}

using TransposeFn = void (*)(char*, const char*, int64_t, int64_t, int64_t,
                             int64_t);
TransposeFn transpose_of(int64_t bytes) {
  return bytes == 1   ? transpose_square<uint8_t>
         : bytes == 2 ? transpose_square<uint16_t>
         : bytes == 4 ? transpose_square<uint32_t>
         : bytes == 8 ? transpose_square<uint64_t>
                      : nullptr;
}

// True when it was a transposition, which is then done.
bool transpose_copy(const TensorImpl& from, const TensorImpl& to) {
  const int64_t bytes = itemsize(to.dtype);
  const TransposeFn square = transpose_of(bytes);
  const Pair p = pair_of(from, to);
  const int inner = p.n - 1;
  if (!square || p.n < 2 || p.out[inner] != bytes || p.in[inner] == bytes) {
    return false;
  }
  const int row = static_cast<int>(std::find(p.in, p.in + inner, bytes) - p.in);
  if (row == inner || p.size[row] < 8 || p.size[inner] < 8) return false;

  // One unit of work: kSquare rows of `out`, for one index of the others.
  const int64_t bands = (p.size[row] + kSquare - 1) / kSquare;
  int64_t units = bands;
  for (int d = 0; d < inner; ++d) units *= d == row ? 1 : p.size[d];
  const int64_t unit_bytes = kSquare * p.size[inner] * bytes;
  parallel_for(units, kGrainBytes / unit_bytes + 1,
               [&](int64_t u, int64_t end) {
                 for (; u < end; ++u) {
                   const int64_t first = u % bands * kSquare;
                   int64_t rest = u / bands;
                   const char* in = from.bytes() + first * p.in[row];
                   char* out = to.bytes() + first * p.out[row];
                   for (int d = inner - 1; d >= 0; --d) {
                     if (d == row) continue;
                     in += rest % p.size[d] * p.in[d];
                     out += rest % p.size[d] * p.out[d];
                     rest /= p.size[d];
                   }
                   const int64_t rows = std::min(kSquare, p.size[row] - first);
                   for (int64_t c = 0; c < p.size[inner]; c += kSquare) {
                     square(out + c * p.out[inner], in + c * p.in[inner], rows,
                            std::min(kSquare, p.size[inner] - c), p.out[row],
                            p.in[inner]);
                   }
                 }
               });
  return true;
}

// Any geometry and dtype, element by element in the target's order.
void general_copy(const TensorImpl& from, const TensorImpl& to) {
  const Order order = memory_order(to);
  const Reader reader(from, broadcast_layout(from, to.sizes(), order),
                      to.dtype);
  Writer writer(to, layout_of(to, order), to.dtype);
  writer.stream_if_large();
  const int64_t room = sizeof(TileBuffer) / itemsize(to.dtype);
  parallel_for(to.numel, kGrainBytes / 8, [&](int64_t begin, int64_t end) {
    Reader in = reader;
    Writer out = writer;
    in.seek(begin);
    out.seek(begin);
    TileBuffer tile;
    for (int64_t i = begin; i < end;) {
      const int64_t ready = out.ready();
      const int64_t n = std::min(end - i, ready > 0 ? ready : room);
      void* place = out.place(n, tile.bytes);
      in.read(place, n);
      const Ahead ahead = in.ahead(n);
      out.done(place, n, &ahead, 1);
      i += n;
    }
    out.finish();
  });
}

}  // namespace
}  // namespace cpu

void strided_copy(const TensorImpl& from, const TensorImpl& to) {
  if (to.numel == 0) return;
  if (from.dtype == to.dtype) {
    if (from.contiguous && to.contiguous && from.numel == to.numel) {
      return cpu::dense_copy(from, to);
    }
    if (cpu::transpose_copy(from, to)) return;
  }
  cpu::general_copy(from, to);
}

Tensor contiguous_cpu(const Tensor& t) {
  if (t.is_contiguous()) return t;
  Tensor dense = Tensor::empty(t.shape(), t.dtype());
  strided_copy(*t.impl(), *dense.impl());
  return dense;
}

}  // namespace ferrule
