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

  void seek(int64_t i) {
    writer.seek(i);
    for (int k = 0; k < n; ++k) readers[k].seek(i);
  }

  Writer writer;
  Reader readers[kMaxInputs];
  int n;
};

// Up to where a piece that starts here may go; `room` is what the result's
// memory takes at once, 0 where it takes copies.
int64_t piece(const Operands& o, int64_t room, int64_t left) {
  const auto limit = [&](int64_t ready) {
    left = std::min(left, ready > 0 ? ready : kTile);
  };
  limit(room);
  for (int k = 0; k < o.n; ++k) limit(o.readers[k].ready_in_tile());
  return left;
}

void run_range(TileFn fn, Operands& o, int64_t begin, int64_t end) {
  TileBuffer tiles[kMaxInputs];
  TileBuffer result;
  o.seek(begin);
  for (int64_t i = begin; i < end;) {
    const int64_t n = piece(o, o.writer.ready(), end - i);
    const void* from[kMaxInputs];
    for (int k = 0; k < o.n; ++k) {
      from[k] = o.readers[k].next(n, tiles[k].bytes);
    }
    void* to = o.writer.place(n, result.bytes);
    fn(to, from, n);
    Ahead ahead[kMaxInputs];
    const int count = o.writer.streams() ? o.n : 0;
    for (int k = 0; k < count; ++k) ahead[k] = o.readers[k].ahead(n);
    o.writer.done(to, n, ahead, count);
    i += n;
  }
  o.writer.finish();
}

// The same without a copy of the result: the function itself writes past the
// caches, whole lines of the result's memory.
void run_range_past_caches(const Tile& tile, Operands& o, int64_t begin,
                           int64_t end) {
  TileBuffer tiles[kMaxInputs];
  o.seek(begin);
  const int64_t bytes = o.writer.element_bytes();
  const int64_t line = kLine / bytes;
  for (int64_t i = begin; i < end;) {
    char* to = o.writer.here();
    // Elements that the line before this one still lacks.
    const int64_t lacking =
        static_cast<int64_t>(-reinterpret_cast<uintptr_t>(to) % kLine) / bytes;
    int64_t n = piece(o, end - i, lacking > 0 ? lacking : end - i);
    const bool whole_lines = lacking == 0 && n >= line;
    if (whole_lines) n -= n % line;
    const void* from[kMaxInputs];
    for (int k = 0; k < o.n; ++k) {
      from[k] = o.readers[k].next(n, tiles[k].bytes);
    }
    (whole_lines ? tile.past_caches : tile.fn)(to, from, n);
    o.writer.done(to, n);
    i += n;
  }
  o.writer.finish();
}

void run_range(const Tile& tile, Operands& o, int64_t begin, int64_t end) {
  if (tile.past_caches && o.writer.streams_in_place()) {
    run_range_past_caches(tile, o, begin, end);
  } else {
    run_range(tile.fn, o, begin, end);
  }
}

}  // namespace

void elementwise(Tile tile, const TensorImpl& out, DType result,
                 std::span<const Input> in, int64_t grain) {
  if (out.numel == 0 || run_at_once(tile.fn, out, result, in, grain)) return;
  Operands operands(out, result, in, memory_order(out));
  if (out.numel <= grain) return run_range(tile, operands, 0, out.numel);
  parallel_for(out.numel, grain, [&](int64_t begin, int64_t end) {
    Operands own = operands;
    run_range(tile, own, begin, end);
  });
}

}  // namespace ferrule::cpu
