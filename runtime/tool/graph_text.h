// How `ferrule inspect` writes values and nodes.
#pragma once

#include <string>

#include "ferrule/program.h"

namespace ferrule::tool {

// "float32 (batch, 3)"
std::string typed(const Program& program, const Value& value);

// "%4 = conv2d(input=x, weight=w)"
std::string node_line(const Graph& graph, const Node& node);

}  // namespace ferrule::tool
