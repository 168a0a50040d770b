// Divisions that give whole numbers, and their remainders.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_division(OpCall& c) {
  infer_real_binary(c);
  refuse_bool(c, "are not divided into whole numbers");
}

#ifndef FE_RUNTIME_ONLY

// The gradient of a - q(a, b) b for a and b, where q is a whole number.
void remainder_vjp(Vjp& v, const char* rounding_mode) {
  v.set(0, v.grad());
  if (!v.needs(1)) return;
  const Tensor quotient =
      op::div(OperandOf(v, 0), OperandOf(v, 1), rounding_mode);
  v.set(1, op::neg(op::mul(v.grad(), quotient)));
}

#endif

}  // namespace

extern const OpDef floor_divide_op = {
    .name = "floor_divide",
    .sig = "input: Operand, other: Operand",
    .doc =
        FE_DOC(R"(Quotient rounded down to a whole number, element by element.

Integers stay integers. `input == other * (input // other) + input % other`.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    ValueError: an integer is divided by zero.
    DTypeError: both are bool, or one is complex.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([7, -7]) // 2).tolist()
    [3, -4]

Source: numpy.floor_divide.
)"),
    .examples = FE_DOC("f(2, 3), p(2, 3)\n"
                       "f(2, 3), p(3)\n"
                       "f(2, 3), 0.75\n"
                       "2.5, p(3)\n"
                       "i(9, 4) - 4, i(4, 4) - 5"),
    .reference = FE_DOC("np.floor_divide(input, other)"),
    .has_inplace = true,
    .infer = infer_division,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::zeros_like(v.grad()));
      v.set(1, op::zeros_like(v.grad()));
    }),
};

extern const OpDef remainder_op = {
    .name = "remainder",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Remainder of the division that rounds down; Python's `%`.

It has the sign of `other`.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    ValueError: an integer is divided by zero.
    DTypeError: both are bool, or one is complex.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([7, -7]) % 3).tolist()
    [1, 2]

Source: numpy.remainder.
)"),
    .examples = FE_DOC("f(2, 3), p(2, 3)\n"
                       "f(2, 3), p(3)\n"
                       "f(2, 3), 0.75\n"
                       "2.5, p(3)\n"
                       "i(9, 4) - 4, i(4, 4) - 5"),
    .reference = FE_DOC("np.remainder(input, other)"),
    .has_inplace = true,
    .saves = "input other",
    .infer = infer_division,
    .vjp = FE_GRAD([](Vjp& v) { remainder_vjp(v, "floor"); }),
};

extern const OpDef fmod_op = {
    .name = "fmod",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(
        R"(Remainder of the division that rounds towards zero; C's `fmod`.

It has the sign of `input`.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    ValueError: an integer is divided by zero.
    DTypeError: both are bool, or one is complex.

Example:
    >>> import ferrule as fe
    >>> fe.fmod(fe.tensor([7, -7]), 3).tolist()
    [1, -1]

Source: numpy.fmod.
)"),
    .examples = FE_DOC("f(2, 3), p(2, 3)\n"
                       "f(2, 3), p(3)\n"
                       "f(2, 3), 0.75\n"
                       "2.5, p(3)\n"
                       "i(9, 4) - 4, i(4, 4) - 5"),
    .reference = FE_DOC("np.fmod(input, other)"),
    .has_inplace = true,
    .saves = "input other",
    .infer = infer_division,
    .vjp = FE_GRAD([](Vjp& v) { remainder_vjp(v, "trunc"); }),
};

}  // namespace ferrule
