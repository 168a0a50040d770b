// Fourier transforms of one dimension, as in the module `fft` of NumPy and
// PyTorch: sizes and scales around the ops of fft.cpp.
#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"
#include "runtime/ops/fft_parts.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

int dim_of(const OpCall& c) {
  if (c.in(0).ndim == 0) {
    c.fail<IndexError>("a 0-d tensor has no dimension to transform");
  }
  return c.dim(2, c.in(0).ndim);
}

// With as many numbers as argument 1 says, if it does.
Tensor sized(const OpCall& c, const Tensor& x, int dim) {
  return fft_resized(c, x, dim, c.has(1) ? c.sym(1) : size_of(x.impl(), dim));
}

Results complex_transform(OpCall& c, bool forward) {
  const int dim = dim_of(c);
  const Tensor x = sized(c, fft_operand(c), dim);
  return one(op::fft_c2c(x, dim, forward, fft_scale(c, 3, forward)));
}

Results to_half(OpCall& c, bool forward) {
  const int dim = dim_of(c);
  const char* instead = forward ? "fft.fft" : "fft.ifft";
  const Tensor x = sized(c, fft_operand(c, instead), dim);
  return one(op::fft_r2c(x, dim, forward, fft_scale(c, 3, forward)));
}

Results from_half(OpCall& c, bool forward) {
  const int dim = dim_of(c);
  Tensor x = fft_coefficients(c);
  const Int n = c.has(1) ? c.sym(1) : 2 * (size_of(x.impl(), dim) - 1);
  if (n.value < 1) {
    c.fail<ValueError>("the result has 1 number or more along dimension ", dim,
                       ", got n = ", n.value, " for input of shape ",
                       c.in(0).sizes());
  }
  x = fft_resized(c, x, dim, n / 2 + 1);
  return one(op::fft_c2r(x, dim, n, forward, fft_scale(c, 3, forward)));
}

#endif

}  // namespace

extern const OpDef fft_fft_op = {
    .name = "fft_fft",
    .sig = "input: Tensor, n: int? = None, dim: int = -1, norm: str? = None",
    .doc = FE_DOC(
        R"(Discrete Fourier transform: X[k] = sum of x[j] exp(-2 pi i j k / n).

Args:
    input: real or complex; integers are computed in float32.
    n: numbers to transform: dimension `dim` is cut, or filled up with zeros;
        None: as many as there are.
    dim: the dimension.
    norm: "forward" multiplies the result by 1 / n, "ortho" by 1 / sqrt(n),
        "backward" (None) by 1.

Returns:
    Complex tensor; dimension `dim` has size n.

Raises:
    DTypeError: `input` is of 16-bit floats.
    ValueError: n is less than 1, or unknown norm.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.fft.fft(fe.tensor([1.0, 2.0, 3.0, 4.0])).tolist()
    [(10+0j), (-2+2j), (-2+0j), (-2-2j)]

Source: torch.fft.fft; numpy.fft.fft.
)"),
    .examples = FE_DOC("z(2, 8)\n"
                       "f(3, 5)\n"
                       "z(2, 6), 8\n"
                       "z(6, 2), 4, 0, \"ortho\"\n"
                       "f(2, 3, 4), 5, 1, \"forward\""),
    .reference = FE_DOC("np.fft.fft(input, n, dim, norm)"),
    .where = kInternal,
    .aliases = FE_DOC("fft.fft"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return complex_transform(c, true); }),
};

extern const OpDef fft_ifft_op = {
    .name = "fft_ifft",
    .sig = "input: Tensor, n: int? = None, dim: int = -1, norm: str? = None",
    .doc =
        FE_DOC(R"(Inverse of fft: x[j] = 1 / n sum of X[k] exp(2 pi i j k / n).

Args:
    input: real or complex; integers are computed in float32.
    n: numbers to transform: dimension `dim` is cut, or filled up with zeros;
        None: as many as there are.
    dim: the dimension.
    norm: "backward" (None) multiplies the result by 1 / n, "ortho" by
        1 / sqrt(n), "forward" by 1.

Returns:
    Complex tensor; dimension `dim` has size n.

Raises:
    DTypeError: `input` is of 16-bit floats.
    ValueError: n is less than 1, or unknown norm.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.fft.ifft(fe.tensor([10, -2 + 2j, -2, -2 - 2j])).tolist()
    [(1+0j), (2+0j), (3+0j), (4+0j)]

Source: torch.fft.ifft; numpy.fft.ifft.
)"),
    .examples = FE_DOC("z(2, 8)\n"
                       "f(3, 5)\n"
                       "z(2, 6), 8\n"
                       "z(6, 2), 4, 0, \"ortho\"\n"
                       "f(2, 3, 4), 5, 1, \"forward\""),
    .reference = FE_DOC("np.fft.ifft(input, n, dim, norm)"),
    .where = kInternal,
    .aliases = FE_DOC("fft.ifft"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return complex_transform(c, false); }),
};

extern const OpDef fft_rfft_op = {
    .name = "fft_rfft",
    .sig = "input: Tensor, n: int? = None, dim: int = -1, norm: str? = None",
    .doc = FE_DOC(
        R"(Discrete Fourier transform of real numbers, in half the time of fft.

The other coefficients are conjugates: X[n - k] = conj(X[k]).

Args:
    input: real; integers are computed in float32.
    n: numbers to transform: dimension `dim` is cut, or filled up with zeros;
        None: as many as there are.
    dim: the dimension.
    norm: "forward" multiplies the result by 1 / n, "ortho" by 1 / sqrt(n),
        "backward" (None) by 1.

Returns:
    Complex tensor; dimension `dim` has size n // 2 + 1.

Raises:
    DTypeError: `input` is of 16-bit floats, or complex.
    ValueError: n is less than 1, or unknown norm.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.fft.rfft(fe.tensor([1.0, 2.0, 3.0, 4.0])).tolist()
    [(10+0j), (-2+2j), (-2+0j)]

Source: torch.fft.rfft; numpy.fft.rfft.
)"),
    .examples = FE_DOC("f(2, 8)\n"
                       "f(3, 5)\n"
                       "f(2, 6), 8\n"
                       "f(6, 2), 4, 0, \"ortho\"\n"
                       "f(2, 3, 4), 5, 1, \"forward\""),
    .reference = FE_DOC("np.fft.rfft(input, n, dim, norm)"),
    .where = kInternal,
    .aliases = FE_DOC("fft.rfft"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return to_half(c, true); }),
};

extern const OpDef fft_irfft_op = {
    .name = "fft_irfft",
    .sig = "input: Tensor, n: int? = None, dim: int = -1, norm: str? = None",
    .doc = FE_DOC(
        R"(Inverse of rfft: the real numbers of half of their coefficients.

The imaginary part of the first coefficient does not count, nor that of the last
one if n is even.

Args:
    input: the coefficients 0, 1, ...; real ones are made complex.
    n: numbers of the result; None: 2 (m - 1) of m coefficients. Of these
        n / 2 + 1 are used.
    dim: the dimension.
    norm: "backward" (None) multiplies the result by 1 / n, "ortho" by
        1 / sqrt(n), "forward" by 1.

Returns:
    Real tensor; dimension `dim` has size n.

Raises:
    DTypeError: `input` is of 16-bit floats.
    ValueError: n is less than 1, or unknown norm.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.fft.irfft(fe.tensor([10, -2 + 2j, -2])).tolist()
    [1.0, 2.0, 3.0, 4.0]

Source: torch.fft.irfft; numpy.fft.irfft.
)"),
    .examples = FE_DOC("z(2, 5)\n"
                       "z(3, 4), 7\n"
                       "f(3, 4)\n"
                       "z(2, 4), 9\n"
                       "z(6, 2), 4, 0, \"ortho\"\n"
                       "z(2, 3, 4), 5, 1, \"forward\""),
    .reference = FE_DOC("np.fft.irfft(input, n, dim, norm)"),
    .where = kInternal,
    .aliases = FE_DOC("fft.irfft"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return from_half(c, false); }),
};

extern const OpDef fft_hfft_op = {
    .name = "fft_hfft",
    .sig = "input: Tensor, n: int? = None, dim: int = -1, norm: str? = None",
    .doc =
        FE_DOC(R"(Real transform of a signal that is its own mirrored conjugate.

The signal is given by its first half, as irfft has the coefficients; the sums
are those of fft.

Args:
    input: numbers 0, 1, ... of the signal; real ones are made complex.
    n: numbers of the result; None: 2 (m - 1) of m numbers. Of these
        n / 2 + 1 are used.
    dim: the dimension.
    norm: "forward" multiplies the result by 1 / n, "ortho" by 1 / sqrt(n),
        "backward" (None) by 1.

Returns:
    Real tensor; dimension `dim` has size n.

Raises:
    DTypeError: `input` is of 16-bit floats.
    ValueError: n is less than 1, or unknown norm.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.fft.hfft(fe.tensor([1.0, 2j, 0.0])).tolist()
    [1.0, 5.0, 1.0, -3.0]

Source: torch.fft.hfft; numpy.fft.hfft.
)"),
    .examples = FE_DOC("z(2, 5)\n"
                       "z(3, 4), 7\n"
                       "f(3, 4)\n"
                       "z(2, 4), 9\n"
                       "z(6, 2), 4, 0, \"ortho\"\n"
                       "z(2, 3, 4), 5, 1, \"forward\""),
    .reference = FE_DOC("np.fft.hfft(input, n, dim, norm)"),
    .where = kInternal,
    .aliases = FE_DOC("fft.hfft"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return from_half(c, true); }),
};

extern const OpDef fft_ihfft_op = {
    .name = "fft_ihfft",
    .sig = "input: Tensor, n: int? = None, dim: int = -1, norm: str? = None",
    .doc = FE_DOC(
        R"(Inverse of hfft: half of a signal that is its own mirrored conjugate.

Args:
    input: real; integers are computed in float32.
    n: numbers to transform: dimension `dim` is cut, or filled up with zeros;
        None: as many as there are.
    dim: the dimension.
    norm: "backward" (None) multiplies the result by 1 / n, "ortho" by
        1 / sqrt(n), "forward" by 1.

Returns:
    Complex tensor; dimension `dim` has size n // 2 + 1.

Raises:
    DTypeError: `input` is of 16-bit floats, or complex.
    ValueError: n is less than 1, or unknown norm.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.fft.hfft(fe.fft.ihfft(fe.tensor([1.0, 5.0, 1.0, -3.0]))).tolist()
    [1.0, 5.0, 1.0, -3.0]

Source: torch.fft.ihfft; numpy.fft.ihfft.
)"),
    .examples = FE_DOC("f(2, 8)\n"
                       "f(3, 5)\n"
                       "f(2, 6), 8\n"
                       "f(6, 2), 4, 0, \"ortho\"\n"
                       "f(2, 3, 4), 5, 1, \"forward\""),
    .reference = FE_DOC("np.fft.ihfft(input, n, dim, norm)"),
    .where = kInternal,
    .aliases = FE_DOC("fft.ihfft"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return to_half(c, false); }),
};

}  // namespace ferrule
