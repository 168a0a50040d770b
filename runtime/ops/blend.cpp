// Arithmetic of three tensors, and comparison with a tolerance.
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_promoted(OpCall& c, std::span<const int> operands, int tensors) {
  for (int i = 0; i < tensors; ++i) check_real(c, i);
  c.compute = c.promoted(operands);
  c.out(0, c.compute, operand_shape(c, operands.first(tensors)));
}

void infer_lerp(OpCall& c) {
  static constexpr int kAll[] = {0, 1, 2};
  infer_promoted(c, kAll, 3);
  for (int i : {0, 1}) check_floating(c, i);
}

void infer_addcmul(OpCall& c) {
  static constexpr int kAll[] = {0, 1, 2, 3};
  infer_promoted(c, kAll, 3);
  refuse_bool(c, "are not multiplied and added");
}

// A quotient is no integer.
void infer_addcdiv(OpCall& c) {
  static constexpr int kAll[] = {0, 1, 2, 3};
  infer_promoted(c, kAll, 3);
  if (is_float(c.compute)) return;
  c.fail<DTypeError>("divides, and the operands give ", c.compute,
                     "; convert them with .float()");
}

void infer_isclose(OpCall& c) {
  static constexpr int kBoth[] = {0, 1};
  check_real(c, 0);
  check_real(c, 1);
  if (!(c.f(2) >= 0) || !(c.f(3) >= 0)) {
    c.fail<ValueError>("rtol and atol must not be negative, got ", c.f(2),
                       " and ", c.f(3));
  }
  const DType t = c.promoted(kBoth);
  c.compute = is_float(t) ? t : DType::f64;
  c.out(0, DType::bool_, operand_shape(c, kBoth));
}

void infer_positive(OpCall& c) {
  const TensorImpl& x = c.in(0);
  c.compute = x.dtype;
  refuse_bool(c, "have no sign");
  c.view(0, 0, x.sizes(), x.steps(), x.offset);
}

}  // namespace

extern const OpDef rsub_op = {
    .name = "rsub",
    .sig = "input: Tensor, other: Operand, *, alpha: Scalar = 1",
    .doc = FE_DOC(
        R"(other - alpha * input: subtraction with its operands exchanged.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.
    alpha: number, the factor of `input`.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: both are bool.

Example:
    >>> import ferrule as fe
    >>> fe.rsub(fe.tensor([1.0, 2.0]), 10).tolist()
    [9.0, 8.0]

Source: torch.rsub.
)"),
    .examples = FE_DOC("f(2, 3), f(3)\n"
                       "f(4), 1.5, alpha=2\n"
                       "i(9, 4), 3"),
    .reference = FE_DOC("other - alpha * input"),
    .decompose = FE_GRAD([](OpCall& c) {
      const bool once = c.number(2) == 1;
      return one(op::sub(c.args[1],
                         once ? c.tensor(0) : op::mul(c.tensor(0), c.args[2])));
    }),
};

extern const OpDef lerp_op = {
    .name = "lerp",
    .sig = "input: Tensor, end: Tensor, weight: Operand",
    .doc = FE_DOC(
        R"(Between `input` (weight 0) and `end` (weight 1), on a straight line.

Args:
    input: floating-point tensor.
    end: floating-point tensor; the shapes broadcast.
    weight: tensor or number.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: `input` or `end` is not floating point.

Example:
    >>> import ferrule as fe
    >>> fe.lerp(fe.tensor([0.0, 10.0]), fe.tensor([4.0, 20.0]), 0.5).tolist()
    [2.0, 15.0]

Source: torch.lerp.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3), 0.25\n"
                       "f(2, 3), f(3), 0.75\n"
                       "f(2, 3), f(2, 1), u(3)"),
    .reference = FE_DOC("input + weight * (end - input)"),
    .has_inplace = true,
    .saves = "input@weight end@weight weight",
    .infer = infer_lerp,
    .vjp = FE_GRAD([](Vjp& v) {
      const OperandOf weight(v, 2);
      if (v.needs(0)) v.set(0, op::mul(v.grad(), op::sub(1.0, weight)));
      if (v.needs(1)) v.set(1, op::mul(v.grad(), weight));
      if (v.needs(2)) {
        v.set(2, op::mul(v.grad(), op::sub(v.in(1), v.in(0))));
      }
    }),
};

extern const OpDef addcmul_op = {
    .name = "addcmul",
    .sig =
        "input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Scalar = 1",
    .doc = FE_DOC(R"(input + value * tensor1 * tensor2, element by element.

Args:
    input: tensor.
    tensor1: tensor.
    tensor2: tensor; all three shapes broadcast.
    value: number, the factor.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: the promoted dtype is bool or complex.

Example:
    >>> import ferrule as fe
    >>> one = fe.tensor([1.0])
    >>> fe.addcmul(one, fe.tensor([2.0]), fe.tensor([3.0]), value=10).tolist()
    [61.0]

Source: torch.addcmul.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3), f(2, 1), value=0.5\n"
                       "i(9, 3), i(9, 2, 1), i(9, 3), value=2"),
    .reference = FE_DOC("input + value * tensor1 * tensor2"),
    .has_inplace = true,
    .saves = "input tensor1 tensor2",
    .infer = infer_addcmul,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor product =
          op::mul(op::mul(c.tensor(1), c.args[3]), c.tensor(2));
      return one(op::add(c.tensor(0), product));
    }),
};

extern const OpDef addcdiv_op = {
    .name = "addcdiv",
    .sig =
        "input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Scalar = 1",
    .doc = FE_DOC(R"(input + value * tensor1 / tensor2, element by element.

Args:
    input: tensor.
    tensor1: tensor.
    tensor2: tensor; all three shapes broadcast.
    value: number, the factor.

Returns:
    Tensor of the broadcast shape and the promoted dtype.

Raises:
    ShapeError: the shapes do not broadcast.
    DTypeError: the promoted dtype is not floating point.

Example:
    >>> import ferrule as fe
    >>> one = fe.tensor([1.0])
    >>> fe.addcdiv(one, fe.tensor([6.0]), fe.tensor([3.0]), value=10).tolist()
    [21.0]

Source: torch.addcdiv.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3), p(2, 3)\n"
                       "f(2, 3), f(3), p(2, 1), value=0.5"),
    .reference = FE_DOC("input + value * tensor1 / tensor2"),
    .has_inplace = true,
    .saves = "input tensor1 tensor2",
    .infer = infer_addcdiv,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor ratio =
          op::div(op::mul(c.tensor(1), c.args[3]), c.tensor(2));
      return one(op::add(c.tensor(0), ratio));
    }),
};

extern const OpDef isclose_op = {
    .name = "isclose",
    .sig = "input: Operand, other: Operand, rtol: float = 1e-05, atol: float = "
           "1e-08, equal_nan: bool = False",
    .doc = FE_DOC(R"(Where two elements are equal but for a tolerance.

|input - other| <= atol + rtol * |other|. Infinities are close to themselves.

Args:
    input: tensor or number.
    other: tensor or number; the shapes broadcast.
    rtol: tolerance as a part of |other|.
    atol: tolerance added to it.
    equal_nan: whether NaN is equal to NaN.

Returns:
    bool tensor of the broadcast shape.

Raises:
    ShapeError: the shapes do not broadcast.
    ValueError: a tolerance is negative.
    DTypeError: an operand is complex.

Example:
    >>> import ferrule as fe
    >>> fe.isclose(fe.tensor([1.0, 2.0]), fe.tensor([1.000001, 2.1])).tolist()
    [True, False]

Source: numpy.isclose, torch.isclose.
)"),
    .examples = FE_DOC(
        "f(2, 3), f(2, 3)\n"
        "f(2, 3), f(3), 0.5, 0.5\n"
        "i(4, 5), i(4, 5), atol=1\n"
        "np.array([np.nan, np.inf, 1.0]), np.array([np.nan, np.inf, -np.inf]), "
        "equal_nan=True\n"
        "np.array([np.nan, np.inf, 1.0]), np.array([np.nan, 1.0, np.inf])"),
    .reference = FE_DOC("np.isclose(input, other, rtol, atol, equal_nan)"),
    .infer = infer_isclose,
};

extern const OpDef positive_op = {
    .name = "positive",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(+input: the tensor itself.

Args:
    input: any shape; any dtype but bool.

Returns:
    A view of `input`.

Raises:
    DTypeError: `input` is bool.

Example:
    >>> import ferrule as fe
    >>> (+fe.tensor([1, -2])).tolist()
    [1, -2]

Source: numpy.positive, torch.positive.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f()"),
    .reference = FE_DOC("input"),
    .infer = infer_positive,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, v.grad()); }),
    .batch = FE_GRAD(batch_leading),
};

}  // namespace ferrule
