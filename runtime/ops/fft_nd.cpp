// Fourier transforms of several dimensions: one after the other.
#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"
#include "runtime/ops/fft_parts.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// Complex transforms along dimensions [0, n) of `dims`, the last one first.
Tensor along(const OpCall& c, const FftDims& dims, int n, Tensor x,
             bool forward) {
  const char* scale = fft_scale(c, 3, forward);
  for (int k = n - 1; k >= 0; --k) {
    x = op::fft_c2c(x, dims.dim[k], forward, scale);
  }
  return x;
}

Tensor sized(const OpCall& c, const FftDims& dims, int n, Tensor x) {
  for (int k = 0; k < n; ++k) {
    x = fft_resized(c, x, dims.dim[k], dims.size[k]);
  }
  return x;
}

Results complex_transform(OpCall& c, bool forward, bool last_two) {
  const FftDims dims(c, last_two);
  fft_scale(c, 3, forward);  // is `norm` known?
  if (dims.n == 0) return one(op::clone(fft_coefficients(c)));
  const Tensor x = sized(c, dims, dims.n, fft_operand(c));
  return one(along(c, dims, dims.n, x, forward));
}

// The last dimension first, as long as the numbers are real.
Results to_half(OpCall& c, bool forward, bool last_two, const char* instead) {
  const FftDims dims(c, last_two);
  dims.require_one(c);
  const Tensor x = sized(c, dims, dims.n, fft_operand(c, instead));
  const Tensor half =
      op::fft_r2c(x, dims.dim[dims.n - 1], forward, fft_scale(c, 3, forward));
  return one(along(c, dims, dims.n - 1, half, forward));
}

Results from_half(OpCall& c, bool forward, bool last_two) {
  const FftDims dims(c, last_two);
  dims.require_one(c);
  const int last = dims.n - 1;
  const Int n = dims.given[last] ? dims.size[last] : 2 * (dims.size[last] - 1);
  if (n.value < 1) {
    c.fail<ValueError>("the result has 1 number or more along dimension ",
                       dims.dim[last], ", got ", n.value,
                       " for input of shape ", c.in(0).sizes());
  }
  Tensor x = sized(c, dims, last, fft_coefficients(c));
  x = fft_resized(c, x, dims.dim[last], n / 2 + 1);
  x = along(c, dims, last, x, forward);
  return one(
      op::fft_c2r(x, dims.dim[last], n, forward, fft_scale(c, 3, forward)));
}

#endif

}  // namespace

extern const OpDef fft_fft2_op = {
    .name = "fft_fft2",
    .sig = "input: Tensor, s: int[]? = None, dim: int[]? = None, norm: str? = "
           "None",
    .doc = FE_DOC(R"(Discrete Fourier transform of two dimensions.

Args:
    input: real or complex; integers are computed in float32.
    s: sizes to cut the dimensions to, or to fill up to with zeros; -1 or None:
        as they are.
    dim: the dimensions; None: (-2, -1).
    norm: "forward" multiplies the result by 1 / n, "ortho" by 1 / sqrt(n),
        "backward" (None) by 1; n is the product of the sizes.

Returns:
    Complex tensor.

Raises:
    DTypeError: `input` is of 16-bit floats.
    ShapeError: `input` has too few dimensions.
    ValueError: a size is less than 1, unknown norm, a dimension is named twice,
        or there is not one size for each.
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.fft.fft2(x).tolist()
    [[(10+0j), (-2+0j)], [(-4+0j), 0j]]

Source: torch.fft.fft2; numpy.fft.fft2.
)"),
    .examples = FE_DOC("z(3, 4)\n"
                       "f(2, 3, 4)\n"
                       "z(2, 5, 3), (4, -1)\n"
                       "z(3, 4), (2, 5), (1, 0), \"ortho\"\n"
                       "f(2, 3, 4), (3, 3), (0, -1), \"forward\""),
    .reference = FE_DOC("(lambda a: np.fft.fftn(input, [input.shape[b] if k == "
                        "-1 else k for k, b in zip(s or [-1] * len(a), a)], a, "
                        "norm))(list(dim or (-2, -1)))"),
    .where = kInternal,
    .aliases = FE_DOC("fft.fft2"),
    .autocast = Autocast::f32,
    .decompose =
        FE_GRAD([](OpCall& c) { return complex_transform(c, true, true); }),
};

extern const OpDef fft_ifft2_op = {
    .name = "fft_ifft2",
    .sig = "input: Tensor, s: int[]? = None, dim: int[]? = None, norm: str? = "
           "None",
    .doc = FE_DOC(R"(Inverse of fft2.

Args:
    input: real or complex; integers are computed in float32.
    s: sizes to cut the dimensions to, or to fill up to with zeros; -1 or None:
        as they are.
    dim: the dimensions; None: (-2, -1).
    norm: "backward" (None) multiplies the result by 1 / n, "ortho" by
        1 / sqrt(n), "forward" by 1; n is the product of the sizes.

Returns:
    Complex tensor.

Raises:
    DTypeError: `input` is of 16-bit floats.
    ShapeError: `input` has too few dimensions.
    ValueError: a size is less than 1, unknown norm, a dimension is named twice,
        or there is not one size for each.
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.fft.ifft2(fe.fft.fft2(x)).real.tolist()
    [[1.0, 2.0], [3.0, 4.0]]

Source: torch.fft.ifft2; numpy.fft.ifft2.
)"),
    .examples = FE_DOC("z(3, 4)\n"
                       "f(2, 3, 4)\n"
                       "z(2, 5, 3), (4, -1)\n"
                       "z(3, 4), (2, 5), (1, 0), \"ortho\"\n"
                       "f(2, 3, 4), (3, 3), (0, -1), \"forward\""),
    .reference = FE_DOC("(lambda a: np.fft.ifftn(input, [input.shape[b] if k "
                        "== -1 else k for k, b in zip(s or [-1] * len(a), a)], "
                        "a, norm))(list(dim or (-2, -1)))"),
    .where = kInternal,
    .aliases = FE_DOC("fft.ifft2"),
    .autocast = Autocast::f32,
    .decompose =
        FE_GRAD([](OpCall& c) { return complex_transform(c, false, true); }),
};

extern const OpDef fft_rfft2_op = {
    .name = "fft_rfft2",
    .sig = "input: Tensor, s: int[]? = None, dim: int[]? = None, norm: str? = "
           "None",
    .doc =
        FE_DOC(R"(Discrete Fourier transform of two dimensions of real numbers.

Of the last of these dimensions the first half of the coefficients is computed;
the others are conjugates of these.

Args:
    input: real; integers are computed in float32.
    s: sizes to cut the dimensions to, or to fill up to with zeros; -1 or None:
        as they are.
    dim: the dimensions; None: (-2, -1).
    norm: "forward" multiplies the result by 1 / n, "ortho" by 1 / sqrt(n),
        "backward" (None) by 1; n is the product of the sizes.

Returns:
    Complex tensor; the last dimension of `dim` has size n // 2 + 1.

Raises:
    DTypeError: `input` is of 16-bit floats, or complex.
    ShapeError: `input` has too few dimensions.
    ValueError: a size is less than 1, unknown norm, a dimension is named twice,
        or there is not one size for each.
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.fft.rfft2(x).tolist()
    [[(10+0j), (-2+0j)], [(-4+0j), 0j]]

Source: torch.fft.rfft2; numpy.fft.rfft2.
)"),
    .examples = FE_DOC("f(3, 4)\n"
                       "f(2, 3, 5)\n"
                       "f(2, 5, 3), (4, -1)\n"
                       "f(3, 4), (2, 5), (1, 0), \"ortho\"\n"
                       "f(2, 3, 4), (3, 3), (0, -1), \"forward\""),
    .reference = FE_DOC("(lambda a: np.fft.rfftn(input, [input.shape[b] if k "
                        "== -1 else k for k, b in zip(s or [-1] * len(a), a)], "
                        "a, norm))(list(dim or (-2, -1)))"),
    .where = kInternal,
    .aliases = FE_DOC("fft.rfft2"),
    .autocast = Autocast::f32,
    .decompose =
        FE_GRAD([](OpCall& c) { return to_half(c, true, true, "fft.fft2"); }),
};

extern const OpDef fft_irfft2_op = {
    .name = "fft_irfft2",
    .sig = "input: Tensor, s: int[]? = None, dim: int[]? = None, norm: str? = "
           "None",
    .doc =
        FE_DOC(R"(Inverse of rfft2: real numbers of half of their coefficients.

Args:
    input: the coefficients; real ones are made complex.
    s: sizes of the result; the last one, where it is -1 or None, is 2 (m - 1)
        of m coefficients.
    dim: the dimensions; None: (-2, -1).
    norm: "backward" (None) multiplies the result by 1 / n, "ortho" by
        1 / sqrt(n), "forward" by 1; n is the product of the sizes.

Returns:
    Real tensor.

Raises:
    DTypeError: `input` is of 16-bit floats.
    ShapeError: `input` has too few dimensions.
    ValueError: a size is less than 1, unknown norm, a dimension is named twice,
        or there is not one size for each.
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.fft.irfft2(fe.fft.rfft2(x)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]

Source: torch.fft.irfft2; numpy.fft.irfft2.
)"),
    .examples = FE_DOC("z(3, 4)\n"
                       "f(2, 3, 4)\n"
                       "z(2, 5, 3), (4, -1)\n"
                       "z(3, 4), (2, 5), (1, 0), \"ortho\"\n"
                       "z(2, 3, 4), (3, 3), (0, -1), \"forward\""),
    .reference =
        FE_DOC("(lambda a: np.fft.irfftn(input, [(2 * (input.shape[b] - 1) if "
               "b == a[-1] else input.shape[b]) if k == -1 else k for k, b in "
               "zip(s or [-1] * len(a), a)], a, norm))(list(dim or (-2, -1)))"),
    .where = kInternal,
    .aliases = FE_DOC("fft.irfft2"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return from_half(c, false, true); }),
};

extern const OpDef fft_hfft2_op = {
    .name = "fft_hfft2",
    .sig = "input: Tensor, s: int[]? = None, dim: int[]? = None, norm: str? = "
           "None",
    .doc = FE_DOC(
        R"(Real transform of two dimensions of a signal that is its own mirrored conjugate.

The signal is given by the first half along the last of the dimensions.

Args:
    input: numbers of the signal; real ones are made complex.
    s: sizes of the result; the last one, where it is -1 or None, is 2 (m - 1)
        of m numbers.
    dim: the dimensions; None: (-2, -1).
    norm: "forward" multiplies the result by 1 / n, "ortho" by 1 / sqrt(n),
        "backward" (None) by 1; n is the product of the sizes.

Returns:
    Real tensor.

Raises:
    DTypeError: `input` is of 16-bit floats.
    ShapeError: `input` has too few dimensions.
    ValueError: a size is less than 1, unknown norm, a dimension is named twice,
        or there is not one size for each.
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.fft.hfft2(x).tolist()
    [[10.0, -2.0], [-4.0, 0.0]]

Source: torch.fft.hfft2.
)"),
    .examples = FE_DOC("z(3, 4)\n"
                       "f(2, 3, 4)\n"
                       "z(2, 5, 3), (4, -1)\n"
                       "z(3, 4), (2, 5), (1, 0), \"ortho\"\n"
                       "z(2, 3, 4), (3, 3), (0, -1), \"forward\""),
    .reference =
        FE_DOC("(lambda a: np.fft.irfftn(np.conj(input), [(2 * (input.shape[b] "
               "- 1) if b == a[-1] else input.shape[b]) if k == -1 else k for "
               "k, b in zip(s or [-1] * len(a), a)], a, {None: \"forward\", "
               "\"backward\": \"forward\", \"forward\": \"backward\", "
               "\"ortho\": \"ortho\"}[norm]))(list(dim or (-2, -1)))"),
    .where = kInternal,
    .aliases = FE_DOC("fft.hfft2"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return from_half(c, true, true); }),
};

extern const OpDef fft_ihfft2_op = {
    .name = "fft_ihfft2",
    .sig = "input: Tensor, s: int[]? = None, dim: int[]? = None, norm: str? = "
           "None",
    .doc = FE_DOC(
        R"(Inverse of hfft2: half of a signal that is its own mirrored conjugate.

Args:
    input: real; integers are computed in float32.
    s: sizes to cut the dimensions to, or to fill up to with zeros; -1 or None:
        as they are.
    dim: the dimensions; None: (-2, -1).
    norm: "backward" (None) multiplies the result by 1 / n, "ortho" by
        1 / sqrt(n), "forward" by 1; n is the product of the sizes.

Returns:
    Complex tensor; the last dimension of `dim` has size n // 2 + 1.

Raises:
    DTypeError: `input` is of 16-bit floats, or complex.
    ShapeError: `input` has too few dimensions.
    ValueError: a size is less than 1, unknown norm, a dimension is named twice,
        or there is not one size for each.
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.fft.hfft2(fe.fft.ihfft2(x)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]

Source: torch.fft.ihfft2.
)"),
    .examples = FE_DOC("f(3, 4)\n"
                       "f(2, 3, 5)\n"
                       "f(2, 5, 3), (4, -1)\n"
                       "f(3, 4), (2, 5), (1, 0), \"ortho\"\n"
                       "f(2, 3, 4), (3, 3), (0, -1), \"forward\""),
    .reference = FE_DOC(
        "np.conj((lambda a: np.fft.rfftn(input, [input.shape[b] if k == -1 "
        "else k for k, b in zip(s or [-1] * len(a), a)], a, {None: "
        "\"forward\", \"backward\": \"forward\", \"forward\": \"backward\", "
        "\"ortho\": \"ortho\"}[norm]))(list(dim or (-2, -1))))"),
    .where = kInternal,
    .aliases = FE_DOC("fft.ihfft2"),
    .autocast = Autocast::f32,
    .decompose =
        FE_GRAD([](OpCall& c) { return to_half(c, false, true, "fft.ifft2"); }),
};

extern const OpDef fft_fftn_op = {
    .name = "fft_fftn",
    .sig = "input: Tensor, s: int[]? = None, dim: int[]? = None, norm: str? = "
           "None",
    .doc = FE_DOC(R"(Discrete Fourier transform of several dimensions.

Args:
    input: real or complex; integers are computed in float32.
    s: sizes to cut the dimensions to, or to fill up to with zeros; -1 or None:
        as they are.
    dim: the dimensions; None: the last ones if `s` is given, else all.
    norm: "forward" multiplies the result by 1 / n, "ortho" by 1 / sqrt(n),
        "backward" (None) by 1; n is the product of the sizes.

Returns:
    Complex tensor.

Raises:
    DTypeError: `input` is of 16-bit floats.
    ShapeError: `input` has too few dimensions.
    ValueError: a size is less than 1, unknown norm, a dimension is named twice,
        or there is not one size for each.
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.fft.fftn(x).tolist()
    [[(10+0j), (-2+0j)], [(-4+0j), 0j]]

Source: torch.fft.fftn; numpy.fft.fftn.
)"),
    .examples = FE_DOC("z(3, 4)\n"
                       "f(2, 3, 4)\n"
                       "z(2, 5, 3), (4, -1)\n"
                       "z(3, 4), (2, 5), (1, 0), \"ortho\"\n"
                       "f(2, 3, 4), (3, 3), (0, -1), \"forward\"\n"
                       "f()\n"
                       "z(3), (), ()"),
    .reference =
        FE_DOC("(lambda a: (np.fft.fftn if a else lambda x, *_: x + 0j)(input, "
               "[input.shape[b] if k == -1 else k for k, b in zip(s or [-1] * "
               "len(a), a)], a, norm))(list(range(-len(s), 0) if dim is None "
               "and s else range(input.ndim) if dim is None else dim))"),
    .where = kInternal,
    .aliases = FE_DOC("fft.fftn"),
    .autocast = Autocast::f32,
    .decompose =
        FE_GRAD([](OpCall& c) { return complex_transform(c, true, false); }),
};

extern const OpDef fft_ifftn_op = {
    .name = "fft_ifftn",
    .sig = "input: Tensor, s: int[]? = None, dim: int[]? = None, norm: str? = "
           "None",
    .doc = FE_DOC(R"(Inverse of fftn.

Args:
    input: real or complex; integers are computed in float32.
    s: sizes to cut the dimensions to, or to fill up to with zeros; -1 or None:
        as they are.
    dim: the dimensions; None: the last ones if `s` is given, else all.
    norm: "backward" (None) multiplies the result by 1 / n, "ortho" by
        1 / sqrt(n), "forward" by 1; n is the product of the sizes.

Returns:
    Complex tensor.

Raises:
    DTypeError: `input` is of 16-bit floats.
    ShapeError: `input` has too few dimensions.
    ValueError: a size is less than 1, unknown norm, a dimension is named twice,
        or there is not one size for each.
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.fft.ifftn(fe.fft.fftn(x)).real.tolist()
    [[1.0, 2.0], [3.0, 4.0]]

Source: torch.fft.ifftn; numpy.fft.ifftn.
)"),
    .examples = FE_DOC("z(3, 4)\n"
                       "f(2, 3, 4)\n"
                       "z(2, 5, 3), (4, -1)\n"
                       "z(3, 4), (2, 5), (1, 0), \"ortho\"\n"
                       "f(2, 3, 4), (3, 3), (0, -1), \"forward\""),
    .reference = FE_DOC("(lambda a: np.fft.ifftn(input, [input.shape[b] if k "
                        "== -1 else k for k, b in zip(s or [-1] * len(a), a)], "
                        "a, norm))(list(range(-len(s), 0) if dim is None and s "
                        "else range(input.ndim) if dim is None else dim))"),
    .where = kInternal,
    .aliases = FE_DOC("fft.ifftn"),
    .autocast = Autocast::f32,
    .decompose =
        FE_GRAD([](OpCall& c) { return complex_transform(c, false, false); }),
};

extern const OpDef fft_rfftn_op = {
    .name = "fft_rfftn",
    .sig = "input: Tensor, s: int[]? = None, dim: int[]? = None, norm: str? = "
           "None",
    .doc = FE_DOC(
        R"(Discrete Fourier transform of several dimensions of real numbers.

Of the last of these dimensions the first half of the coefficients is computed;
the others are conjugates of these.

Args:
    input: real; integers are computed in float32.
    s: sizes to cut the dimensions to, or to fill up to with zeros; -1 or None:
        as they are.
    dim: the dimensions; None: the last ones if `s` is given, else all.
    norm: "forward" multiplies the result by 1 / n, "ortho" by 1 / sqrt(n),
        "backward" (None) by 1; n is the product of the sizes.

Returns:
    Complex tensor; the last dimension of `dim` has size n // 2 + 1.

Raises:
    DTypeError: `input` is of 16-bit floats, or complex.
    ShapeError: `input` has too few dimensions.
    ValueError: a size is less than 1, unknown norm, a dimension is named twice,
        or there is not one size for each.
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.fft.rfftn(x).tolist()
    [[(10+0j), (-2+0j)], [(-4+0j), 0j]]

Source: torch.fft.rfftn; numpy.fft.rfftn.
)"),
    .examples = FE_DOC("f(3, 4)\n"
                       "f(2, 3, 5)\n"
                       "f(2, 5, 3), (4, -1)\n"
                       "f(3, 4), (2, 5), (1, 0), \"ortho\"\n"
                       "f(2, 3, 4), (3, 3), (0, -1), \"forward\"\n"
                       "f(6), None, (0,)"),
    .reference = FE_DOC("(lambda a: np.fft.rfftn(input, [input.shape[b] if k "
                        "== -1 else k for k, b in zip(s or [-1] * len(a), a)], "
                        "a, norm))(list(range(-len(s), 0) if dim is None and s "
                        "else range(input.ndim) if dim is None else dim))"),
    .where = kInternal,
    .aliases = FE_DOC("fft.rfftn"),
    .autocast = Autocast::f32,
    .decompose =
        FE_GRAD([](OpCall& c) { return to_half(c, true, false, "fft.fftn"); }),
};

extern const OpDef fft_irfftn_op = {
    .name = "fft_irfftn",
    .sig = "input: Tensor, s: int[]? = None, dim: int[]? = None, norm: str? = "
           "None",
    .doc =
        FE_DOC(R"(Inverse of rfftn: real numbers of half of their coefficients.

Args:
    input: the coefficients; real ones are made complex.
    s: sizes of the result; the last one, where it is -1 or None, is 2 (m - 1)
        of m coefficients.
    dim: the dimensions; None: the last ones if `s` is given, else all.
    norm: "backward" (None) multiplies the result by 1 / n, "ortho" by
        1 / sqrt(n), "forward" by 1; n is the product of the sizes.

Returns:
    Real tensor.

Raises:
    DTypeError: `input` is of 16-bit floats.
    ShapeError: `input` has too few dimensions.
    ValueError: a size is less than 1, unknown norm, a dimension is named twice,
        or there is not one size for each.
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.fft.irfftn(fe.fft.rfftn(x)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]

Source: torch.fft.irfftn; numpy.fft.irfftn.
)"),
    .examples = FE_DOC("z(3, 4)\n"
                       "f(2, 3, 4)\n"
                       "z(2, 5, 3), (4, -1)\n"
                       "z(3, 4), (2, 5), (1, 0), \"ortho\"\n"
                       "z(2, 3, 4), (3, 3), (0, -1), \"forward\"\n"
                       "z(6), (9,), (0,)"),
    .reference = FE_DOC(
        "(lambda a: np.fft.irfftn(input, [(2 * (input.shape[b] - 1) if b == "
        "a[-1] else input.shape[b]) if k == -1 else k for k, b in zip(s or "
        "[-1] * len(a), a)], a, norm))(list(range(-len(s), 0) if dim is None "
        "and s else range(input.ndim) if dim is None else dim))"),
    .where = kInternal,
    .aliases = FE_DOC("fft.irfftn"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return from_half(c, false, false); }),
};

extern const OpDef fft_hfftn_op = {
    .name = "fft_hfftn",
    .sig = "input: Tensor, s: int[]? = None, dim: int[]? = None, norm: str? = "
           "None",
    .doc = FE_DOC(
        R"(Real transform of several dimensions of a signal that is its own mirrored conjugate.

The signal is given by the first half along the last of the dimensions.

Args:
    input: numbers of the signal; real ones are made complex.
    s: sizes of the result; the last one, where it is -1 or None, is 2 (m - 1)
        of m numbers.
    dim: the dimensions; None: the last ones if `s` is given, else all.
    norm: "forward" multiplies the result by 1 / n, "ortho" by 1 / sqrt(n),
        "backward" (None) by 1; n is the product of the sizes.

Returns:
    Real tensor.

Raises:
    DTypeError: `input` is of 16-bit floats.
    ShapeError: `input` has too few dimensions.
    ValueError: a size is less than 1, unknown norm, a dimension is named twice,
        or there is not one size for each.
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.fft.hfftn(x).tolist()
    [[10.0, -2.0], [-4.0, 0.0]]

Source: torch.fft.hfftn.
)"),
    .examples = FE_DOC("z(3, 4)\n"
                       "f(2, 3, 4)\n"
                       "z(2, 5, 3), (4, -1)\n"
                       "z(3, 4), (2, 5), (1, 0), \"ortho\"\n"
                       "z(2, 3, 4), (3, 3), (0, -1), \"forward\"\n"
                       "z(6), (9,), (0,)"),
    .reference =
        FE_DOC("(lambda a: np.fft.irfftn(np.conj(input), [(2 * (input.shape[b] "
               "- 1) if b == a[-1] else input.shape[b]) if k == -1 else k for "
               "k, b in zip(s or [-1] * len(a), a)], a, {None: \"forward\", "
               "\"backward\": \"forward\", \"forward\": \"backward\", "
               "\"ortho\": \"ortho\"}[norm]))(list(range(-len(s), 0) if dim is "
               "None and s else range(input.ndim) if dim is None else dim))"),
    .where = kInternal,
    .aliases = FE_DOC("fft.hfftn"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return from_half(c, true, false); }),
};

extern const OpDef fft_ihfftn_op = {
    .name = "fft_ihfftn",
    .sig = "input: Tensor, s: int[]? = None, dim: int[]? = None, norm: str? = "
           "None",
    .doc = FE_DOC(
        R"(Inverse of hfftn: half of a signal that is its own mirrored conjugate.

Args:
    input: real; integers are computed in float32.
    s: sizes to cut the dimensions to, or to fill up to with zeros; -1 or None:
        as they are.
    dim: the dimensions; None: the last ones if `s` is given, else all.
    norm: "backward" (None) multiplies the result by 1 / n, "ortho" by
        1 / sqrt(n), "forward" by 1; n is the product of the sizes.

Returns:
    Complex tensor; the last dimension of `dim` has size n // 2 + 1.

Raises:
    DTypeError: `input` is of 16-bit floats, or complex.
    ShapeError: `input` has too few dimensions.
    ValueError: a size is less than 1, unknown norm, a dimension is named twice,
        or there is not one size for each.
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.fft.hfftn(fe.fft.ihfftn(x)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]

Source: torch.fft.ihfftn.
)"),
    .examples = FE_DOC("f(3, 4)\n"
                       "f(2, 3, 5)\n"
                       "f(2, 5, 3), (4, -1)\n"
                       "f(3, 4), (2, 5), (1, 0), \"ortho\"\n"
                       "f(2, 3, 4), (3, 3), (0, -1), \"forward\"\n"
                       "f(6), None, (0,)"),
    .reference = FE_DOC(
        "np.conj((lambda a: np.fft.rfftn(input, [input.shape[b] if k == -1 "
        "else k for k, b in zip(s or [-1] * len(a), a)], a, {None: "
        "\"forward\", \"backward\": \"forward\", \"forward\": \"backward\", "
        "\"ortho\": \"ortho\"}[norm]))(list(range(-len(s), 0) if dim is None "
        "and s else range(input.ndim) if dim is None else dim)))"),
    .where = kInternal,
    .aliases = FE_DOC("fft.ihfftn"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(
        [](OpCall& c) { return to_half(c, false, false, "fft.ifftn"); }),
};

}  // namespace ferrule
