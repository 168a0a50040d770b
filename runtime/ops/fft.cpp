// Discrete Fourier transforms along one dimension: the three ops with kernels
// that all others are made of. Each one's gradient is another.
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

// The dimension that is transformed, of size 1 or more.
int check_dim(const OpCall& c) {
  const TensorImpl& x = c.in(0);
  if (x.ndim == 0) {
    c.fail<IndexError>("a 0-d tensor has no dimension to transform");
  }
  const int dim = c.dim(1, x.ndim);
  if (x.shape[dim] == 0) {
    c.fail<ShapeError>("dimension ", dim, " of shape ", x.sizes(),
                       " is empty; a transform needs 1 number or more");
  }
  return dim;
}

void check_scale(const OpCall& c, int arg) {
  const std::string_view scale = c.str(arg);
  if (scale == "1" || scale == "1/n" || scale == "1/sqrt n") return;
  c.fail<ValueError>("scale must be '1', '1/n' or '1/sqrt n', got '", scale,
                     "'");
}

void check_wide(const OpCall& c) {
  const DType t = c.in(0).dtype;
  if (t == DType::f32 || t == DType::f64) return;
  c.fail<DTypeError>("'input' must be float32 or float64, got ", t,
                     " of shape ", c.in(0).sizes(),
                     "; convert it with .float()");
}

void infer_c2c(OpCall& c) {
  if (!is_complex(c.in(0).dtype)) check_wide(c);
  check_dim(c);
  check_scale(c, 3);
  c.compute = to_complex(c.in(0).dtype);
  c.out(0, c.compute, c.in(0).sizes());
}

void infer_r2c(OpCall& c) {
  check_wide(c);
  Dims shape(c.in(0).sizes());
  const int dim = check_dim(c);
  check_scale(c, 3);
  shape[dim] = shape[dim] / 2 + 1;
  c.compute = to_complex(c.in(0).dtype);
  c.out(0, c.compute, shape);
}

void infer_c2r(OpCall& c) {
  const TensorImpl& x = c.in(0);
  if (!is_complex(x.dtype)) {
    c.fail<DTypeError>("'input' must be complex, got ", x.dtype);
  }
  Dims shape(x.sizes());
  const int dim = check_dim(c);
  check_scale(c, 4);
  const int64_t n = c.i(2);
  if (n < 1 || shape[dim] != n / 2 + 1) {
    c.fail<ShapeError>("n = ", n, " numbers have n / 2 + 1 coefficients, but ",
                       "dimension ", dim, " of shape ", x.sizes(), " has ",
                       shape[dim]);
  }
  shape[dim] = n;
  c.compute = x.dtype;
  c.out(0, to_real(x.dtype), shape);
}

}  // namespace

extern const OpDef fft_c2c_op = {
    .name = "fft_c2c",
    .sig = "input: Tensor, dim: int, forward: bool, scale: str = \"1\"",
    .doc = FE_DOC(R"(Discrete Fourier transform of complex numbers.

Args:
    input: complex, or float32 or float64, whose imaginary parts are 0.
    dim: the dimension, of n numbers.
    forward: True: the sums over j of input[j] exp(-2 pi i j k / n); False: with
        the opposite sign.
    scale: what the result is multiplied by: "1", "1/n" or "1/sqrt n".

Returns:
    Complex tensor of the same shape.

Raises:
    DTypeError: `input` is of integers or 16-bit floats.
    ShapeError: the dimension is empty.
    IndexError: `dim` is out of range.
    ValueError: unknown scale.

Example:
    >>> import ferrule as fe
    >>> fe.ops.fft_c2c(fe.tensor([1.0, 2.0]), 0, True).tolist()
    [(3+0j), (-1+0j)]

Source: Cooley and Tukey, "An Algorithm for the Machine Calculation of Complex
Fourier Series", 1965; Bluestein, "A Linear Filtering Approach to the
Computation of Discrete Fourier Transform", 1970.
)"),
    .examples = FE_DOC("z(2, 8), 1, True\nz(5, 3), 0, False, \"1/n\"\n"
                       "f(3, 6), -1, True, \"1/sqrt n\"\n"
                       "z(2, 12, 3), 1, False\nz(1, 67), 1, True\n"
                       "z(64), 0, False, \"1/n\"\nz(1), 0, True\n"
                       "z(134, 1), 0, True"),
    .reference = FE_DOC(
        "(np.fft.fft(input, axis=dim) if forward else np.fft.ifft(input, "
        "axis=dim, norm=\"forward\")) * {\"1\": 1, \"1/n\": 1 / "
        "input.shape[dim], \"1/sqrt n\": input.shape[dim] ** -0.5}[scale]"),
    .where = kInternal,
    .autocast = Autocast::f32,
    .infer = infer_c2c,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::fft_c2c(v.grad(), v.args[1], !v.args[2].b, v.args[3]));
    }),
    .batch = FE_GRAD(batch_dims),
};

// `pairs` makes this op and the next each other's gradients: a coefficient
// counts once in the one and, with its conjugate, twice in the other.

extern const OpDef fft_r2c_op = {
    .name = "fft_r2c",
    .sig = "input: Tensor, dim: int, forward: bool, scale: str = \"1\", "
           "pairs: float = 1.0",
    .doc = FE_DOC(R"(Discrete Fourier transform of real numbers.

Of the n coefficients the first n / 2 + 1 are returned; the others are
conjugates of these.

Args:
    input: float32 or float64.
    dim: the dimension, of n numbers.
    forward: True: the sums over j of input[j] exp(-2 pi i j k / n); False: with
        the opposite sign.
    scale: what the result is multiplied by: "1", "1/n" or "1/sqrt n".
    pairs: by what coefficients are multiplied that have a conjugate among those
        left out.

Returns:
    Complex tensor; the dimension has size n / 2 + 1.

Raises:
    DTypeError: `input` is not of float32 or float64.
    ShapeError: the dimension is empty.
    IndexError: `dim` is out of range.
    ValueError: unknown scale.

Example:
    >>> import ferrule as fe
    >>> fe.ops.fft_r2c(fe.tensor([1.0, 2.0]), 0, True).tolist()
    [(3+0j), (-1+0j)]

Source: Sorensen et al., "Real-valued Fast Fourier Transform Algorithms", 1987.
)"),
    .examples = FE_DOC("f(2, 8), 1, True\nf(5, 3), 0, False, \"1/n\"\n"
                       "f(3, 6), -1, True, \"1/sqrt n\", 2.0\n"
                       "f(2, 12, 3), 1, False\nf(1, 67), 1, True, \"1\", 0.5\n"
                       "f(128), 0, True\nf(134), 0, False\nf(1), 0, True\n"
                       "f(3, 2), 1, True"),
    .reference = FE_DOC(
        "(lambda n, x: x * np.expand_dims([pairs if 0 < k < n - k else 1 for k "
        "in range(n // 2 + 1)], tuple(range(1, x.ndim - dim % x.ndim))) * "
        "{\"1\": 1, \"1/n\": 1 / n, \"1/sqrt n\": n ** -0.5}[scale])("
        "input.shape[dim], np.fft.rfft(input, axis=dim) if forward else "
        "np.conj(np.fft.rfft(input, axis=dim)))"),
    .where = kInternal,
    .autocast = Autocast::f32,
    .infer = infer_r2c,
    .vjp = FE_GRAD([](Vjp& v) {
      const int64_t given = v.args[1].i;
      const int dim = static_cast<int>(given < 0 ? given + v.ndim(0) : given);
      v.set(0, op::fft_c2r(v.grad(), dim, v.size(0, dim), !v.args[2].b,
                           v.args[3], v.args[4].f / 2));
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef fft_c2r_op = {
    .name = "fft_c2r",
    .sig = "input: Tensor, dim: int, n: int, forward: bool, "
           "scale: str = \"1\", pairs: float = 1.0",
    .doc = FE_DOC(R"(The real numbers that half of their coefficients stand for.

Args:
    input: complex; the coefficients that are not given are the conjugates of
        these. The imaginary part of the first does not count, nor that of the
        last if n is even.
    dim: the dimension, of size n / 2 + 1.
    n: how many numbers.
    forward: False: the sums over k of input[k] exp(2 pi i j k / n); True: with
        the opposite sign.
    scale: what the result is multiplied by: "1", "1/n" or "1/sqrt n".
    pairs: by what coefficients are multiplied first that have a conjugate among
        those left out.

Returns:
    Real tensor; the dimension has size n.

Raises:
    DTypeError: `input` is not complex.
    ShapeError: the dimension has not n / 2 + 1 coefficients.
    IndexError: `dim` is out of range.
    ValueError: unknown scale.

Example:
    >>> import ferrule as fe
    >>> fe.ops.fft_c2r(fe.tensor([3 + 0j, -1 + 0j]), 0, 2, False).tolist()
    [2.0, 4.0]

Source: Sorensen et al., "Real-valued Fast Fourier Transform Algorithms", 1987.
)"),
    .examples = FE_DOC("z(2, 5), 1, 8, False\nz(3, 3), 0, 5, True, \"1/n\"\n"
                       "z(3, 4), -1, 6, False, \"1/sqrt n\", 2.0\n"
                       "z(2, 7, 3), 1, 12, True\n"
                       "z(1, 34), 1, 67, False, \"1\", 0.5\n"
                       "z(65), 0, 128, False\nz(68), 0, 134, True\n"
                       "z(1), 0, 1, False\nz(3, 2), 1, 2, False"),
    .reference = FE_DOC(
        "(lambda x: np.fft.irfft(x if not forward else np.conj(x), n, "
        "axis=dim, norm=\"forward\") * {\"1\": 1, \"1/n\": 1 / n, "
        "\"1/sqrt n\": n ** -0.5}[scale])(input * np.expand_dims([pairs if 0 "
        "< k < n - k else 1 for k in range(n // 2 + 1)], tuple(range(1, "
        "input.ndim - dim % input.ndim))))"),
    .where = kInternal,
    .autocast = Autocast::f32,
    .infer = infer_c2r,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::fft_r2c(v.grad(), v.args[1], !v.args[3].b, v.args[4],
                           2 * v.args[5].f));
    }),
    .batch = FE_GRAD(batch_dims),
};

}  // namespace ferrule
