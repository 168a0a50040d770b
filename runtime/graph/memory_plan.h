// Where intermediate values live: one arena, blocks shared by values that are
// never alive together.
#pragma once

#include <cstdint>
#include <vector>

namespace ferrule {

struct MemoryBlock {
  int64_t bytes = 0;
  // Alive while nodes [first, last] run.
  int32_t first = 0, last = 0;
  int64_t offset = 0;  // the result; a multiple of 64
};

// Places the largest block first, each into the smallest gap that holds it
// among those alive at the same time (Pisarchyk & Lee, "Efficient memory
// management for deep neural net inference", 2020). Returns the arena's size.
// Throws MemoryError beyond `limit`.
int64_t plan_memory(std::vector<MemoryBlock>& blocks, int64_t limit);

}  // namespace ferrule
