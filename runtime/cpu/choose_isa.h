// Chooses the instruction set while the program runs: to compare results.
#pragma once

#include <string_view>
#include <vector>

namespace ferrule::cpu {

// Those of this machine, the least first.
std::vector<const char*> machine_isas();

// Kernels that start from now on use this one. No other thread may run a model
// meanwhile, and sessions that exist must not run again: the forms in which
// they keep weights depend on it. Throws ValueError that lists what there is.
void choose_isa(std::string_view name);

}  // namespace ferrule::cpu
