// Logic on bools, and questions about single numbers. They have no gradient.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

// The kernel reads its operands as bools.
void infer_logical(OpCall& c) {
  static constexpr int kBoth[] = {0, 1};
  check_real(c, 0);
  check_real(c, 1);
  c.compute = DType::bool_;
  c.out(0, DType::bool_, operand_shape(c, kBoth));
}

void infer_test(OpCall& c) {
  check_real(c, 0);
  c.compute = c.in(0).dtype;
  c.out(0, DType::bool_, c.in(0).sizes());
}

}  // namespace

extern const OpDef logical_and_op = {
    .name = "logical_and",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Whether both are True, element by element.

What is not 0 counts as True, NaN too.

Args:
    input: tensor or number of any dtype.
    other: tensor or number; the shapes broadcast.

Returns:
    bool tensor of the broadcast shape.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([0.0, 2.0])
    >>> fe.logical_and(x, fe.tensor([True, True])).tolist()
    [False, True]

Source: numpy.logical_and.
)"),
    .examples = FE_DOC("b(2, 3), b(2, 3)\n"
                       "b(2, 3), f(3)\n"
                       "i(2, 2, 1), i(2, 3)\n"
                       "f(2, 3), 1.5\n"
                       "0, b(3)"),
    .reference = FE_DOC("np.logical_and(input, other)"),
    .has_inplace = true,
    .infer = infer_logical,
};

extern const OpDef logical_or_op = {
    .name = "logical_or",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Whether one at least is True, element by element.

What is not 0 counts as True, NaN too.

Args:
    input: tensor or number of any dtype.
    other: tensor or number; the shapes broadcast.

Returns:
    bool tensor of the broadcast shape.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([0.0, 2.0])
    >>> fe.logical_or(x, fe.tensor([False, False])).tolist()
    [False, True]

Source: numpy.logical_or.
)"),
    .examples = FE_DOC("b(2, 3), b(2, 3)\n"
                       "b(2, 3), f(3)\n"
                       "i(2, 2, 1), i(2, 3)\n"
                       "f(2, 3), 1.5\n"
                       "0, b(3)"),
    .reference = FE_DOC("np.logical_or(input, other)"),
    .has_inplace = true,
    .infer = infer_logical,
};

extern const OpDef logical_xor_op = {
    .name = "logical_xor",
    .sig = "input: Operand, other: Operand",
    .doc = FE_DOC(R"(Whether exactly one is True, element by element.

What is not 0 counts as True, NaN too.

Args:
    input: tensor or number of any dtype.
    other: tensor or number; the shapes broadcast.

Returns:
    bool tensor of the broadcast shape.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([0.0, 2.0])
    >>> fe.logical_xor(x, fe.tensor([True, True])).tolist()
    [True, False]

Source: numpy.logical_xor.
)"),
    .examples = FE_DOC("b(2, 3), b(2, 3)\n"
                       "b(2, 3), f(3)\n"
                       "i(2, 2, 1), i(2, 3)\n"
                       "f(2, 3), 1.5\n"
                       "0, b(3)"),
    .reference = FE_DOC("np.logical_xor(input, other)"),
    .has_inplace = true,
    .infer = infer_logical,
};

extern const OpDef isnan_op = {
    .name = "isnan",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Where an element is NaN.

Args:
    input: any shape; integers and bools have no such values.

Returns:
    bool tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.isnan(fe.tensor([1.0, fe.nan])).tolist()
    [False, True]

Source: numpy.isnan.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "np.array([1.5, np.nan, np.inf, -np.inf, -0.0])\n"
                       "i(3, 4)\n"
                       "f()"),
    .reference = FE_DOC("np.isnan(input)"),
    .infer = infer_test,
};

extern const OpDef isinf_op = {
    .name = "isinf",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Where an element is an infinity, of either sign.

Args:
    input: any shape; integers and bools have no such values.

Returns:
    bool tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.isinf(fe.tensor([1.0, -fe.inf])).tolist()
    [False, True]

Source: numpy.isinf.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "np.array([1.5, np.nan, np.inf, -np.inf, -0.0])\n"
                       "i(3, 4)\n"
                       "f()"),
    .reference = FE_DOC("np.isinf(input)"),
    .infer = infer_test,
};

extern const OpDef isfinite_op = {
    .name = "isfinite",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Where an element is neither an infinity nor NaN.

Args:
    input: any shape; integers and bools have no such values.

Returns:
    bool tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.isfinite(fe.tensor([1.0, fe.nan])).tolist()
    [True, False]

Source: numpy.isfinite.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "np.array([1.5, np.nan, np.inf, -np.inf, -0.0])\n"
                       "i(3, 4)\n"
                       "f()"),
    .reference = FE_DOC("np.isfinite(input)"),
    .infer = infer_test,
};

extern const OpDef isposinf_op = {
    .name = "isposinf",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Where an element is positive infinity.

Args:
    input: any shape; integers and bools have no such values.

Returns:
    bool tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.isposinf(fe.tensor([fe.inf, -fe.inf])).tolist()
    [True, False]

Source: numpy.isposinf.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "np.array([1.5, np.nan, np.inf, -np.inf, -0.0])\n"
                       "i(3, 4)\n"
                       "f()"),
    .reference = FE_DOC("np.isposinf(input)"),
    .infer = infer_test,
};

extern const OpDef isneginf_op = {
    .name = "isneginf",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Where an element is negative infinity.

Args:
    input: any shape; integers and bools have no such values.

Returns:
    bool tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.isneginf(fe.tensor([fe.inf, -fe.inf])).tolist()
    [False, True]

Source: numpy.isneginf.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "np.array([1.5, np.nan, np.inf, -np.inf, -0.0])\n"
                       "i(3, 4)\n"
                       "f()"),
    .reference = FE_DOC("np.isneginf(input)"),
    .infer = infer_test,
};

extern const OpDef signbit_op = {
    .name = "signbit",
    .sig = "input: Tensor",
    .doc =
        FE_DOC(R"(Where the sign of an element is set: of -0.0 and of -NaN, too.

Args:
    input: any shape and real dtype.

Returns:
    bool tensor of the same shape.

Example:
    >>> import ferrule as fe
    >>> fe.signbit(fe.tensor([1.0, -0.0])).tolist()
    [False, True]

Source: numpy.signbit.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "np.array([1.5, np.nan, np.inf, -np.inf, -0.0])\n"
                       "i(3, 4)\n"
                       "f()"),
    .reference = FE_DOC("np.signbit(input)"),
    .infer = infer_test,
};

}  // namespace ferrule
