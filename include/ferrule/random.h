// The process's random state: {seed, offset}. Each random op takes one tick of
// the offset, so CPU, GPU and C++ runtime draw the same numbers.
#pragma once

#include <cstdint>

namespace ferrule {

struct RngState {
  uint64_t seed = 0;
  uint64_t offset = 0;
};

void manual_seed(uint64_t seed);  // offset starts again at 0
RngState rng_state();
void set_rng_state(RngState state);
// State for one op; advances the offset.
RngState next_tick();

}  // namespace ferrule
