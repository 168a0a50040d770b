// Checks and result shapes that many op definitions share.
#include "runtime/ops/common.h"

#include <algorithm>

#include "ferrule/ops.h"

namespace ferrule {
namespace {

void infer_operands(OpCall& c, bool to_float) {
  static constexpr int kBoth[] = {0, 1};
  check_real(c, 0);
  check_real(c, 1);
  c.compute = c.promoted(kBoth, to_float);
}

}  // namespace

void check_real(const OpCall& c, int i) {
  if (!c.is_tensor(i) || !is_complex(c.in(i).dtype)) return;
  if (c.info.cpu_complex) return;
  c.fail<DTypeError>("'", c.info.schema.params[i].name, "' is ", c.in(i).dtype,
                     " of shape ", c.in(i).sizes(),
                     "; this op takes real tensors");
}

void check_floating(const OpCall& c, int i) {
  if (!c.is_tensor(i) || is_float(c.in(i).dtype)) return;
  c.fail<DTypeError>("'", c.info.schema.params[i].name,
                     "' must be a floating-point tensor, got ", c.in(i).dtype,
                     " of shape ", c.in(i).sizes(),
                     "; convert it with .float()");
}

void check_in_range(const OpCall& c, int i, DType t) {
  if (c.args[i].tag != ArgTag::int_ || !is_integer(t)) return;
  const int bits = 8 * static_cast<int>(itemsize(t)) - is_signed(t);
  if (bits >= 63) return;
  const int64_t high = (int64_t{1} << bits) - 1;
  const int64_t low = is_signed(t) ? -high - 1 : 0;
  if (c.i(i) >= low && c.i(i) <= high) return;
  c.fail<ValueError>("'", c.info.schema.params[i].name, "' is ", c.i(i),
                     ", which ", t, " (", low, "..", high,
                     ") cannot hold; convert the tensor to a wider dtype");
}

void infer_unary(OpCall& c) {
  check_real(c, 0);
  c.compute = c.in(0).dtype;
  c.out_like(0, 0);
}

void infer_magnitude(OpCall& c) {
  check_real(c, 0);
  c.compute = c.in(0).dtype;
  c.out(0, to_real(c.compute), c.in(0).sizes());
}

void infer_unary_float(OpCall& c) {
  check_real(c, 0);
  const DType t = c.in(0).dtype;
  c.compute = is_differentiable(t) ? t : DType::f32;
  c.out(0, c.compute, c.in(0).sizes());
}

Dims operand_shape(const OpCall& c, std::span<const int> operands) {
  Dims shape;
  bool first = true;
  for (int i : operands) {
    if (!c.is_tensor(i)) continue;
    const auto sizes = c.in(i).sizes();
    shape = first ? Dims(sizes) : broadcast(c, shape, sizes);
    first = false;
  }
  return shape;
}

// Two dense tensors of one shape are the common case.
static void out_broadcast(OpCall& c, DType t) {
  static constexpr int kBoth[] = {0, 1};
  c.out(0, t, operand_shape(c, kBoth));
}

// Two floating tensors of one dtype and shape, the most frequent call by far:
// nothing to promote, nothing to broadcast.
static bool infer_alike(OpCall& c) {
  if (!c.is_tensor(0) || !c.is_tensor(1)) return false;
  const TensorImpl &a = c.in(0), &b = c.in(1);
  if (a.dtype != b.dtype || !is_float(a.dtype) || a.ndim != b.ndim) {
    return false;
  }
  for (int i = 0; i < a.ndim; ++i) {
    if (a.shape[i] != b.shape[i]) return false;
  }
  c.compute = a.dtype;
  c.out_like(0, 0);
  return true;
}

void infer_binary(OpCall& c) {
  if (infer_alike(c)) return;
  infer_operands(c, false);
  for (int i : {0, 1}) check_in_range(c, i, c.compute);
  out_broadcast(c, c.compute);
}

void infer_binary_float(OpCall& c) {
  if (infer_alike(c)) return;
  infer_operands(c, true);
  out_broadcast(c, c.compute);
}

void infer_compare(OpCall& c) {
  infer_operands(c, false);
  out_broadcast(c, DType::bool_);
}

void infer_real_unary(OpCall& c) {
  check_real(c, 0);
  infer_unary(c);
}

void infer_real_unary_float(OpCall& c) {
  check_real(c, 0);
  infer_unary_float(c);
}

void infer_real_binary(OpCall& c) {
  check_real(c, 0);
  check_real(c, 1);
  infer_binary(c);
}

void infer_real_binary_float(OpCall& c) {
  check_real(c, 0);
  check_real(c, 1);
  infer_binary_float(c);
}

void refuse_bool(const OpCall& c, const char* what) {
  if (c.compute != DType::bool_) return;
  c.fail<DTypeError>("bool tensors ", what, "; convert them with .long()");
}

void infer_like_first(OpCall& c) {
  check_floating(c, 0);
  const TensorImpl& first = c.in(0);
  for (int i = 1; i < c.info.schema.n; ++i) {
    if (!c.is_tensor(i)) continue;
    check_floating(c, i);
    if (Dims(c.in(i).sizes()) == Dims(first.sizes())) continue;
    c.fail<ShapeError>("'", c.info.schema.params[i].name, "' has shape ",
                       c.in(i).sizes(), ", but '", c.info.schema.params[0].name,
                       "' has ", first.sizes());
  }
  c.compute = first.dtype;
  c.out_like(0, 0);
}

uint32_t dim_mask(const OpCall& c, int arg, int ndim) {
  if (!c.has(arg) || c.ints(arg).empty()) return (1u << ndim) - 1;
  uint32_t mask = 0;
  for (const Int& given : c.ints(arg)) {
    const int64_t n = ndim > 1 ? ndim : 1;
    if (given.value < -n || given.value >= n) {
      c.fail<IndexError>("dim ", given.value, " is out of range for shape ",
                         c.in(0).sizes(), "; valid: ", -n, "..", n - 1);
    }
    const int d =
        static_cast<int>(given.value < 0 ? given.value + n : given.value);
    if (mask >> d & 1) {
      c.fail<ValueError>("dim ", d, " is named twice; shape is ",
                         c.in(0).sizes());
    }
    mask |= 1u << d;
  }
  return ndim == 0 ? 0 : mask;  // a 0-d tensor has dims -1 and 0, as in torch
}

Dims reduced_shape(std::span<const int64_t> shape, uint32_t mask,
                   bool keepdim) {
  Dims r;
  for (size_t d = 0; d < shape.size(); ++d) {
    const bool gone = mask >> d & 1;
    if (!gone) r.push(shape[d]);
    if (gone && keepdim) r.push(1);
  }
  return r;
}

int64_t reduced_count(std::span<const int64_t> shape, uint32_t mask) {
  int64_t n = 1;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (mask >> d & 1) n *= shape[d];
  }
  return n;
}

DType accumulated_dtype(const OpCall& c, int arg) {
  check_real(c, 0);
  const DType own = c.in(0).dtype;
  const DType t = c.has(arg) ? c.dtype(arg) : is_float(own) ? own : DType::i64;
  if (is_complex(t) || t == DType::bool_) {
    c.fail<DTypeError>("cannot compute in ", t,
                       t == DType::bool_ ? "; use any or all" : "");
  }
  return t;
}

#ifndef FE_RUNTIME_ONLY

namespace {

// Calls the op on part 0 (real) or 1 (imaginary) of its complex arguments.
Results on_part(OpCall& c, int part) {
  Arg args[kMaxArgs];
  Tensor parts[kMaxArgs];
  for (int i = 0; i < c.info.schema.n; ++i) {
    args[i] = c.args[i];
    if (!c.is_tensor(i)) continue;
    if (is_float(c.in(i).dtype)) {
      c.fail<DTypeError>("'", c.info.schema.params[i].name, "' is ",
                         c.in(i).dtype,
                         " beside a complex tensor; convert it with "
                         ".to(dtype)");
    }
    if (!is_complex(c.in(i).dtype)) continue;
    parts[i] = part == 0 ? op::real(c.tensor(i)) : op::imag(c.tensor(i));
    args[i] = Arg(parts[i]);
  }
  return c.op.call(args, c.info.schema.n);
}

}  // namespace

Results by_parts(OpCall& c) {
  // A dtype to compute in: first that.
  const int dtype = c.info.schema.find("dtype");
  if (dtype >= 0 && c.has(dtype)) {
    const Tensor converted = op::cast(c.tensor(0), c.dtype(dtype));
    Arg args[kMaxArgs];
    std::copy_n(c.args, c.info.schema.n, args);
    args[0] = Arg(converted);
    args[dtype] = Arg();
    return c.op.call(args, c.info.schema.n);
  }
  Results real = on_part(c, 0);
  Results imag = on_part(c, 1);
  for (int i = 0; i < real.n; ++i) real[i] = op::complex(real[i], imag[i]);
  return real;
}

Results apart(const OpCall& c, Tensor t) {
  const Storage* own = c.in(0).storage;
  return one(own && t->storage == own ? op::clone(t) : std::move(t));
}

Tensor conj(const Tensor& t) {
  return t && is_complex(t.dtype()) ? op::conj(t) : t;
}

#endif

}  // namespace ferrule
