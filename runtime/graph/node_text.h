// How values and arguments of a graph's nodes are written for people.
#pragma once

#include <string>

#include "ferrule/program.h"

namespace ferrule {

// Its name, or "%7".
std::string value_name(const Graph& graph, int32_t value);

// "x", "0.5", "(1, 1)"; "4*" for what is computed from sizes and was 4 when the
// graph was captured.
std::string arg_text(const Graph& graph, const NodeArg& arg);

}  // namespace ferrule
