// Cuts elementwise work into ranges and tiles.
#include "runtime/cpu/elementwise.h"

#include <cstring>

#include "runtime/core/thread_pool.h"
#include "runtime/cpu/tile_range.h"

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

// run_range without a copy of the result: the function itself writes past the
// caches, whole lines of the result's memory.
void run_range_past_caches(const Tile& tile, Operands<kMaxInputs>& o,
                           int64_t begin, int64_t end) {
  TileBuffer tiles[kMaxInputs];
  o.seek(begin);
  const int64_t bytes = o.writer.element_bytes();
  const int64_t line = kLine / bytes;
  for (int64_t i = begin; i < end;) {
    char* to = o.writer.here();
    // Elements that the line before this one still lacks.
    const int64_t lacking =
        static_cast<int64_t>(-reinterpret_cast<uintptr_t>(to) % kLine) / bytes;
    int64_t n = o.piece(end - i, lacking > 0 ? lacking : end - i);
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

void run_range(const Tile& tile, Operands<kMaxInputs>& o, int64_t begin,
               int64_t end) {
  if (tile.past_caches && o.writer.streams_in_place()) {
    run_range_past_caches(tile, o, begin, end);
  } else {
    run_range<kMaxInputs>(tile.fn, o, begin, end);
  }
}

void run_in_tiles(const Tile& tile, const TensorImpl& out, DType result,
                  std::span<const Input> in, int64_t grain) {
  Operands<kMaxInputs> operands(out, result, in, memory_order(out));
  if (out.numel <= grain) return run_range(tile, operands, 0, out.numel);
  parallel_for(out.numel, grain, [&](int64_t begin, int64_t end) {
    Operands<kMaxInputs> own = operands;
    run_range(tile, own, begin, end);
  });
}

// Inlined in its two callers: small tensors pay for calls.
[[gnu::always_inline]] inline void run(const Tile& tile, const TensorImpl& out,
                                       DType result, std::span<const Input> in,
                                       int64_t grain) {
  if (out.numel == 0 || run_at_once(tile.fn, out, result, in, grain)) return;
  run_in_tiles(tile, out, result, in, grain);
}

}  // namespace

void elementwise(Tile tile, const TensorImpl& out, DType result,
                 std::span<const Input> in, int64_t grain) {
  run(tile, out, result, in, grain);
}

void run_tiles(OpCall& c, void (*tiles)(const OpCall&, TileSink&)) {
  struct Run final : TileSink {
    const TensorImpl& out;
    explicit Run(const TensorImpl& out) : out(out) {}
    void take(const Tile& tile, DType result, std::span<const Input> in,
              int64_t grain) override {
      run(tile, out, result, in, grain);
    }
  } to(c.out_impl());
  tiles(c, to);
}

namespace {

template <size_t bytes>
void copy(void* out, const void* const* in, int64_t n) {
  std::memmove(out, in[0], static_cast<size_t>(n) * bytes);
}

}  // namespace

TileFn copy_tile(int64_t itemsize) {
  if (itemsize == 1) return copy<1>;
  if (itemsize == 2) return copy<2>;
  return itemsize == 4 ? copy<4> : itemsize == 8 ? copy<8> : copy<16>;
}

}  // namespace ferrule::cpu
