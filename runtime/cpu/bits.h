// And, or, xor of dense memory.
#pragma once

#include "runtime/cpu/elementwise.h"

namespace ferrule::cpu {

enum class Bits : uint8_t { and_, or_, xor_ };

// On elements of 1, 2, 4 or 8 bytes, whatever they are.
FE_SIMD(TileFn bits_tile(Bits op, int64_t itemsize);)

}  // namespace ferrule::cpu
