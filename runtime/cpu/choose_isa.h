// What instruction sets there are, and choosing one while the program runs: to
// compare results.
#pragma once

#include <string_view>
#include <vector>

namespace ferrule::cpu {

// Throws DeviceError where this build has no kernels for this machine.
void check_machine();

// Those of this machine, the least first.
std::vector<const char*> machine_isas();

// Kernels that start from now on use this one. No other thread may run a model
// meanwhile, and sessions that exist must not run again: the forms in which
// they keep weights depend on it. Throws ValueError that lists what there is.
void choose_isa(std::string_view name);

}  // namespace ferrule::cpu
