// The kernels that ops have for complex operands beside those for real ones.
#pragma once

#include <span>

#include "ferrule/op.h"

namespace ferrule::cpu {

std::span<const KernelDef> complex_kernels();

}  // namespace ferrule::cpu
