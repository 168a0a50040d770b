// The frequencies that the coefficients of Fourier transforms belong to, and
// moving frequency 0 to the middle.
#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// Multiples of 1 / (n d), n and d being arguments 0 and 1: computed in float64
// and rounded once.
Results frequencies(const OpCall& c, const Tensor& multiples) {
  const DType t = c.has(2) ? c.dtype(2) : DType::f32;
  if (!is_float(t)) {
    c.fail<DTypeError>("dtype must be floating-point, got ", t);
  }
  const Tensor turns = op::div(op::cast(multiples, DType::f64), c.sym(0));
  return one(op::cast(op::div(turns, c.f(1)), t));
}

Tensor numbers(const OpCall& c, Int n) {
  if (c.i(0) < 0) c.fail<ValueError>("n must be 0 or more, got ", c.i(0));
  return op::arange(n, Arg(), 1, DType::i64, c.args[3]);
}

// `back`: undoes it.
Results shifted(OpCall& c, bool back) {
  const Tensor x = c.tensor(0);
  IntList dims, shifts;
  if (c.has(1)) {
    for (const Int& d : c.ints(1)) {
      dims.push(OpCall::wrap_dim(c, d.value, x.ndim()));
    }
  } else {
    for (int d = 0; d < x.ndim(); ++d) dims.push(d);
  }
  if (dims.n == 0 || x.ndim() == 0) return one(op::clone(x));
  for (const Int& d : dims) {
    const Int n = size_of(x.impl(), static_cast<int>(d.value));
    shifts.push(back ? (n + 1) / 2 : n / 2);
  }
  return one(op::roll(x, shifts, dims));
}

#endif

}  // namespace

extern const OpDef fft_fftfreq_op = {
    .name = "fft_fftfreq",
    .sig = "n: int, d: float = 1.0, *, dtype: dtype? = None, "
           "device: device? = None",
    .doc = FE_DOC(R"(The frequencies of the coefficients that fft gives.

Args:
    n: numbers of the signal, 0 or more.
    d: time from a number to the next.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (n,): 0, 1, ..., (n - 1) // 2, -(n // 2), ..., -1, over n d.

Raises:
    ValueError: n is negative.
    DTypeError: `dtype` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> fe.fft.fftfreq(4).tolist()
    [0.0, 0.25, -0.5, -0.25]

Source: torch.fft.fftfreq; numpy.fft.fftfreq.
)"),
    .examples = FE_DOC("8\n5, 0.5\n1\n7, 2.0, dtype=fe.float64"),
    .reference = FE_DOC("np.fft.fftfreq(n, d)"),
    .where = kInternal,
    .aliases = FE_DOC("fft.fftfreq"),
    .decompose = FE_GRAD([](OpCall& c) {
      const Int n = c.sym(0), half = n / 2;
      if (n.value == 0) return frequencies(c, numbers(c, n));
      const Tensor around = op::remainder(op::add(numbers(c, n), half), n);
      return frequencies(c, op::sub(around, half));
    }),
};

extern const OpDef fft_rfftfreq_op = {
    .name = "fft_rfftfreq",
    .sig = "n: int, d: float = 1.0, *, dtype: dtype? = None, "
           "device: device? = None",
    .doc = FE_DOC(R"(The frequencies of the coefficients that rfft gives.

Args:
    n: numbers of the signal, 0 or more.
    d: time from a number to the next.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (n // 2 + 1,): 0, 1, ..., n // 2, over n d.

Raises:
    ValueError: n is negative.
    DTypeError: `dtype` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> fe.fft.rfftfreq(4).tolist()
    [0.0, 0.25, 0.5]

Source: torch.fft.rfftfreq; numpy.fft.rfftfreq.
)"),
    .examples = FE_DOC("8\n5, 0.5\n1\n7, 2.0, dtype=fe.float64"),
    .reference = FE_DOC("np.fft.rfftfreq(n, d)"),
    .where = kInternal,
    .aliases = FE_DOC("fft.rfftfreq"),
    .decompose = FE_GRAD(
        [](OpCall& c) { return frequencies(c, numbers(c, c.sym(0) / 2 + 1)); }),
};

extern const OpDef fft_fftshift_op = {
    .name = "fft_fftshift",
    .sig = "input: Tensor, dim: int[]? = None",
    .doc = FE_DOC(R"(Moves frequency 0 to the middle of dimensions.

Args:
    input: coefficients, or frequencies, in the order of fft.
    dim: the dimensions; None: all.

Returns:
    A new tensor, of which the second half of each dimension stands in front.

Raises:
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.fft.fftshift(fe.fft.fftfreq(4)).tolist()
    [-0.5, -0.25, 0.0, 0.25]

Source: torch.fft.fftshift; numpy.fft.fftshift.
)"),
    .examples = FE_DOC("f(5)\nz(2, 3, 4)\nf(3, 4), 1\nf(3, 4), (0, -1)\n"
                       "f()\nf(0, 2)"),
    .reference = FE_DOC("np.fft.fftshift(input, dim) if input.ndim else input"),
    .where = kInternal,
    .aliases = FE_DOC("fft.fftshift"),
    .decompose = FE_GRAD([](OpCall& c) { return shifted(c, false); }),
};

extern const OpDef fft_ifftshift_op = {
    .name = "fft_ifftshift",
    .sig = "input: Tensor, dim: int[]? = None",
    .doc = FE_DOC(R"(Inverse of fftshift: frequency 0 comes first again.

Args:
    input: coefficients, or frequencies, with frequency 0 in the middle.
    dim: the dimensions; None: all.

Returns:
    A new tensor.

Raises:
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.fft.ifftshift(fe.fft.fftshift(fe.arange(5))).tolist()
    [0, 1, 2, 3, 4]

Source: torch.fft.ifftshift; numpy.fft.ifftshift.
)"),
    .examples = FE_DOC("f(5)\nz(2, 3, 4)\nf(3, 4), 1\nf(3, 4), (0, -1)\nf()"),
    .reference =
        FE_DOC("np.fft.ifftshift(input, dim) if input.ndim else input"),
    .where = kInternal,
    .aliases = FE_DOC("fft.ifftshift"),
    .decompose = FE_GRAD([](OpCall& c) { return shifted(c, true); }),
};

}  // namespace ferrule
