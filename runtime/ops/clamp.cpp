// Limits to what an element may be.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/graph/passes/simplify.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_clamp(OpCall& c) {
  static constexpr int kAll[] = {0, 1, 2};
  for (int i : kAll) check_real(c, i);
  if (!c.has(1) && !c.has(2)) {
    c.fail<ValueError>("needs min, max or both");
  }
  c.compute = c.promoted(kAll);
  refuse_bool(c, "have no limits");
  c.out(0, c.compute, operand_shape(c, kAll));
}

void infer_clamp_one(OpCall& c) {
  infer_real_binary(c);
  refuse_bool(c, "have no limits");
}

#ifndef FE_RUNTIME_ONLY

// Gradients go to the input where it is within the limits, the limits included,
// else to the limit that was taken.
void one_limit_vjp(Vjp& v, const OpDef& within, const OpDef& outside) {
  const OperandOf x(v, 0);
  const OperandOf limit(v, 1);
  if (v.needs(0)) v.set(0, op::where(within(x, limit), v.grad(), 0.0));
  if (v.needs(1)) v.set(1, op::where(outside(x, limit), v.grad(), 0.0));
}

void clamp_vjp(Vjp& v) {
  const OperandOf low(v, 1);
  const OperandOf high(v, 2);
  const Tensor x = v.in(0);
  const Tensor raised = v.has(1) ? op::clamp_min(x, low) : x;
  if (v.needs(0)) {
    Tensor g = v.grad();
    if (v.has(1)) g = op::where(op::ge(x, low), g, 0.0);
    if (v.has(2)) g = op::where(op::le(x, high), g, 0.0);
    v.set(0, g);
  }
  if (v.needs(1)) {
    Tensor g = op::where(op::lt(x, low), v.grad(), 0.0);
    if (v.has(2)) g = op::where(op::le(low, high), g, 0.0);
    v.set(1, g);
  }
  if (v.needs(2)) {
    v.set(2, op::where(op::gt(raised, high), v.grad(), 0.0));
  }
}

#endif

}  // namespace

extern const OpDef clamp_op = {
    .name = "clamp",
    .sig = "input: Tensor, min: Operand? = None, max: Operand? = None",
    .doc = FE_DOC(R"(Every element, but at least `min` and at most `max`.

A NaN in any of them is the result. Where `min` is above
`max` the result is `max`. On a limit the gradient is that of `input`.

Args:
    input: any shape; any dtype but bool and complex.
    min: tensor or number, broadcasts; None: no lower limit.
    max: tensor or number, broadcasts; None: no upper limit.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    ValueError: neither `min` nor `max` is given.
    DTypeError: the promoted dtype is bool or complex.

Example:
    >>> import ferrule as fe
    >>> fe.clamp(fe.tensor([-2.0, 0.5, 3.0]), 0, 1).tolist()
    [0.0, 0.5, 1.0]

Source: numpy.clip, torch.clamp.
)"),
    .examples = FE_DOC("f(2, 3), -0.5, 0.5\n"
                       "f(2, 3), 0\n"
                       "f(2, 3), max=0.25\n"
                       "f(2, 3), f(3), f(2, 1) + 1\n"
                       "f(3), f(2, 3)\n"
                       "f(3), max=f(2, 1)\n"
                       "f(40), min=f(40), max=f(40)"),
    .reference = FE_DOC("np.minimum(np.maximum(input, -np.inf if min is None "
                        "else min), np.inf if max is None else max)"),
    .aliases = FE_DOC("clip"),
    .has_inplace = true,
    .saves = "input min max",
    .infer = infer_clamp,
    .vjp = FE_GRAD([](Vjp& v) { clamp_vjp(v); }),
    .simplify = idempotent,
};

extern const OpDef clamp_min_op = {
    .name = "clamp_min",
    .sig = "input: Tensor, min: Operand",
    .doc = FE_DOC(R"(Every element, but at least `min`.

A NaN in either is the result. On the limit the gradient is that of `input`.

Args:
    input: any shape; any dtype but bool and complex.
    min: tensor or number, broadcasts.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: the promoted dtype is bool or complex.

Example:
    >>> import ferrule as fe
    >>> fe.clamp_min(fe.tensor([-2.0, 0.5]), 0).tolist()
    [0.0, 0.5]

Source: torch.clamp_min.
)"),
    .examples = FE_DOC("f(2, 3), -0.5\n"
                       "f(2, 3), f(3)\n"
                       "f(3), f(2, 3)"),
    .reference = FE_DOC("np.maximum(input, min)"),
    .has_inplace = true,
    .saves = "input min",
    .infer = infer_clamp_one,
    .vjp = FE_GRAD([](Vjp& v) { one_limit_vjp(v, op::ge, op::lt); }),
    .simplify = idempotent,
};

extern const OpDef clamp_max_op = {
    .name = "clamp_max",
    .sig = "input: Tensor, max: Operand",
    .doc = FE_DOC(R"(Every element, but at most `max`.

A NaN in either is the result. On the limit the gradient is that of `input`.

Args:
    input: any shape; any dtype but bool and complex.
    max: tensor or number, broadcasts.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: the promoted dtype is bool or complex.

Example:
    >>> import ferrule as fe
    >>> fe.clamp_max(fe.tensor([-2.0, 0.5]), 0).tolist()
    [-2.0, 0.0]

Source: torch.clamp_max.
)"),
    .examples = FE_DOC("f(2, 3), -0.5\n"
                       "f(2, 3), f(3)\n"
                       "f(3), f(2, 3)"),
    .reference = FE_DOC("np.minimum(input, max)"),
    .has_inplace = true,
    .saves = "input max",
    .infer = infer_clamp_one,
    .vjp = FE_GRAD([](Vjp& v) { one_limit_vjp(v, op::le, op::gt); }),
    .simplify = idempotent,
};

}  // namespace ferrule
