// New tensors of known values.
#include <cmath>

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

// dtype of a value, as PyTorch finds it for full and arange.
DType number_dtype(const Arg& a) {
  if (a.is_tensor()) return a.tensor->dtype;
  return a.tag == ArgTag::bool_  ? DType::bool_
         : a.tag == ArgTag::int_ ? DType::i64
                                 : DType::f32;
}

DType dtype_or(const OpCall& c, int arg, DType fallback) {
  return c.has(arg) ? c.dtype(arg) : fallback;
}

DType real_dtype_or(const OpCall& c, int arg, DType fallback) {
  const DType t = dtype_or(c, arg, fallback);
  if (is_complex(t)) {
    c.fail<DTypeError>("counts in real numbers, got dtype ", t);
  }
  return t;
}

// full, full_like: argument 1 is a number or a 0-d tensor, and fits into `t`.
void check_fill_value(const OpCall& c, DType t) {
  check_in_range(c, 1, t);
  if (!c.is_tensor(1) || c.in(1).ndim == 0) return;
  c.fail<ShapeError>("fill_value must be a number or a 0-d tensor, got shape ",
                     c.in(1).sizes());
}

// zeros, ones, empty: size, dtype, device.
void infer_filled(OpCall& c) {
  c.out(0, dtype_or(c, 1, DType::f32), shape_of(c, 0));
}

// NAME_like: input, ..., dtype, device from `first` on.
void infer_like(OpCall& c, int first) {
  if (c.has(first + 1) && !c.device.is_graph()) {
    c.device = c.args[first + 1].device;
  }
  c.out(0, dtype_or(c, first, c.in(0).dtype), c.in(0).sizes());
}

void infer_arange(OpCall& c) {
  // arange(end), arange(start, end), arange(start, end, step)
  const bool whole = !c.has(1);
  const Arg zero(0);
  const Arg& start = whole ? zero : c.args[0];
  const Arg& end = whole ? c.args[0] : c.args[1];
  const Arg& step = c.args[2];
  const bool exact = start.tag != ArgTag::float_ && end.tag != ArgTag::float_ &&
                     step.tag != ArgTag::float_;
  const double from = whole ? 0.0 : c.number(0);
  const double to = whole ? c.number(0) : c.number(1);
  const double by = c.number(2);
  if (!std::isfinite(from) || !std::isfinite(to) || !std::isfinite(by)) {
    c.fail<ValueError>("start, end and step must be finite, got ", from, ", ",
                       to, ", ", by);
  }
  if (by == 0) c.fail<ValueError>("step must not be 0");
  if (from != to && (from < to) != (by > 0)) {
    c.fail<ValueError>("no step of ", by, " leads from ", from, " to ", to);
  }
  double length = std::ceil((to - from) / by);
  if (exact && std::abs(length) < 0x1p53) {
    const int64_t span =
        apply(IntOp::sub, whole ? c.i(0) : c.i(1), whole ? 0 : c.i(0));
    // -(span // -step): rounded up.
    length = static_cast<double>(
        apply(IntOp::sub, 0, apply(IntOp::floordiv, span, -c.i(2))));
  }
  if (length > static_cast<double>(kMaxNumel)) {
    c.fail<ShapeError>("from ", from, " to ", to, " by ", by,
                       " there are more than 2^56 numbers");
  }
  c.out(0, real_dtype_or(c, 3, exact ? DType::i64 : DType::f32),
        Dims{static_cast<int64_t>(length)});
}

// A number a sample fills as a tensor that is repeated.
[[maybe_unused]] Results batch_filled(Batch& b, IntList sizes, DType dtype) {
  Tensor value = op::cast(b.whole(1), dtype);
  IntList shape{b.size}, ones{b.size};
  for (const Int n : sizes) {
    shape.push(n);
    ones.push(1);
  }
  return one(op::clone(op::expand(op::reshape(value, ones), shape)));
}
[[maybe_unused]] Results batch_full(Batch& b) {
  const DType dtype =
      b.args[2].is_none() ? b.in[1].tensor.dtype() : b.args[2].dtype;
  IntList sizes;
  for (const Int n : b.ints[0]) sizes.push(n);
  return batch_filled(b, sizes, dtype);
}
[[maybe_unused]] Results batch_full_like(Batch& b) {
  if (!b.batched(1)) return b.run();
  const DType dtype =
      b.args[2].is_none() ? b.in[0].tensor.dtype() : b.args[2].dtype;
  return batch_filled(b, b.sizes(0), dtype);
}

}  // namespace

extern const OpDef full_op = {
    .name = "full",
    .sig = "size: int[], fill_value: Operand, dtype: dtype? = None, "
           "device: device? = None",
    .doc = FE_DOC(R"(A tensor filled with one number.

Args:
    size: the shape.
    fill_value: the number; also a 0-d tensor.
    dtype: None is bool, int64, float32 or complex64, by the kind of the number,
        or that of the tensor.
    device: None is the CPU.

Returns:
    Shape `size`.

Raises:
    ShapeError: a negative size, or a fill_value with dimensions.
    ValueError: the dtype cannot hold an integer so large.

Example:
    >>> import ferrule as fe
    >>> fe.full((2,), 1.5).tolist()
    [1.5, 1.5]

Source: numpy.full.
)"),
    .examples = FE_DOC("(2, 3), 1.5\n(4,), 7\n(), True\n(0, 2), 1.0\n"
                       "(2, 2), f()"),
    .reference = FE_DOC("np.full(size, fill_value)"),
    .where = kFunction,
    .infer =
        [](OpCall& c) {
          const DType t = dtype_or(c, 2, number_dtype(c.args[1]));
          check_fill_value(c, t);
          c.out(0, t, shape_of(c, 0));
        },
    .vjp = FE_GRAD([](Vjp& v) { v.set(1, v.grad()); }),
    .batch = FE_GRAD(batch_full),
};

extern const OpDef zeros_op = {
    .name = "zeros",
    .sig = "size: int[], dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(A tensor of zeros.

Args:
    size: the shape.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape `size`.

Raises:
    ShapeError: a negative size.

Example:
    >>> import ferrule as fe
    >>> fe.zeros((2,)).tolist()
    [0.0, 0.0]

Source: numpy.zeros.
)"),
    .examples = FE_DOC("(2, 3)\n()\n(0, 2)"),
    .reference = FE_DOC("np.zeros(size)"),
    .where = kFunction,
    .infer = infer_filled,
};

extern const OpDef ones_op = {
    .name = "ones",
    .sig = "size: int[], dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(A tensor of ones.

Args:
    size: the shape.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape `size`.

Raises:
    ShapeError: a negative size.

Example:
    >>> import ferrule as fe
    >>> fe.ones((2,), fe.int64).tolist()
    [1, 1]

Source: numpy.ones.
)"),
    .examples = FE_DOC("(2, 3)\n()\n(0, 2)"),
    .reference = FE_DOC("np.ones(size)"),
    .where = kFunction,
    .infer = infer_filled,
};

extern const OpDef empty_op = {
    .name = "empty",
    .sig = "size: int[], dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(A tensor whose values are whatever is in memory.

Args:
    size: the shape.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape `size`.

Raises:
    ShapeError: a negative size.

Example:
    >>> import ferrule as fe
    >>> fe.empty((2, 3)).shape
    (2, 3)

Source: numpy.empty.
)"),
    .examples = FE_DOC("(0, 3)"),
    .reference = FE_DOC("np.empty(size)"),
    .where = kFunction,
    .infer = infer_filled,
};

extern const OpDef full_like_op = {
    .name = "full_like",
    .sig = "input: Tensor, fill_value: Operand, dtype: dtype? = None, "
           "device: device? = None",
    .doc = FE_DOC(R"(A tensor of the shape of another, filled with one number.

Args:
    input: gives the shape.
    fill_value: the number; also a 0-d tensor.
    dtype: None is that of `input`.
    device: None is that of `input`.

Returns:
    Shape of `input`.

Raises:
    DeviceError: there is no such device.
    ShapeError: `fill_value` has dimensions.
    ValueError: the dtype cannot hold an integer so large.

Example:
    >>> import ferrule as fe
    >>> fe.full_like(fe.zeros((2,)), 3).tolist()
    [3.0, 3.0]

Source: numpy.full_like.
)"),
    .examples = FE_DOC("f(2, 3), 1.5\nf(), 2"),
    .reference = FE_DOC("np.full(input.shape, fill_value)"),
    .where = kFunction,
    .infer =
        [](OpCall& c) {
          check_fill_value(c, dtype_or(c, 2, c.in(0).dtype));
          infer_like(c, 2);
        },
    .vjp = FE_GRAD([](Vjp& v) { v.set(1, v.grad()); }),
    .batch = FE_GRAD(batch_full_like),
};

extern const OpDef zeros_like_op = {
    .name = "zeros_like",
    .sig = "input: Tensor, dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(A tensor of zeros of the shape of another.

Args:
    input: gives the shape.
    dtype: None is that of `input`.
    device: None is that of `input`.

Returns:
    Shape of `input`.

Raises:
    DeviceError: there is no such device.

Example:
    >>> import ferrule as fe
    >>> fe.zeros_like(fe.ones((2,))).tolist()
    [0.0, 0.0]

Source: numpy.zeros_like.
)"),
    .examples = FE_DOC("f(2, 3)\nf()"),
    .reference = FE_DOC("np.zeros(input.shape)"),
    .where = kFunction,
    .infer = [](OpCall& c) { infer_like(c, 1); },
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef ones_like_op = {
    .name = "ones_like",
    .sig = "input: Tensor, dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(A tensor of ones of the shape of another.

Args:
    input: gives the shape.
    dtype: None is that of `input`.
    device: None is that of `input`.

Returns:
    Shape of `input`.

Raises:
    DeviceError: there is no such device.

Example:
    >>> import ferrule as fe
    >>> fe.ones_like(fe.zeros((2,))).tolist()
    [1.0, 1.0]

Source: numpy.ones_like.
)"),
    .examples = FE_DOC("f(2, 3)\nf()"),
    .reference = FE_DOC("np.ones(input.shape)"),
    .where = kFunction,
    .infer = [](OpCall& c) { infer_like(c, 1); },
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef empty_like_op = {
    .name = "empty_like",
    .sig = "input: Tensor, dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(A tensor of the shape of another; its values are arbitrary.

Args:
    input: gives the shape.
    dtype: None is that of `input`.
    device: None is that of `input`.

Returns:
    Shape of `input`.

Raises:
    DeviceError: there is no such device.

Example:
    >>> import ferrule as fe
    >>> fe.empty_like(fe.zeros((2, 3))).shape
    (2, 3)

Source: numpy.empty_like.
)"),
    .examples = FE_DOC("f(0, 3)"),
    .reference = FE_DOC("np.empty(input.shape)"),
    .where = kFunction,
    .infer = [](OpCall& c) { infer_like(c, 1); },
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef arange_op = {
    .name = "arange",
    .sig = "start: Scalar, end: Scalar? = None, step: Scalar = 1, "
           "dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(
        R"(Numbers at equal distances: arange(end), arange(start, end, step).

Args:
    start: the first number, 0 if only one is given.
    end: the border, which is not reached.
    step: the distance; it may be negative.
    dtype: None is int64 if all numbers are ints, else float32.
    device: None is the CPU.

Returns:
    Shape (ceil((end - start) / step),): start + i step.

Raises:
    ValueError: the step is 0 or leads away from `end`.

Example:
    >>> import ferrule as fe
    >>> fe.arange(3).tolist(), fe.arange(1, 2, 0.5).tolist()
    ([0, 1, 2], [1.0, 1.5])

Source: numpy.arange.
)"),
    .examples = FE_DOC("5\n2, 9\n9, 2, -3\n0.0, 1.0, 0.3\n4, 4\n-2"
                       ", 2, 0.5"),
    .reference = FE_DOC("np.arange(0 if end is None else start, "
                        "start if end is None else end, step)"),
    .where = kFunction,
    .infer = infer_arange,
};

extern const OpDef linspace_op = {
    .name = "linspace",
    .sig = "start: Scalar, end: Scalar, steps: int, dtype: dtype? = None, "
           "device: device? = None",
    .doc = FE_DOC(R"(Numbers at equal distances, both borders included.

Args:
    start, end: the first and the last number.
    steps: how many.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (steps,).

Raises:
    ValueError: a negative number of steps.

Example:
    >>> import ferrule as fe
    >>> fe.linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]

Source: numpy.linspace.
)"),
    .examples = FE_DOC("0, 1, 5\n2.5, -1.0, 4\n3, 4, 1\n0, 1, 0"),
    .reference = FE_DOC("np.linspace(start, end, steps)"),
    .where = kFunction,
    .infer =
        [](OpCall& c) {
          if (c.i(2) < 0) {
            c.fail<ValueError>("steps must be 0 or more, got ", c.i(2));
          }
          c.out(0, real_dtype_or(c, 3, DType::f32), Dims{c.i(2)});
        },
};

extern const OpDef eye_op = {
    .name = "eye",
    .sig = "n: int, m: int? = None, dtype: dtype? = None, "
           "device: device? = None",
    .doc = FE_DOC(R"(Ones on the diagonal, zeros elsewhere.

Args:
    n: number of rows.
    m: number of columns; None is n.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (n, m).

Raises:
    ValueError: a negative size.

Example:
    >>> import ferrule as fe
    >>> fe.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

Source: numpy.eye.
)"),
    .examples = FE_DOC("3\n2, 4\n4, 2\n0"),
    .reference = FE_DOC("np.eye(n, m)"),
    .where = kFunction,
    .infer =
        [](OpCall& c) {
          const int64_t n = c.i(0), m = c.has(1) ? c.i(1) : n;
          if (n < 0 || m < 0) {
            c.fail<ValueError>("n and m must be 0 or more, got ", n, " and ",
                               m);
          }
          c.out(0, dtype_or(c, 2, DType::f32), Dims{n, m});
        },
};

}  // namespace ferrule
