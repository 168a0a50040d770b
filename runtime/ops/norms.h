// The norm of vectors, which several definitions are written with.
#pragma once

#include "ferrule/op.h"

namespace ferrule {

#ifndef FE_RUNTIME_ONLY

// The norm of order `p` of the call's argument 0 over the dimensions that its
// argument `dim_at` names, computed in the dtype of argument `dtype_at`.
Tensor vector_norm(const OpCall& c, double p, int dim_at, bool keepdim,
                   int dtype_at);
// (sum x^p)^(1/p) of numbers that are not negative, for 0 < p < infinity. Where
// a norm is 0 its gradient is 0 too, and not the quotient of nothings that the
// formula gives.
Tensor power_norm(const Tensor& x, double p, const Arg& dim,
                  const Arg& keepdim);

#endif

}  // namespace ferrule
