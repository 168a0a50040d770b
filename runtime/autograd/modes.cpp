// Recording modes and the random state of the process.
#include "runtime/autograd/modes.h"

#include <mutex>

#include "ferrule/autograd.h"
#include "ferrule/random.h"

namespace ferrule {

bool grad_enabled() { return modes.grad; }
void set_grad_enabled(bool on) { modes.grad = on; }
bool inference_mode() { return modes.inference; }
void set_inference_mode(bool on) {
  modes.inference = on;
  modes.grad = !on;
}

void set_decompose(bool on) { modes.decompose = on; }

namespace {

std::mutex rng_mutex;
RngState rng;

}  // namespace

void manual_seed(uint64_t seed) { set_rng_state({seed, 0}); }

RngState rng_state() {
  std::lock_guard lock(rng_mutex);
  return rng;
}

void set_rng_state(RngState state) {
  std::lock_guard lock(rng_mutex);
  rng = state;
}

RngState next_tick() {
  std::lock_guard lock(rng_mutex);
  RngState now = rng;
  ++rng.offset;
  return now;
}

}  // namespace ferrule
