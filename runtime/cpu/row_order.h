// Dimensions in the order in which elements are numbered, whatever the strides.
#pragma once

#include "runtime/cpu/cursor.h"

namespace ferrule::cpu {

inline Order row_order(int ndim) {
  Order order;
  for (int d = 0; d < ndim; ++d) order.push(d);
  return order;
}

}  // namespace ferrule::cpu
