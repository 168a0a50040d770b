// Losses of vectors and of scores in pairs.
#include <initializer_list>

#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/loss_parts.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

Tensor hinge(const Tensor& t) { return op::clamp_min(t, 0.0); }

void require_ranks(const OpCall& c, std::initializer_list<int> others) {
  for (int i : others) {
    if (c.in(i).ndim == c.in(0).ndim) continue;
    const auto& params = c.info.schema.params;
    c.fail<ShapeError>(params[0].name, " has shape ", c.in(0).sizes(), " but ",
                       params[i].name, " ", c.in(i).sizes(),
                       "; they need the same number of dimensions");
  }
}

Results decompose_cosine_embedding(OpCall& c) {
  check_reduction(c, 4);
  check_same_shape(c, 0, 1);
  const TensorImpl &x = c.in(0), &y = c.in(2);
  const bool fits = (x.ndim == 1 && y.ndim == 0) ||
                    (x.ndim == 2 && y.ndim == 1 && y.shape[0] == x.shape[0]);
  if (!fits) {
    c.fail<ShapeError>("inputs must be (N, D) and target (N,), or (D,) and (); "
                       "got ",
                       x.sizes(), " and ", y.sizes());
  }
  const Tensor a = widened(c.tensor(0)), b = widened(c.tensor(1));
  const Tensor target = c.tensor(2);
  const auto dot = [](const Tensor& s, const Tensor& t) {
    return op::sum(op::mul(s, t), IntList{-1});
  };
  constexpr double kLeast = 1e-12;
  const Tensor lengths =
      op::sqrt(op::mul(op::add(dot(a, a), kLeast), op::add(dot(b, b), kLeast)));
  const Tensor cosine = op::div(dot(a, b), lengths);
  const Tensor alike = op::sub(1.0, cosine);
  const Tensor unlike = hinge(op::sub(cosine, c.args[3]));
  const Tensor loss = op::add(op::where(op::eq(target, 1), alike, 0.0),
                              op::where(op::eq(target, -1), unlike, 0.0));
  return reduced(c, loss, 4);
}

Results decompose_triplet(OpCall& c) {
  check_reduction(c, 7);
  require_ranks(c, {1, 2});
  if (!(c.f(3) > 0)) {
    c.fail<ValueError>("margin must be above 0, got ", c.f(3));
  }
  const auto distance = [&](int i, int k) {
    return op::pairwise_distance(widened(c.tensor(i)), widened(c.tensor(k)),
                                 c.args[4], c.args[5]);
  };
  Tensor far = distance(0, 2);
  if (c.b(6)) far = op::minimum(far, distance(1, 2));
  return reduced(c, hinge(op::sub(op::add(distance(0, 1), c.args[3]), far)), 7);
}

#endif

}  // namespace

extern const OpDef margin_ranking_loss_op = {
    .name = "margin_ranking_loss",
    .sig = "input1: Tensor[float], input2: Tensor[float], target: Tensor, "
           "margin: float = 0.0, reduction: str = \"mean\"",
    .doc = FE_DOC(
        R"(Hinge loss of an order: max(0, margin - target * (input1 - input2)).

Args:
    input1, input2: scores; broadcast.
    target: 1 where input1 should be the larger one, -1 where input2.
    margin: by how much.
    reduction: "mean", "sum" or "none".

Returns:
    Tensor of shape (), or of the elements for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x, y = fe.tensor([1.0, 2.0]), fe.tensor([2.0, 1.0])
    >>> F.margin_ranking_loss(x, y, fe.tensor([1, 1])).item()
    0.5
)"),
    .examples = FE_DOC("f(5), f(5), np.sign(f(5))\n"
                       "f(2, 3), f(2, 3), np.sign(f(2, 3)), 0.5, \"none\""),
    .reference = FE_DOC("(lambda e: {'none': e, 'mean': e.mean(), 'sum': "
                        "e.sum()}[reduction])(np.maximum(0, margin - target * "
                        "(input1 - input2)))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      check_reduction(c, 4);
      require_ranks(c, {1, 2});
      const Tensor d = op::sub(widened(c.tensor(0)), widened(c.tensor(1)));
      const Tensor lead = op::mul(widened(c.tensor(2)), d);
      return reduced(c, hinge(op::sub(c.args[3], lead)), 4);
    }),
};

extern const OpDef cosine_embedding_loss_op = {
    .name = "cosine_embedding_loss",
    .sig = "input1: Tensor[float], input2: Tensor[float], target: Tensor, "
           "margin: float = 0.0, reduction: str = \"mean\"",
    .doc = FE_DOC(
        R"(1 - cos(input1, input2) where the target is 1, and where it is -1
max(0, cos(input1, input2) - margin).

Args:
    input1, input2: vectors, both (N, D) or (D,).
    target: 1 (alike) or -1, shape (N,) or ().
    margin: how alike the unlike may be, from -1 to 1.
    reduction: "mean", "sum" or "none".

Returns:
    Tensor of shape (), or of the targets for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x = fe.tensor([[1.0, 0.0]])
    >>> F.cosine_embedding_loss(x, x, fe.tensor([-1])).item()
    1.0
)"),
    .examples =
        FE_DOC("f(4, 3), f(4, 3), np.array([1, -1, 1, -1])\n"
               "f(4, 3), f(4, 3), np.array([1, -1, 1, -1]), -0.5, \"none\"\n"
               "f(3), f(3), np.array(1), reduction=\"sum\""),
    .reference = FE_DOC("(lambda e: {'none': e, 'mean': e.mean(), 'sum': "
                        "e.sum()}[reduction])((lambda cos: np.where(target == "
                        "1, 1 - cos, np.maximum(0, cos - margin)))((input1 * "
                        "input2).sum(-1) / np.sqrt(((input1 ** 2).sum(-1) + "
                        "1e-12) * ((input2 ** 2).sum(-1) + 1e-12))))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_cosine_embedding),
};

extern const OpDef triplet_margin_loss_op = {
    .name = "triplet_margin_loss",
    .sig = "anchor: Tensor[float], positive: Tensor[float], negative: "
           "Tensor[float], margin: float = 1.0, p: float = 2.0, eps: float = "
           "1e-6, swap: bool = False, reduction: str = \"mean\"",
    .doc = FE_DOC(
        R"(max(0, d(anchor, positive) - d(anchor, negative) + margin) with the distances of
pairwise_distance.

Args:
    anchor, positive, negative: vectors, shape (..., D); broadcast.
    margin: by how much the negative should be farther away, above 0.
    p: order of the norm.
    eps: added to differences.
    swap: True: the negative's distance is that to the anchor or to the positive,
        the smaller one.
    reduction: "mean", "sum" or "none".

Returns:
    Tensor of shape (), or of the vectors for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> a, n = fe.zeros((1, 2)), fe.ones((1, 2))
    >>> round(F.triplet_margin_loss(a, a, n, margin=2.0).item(), 4)
    0.5858

Source: V. Balntas et al., "Learning shallow convolutional feature descriptors with
triplet losses", BMVC 2016.
)"),
    .examples = FE_DOC(
        "f(4, 3), f(4, 3), f(4, 3)\n"
        "f(4, 3), f(4, 3), f(4, 3), 2.0, 1.0, swap=True, reduction=\"none\"\n"
        "f(4, 3), f(4, 3), f(4, 3), 1.0, 3.0, reduction=\"sum\""),
    .reference =
        FE_DOC("(lambda d: (lambda e: {'none': e, 'mean': e.mean(), 'sum': "
               "e.sum()}[reduction])(np.maximum(0, margin + d(anchor, "
               "positive) - (np.minimum(d(anchor, negative), d(positive, "
               "negative)) if swap else d(anchor, negative)))))(lambda a, b: "
               "(np.abs(a - b + eps) ** p).sum(-1) ** (1 / p))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_triplet),
};

}  // namespace ferrule
