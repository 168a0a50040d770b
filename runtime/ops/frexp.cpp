// Floating-point numbers as mantissa and exponent.
#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {

extern const OpDef frexp_op = {
    .name = "frexp",
    .sig = "input: Tensor[float] -> mantissa, exponent",
    .doc = FE_DOC(R"(Mantissa and exponent: input = mantissa * 2^exponent.

Args:
    input: any shape; floating-point.

Returns:
    mantissa: 0, or of a size in [0.5, 1); infinity and NaN are themselves.
    exponent: int32.

Raises:
    DTypeError: `input` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> [t.tolist() for t in fe.frexp(fe.tensor([1.0, -3.0]))]
    [[0.5, -0.75], [1, 2]]

Source: numpy.frexp.
)"),
    .examples = FE_DOC("f(2, 3)\n1e-3 * f(5)\n100 * f()\nf(0, 2)"),
    .reference = FE_DOC("np.frexp(input)"),
    .saves = "exponent",
    .infer =
        [](OpCall& c) {
          c.compute = c.in(0).dtype;
          c.out_like(0, 0);
          c.out(1, DType::i32, c.in(0).sizes());
        },
    // The exponent is constant but for jumps.
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, op::ldexp(v.grad(0), op::neg(v.out(1)))); }),
    .batch = FE_GRAD(batch_leading),
};

}  // namespace ferrule
