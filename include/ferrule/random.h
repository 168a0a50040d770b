// Where random numbers come from: generators with a state {seed, offset}. Each
// random op takes one tick of the offset, so CPU, GPU and C++ runtime draw the
// same numbers.
#pragma once

#include <cstdint>
#include <mutex>

namespace ferrule {

struct RngState {
  uint64_t seed = 0;
  uint64_t offset = 0;
};

// Safe to use from several threads; each tick goes to one of them.
class Generator {
 public:
  explicit Generator(RngState state = {}) : state_(state) {}
  RngState state() const {
    std::lock_guard lock(mutex_);
    return state_;
  }
  void set_state(RngState state) {
    std::lock_guard lock(mutex_);
    state_ = state;
  }
  void manual_seed(uint64_t seed) { set_state({seed, 0}); }
  // State for one op, or for several one after the other; advances the offset.
  RngState tick(uint64_t ops = 1) {
    std::lock_guard lock(mutex_);
    RngState now = state_;
    state_.offset += ops;
    return now;
  }

 private:
  mutable std::mutex mutex_;
  RngState state_;
};

// The process's own: what ops draw from if nothing else is said.
Generator& default_generator();
inline void manual_seed(uint64_t seed) {
  default_generator().manual_seed(seed);
}
inline RngState rng_state() { return default_generator().state(); }
inline void set_rng_state(RngState state) {
  default_generator().set_state(state);
}

// While it lives, the random ops of this thread draw from `g`.
class UseGenerator {
 public:
  explicit UseGenerator(Generator& g);
  ~UseGenerator();
  UseGenerator(const UseGenerator&) = delete;

 private:
  Generator* before_;
};
// A tick of the generator in use on this thread.
RngState next_tick();

}  // namespace ferrule
