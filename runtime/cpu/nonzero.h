// Counts what is not zero: nonzero must know it before its result has a shape.
#pragma once

#include "ferrule/tensor.h"

namespace ferrule::cpu {

int64_t count_nonzero(const TensorImpl& t);

}  // namespace ferrule::cpu
