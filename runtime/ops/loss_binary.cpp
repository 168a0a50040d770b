// Losses of yes/no decisions.
#include <cmath>

#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/loss_parts.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

Tensor log_or_least(const Tensor& t) { return op::clamp_min(t, -100.0); }

// log(1 + exp(x)), everywhere.
Tensor log1p_exp(const Tensor& x) { return op::softplus(x, 1.0, INFINITY); }

void terms_vjp(Vjp& v) {
  const Tensor x = v.in(0), y = v.in(1);
  if (v.needs(0)) {
    const Tensor variance = op::clamp_min(op::mul(op::sub(1.0, x), x), 1e-12);
    v.set(0, op::mul(v.grad(), op::div(op::sub(x, y), variance)));
  }
  if (v.needs(1)) {
    const Tensor no = log_or_least(op::log1p(op::neg(x)));
    v.set(1, op::mul(v.grad(), op::sub(no, log_or_least(op::log(x)))));
  }
}

// (1 - y) x + (1 + (pos_weight - 1) y) log(1 + exp(-x)): no overflow, and no
// kink at 0.
Results decompose_with_logits(OpCall& c) {
  check_reduction(c, 3);
  check_same_shape(c, 0, 1);
  check_same_dtype(c, 0, 1);
  const Tensor x = widened(c.tensor(0)), y = widened(c.tensor(1));
  Tensor missing = log1p_exp(op::neg(x));
  if (c.is_tensor(4)) {
    const Tensor more = op::sub(widened(c.tensor(4)), 1.0);
    missing = op::mul(missing, op::add(op::mul(more, y), 1.0));
  }
  const Tensor loss = op::add(op::mul(op::sub(1.0, y), x), missing);
  return reduced(c, weighted(c, loss, 2), 3);
}

#endif

}  // namespace

extern const OpDef require_within_op = {
    .name = "require_within",
    .sig = "input: Tensor[float], low: float, high: float, message: str",
    .doc = FE_DOC(R"(The input itself, when all its elements lie within limits.

Args:
    input: any shape.
    low, high: the limits, which are allowed.
    message: what the error says.

Returns:
    A copy of `input`.

Raises:
    ValueError: an element is outside, or NaN.

Example:
    >>> import ferrule as fe
    >>> fe.ops.require_within(fe.tensor([0.5]), 0.0, 1.0, "no probability").tolist()
    [0.5]
)"),
    .examples = FE_DOC("u(2, 3), 0.0, 1.0, \"no probability\""),
    .reference = FE_DOC("input"),
    .where = kInternal,
    .infer = infer_unary,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, v.grad()); }),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef binary_cross_entropy_terms_op = {
    .name = "binary_cross_entropy_terms",
    .sig = "input: Tensor[float], target: Tensor[float]",
    .doc = FE_DOC(R"(Cross entropy of yes/no decisions, element by element; see
binary_cross_entropy.

Args:
    input: probabilities.
    target: the same shape and dtype.

Returns:
    The same shape. A logarithm of 0 counts as -100.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> one, zero = fe.tensor([1.0]), fe.tensor([0.0])
    >>> fe.ops.binary_cross_entropy_terms(zero, one).tolist()
    [100.0]
)"),
    .examples = FE_DOC("u(2, 3), u(2, 3)"),
    .reference =
        FE_DOC("-(target * np.log(input) + (1 - target) * np.log(1 - input))"),
    .where = kInternal,
    .saves = "input target",
    .infer = infer_like_first,
    .vjp = FE_GRAD(terms_vjp),
};

extern const OpDef binary_cross_entropy_op = {
    .name = "binary_cross_entropy",
    .sig = "input: Tensor[float], target: Tensor, weight: "
           "Tensor[float]? = None, reduction: str = \"mean\"",
    .doc = FE_DOC(R"(Cross entropy of yes/no decisions, from probabilities:
-(target * log(input) + (1 - target) * log(1 - input)).

Args:
    input: probabilities, any shape. For logits there is
        binary_cross_entropy_with_logits, which is more accurate.
    target: between 0 and 1, the same shape; nothing is broadcast.
    weight: factor of every element; broadcasts.
    reduction: "mean", "sum" or "none".

Returns:
    Tensor of shape (), or of the elements for "none".

Raises:
    ShapeError: shapes do not fit.
    DTypeError: the dtypes differ.
    ValueError: an element of `input` is no probability; unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> p, y = fe.tensor([0.5, 0.5]), fe.tensor([0.0, 1.0])
    >>> round(F.binary_cross_entropy(p, y).item(), 4)  # log(2)
    0.6931

Source: torch.nn.functional.binary_cross_entropy; logarithms are at least -100.
)"),
    .examples = FE_DOC("u(2, 3), u(2, 3)\n"
                       "u(2, 3), u(2, 3), p(3), \"none\"\n"
                       "u(4), u(4), reduction=\"sum\""),
    .reference =
        FE_DOC("(lambda e: {'none': e, 'mean': e.mean(), 'sum': "
               "e.sum()}[reduction])(-(target * np.log(input) + (1 - target) * "
               "np.log(1 - input)) * (1 if weight is None else weight))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      check_reduction(c, 3);
      check_same_shape(c, 0, 1);
      check_same_dtype(c, 0, 1);
      const Tensor x = op::require_within(
          c.tensor(0), 0.0, 1.0,
          "[binary_cross_entropy] an element of input is no probability "
          "(0..1); "
          "if these are logits, use binary_cross_entropy_with_logits or "
          "BCEWithLogitsLoss");
      const Tensor loss =
          op::binary_cross_entropy_terms(widened(x), widened(c.tensor(1)));
      return reduced(c, weighted(c, loss, 2), 3);
    }),
};

extern const OpDef binary_cross_entropy_with_logits_op = {
    .name = "binary_cross_entropy_with_logits",
    .sig = "input: Tensor[float], target: Tensor, weight: Tensor[float]? = "
           "None, reduction: str = \"mean\", pos_weight: Tensor[float]? = None",
    .doc = FE_DOC(R"(Cross entropy of yes/no decisions, from logits:
-(pos_weight * y * log(sigmoid(x)) + (1 - y) * log(1 - sigmoid(x))).

Args:
    input: logits x, any shape.
    target: y between 0 and 1, floating, the same shape; nothing is broadcast.
    weight: factor of every element; broadcasts.
    reduction: "mean", "sum" or "none".
    pos_weight: factor of the positive part; broadcasts.

Returns:
    Tensor of shape (), or of the elements for "none".

Raises:
    ShapeError: shapes do not fit.
    DTypeError: `target` has another dtype.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x, y = fe.zeros((2,)), fe.tensor([0.0, 1.0])
    >>> round(F.binary_cross_entropy_with_logits(x, y).item(), 4)  # log(2)
    0.6931

Source: torch.nn.functional.binary_cross_entropy_with_logits.
)"),
    .examples = FE_DOC("f(2, 3), u(2, 3)\n"
                       "f(2, 3), u(2, 3), p(3), \"none\", p(3)\n"
                       "f(4), u(4), reduction=\"sum\""),
    .reference = FE_DOC(
        "(lambda e: {'none': e, 'mean': e.mean(), 'sum': "
        "e.sum()}[reduction])((1 if weight is None else weight) * ((1 if "
        "pos_weight is None else pos_weight) * target * np.logaddexp(0, "
        "-input) + (1 - target) * np.logaddexp(0, input)))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_with_logits),
};

extern const OpDef soft_margin_loss_op = {
    .name = "soft_margin_loss",
    .sig = "input: Tensor[float], target: Tensor, reduction: str = \"mean\"",
    .doc =
        FE_DOC(R"(Logistic loss of two classes: log(1 + exp(-target * input)).

Args:
    input: scores, any shape.
    target: 1 or -1; broadcasts.
    reduction: "mean", "sum" or "none".

Returns:
    Tensor of shape (), or of the elements for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> round(F.soft_margin_loss(fe.zeros((2,)), fe.ones((2,))).item(), 4)
    0.6931
)"),
    .examples = FE_DOC("f(2, 3), np.sign(f(2, 3))\n"
                       "f(5), np.sign(f(5)), \"none\""),
    .reference =
        FE_DOC("(lambda e: {'none': e, 'mean': e.mean(), 'sum': "
               "e.sum()}[reduction])(np.logaddexp(0, -target * input))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      check_reduction(c, 2);
      const Tensor x = widened(c.tensor(0)), y = widened(c.tensor(1));
      return reduced(c, log1p_exp(op::neg(op::mul(y, x))), 2);
    }),
};

extern const OpDef multilabel_soft_margin_loss_op = {
    .name = "multilabel_soft_margin_loss",
    .sig = "input: Tensor[float], target: Tensor, weight: Tensor[float]? = "
           "None, reduction: str = \"mean\"",
    .doc = FE_DOC(
        R"(Cross entropy of several yes/no decisions, from logits, averaged over the
classes.

Args:
    input: logits, shape (..., C).
    target: 0 or 1, the same shape.
    weight: factor of every class, shape (C,).
    reduction: "mean", "sum" or "none".

Returns:
    Tensor of shape (), or of the rows for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x, y = fe.zeros((1, 2)), fe.tensor([[0.0, 1.0]])
    >>> round(F.multilabel_soft_margin_loss(x, y).item(), 4)
    0.6931
)"),
    .examples = FE_DOC("f(2, 3), u(2, 3)\n"
                       "f(2, 3), u(2, 3), p(3), \"none\""),
    .reference = FE_DOC("(lambda e: {'none': e, 'mean': e.mean(), 'sum': "
                        "e.sum()}[reduction])(((1 if weight is None else "
                        "weight) * (target * np.logaddexp(0, -input) + (1 - "
                        "target) * np.logaddexp(0, input))).mean(-1))"),
    .where = kFunctional,
    .decompose = FE_GRAD([](OpCall& c) {
      check_reduction(c, 3);
      check_same_shape(c, 0, 1);
      if (c.in(0).ndim == 0) {
        c.fail<ShapeError>("input must have a dimension of classes");
      }
      const Tensor x = widened(c.tensor(0)), y = widened(c.tensor(1));
      const Tensor loss =
          op::add(op::mul(op::sub(1.0, y), x), log1p_exp(op::neg(x)));
      return reduced(c, op::mean(weighted(c, loss, 2), IntList{-1}), 3);
    }),
};

extern const OpDef hinge_embedding_loss_op = {
    .name = "hinge_embedding_loss",
    .sig = "input: Tensor[float], target: Tensor, margin: float = 1.0, "
           "reduction: str = \"mean\"",
    .doc = FE_DOC(
        R"(input where the target is 1, max(0, margin - input) where it is -1.

Args:
    input: distances, any shape.
    target: 1 (alike) or -1; broadcasts.
    margin: how far the unlike should be.
    reduction: "mean", "sum" or "none".

Returns:
    Tensor of shape (), or of the elements for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> F.hinge_embedding_loss(fe.tensor([0.5, 0.25]), fe.tensor([1, -1]), reduction="none").tolist()
    [0.5, 0.75]
)"),
    .examples = FE_DOC("f(2, 3), np.sign(f(2, 3))\n"
                       "f(5), np.sign(f(5)), 2.0, \"none\""),
    .reference = FE_DOC("(lambda e: {'none': e, 'mean': e.mean(), 'sum': "
                        "e.sum()}[reduction])(np.where(target == 1, input, "
                        "np.maximum(0, margin - input)))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      check_reduction(c, 3);
      const Tensor x = c.tensor(0), y = c.tensor(1);
      const Tensor unlike = op::clamp_min(op::sub(c.args[2], x), 0.0);
      return reduced(c,
                     op::add(op::where(op::ne(y, 1), unlike, 0.0),
                             op::where(op::ne(y, -1), x, 0.0)),
                     3);
    }),
};

}  // namespace ferrule
