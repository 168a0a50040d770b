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
    c.fail<ValueError>(c.info.schema.params[arg].name, " must lie in ", low,
                       "..2147483647, got ", i.value);
  }
}

// The values of a list argument.
inline Dims dims_of(const OpCall& c, int arg) {
  Dims d;
  for (const Int& i : c.ints(arg)) d.push(i.value);
  return d;
}

// The same for the shape of a result, which has no negative sizes.
inline Dims shape_of(const OpCall& c, int arg) {
  Dims d = dims_of(c, arg);
  for (int64_t n : d) {
    if (n < 0) {
      c.fail<ShapeError>("negative size ", n, " in ",
                         c.info.schema.params[arg].name, " ", d);
    }
  }
  return d;
}

// For an op that unrolls dimension `dim` of argument 0: throws where its size
// is known only when the program runs.
inline void check_known(const OpCall& c, int dim) {
  if (!size_of(&c.in(0), dim).symbolic()) return;
  c.fail<ShapeError>("dimension ", dim,
                     " of a complex tensor is multiplied pair by pair and must "
                     "have a fixed size where it is captured");
}

}  // namespace ferrule
