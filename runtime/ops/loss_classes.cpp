// Losses of classes that are compositions.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/loss_parts.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// Class indices of rows: input (N, C) or (C,), target (N,) or (), and weights
// (C,) if argument `weight` is given.
void check_classes(const OpCall& c, int weight) {
  const TensorImpl &x = c.in(0), &y = c.in(1);
  const bool fits =
      x.ndim == 1 ? y.numel == 1 && y.ndim <= 1
                  : x.ndim == 2 && y.ndim == 1 && y.shape[0] == x.shape[0];
  if (!fits) {
    c.fail<ShapeError>("input must be (N, C) and target (N,), or (C,) and (); "
                       "got ",
                       x.sizes(), " and ", y.sizes());
  }
  if (weight < 0 || !c.is_tensor(weight)) return;
  const int64_t classes = x.shape[x.ndim - 1];
  if (!(Dims(c.in(weight).sizes()) == Dims({classes}))) {
    c.fail<ShapeError>("weight has shape ", c.in(weight).sizes(),
                       ", but there are ", classes, " classes");
  }
}

// 0, 1, ... for the classes, the last dimension of `x`.
Tensor class_numbers(const Tensor& x) {
  return op::arange(0, size_of(x.impl(), x.ndim() - 1), 1, DType::i64,
                    device_of(x));
}

Results decompose_multi_margin(OpCall& c) {
  check_reduction(c, 5);
  check_classes(c, 4);
  const Int p = c.sym(2);
  if (p.value != 1 && p.value != 2) {
    c.fail<ValueError>("p must be 1 or 2, got ", p.value);
  }
  const Tensor x = widened(c.tensor(0));
  Tensor y = op::cast(c.tensor(1), DType::i64);
  if (x.ndim() == 1) y = op::reshape(y, IntList{});
  y = op::unsqueeze(y, -1);
  Tensor loss = op::sub(op::add(x, c.args[3]), op::gather(x, -1, y));
  loss = op::clamp_min(loss, 0.0);
  if (p.value == 2) loss = op::mul(loss, loss);
  if (c.is_tensor(4)) {
    const Tensor index = op::reshape(y, IntList{-1});
    const Tensor picked = op::index_select(widened(c.tensor(4)), 0, index);
    loss = op::mul(loss, op::reshape(picked, sizes_of(y.impl())));
  }
  loss = op::where(op::ne(class_numbers(x), y), loss, 0.0);
  const Int classes = size_of(x.impl(), x.ndim() - 1);
  return reduced(c, op::div(op::sum(loss, IntList{-1}), classes), 5);
}

Results decompose_multilabel_margin(OpCall& c) {
  check_reduction(c, 2);
  check_same_shape(c, 0, 1);
  if (c.in(0).ndim != 1 && c.in(0).ndim != 2) {
    c.fail<ShapeError>("input must be (N, C) or (C,), got ", c.in(0).sizes());
  }
  const Tensor x = widened(c.tensor(0));
  const Tensor y = op::cast(c.tensor(1), DType::i64);
  // The labels are those before the first -1.
  const Tensor ended = op::cumsum(op::cast(op::lt(y, 0), DType::i64), -1);
  const Tensor counts = op::eq(ended, 0);
  const Tensor safe = op::where(counts, y, 0);
  const Tensor ones = op::cast(counts, DType::i64);
  const Tensor is_label =
      op::ne(op::scatter_add(op::zeros_like(y), -1, safe, ones), 0);
  const Tensor score = op::unsqueeze(op::gather(x, -1, safe), -1);
  Tensor loss = op::sub(op::add(op::unsqueeze(x, -2), 1.0), score);
  const Tensor pairs = op::logical_and(
      op::unsqueeze(counts, -1), op::logical_not(op::unsqueeze(is_label, -2)));
  loss = op::where(pairs, op::clamp_min(loss, 0.0), 0.0);
  const Int classes = size_of(x.impl(), x.ndim() - 1);
  return reduced(c, op::div(op::sum(loss, IntList{-1, -2}), classes), 2);
}

Results decompose_nll(OpCall& c) {
  check_reduction(c, 4);
  const TensorImpl& input = c.in(0);
  if (input.ndim == 0) {
    c.fail<ShapeError>("input must have a dimension of classes, got shape ()");
  }
  const int dim = input.ndim > 1 ? 1 : 0;
  Dims want(input.sizes());
  want.erase(dim);
  if (!(want == Dims(c.in(1).sizes()))) {
    c.fail<ShapeError>("input ", input.sizes(),
                       " (N, C, ...) needs a target of "
                       "shape ",
                       want, ", got ", c.in(1).sizes());
  }
  const Tensor x = c.tensor(0);
  const Tensor y = op::cast(c.tensor(1), DType::i64);
  const Tensor kept = op::ne(y, c.args[3]);
  const Tensor safe = op::where(kept, y, 0);
  Tensor loss = op::gather(x, dim, op::unsqueeze(safe, dim));
  loss = op::neg(widened(op::squeeze(loss, IntList{dim})));
  Tensor share = op::cast(kept, loss.dtype());
  if (c.is_tensor(2)) {
    if (!(Dims(c.in(2).sizes()) == Dims({input.shape[dim]}))) {
      c.fail<ShapeError>("weight has shape ", c.in(2).sizes(),
                         ", but there are ", input.shape[dim], " classes");
    }
    const Tensor index = op::reshape(safe, IntList{-1});
    const Tensor picked =
        op::reshape(op::index_select(widened(c.tensor(2)), 0, index),
                    sizes_of(safe.impl()));
    share = op::where(kept, picked, 0.0);
    loss = op::mul(loss, picked);
  }
  loss = op::where(kept, loss, 0.0);  // no -inf * 0 of ignored targets
  return reduced(c, loss, 4, share);
}

#endif

}  // namespace

extern const OpDef nll_loss_op = {
    .name = "nll_loss",
    .sig = "input: Tensor[float], target: Tensor[int], weight: Tensor[float]? "
           "= None, ignore_index: int = -100, reduction: str = \"mean\"",
    .doc = FE_DOC(R"(Negative log-likelihood of classes: -input[target].

Args:
    input: log-probabilities, shape (N, C), (C,) or (N, C, d1, ...).
    target: classes, an integer tensor of shape (N,), () or (N, d1, ...).
    weight: factor of every class, shape (C,).
    ignore_index: targets of this value count for nothing.
    reduction: "mean" (divided by the sum of the weights), "sum" or "none".

Returns:
    Tensor of shape (), or of the targets for "none".

Raises:
    ShapeError: the shapes do not fit.
    IndexError: a class is out of range.
    DTypeError: `target` holds no integers.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> logp = fe.log_softmax(fe.zeros((3, 4)), dim=1)
    >>> round(F.nll_loss(logp, fe.tensor([0, 1, 2])).item(), 4)  # log(4)
    1.3863

Source: torch.nn.NLLLoss, whose documentation has the formulas.
)"),
    .examples = FE_DOC("-p(4, 3), i(3, 4)\n"
                       "-p(4, 3), i(3, 4), p(3), 1\n"
                       "-p(2, 3, 4), i(3, 2, 4), reduction=\"none\"\n"
                       "-p(3), i(3), reduction=\"sum\""),
    .reference = FE_DOC(
        "(lambda e, w: {'none': e * w, 'mean': (e * w).sum() / w.sum(), 'sum': "
        "(e * w).sum()}[reduction])(-np.take_along_axis(input, "
        "np.expand_dims(target, min(1, input.ndim - 1)), min(1, input.ndim - "
        "1)).squeeze(min(1, input.ndim - 1)), np.where(target == ignore_index, "
        "0, np.ones(target.shape) if weight is None else weight[target]))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_nll),
};

extern const OpDef multi_margin_loss_op = {
    .name = "multi_margin_loss",
    .sig =
        "input: Tensor[float], target: Tensor[int], p: int = 1, margin: float "
        "= 1.0, weight: Tensor[float]? = None, reduction: str = \"mean\"",
    .doc = FE_DOC(
        R"(Hinge loss of classes: the mean over all classes j other than the target y of
max(0, margin - input[y] + input[j])^p.

Args:
    input: scores, shape (N, C) or (C,).
    target: classes, an integer tensor of shape (N,) or ().
    p: 1 or 2.
    margin: by how much the right score should exceed the others.
    weight: factor of every class, shape (C,).
    reduction: "mean", "sum" or "none".

Returns:
    Tensor of shape (), or of the targets for "none".

Raises:
    ShapeError: the shapes do not fit.
    IndexError: a class is out of range.
    ValueError: unknown `reduction`; `p` is neither 1 nor 2.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> F.multi_margin_loss(fe.tensor([[0.5, 0.0]]), fe.tensor([0])).item()
    0.25

Source: torch.nn.MultiMarginLoss.
)"),
    .examples = FE_DOC("f(4, 3), i(3, 4)\n"
                       "f(4, 3), i(3, 4), 2, 0.5, p(3), \"none\"\n"
                       "f(3), i(3), reduction=\"sum\""),
    .reference = FE_DOC(
        "(lambda x, y: (lambda e: {'none': e.reshape(target.shape), 'mean': "
        "e.mean(), 'sum': e.sum()}[reduction])((np.where(np.arange(x.shape[1]) "
        "== y[:, None], 0, np.maximum(0, margin + x - np.take_along_axis(x, "
        "y[:, None], 1))) ** p).sum(1) * (1 if weight is None else weight[y]) "
        "/ x.shape[1]))(np.atleast_2d(input), np.atleast_1d(target))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_multi_margin),
};

extern const OpDef multilabel_margin_loss_op = {
    .name = "multilabel_margin_loss",
    .sig =
        "input: Tensor[float], target: Tensor[int], reduction: str = \"mean\"",
    .doc = FE_DOC(
        R"(Hinge loss of several classes at once: the sum over every class y of the target
and every j outside of max(0, 1 - (input[y] - input[j])), divided by C.

Args:
    input: scores, shape (N, C) or (C,).
    target: the same shape: classes, ended by -1.
    reduction: "mean", "sum" or "none".

Returns:
    Tensor of shape (), or of the rows for "none".

Raises:
    ShapeError: the shapes do not fit.
    IndexError: a class is out of range.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x = fe.tensor([0.1, 0.2, 0.4, 0.8])
    >>> round(F.multilabel_margin_loss(x, fe.tensor([3, 0, -1, 1])).item(), 4)
    0.85

Source: torch.nn.MultiLabelMarginLoss.
)"),
    .examples = FE_DOC("f(2, 4), np.array([[3, 0, -1, 1], [1, -1, 2, 2]])\n"
                       "f(4), np.array([2, 1, 0, -1]), \"sum\"\n"
                       "f(2, 3), np.array([[-1, 0, 1], [0, 1, 2]]), \"none\""),
    .reference = FE_DOC(
        "(lambda e: {'none': e if input.ndim > 1 else e[0], 'mean': e.mean(), "
        "'sum': e.sum()}[reduction])(np.array([sum(max(0, 1 - (x[k] - x[j])) "
        "for k in y for j in range(len(x)) if j not in y) / len(x) for x, y in "
        "[(x, [*y, -1][:[*y, -1].index(-1)]) for x, y in "
        "zip(np.atleast_2d(input), np.atleast_2d(target).tolist())]]))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_multilabel_margin),
};

}  // namespace ferrule
