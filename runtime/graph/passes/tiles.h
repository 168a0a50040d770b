// Pass "tiles": elementwise calls that follow on each other run together, tile
// by tile (runtime/cpu/tile_program.h). What lies between them needs no memory.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "runtime/cpu/tile_program.h"
#include "runtime/graph/bound_graph.h"

namespace ferrule {

struct TiledCalls {
  std::vector<int32_t> nodes;  // in order: all run where the last one stands
  cpu::TileProgram program;

  int32_t tail() const { return nodes.back(); }
};

// `done`: nodes that do not run, or with others.
std::deque<TiledCalls> find_tiles(const BoundGraph& bound,
                                  std::span<const StateUpdate> updates,
                                  const std::vector<bool>& done);

}  // namespace ferrule
