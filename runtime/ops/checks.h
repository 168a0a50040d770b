// Checks of arguments that several definitions share.
#pragma once

#include <initializer_list>

#include "ferrule/op.h"

namespace ferrule {

// The tensors among these arguments must have one dtype.
inline void require_same_dtype(const OpCall& c,
                               std::initializer_list<int> arguments) {
  int first = -1;
  for (int i : arguments) {
    if (!c.is_tensor(i)) continue;
    if (first < 0) first = i;
    if (c.in(i).dtype == c.in(first).dtype) continue;
    const auto& params = c.info.schema.params;
    c.fail<DTypeError>("'", params[first].name, "' is ", c.in(first).dtype,
                       " and '", params[i].name, "' is ", c.in(i).dtype,
                       "; convert one of them with .to(dtype)");
  }
}

// Every int of list argument `arg` lies in [low, 2^31), so that geometry made
// from them does not overflow.
inline void require_ints(const OpCall& c, int arg, int64_t low) {
  for (const Int& i : c.ints(arg)) {
    if (i.value >= low && i.value < int64_t{1} << 31) continue;
    c.fail<ValueError>(c.info.schema.params[arg].name, " must be ",
                       low == 0 ? "0 or more" : "1 or more", ", got ", i.value);
  }
}

// The values of a list argument, as a shape.
inline Dims dims_of(const OpCall& c, int arg) {
  Dims d;
  for (const Int& i : c.ints(arg)) d.push(i.value);
  return d;
}

}  // namespace ferrule
