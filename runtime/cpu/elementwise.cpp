// Cuts elementwise work into ranges and tiles.
#include "runtime/cpu/elementwise.h"

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/cursor.h"

namespace ferrule::cpu {
namespace {

// Dense operands of the right dtypes and at most a tile of work: no loop at
// all. Numbers are spread over small arrays. False: the general way is needed.
bool run_at_once(TileFn fn, const TensorImpl& out, DType result,
                 std::span<const Input> in, int64_t grain) {
  if (!out.contiguous || out.dtype != result || out.numel > grain) return false;
  const void* from[kMaxInputs];
  TileBuffer numbers[2];
  int used = 0;
  for (size_t k = 0; k < in.size(); ++k) {
    if (const TensorImpl* t = in[k].tensor) {
      if (!t->contiguous || t->dtype != in[k].as || t->numel != out.numel) {
        return false;
      }
      from[k] = t->bytes();
    } else {
      if (out.numel > kTile || used == 2) return false;
      fill_number(in[k].number, in[k].as, numbers[used].bytes, out.numel);
      from[k] = numbers[used++].bytes;
    }
  }
  fn(out.bytes(), from, out.numel);
  return true;
}

// All operands, ready to start anywhere. They are walked in the order of the
// result's memory.
struct Operands {
  Operands(const TensorImpl& out, DType result, std::span<const Input> in,
           const Order& walk)
      : writer(out, layout_of(out, walk), result),
        n(static_cast<int>(in.size())) {
    writer.stream_if_large();
    for (int k = 0; k < n; ++k) {
      const TensorImpl* t = in[k].tensor;
      readers[k] =
          t ? Reader(*t, broadcast_layout(*t, out.sizes(), walk), in[k].as)
            : Reader(in[k].number, in[k].as);
    }
  }

  Writer writer;
  Reader readers[kMaxInputs];
  int n;
};

// Up to where a piece that starts here may go.
int64_t piece(const Operands& o, int64_t left) {
  const auto limit = [&](int64_t ready) {
    left = std::min(left, ready > 0 ? ready : kTile);
  };
  limit(o.writer.ready());
  for (int k = 0; k < o.n; ++k) limit(o.readers[k].ready_in_tile());
  return left;
}

// `fetches`: the function is so cheap that reading what comes next should not
// wait for it (stream.h).
void run_range(TileFn fn, Operands& o, int64_t begin, int64_t end,
               bool fetches) {
  TileBuffer tiles[kMaxInputs];
  TileBuffer result;
  o.writer.seek(begin);
  for (int k = 0; k < o.n; ++k) o.readers[k].seek(begin);
  for (int64_t i = begin; i < end;) {
    const int64_t n = piece(o, end - i);
    const void* from[kMaxInputs];
    for (int k = 0; k < o.n; ++k) {
      from[k] = o.readers[k].next(n, tiles[k].bytes);
    }
    void* to = o.writer.place(n, result.bytes);
    fn(to, from, n);
    Ahead ahead[kMaxInputs];
    const int count = fetches && o.writer.streams() ? o.n : 0;
    for (int k = 0; k < count; ++k) ahead[k] = o.readers[k].ahead(n);
    o.writer.done(to, n, ahead, count);
    i += n;
  }
  o.writer.finish();
}

}  // namespace

void elementwise(TileFn fn, const TensorImpl& out, DType result,
                 std::span<const Input> in, int64_t grain) {
  if (out.numel == 0 || run_at_once(fn, out, result, in, grain)) return;
  Operands operands(out, result, in, memory_order(out));
  const bool cheap = grain > kCostlyGrain;
  if (out.numel <= grain) return run_range(fn, operands, 0, out.numel, cheap);
  parallel_for(out.numel, grain, [&](int64_t begin, int64_t end) {
    Operands own = operands;
    run_range(fn, own, begin, end, cheap);
  });
}

}  // namespace ferrule::cpu
