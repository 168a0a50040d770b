// `ferrule inspect --dot`: pictures of graphs, to be drawn by Graphviz.
#pragma once

#include <span>
#include <string>

#include "ferrule/program.h"

namespace ferrule::tool {

// Entry points as a graph in the DOT language: inputs above, results below, a
// box for each node, a frame around each entry point and each graph that a node
// runs. Weights are not drawn; a box's tooltip has all of its node.
std::string dot_text(const Program& program,
                     std::span<const Signature* const> entries);

}  // namespace ferrule::tool
