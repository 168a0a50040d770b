// Counts what is not zero: argwhere and masked_select must know it before their
// results have a shape.
#pragma once

#include "ferrule/tensor.h"

namespace ferrule::cpu {

int64_t count_nonzero(const TensorImpl& t);

}  // namespace ferrule::cpu
