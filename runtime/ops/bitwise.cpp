// Bits of integers, and masks.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/graph/passes/simplify.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void check_bits(const OpCall& c) {
  if (is_integer(c.compute) || c.compute == DType::bool_) return;
  c.fail<DTypeError>("takes bool and integer tensors; the operands give ",
                     c.compute);
}

void infer_bits(OpCall& c) {
  infer_real_binary(c);
  check_bits(c);
}

void infer_not(OpCall& c) {
  infer_real_unary(c);
  check_bits(c);
}

void infer_shift(OpCall& c) {
  infer_bits(c);
  refuse_bool(c, "are not shifted");
}

}  // namespace

extern const OpDef bitwise_and_op = {
    .name = "bitwise_and",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Bits that are set in both, `&`; of bools the logical and.

Args:
    input: bool or integer tensor, or a number.
    other: bool or integer tensor, or a number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is neither bool nor integer.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([5, 6]) & 3).tolist()
    [1, 2]

Source: numpy.bitwise_and.
)"),
    .examples = FE_DOC("i(9, 2, 3), i(9, 2, 3)\n"
                       "i(9, 2, 3), i(9, 3)\n"
                       "i(9, 2, 1) - 5, i(9, 3)\n"
                       "i(9, 2, 3), 5\n"
                       "6, i(9, 3)\n"
                       "b(2, 3), b(3)"),
    .reference = FE_DOC("np.bitwise_and(input, other)"),
    .has_inplace = true,
    .infer = infer_bits,
};

extern const OpDef bitwise_or_op = {
    .name = "bitwise_or",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(
        R"(Bits that are set in one at least, `|`; of bools the logical or.

Args:
    input: bool or integer tensor, or a number.
    other: bool or integer tensor, or a number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is neither bool nor integer.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([5, 6]) | 3).tolist()
    [7, 7]

Source: numpy.bitwise_or.
)"),
    .examples = FE_DOC("i(9, 2, 3), i(9, 2, 3)\n"
                       "i(9, 2, 3), i(9, 3)\n"
                       "i(9, 2, 1) - 5, i(9, 3)\n"
                       "i(9, 2, 3), 5\n"
                       "6, i(9, 3)\n"
                       "b(2, 3), b(3)"),
    .reference = FE_DOC("np.bitwise_or(input, other)"),
    .has_inplace = true,
    .infer = infer_bits,
};

extern const OpDef bitwise_xor_op = {
    .name = "bitwise_xor",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(
        R"(Bits that are set in one only, `^`; of bools whether they differ.

Args:
    input: bool or integer tensor, or a number.
    other: bool or integer tensor, or a number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is neither bool nor integer.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([5, 6]) ^ 3).tolist()
    [6, 5]

Source: numpy.bitwise_xor.
)"),
    .examples = FE_DOC("i(9, 2, 3), i(9, 2, 3)\n"
                       "i(9, 2, 3), i(9, 3)\n"
                       "i(9, 2, 1) - 5, i(9, 3)\n"
                       "i(9, 2, 3), 5\n"
                       "6, i(9, 3)\n"
                       "b(2, 3), b(3)"),
    .reference = FE_DOC("np.bitwise_xor(input, other)"),
    .has_inplace = true,
    .infer = infer_bits,
};

extern const OpDef bitwise_not_op = {
    .name = "bitwise_not",
    .sig = "input: Tensor",
    .doc =
        FE_DOC(R"(All bits the other way round, `~`; of bools the logical not.

Args:
    input: bool or integer tensor of any shape.

Returns:
    Tensor of the same shape and dtype.

Raises:
    DTypeError: `input` is neither bool nor integer.

Example:
    >>> import ferrule as fe
    >>> (~fe.tensor([0, 5])).tolist()
    [-1, -6]
    >>> (~fe.tensor([True, False])).tolist()
    [False, True]

Source: numpy.bitwise_not.
)"),
    .examples = FE_DOC("i(9, 2, 3)\n"
                       "b(4)"),
    .reference = FE_DOC("np.bitwise_not(input)"),
    .has_inplace = true,
    .infer = infer_not,
    .simplify = involution,
};

extern const OpDef bitwise_left_shift_op = {
    .name = "bitwise_left_shift",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Bits moved up by `other` places, `<<`; zeros come in.

A count that is negative, or not less than the width of the dtype, gives 0.

Args:
    input: integer tensor, or a number.
    other: integer tensor, or a number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is floating point, or both are bool.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([1, 3]) << 2).tolist()
    [4, 12]

Source: numpy.left_shift.
)"),
    .examples = FE_DOC("i(9, 2, 3) - 4, i(9, 2, 3)\n"
                       "i(9, 2, 1), i(70, 3)\n"
                       "i(9, 2, 3), 2\n"
                       "6, i(9, 3)"),
    .reference = FE_DOC("np.left_shift(input, other)"),
    .has_inplace = true,
    .infer = infer_shift,
};

extern const OpDef bitwise_right_shift_op = {
    .name = "bitwise_right_shift",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Bits moved down by `other` places, `>>`; the sign comes in.

A count that is negative, or not less than the width of the dtype, leaves the
sign: -1 of negative numbers, 0 of others.

Args:
    input: integer tensor, or a number.
    other: integer tensor, or a number; the shapes broadcast.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: an operand is floating point, or both are bool.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([12, -1]) >> 2).tolist()
    [3, -1]

Source: numpy.right_shift.
)"),
    .examples = FE_DOC("i(9, 2, 3) - 4, i(9, 2, 3)\n"
                       "i(9, 2, 1), i(70, 3)\n"
                       "i(9, 2, 3), 2\n"
                       "6, i(9, 3)"),
    .reference = FE_DOC("np.right_shift(input, other)"),
    .has_inplace = true,
    .infer = infer_shift,
};

}  // namespace ferrule
