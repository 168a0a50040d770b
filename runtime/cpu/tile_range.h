// Walks the elements of a result and of its operands, tile by tile.
#pragma once

#include <algorithm>
#include <span>

#include "runtime/cpu/cursor.h"
#include "runtime/cpu/elementwise.h"

namespace ferrule::cpu {

// All operands, ready to start anywhere. They are walked in the order of the
// result's memory.
template <int kMost>
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

  // Up to where a piece that starts here may go; `room` is what the result's
  // memory takes at once, 0 where it takes copies.
  int64_t piece(int64_t room, int64_t left) const {
    const auto limit = [&](int64_t ready) {
      left = std::min(left, ready > 0 ? ready : kTile);
    };
    limit(room);
    for (int k = 0; k < n; ++k) limit(readers[k].ready_in_tile());
    return left;
  }

  Writer writer;
  Reader readers[kMost];
  int n;
};

// Calls fn(out, in, n) for pieces of at most `most` elements.
template <int kMost, class Fn>
void run_range(const Fn& fn, Operands<kMost>& o, int64_t begin, int64_t end,
               int64_t most = INT64_MAX) {
  TileBuffer tiles[kMost];
  TileBuffer result;
  o.seek(begin);
  for (int64_t i = begin; i < end;) {
    const int64_t n = o.piece(o.writer.ready(), std::min(most, end - i));
    const void* from[kMost];
    for (int k = 0; k < o.n; ++k) {
      from[k] = o.readers[k].next(n, tiles[k].bytes);
    }
    void* to = o.writer.place(n, result.bytes);
    fn(to, from, n);
    Ahead ahead[kMost];
    const int count = o.writer.streams() ? o.n : 0;
    for (int k = 0; k < count; ++k) ahead[k] = o.readers[k].ahead(n);
    o.writer.done(to, n, ahead, count);
    i += n;
  }
  o.writer.finish();
}

}  // namespace ferrule::cpu
