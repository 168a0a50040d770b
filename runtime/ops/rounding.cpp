// Rounding to whole numbers.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/graph/passes/simplify.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_rounding(OpCall& c) {
  infer_real_unary(c);
  refuse_bool(c, "are not rounded");
}

void infer_round(OpCall& c) {
  infer_rounding(c);
  if (!is_float(c.compute) && c.i(1) < 0) {
    c.fail<DTypeError>("integers are rounded to decimals >= 0 only, got ",
                       c.i(1), "; convert them with .float()");
  }
}

void infer_frac(OpCall& c) {
  check_floating(c, 0);
  infer_real_unary(c);
}

}  // namespace

extern const OpDef floor_op = {
    .name = "floor",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(The largest integer that is not greater, of every element.

Args:
    input: any shape; any dtype but bool and complex.

Returns:
    Tensor of the same shape and dtype; integers stay as they are.

Raises:
    DTypeError: `input` is bool or complex.

Example:
    >>> import ferrule as fe
    >>> fe.floor(fe.tensor([1.7, -1.2])).tolist()
    [1.0, -2.0]

Source: numpy.floor.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.floor(input)"),
    .has_inplace = true,
    .infer = infer_rounding,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, op::zeros_like(v.grad())); }),
    .simplify = idempotent,
};

extern const OpDef ceil_op = {
    .name = "ceil",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(The smallest integer that is not less, of every element.

Args:
    input: any shape; any dtype but bool and complex.

Returns:
    Tensor of the same shape and dtype; integers stay as they are.

Raises:
    DTypeError: `input` is bool or complex.

Example:
    >>> import ferrule as fe
    >>> fe.ceil(fe.tensor([1.2, -1.7])).tolist()
    [2.0, -1.0]

Source: numpy.ceil.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.ceil(input)"),
    .has_inplace = true,
    .infer = infer_rounding,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, op::zeros_like(v.grad())); }),
    .simplify = idempotent,
};

extern const OpDef trunc_op = {
    .name = "trunc",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Every element without its fraction: rounded towards zero.

Args:
    input: any shape; any dtype but bool and complex.

Returns:
    Tensor of the same shape and dtype; integers stay as they are.

Raises:
    DTypeError: `input` is bool or complex.

Example:
    >>> import ferrule as fe
    >>> fe.trunc(fe.tensor([1.7, -1.7])).tolist()
    [1.0, -1.0]

Source: numpy.trunc.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("np.trunc(input)"),
    .aliases = FE_DOC("fix"),
    .has_inplace = true,
    .infer = infer_rounding,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, op::zeros_like(v.grad())); }),
    .simplify = idempotent,
};

extern const OpDef round_op = {
    .name = "round",
    .sig = "input: Tensor, *, decimals: int = 0",
    .doc = FE_DOC(R"(The nearest integer, halves to even; or so many decimals.

Args:
    input: any shape; any dtype but bool and complex.
    decimals: places after the point; negative: tens, hundreds, ... For
        integers it must not be negative.

Returns:
    Tensor of the same shape and dtype; integers stay as they are.

Raises:
    DTypeError: `input` is bool or complex; or it is an integer tensor and
        `decimals` is negative.

Example:
    >>> import ferrule as fe
    >>> fe.round(fe.tensor([0.5, 1.5, -1.2])).tolist()
    [0.0, 2.0, -1.0]
    >>> fe.round(fe.tensor([1234.5]), decimals=-2).tolist()
    [1200.0]

Source: numpy.round, torch.round.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4), decimals=1\n"
                       "f(4), decimals=-1\n"
                       "f()"),
    .reference = FE_DOC("np.round(input, decimals)"),
    .has_inplace = true,
    .infer = infer_round,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, op::zeros_like(v.grad())); }),
};

extern const OpDef frac_op = {
    .name = "frac",
    .sig = "input: Tensor",
    .doc = FE_DOC(
        R"(The fraction of every element, with its sign: input - trunc(input).

Args:
    input: any shape, floating point.

Returns:
    Tensor of the same shape and dtype.

Raises:
    DTypeError: `input` is not floating point.

Example:
    >>> import ferrule as fe
    >>> fe.frac(fe.tensor([1.5, -2.25])).tolist()
    [0.5, -0.25]

Source: torch.frac.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "p(4)\n"
                       "f()"),
    .reference = FE_DOC("input - np.trunc(input)"),
    .has_inplace = true,
    .infer = infer_frac,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, v.grad()); }),
};

}  // namespace ferrule
