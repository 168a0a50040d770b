// The gamma function's logarithm and the derivatives of that.
#include <cmath>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// (-1)^(n + 1) n! zeta(n + 1, x)
Results decompose_polygamma(OpCall& c) {
  const int64_t n = c.i(0);
  if (n < 0 || n > 170) {
    c.fail<ValueError>("n must lie in 0..170, got ", n);
  }
  check_real(c, 1);
  Tensor x = c.tensor(1);
  if (!is_float(x.dtype())) x = op::cast(x, DType::f32);
  if (n == 0) return one(op::digamma(x));
  double factor = n % 2 == 0 ? -1 : 1;
  for (int64_t k = 2; k <= n; ++k) factor *= static_cast<double>(k);
  const Tensor zeta = op::special_zeta(static_cast<double>(n + 1), x);
  return one(op::mul(zeta, factor));
}

// log of pi^(p (p - 1) / 4) times the product of gamma(x - j / 2), j < p
Results decompose_mvlgamma(OpCall& c) {
  const int64_t p = c.i(1);
  if (p < 1 || p > 1024) {
    c.fail<ValueError>("p must lie in 1..1024, got ", p);
  }
  check_real(c, 0);
  Tensor x = c.tensor(0);
  if (!is_float(x.dtype())) x = op::cast(x, DType::f32);
  Tensor sum;
  for (int64_t j = 0; j < p; ++j) {
    const Tensor term = op::lgamma(op::sub(x, 0.5 * static_cast<double>(j)));
    sum = sum ? op::add(sum, term) : term;
  }
  constexpr double kLogPi = 1.14472988584940017414;
  const double scale = 0.25 * static_cast<double>(p * (p - 1));
  return one(op::add(sum, scale * kLogPi));
}

#endif

}  // namespace

extern const OpDef lgamma_op = {
    .name = "lgamma",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Logarithm of the gamma function's absolute value.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape; infinite at 0, -1, -2, ...

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.lgamma(fe.tensor([1.0, 2.0, 0.0])).tolist()
    [0.0, 0.0, inf]

Source: scipy.special.gammaln.
)"),
    .examples = FE_DOC("p(2, 3)\nf(4)\n40 * p(3)\nf()"),
    .reference = FE_DOC("np.vectorize(math.lgamma, otypes=[float])(input)"),
    .aliases = FE_DOC("special.gammaln"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, op::mul(v.grad(), op::digamma(v.in(0)))); }),
};

extern const OpDef digamma_op = {
    .name = "digamma",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Derivative of the gamma function's logarithm.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape; -inf at 0, NaN at -1, -2, ...

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> f"{-fe.digamma(fe.tensor(1.0)).item():.4f}"  # Euler's constant
    '0.5772'

Source: Bernardo, "Algorithm AS 103: Psi (Digamma) Function", 1976.
)"),
    .examples = FE_DOC("p(2, 3)\n40 * p(3)\n-0.5 * u(4)"),
    .reference = FE_DOC("digamma(input)"),
    .aliases = FE_DOC("special.digamma special.psi"),
    .has_inplace = true,
    .saves = "input",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, op::mul(v.grad(), op::polygamma(1, v.in(0)))); }),
};

extern const OpDef special_zeta_op = {
    .name = "special_zeta",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(
        R"(Hurwitz's zeta function: the sum of (k + other)^-input, k >= 0.

Args:
    input: the exponent, 1 or more.
    other: what the sum begins at; the shapes broadcast.

Returns:
    Tensor of the broadcast shape; float32 where both are integers. Only `other`
    has a gradient.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is complex.

Example:
    >>> import ferrule as fe
    >>> fe.special.zeta(2.0, fe.tensor([1.0])).item() * 6 - fe.pi**2 < 1e-5
    True

Source: scipy.special.zeta; Cephes, by Euler's and Maclaurin's sum.
)"),
    .examples = FE_DOC("2.0, p(2, 3)\n1.0 + p(3), 3 * p(3)\n3.0, -0.9 * u(4)"),
    .reference = FE_DOC("zeta(input, other)"),
    .where = kInternal,
    .aliases = FE_DOC("special.zeta"),
    .saves = "input other",
    .infer = infer_real_binary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      if (v.needs(0)) {
        fail<AutogradError>("[special_zeta] has no gradient for its exponent; ",
                            "use input.detach()");
      }
      if (!v.needs(1)) return;
      const OperandOf s(v, 0);
      const Tensor next = op::add(op::mul(op::ones_like(v.in(1)), s), 1.0);
      const Tensor slope = op::special_zeta(next, v.in(1));
      v.set(1, op::mul(v.grad(), op::neg(op::mul(slope, s))));
    }),
};

extern const OpDef polygamma_op = {
    .name = "polygamma",
    .sig = "n: int, input: Tensor",
    .doc = FE_DOC(R"(The n-th derivative of `digamma`.

Args:
    n: 0 or more.
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    ValueError: `n` is negative.
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> f"{fe.polygamma(1, fe.tensor(1.0)).item():.4f}"  # pi^2 / 6
    '1.6449'

Source: scipy.special.polygamma.
)"),
    .examples = FE_DOC("1, p(2, 3)\n0, p(3)\n2, 5 * p(2)"),
    .reference = FE_DOC("digamma(input) if n == 0 else (-1.0) ** (n + 1) * "
                        "math.factorial(n) * zeta(n + 1.0, input)"),
    .where = kFunction,
    .aliases = FE_DOC("special.polygamma"),
    .decompose = FE_GRAD(decompose_polygamma),
};

extern const OpDef mvlgamma_op = {
    .name = "mvlgamma",
    .sig = "input: Tensor, p: int",
    .doc = FE_DOC(R"(Logarithm of the gamma function of p dimensions.

Args:
    input: any shape, elements above (p - 1) / 2; integers and bools give
        float32.
    p: the number of dimensions.

Returns:
    Tensor of the same shape.

Raises:
    ValueError: `p` is not positive.
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> f"{fe.mvlgamma(fe.tensor(2.0), 2).item():.4f}"
    '0.4516'

Source: scipy.special.multigammaln.
)"),
    .examples = FE_DOC("2 + p(2, 3), 3\np(4), 1"),
    .reference = FE_DOC("p * (p - 1) / 4 * np.log(np.pi) + sum(np.vectorize("
                        "math.lgamma, otypes=[float])(input - j / 2) for j in "
                        "range(p))"),
    .aliases = FE_DOC("special.multigammaln"),
    .has_inplace = true,
    .decompose = FE_GRAD(decompose_mvlgamma),
};

}  // namespace ferrule
