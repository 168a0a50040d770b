// What a run carries from node to node, into loops and choices too.
#pragma once

#include <atomic>
#include <cstdint>

#include "ferrule/session.h"

namespace ferrule {

enum class RunState : uint8_t { idle, running, cancelled };

struct RunContext {
  RngState& rng;  // advances by one tick for each node that draws
  const std::atomic<RunState>& state;
  RunWatcher* watcher;  // null: nobody looks
  int depth = 0;        // of graphs that are run by nodes

  void stop_if_cancelled() const {
    if (state.load(std::memory_order_relaxed) == RunState::cancelled)
        [[unlikely]] {
      throw CancelledError("the run was cancelled");
    }
  }
  RunContext inner() const { return {rng, state, watcher, depth + 1}; }
};

}  // namespace ferrule
