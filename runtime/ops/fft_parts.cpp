// Operands, sizes and scales of Fourier transforms.
#include "runtime/ops/fft_parts.h"

#include <vector>

#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {

#ifndef FE_RUNTIME_ONLY

namespace {

void check_count(const OpCall& c, Int n, int dim) {
  if (n.value >= 1) return;
  c.fail<ValueError>("a transform has 1 number or more, got ", n.value,
                     " along dimension ", dim, " of input shape ",
                     c.in(0).sizes());
}

}  // namespace

Tensor fft_operand(const OpCall& c, const char* instead) {
  const DType t = c.in(0).dtype;
  if (instead && is_complex(t)) {
    c.fail<DTypeError>("'input' is ", t, " of shape ", c.in(0).sizes(),
                       "; this transform takes real tensors, call ", instead);
  }
  if (t == DType::f16 || t == DType::bf16) {
    c.fail<DTypeError>("'input' is ", t, " of shape ", c.in(0).sizes(),
                       "; transforms are computed in float32 or float64, "
                       "convert it with .float()");
  }
  return is_differentiable(t) ? c.tensor(0) : op::cast(c.tensor(0), DType::f32);
}

Tensor fft_coefficients(const OpCall& c) {
  const Tensor x = fft_operand(c);
  return is_complex(x.dtype()) ? x : op::cast(x, to_complex(x.dtype()));
}

Tensor fft_resized(const OpCall& c, const Tensor& x, int dim, Int n) {
  check_count(c, n, dim);
  const Int size = size_of(x.impl(), dim);
  const bool fixed = !size.symbolic() && !n.symbolic();
  if (fixed && n.value == size.value) return x;
  const Int kept = combine(IntOp::min, n, size);
  const Tensor first = op::slice(x, dim, 0, kept);
  if (fixed && kept.value == n.value) return first;
  IntList rest = sizes_of(x.impl());
  rest[dim] = n - kept;
  const Tensor zeros = op::zeros(rest, x.dtype(), device_of(x));
  return op::cat(std::vector<Tensor>{first, zeros}, dim);
}

const char* fft_scale(const OpCall& c, int norm, bool forward) {
  const std::string_view name = c.has(norm) ? c.str(norm) : "backward";
  if (name == "ortho") return "1/sqrt n";
  if (name != "forward" && name != "backward") {
    c.fail<ValueError>("norm must be 'forward', 'backward' or 'ortho', got '",
                       name, "'");
  }
  return forward == (name == "forward") ? "1/n" : "1";
}

FftDims::FftDims(const OpCall& c, bool last_two) {
  const TensorImpl& x = c.in(0);
  const bool sized = c.has(1);
  const int sizes = sized ? static_cast<int>(c.ints(1).size()) : 0;
  if (c.has(2)) {
    for (const Int& d : c.ints(2)) {
      if (n == kMaxRank) break;
      dim[n++] = OpCall::wrap_dim(c, d.value, x.ndim);
    }
  } else {
    n = last_two ? 2 : sized ? sizes : x.ndim;
    if (n > x.ndim) {
      c.fail<ShapeError>("a transform of ", n,
                         " dimensions needs as many, got ", "input of shape ",
                         x.sizes());
    }
    for (int k = 0; k < n; ++k) dim[k] = x.ndim - n + k;
  }
  for (int k = 0; k < n; ++k) {
    for (int j = 0; j < k; ++j) {
      if (dim[j] != dim[k]) continue;
      c.fail<ValueError>("dim names dimension ", dim[k], " twice; shape is ",
                         x.sizes());
    }
  }
  if (sized && sizes != n) {
    c.fail<ValueError>("s has ", sizes, " sizes for ", n, " dimensions");
  }
  for (int k = 0; k < n; ++k) {
    size[k] = size_of(&x, dim[k]);
    if (!sized || c.ints(1)[k].value == -1) continue;
    size[k] = c.ints(1)[k];
    given[k] = true;
  }
}

void FftDims::require_one(const OpCall& c) const {
  if (n > 0) return;
  c.fail<ShapeError>("there must be a dimension to transform, got input of ",
                     "shape ", c.in(0).sizes());
}

#endif

}  // namespace ferrule
