// Comparisons. They have no gradient.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/graph/passes/simplify.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_logical_not(OpCall& c) {
  check_real(c, 0);
  c.compute = c.in(0).dtype;
  c.out(0, DType::bool_, c.in(0).sizes());
}

}  // namespace

extern const OpDef eq_op = {
    .name = "eq",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Where `input` equals `other`, element by element.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    bool tensor of the broadcast shape.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([1.0, 2.0, 3.0]) == 2).tolist()
    [False, True, False]

Source: numpy.equal.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("input == other"),
    .has_inplace = true,
    .infer = infer_compare,
};

extern const OpDef ne_op = {
    .name = "ne",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Where `input` differs from `other`, element by element.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    bool tensor of the broadcast shape.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([1.0, 2.0, 3.0]) != 2).tolist()
    [True, False, True]

Source: numpy.not_equal.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("input != other"),
    .aliases = FE_DOC("not_equal"),
    .has_inplace = true,
    .infer = infer_compare,
};

extern const OpDef lt_op = {
    .name = "lt",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Where `input` is less than `other`, element by element.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    bool tensor of the broadcast shape.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([1.0, 2.0, 3.0]) < 2).tolist()
    [True, False, False]

Source: numpy.less.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("input < other"),
    .aliases = FE_DOC("less"),
    .has_inplace = true,
    .infer = infer_compare,
};

extern const OpDef le_op = {
    .name = "le",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Where `input` is at most `other`, element by element.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    bool tensor of the broadcast shape.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([1.0, 2.0, 3.0]) <= 2).tolist()
    [True, True, False]

Source: numpy.less_equal.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("input <= other"),
    .aliases = FE_DOC("less_equal"),
    .has_inplace = true,
    .infer = infer_compare,
};

extern const OpDef gt_op = {
    .name = "gt",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Where `input` is greater than `other`, element by element.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    bool tensor of the broadcast shape.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([1.0, 2.0, 3.0]) > 2).tolist()
    [False, False, True]

Source: numpy.greater.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("input > other"),
    .aliases = FE_DOC("greater"),
    .has_inplace = true,
    .infer = infer_compare,
};

extern const OpDef ge_op = {
    .name = "ge",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Where `input` is at least `other`, element by element.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.

Returns:
    bool tensor of the broadcast shape.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> (fe.tensor([1.0, 2.0, 3.0]) >= 2).tolist()
    [False, True, True]

Source: numpy.greater_equal.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(2, 1), f(3)\n"
                       "f(2, 3), 1.5\n"
                       "2.5, f(3)"),
    .reference = FE_DOC("input >= other"),
    .aliases = FE_DOC("greater_equal"),
    .has_inplace = true,
    .infer = infer_compare,
};

extern const OpDef logical_not_op = {
    .name = "logical_not",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Where elements are 0 (or False).

Args:
    input: any shape and dtype.

Returns:
    bool tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.logical_not(fe.tensor([0.0, 2.0])).tolist()
    [True, False]

Source: numpy.logical_not.
)"),
    .examples = FE_DOC("b(2, 3)\n"
                       "f(4)"),
    .reference = FE_DOC("np.logical_not(input)"),
    .has_inplace = true,
    .infer = infer_logical_not,
    .simplify = involution,
};

}  // namespace ferrule
