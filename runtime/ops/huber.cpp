// What huber_loss and smooth_l1_loss are made of, and its gradient.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {

extern const OpDef huber_op = {
    .name = "huber",
    .sig = "input: Tensor[float], delta: float = 1.0, slope: float = 1.0",
    .doc = FE_DOC(
        R"(A parabola near 0 that goes on as straight lines: slope / (2 delta) * input^2
where |input| is at most delta, else slope * (|input| - delta / 2).

Args:
    input: any shape, floating-point.
    delta: where the lines begin, above 0.
    slope: that of the lines.

Returns:
    Tensor of the same shape.

Raises:
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.ops.huber(fe.tensor([-3.0, 1.0]), 2.0, 2.0).tolist()
    [4.0, 0.5]

Source: P. Huber, "Robust estimation of a location parameter", Ann. Math. Statist.
35 (1964).
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(33), 0.5, 2.0\n"
                       "f(0, 2)"),
    .reference =
        FE_DOC("(lambda a: np.where(a <= delta, slope / (2 * delta) * a "
               "* a, slope * (a - delta / 2)))(np.abs(input))"),
    .where = kInternal,
    .saves = "input",
    .infer = infer_unary_float,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::huber_backward(v.grad(), v.in(0), v.args[1], v.args[2]));
    }),
};

extern const OpDef huber_backward_op = {
    .name = "huber_backward",
    .sig = "grad: Tensor[float], input: Tensor[float], delta: float = 1.0, "
           "slope: float = 1.0",
    .doc = FE_DOC(R"(Gradient of huber from its input.

Args:
    grad: gradient of the result.
    input: the input of huber; same shape as `grad`.
    delta, slope: as there.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> grad, x = fe.ones(2), fe.tensor([-3.0, 1.0])
    >>> fe.ops.huber_backward(grad, x, 2.0, 2.0).tolist()
    [-2.0, 1.0]
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(33), f(33), 0.5, 2.0"),
    .reference = FE_DOC("grad * slope * np.clip(input / delta, -1, 1)"),
    .where = kInternal,
    .saves = "grad input",
    .infer = infer_like_first,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor x = v.in(1);
      const double delta = v.args[2].f, slope = v.args[3].f;
      if (v.needs(0)) v.set(0, op::huber_backward(v.grad(), x, delta, slope));
      if (v.needs(1)) {
        const Tensor product = op::mul(v.grad(), v.in(0));
        v.set(1, op::hardtanh_backward(op::mul(product, slope / delta), x,
                                       -delta, delta));
      }
    }),
};

}  // namespace ferrule
