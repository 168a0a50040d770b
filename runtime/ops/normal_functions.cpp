// Functions of the normal distribution, entropy, and logarithms that are 0
// where their factor is.
#include <cmath>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

Tensor real_float(const OpCall& c) {
  check_real(c, 0);
  const Tensor x = c.tensor(0);
  return is_float(x.dtype()) ? x : op::cast(x, DType::f32);
}

Results decompose_entr(OpCall& c) {
  const Tensor x = real_float(c);
  return one(
      op::where(op::lt(x, 0.0), -INFINITY, op::sub(0.0, op::xlogy(x, x))));
}

#endif

}  // namespace

extern const OpDef erfinv_op = {
    .name = "erfinv",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(The inverse of `erf`.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape; NaN outside of [-1, 1].

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> f"{fe.erfinv(fe.tensor(0.5)).item():.4f}"
    '0.4769'

Source: Giles, "Approximating the erfinv function", 2011, for the first guess;
then Halley's method.
)"),
    .examples = FE_DOC("2 * u(2, 3) - 1\nu(4) * 1e-3\n-0.9 * u(3)"),
    .reference = FE_DOC("erfinv(input)"),
    .aliases = FE_DOC("special.erfinv"),
    .has_inplace = true,
    .saves = "out",
    .infer = infer_real_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      constexpr double kScale = 0.88622692545275801365;  // sqrt(pi) / 2
      const Tensor slope = op::exp(op::square(v.out()));
      v.set(0, op::mul(v.grad(), op::mul(slope, kScale)));
    }),
};

extern const OpDef special_entr_op = {
    .name = "special_entr",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Entropy: -x log(x); 0 for 0 and -inf below.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.special.entr(fe.tensor([1.0, 0.0, -1.0])).tolist()
    [0.0, 0.0, -inf]

Source: scipy.special.entr.
)"),
    .examples = FE_DOC("p(2, 3)\nu(4)"),
    .reference = FE_DOC("-input * np.log(input)"),
    .where = kInternal,
    .aliases = FE_DOC("special.entr"),
    .decompose = FE_GRAD(decompose_entr),
};

extern const OpDef special_xlog1py_op = {
    .name = "special_xlog1py",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(input * log1p(other), and 0 where `input` is 0.

Where `other` is NaN the result is NaN.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape; float32 where both are integers.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is complex.

Example:
    >>> import ferrule as fe
    >>> fe.special.xlog1py(fe.tensor([0.0, 2.0]), fe.tensor([-1.0, 0.0])).tolist()
    [0.0, 0.0]

Source: scipy.special.xlog1py.
)"),
    .examples = FE_DOC("f(2, 3), p(2, 3)\nf(2, 1), p(3)\nf(2, 3), 1.5\n"
                       "2.5, p(3)"),
    .reference = FE_DOC("input * np.log1p(other)"),
    .where = kInternal,
    .aliases = FE_DOC("special.xlog1py"),
    .saves = "input other",
    .infer = infer_real_binary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      const OperandOf other(v, 1);
      if (v.needs(0)) {
        const Tensor counts = op::ne(v.in(0), 0);
        v.set(0, op::mul(v.grad(), op::special_xlog1py(counts, other)));
      }
      if (v.needs(1)) {
        const Tensor below = op::add(v.in(1), 1.0);
        v.set(1, op::mul(v.grad(), op::div(OperandOf(v, 0), below)));
      }
    }),
};

extern const OpDef special_ndtr_op = {
    .name = "special_ndtr",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Distribution function of the normal distribution.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape, values from 0 to 1.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.special.ndtr(fe.tensor([0.0, 10.0])).tolist()
    [0.5, 1.0]

Source: scipy.special.ndtr.
)"),
    .examples = FE_DOC("f(2, 3)\n3 * f(4)"),
    .reference = FE_DOC(
        "0.5 * np.vectorize(math.erfc, otypes=[float])(-input / np.sqrt(2))"),
    .where = kInternal,
    .aliases = FE_DOC("special.ndtr"),
    .decompose = FE_GRAD([](OpCall& c) {
      constexpr double kRoot = 0.70710678118654752440;
      const Tensor tail = op::erfc(op::mul(real_float(c), -kRoot));
      return one(op::mul(tail, 0.5));
    }),
};

extern const OpDef special_log_ndtr_op = {
    .name = "special_log_ndtr",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Logarithm of the normal distribution function.

Exact also where the function itself is almost 0 or 1.

Args:
    input: any shape; integers and bools give float32.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> f"{fe.special.log_ndtr(fe.tensor(-100.0)).item():.2f}"
    '-5005.52'

Source: scipy.special.log_ndtr.
)"),
    .examples = FE_DOC("f(2, 3)\n3 * f(4)\n-20 * p(3)"),
    .reference = FE_DOC("log_ndtr(input)"),
    .where = kInternal,
    .aliases = FE_DOC("special.log_ndtr"),
    .saves = "input out",
    .infer = infer_real_unary_float,
    // The density by the distribution function.
    .vjp = FE_GRAD([](Vjp& v) {
      constexpr double kScale = 0.39894228040143267794;  // 1 / sqrt(2 pi)
      const Tensor bell = op::mul(op::square(v.in(0)), -0.5);
      const Tensor ratio = op::exp(op::sub(bell, v.out()));
      v.set(0, op::mul(v.grad(), op::mul(ratio, kScale)));
    }),
};

}  // namespace ferrule
