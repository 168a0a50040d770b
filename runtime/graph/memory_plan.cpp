// Greedy placement by size.
#include "runtime/graph/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "ferrule/error.h"

namespace ferrule {
namespace {

constexpr int64_t kAlign = 64;

// The lowest end of the smallest gap of at least `bytes` between `placed`,
// which are sorted by offset and may overlap each other.
int64_t best_gap(const std::vector<const MemoryBlock*>& placed, int64_t bytes) {
  int64_t best = -1, best_size = INT64_MAX, end = 0;
  for (const MemoryBlock* b : placed) {
    const int64_t gap = b->offset - end;
    if (gap >= bytes && gap < best_size) {
      best = end;
      best_size = gap;
    }
    end = std::max(end, b->offset + b->bytes);
  }
  return best >= 0 ? best : end;
}

}  // namespace

int64_t plan_memory(std::vector<MemoryBlock>& blocks, int64_t limit) {
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (MemoryBlock& b : blocks) {
    if (b.bytes > limit) {
      fail<MemoryError>("a value of ", b.bytes, " bytes is over the cap of ",
                        limit, " bytes of memory");
    }
    b.bytes = (b.bytes + kAlign - 1) / kAlign * kAlign;
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return blocks[a].bytes != blocks[b].bytes
               ? blocks[a].bytes > blocks[b].bytes
               : a < b;
  });
  // All placed so far, by offset.
  std::vector<const MemoryBlock*> placed, alive;
  int64_t total = 0;
  for (size_t i : order) {
    MemoryBlock& b = blocks[i];
    if (b.bytes == 0) continue;
    alive.clear();
    for (const MemoryBlock* o : placed) {
      if (o->first <= b.last && b.first <= o->last) alive.push_back(o);
    }
    b.offset = best_gap(alive, b.bytes);
    total = std::max(total, b.offset + b.bytes);
    if (total > limit) {
      fail<MemoryError>("needs ", total, " bytes or more, over the cap of ",
                        limit, " bytes of memory");
    }
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &b,
                                   [](const auto* x, const auto* y) {
                                     return x->offset < y->offset;
                                   }),
                  &b);
  }
  return total;
}

}  // namespace ferrule
