// Losses between numbers, and of distributions with a formula.
#include <algorithm>
#include <cmath>

#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/loss_parts.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// The loss of every element, its weight in argument `weight` and the reduction
// in argument `reduction`; "mean" divides by the sum of the weights.
Results weighted_mean(const OpCall& c, const Tensor& loss, int reduction,
                      int weight) {
  check_reduction(c, reduction);
  if (!c.is_tensor(weight)) return reduced(c, loss, reduction);
  check_same_shape(c, 0, weight);
  return reduced(c, weighted(c, loss, weight), reduction,
                 widened(c.tensor(weight)));
}

// The variance of every element beside the input: the same shape, one for
// each row, or broadcasting in one dimension.
Tensor beside_input(const OpCall& c, Tensor var) {
  const TensorImpl& x = c.in(0);
  if (var.ndim() == 0) return var;
  int unlike = 0;
  if (var.ndim() == x.ndim - 1) var = op::unsqueeze(var, -1);
  for (int d = 0; d < x.ndim && var.ndim() == x.ndim; ++d) {
    const int64_t n = var.shape()[d];
    unlike += n == x.shape[d] ? 0 : n == 1 ? 1 : 2;
  }
  if (var.ndim() != x.ndim || unlike > 1) {
    c.fail<ShapeError>("var has shape ", c.in(2).sizes(), ", but input has ",
                       x.sizes(),
                       "; var has the shape of input, with the last dimension "
                       "left out or one dimension of size 1, or is one number");
  }
  return var;
}

// At least eps; the gradient is that of what was given.
Tensor at_least(const Tensor& t, const Arg& eps) {
  const Tensor least = op::clamp_min(t, eps).detach();
  return op::add(op::sub(t, t.detach()), least);
}

Results decompose_gaussian_nll(OpCall& c) {
  check_reduction(c, 5);
  const Tensor d = difference(c);
  Tensor var;
  if (c.is_tensor(2)) {
    check_floating(c, 2);
    var =
        op::require_within(c.tensor(2), 0.0, INFINITY,
                           "var has a negative element or a NaN; it is a "
                           "variance (write log_var.exp() for its logarithm)");
    var = at_least(widened(beside_input(c, var)), c.args[4]);
  } else {
    if (!(c.number(2) >= 0)) {
      c.fail<ValueError>("var must be 0 or more, got ", c.number(2));
    }
    const double given = std::max(c.number(2), c.f(4));
    var = op::full(IntList{}, given, d.dtype(), device_of(d));
  }
  Tensor loss = op::add(op::log(var), op::div(op::mul(d, d), var));
  loss = op::mul(loss, 0.5);
  constexpr double kHalfLogTwoPi = 0.91893853320467274178;
  if (c.b(3)) loss = op::add(loss, kHalfLogTwoPi);
  return reduced(c, loss, 5);
}

// Stirling's formula for log(t!), where it is good.
Tensor log_factorial(const Tensor& t) {
  const Tensor above = op::gt(t, 1.0);
  const Tensor safe = op::where(above, t, 1.0);
  const Tensor log = op::log(safe);
  constexpr double kTwoPi = 6.28318530717958647692;
  const Tensor tail = op::mul(op::log(op::mul(safe, kTwoPi)), 0.5);
  const Tensor value = op::add(op::sub(op::mul(safe, log), safe), tail);
  return op::where(above, value, 0.0);
}

Results decompose_poisson_nll(OpCall& c) {
  check_reduction(c, 5);
  const Tensor x = widened(c.tensor(0)), t = widened(c.tensor(1));
  Tensor loss;
  if (c.b(2)) {
    loss = op::sub(op::exp(x), op::mul(t, x));
  } else {
    loss = op::sub(x, op::mul(t, op::log(op::add(x, c.args[4]))));
  }
  if (c.b(3)) loss = op::add(loss, log_factorial(t));
  return reduced(c, loss, 5);
}

Results decompose_kl_div(OpCall& c) {
  const bool by_batch = c.str(2) == "batchmean";
  if (!by_batch && c.str(2) != "none" && c.str(2) != "mean" &&
      c.str(2) != "sum") {
    c.fail<ValueError>("reduction must be \"none\", \"mean\", \"sum\" or "
                       "\"batchmean\", got \"",
                       c.str(2), "\"");
  }
  const Tensor x = widened(c.tensor(0)), t = widened(c.tensor(1));
  const Tensor loss = c.b(3) ? op::mul(op::exp(t), op::sub(t, x))
                             : op::sub(op::xlogy(t, t), op::mul(t, x));
  if (!by_batch) return reduced(c, loss, 2);
  Tensor sum = op::sum(loss);
  if (c.in(0).ndim > 0) sum = op::div(sum, size_of(&c.in(0), 0));
  return one(narrowed(sum, c.in(0).dtype));
}

#endif

}  // namespace

extern const OpDef mse_loss_op = {
    .name = "mse_loss",
    .sig = "input: Tensor[float], target: Tensor, reduction: str = \"mean\", "
           "weight: Tensor[float]? = None",
    .doc = FE_DOC(R"(Squared error (input - target)^2.

Args:
    input: any shape, floating-point.
    target: the same shape; nothing is broadcast.
    reduction: "mean", "sum" or "none".
    weight: factor of every element, of the same shape; "mean" divides by their
        sum.

Returns:
    Tensor of shape (), or of the elements for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x, y = fe.tensor([1.0, 2.0]), fe.tensor([1.0, 4.0])
    >>> F.mse_loss(x, y).item()
    2.0
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(4), f(4), \"none\"\n"
                       "f(4), f(4), \"sum\"\n"
                       "f(4), f(4), weight=p(4)"),
    .reference = FE_DOC("(lambda e, w: {'none': e * w, 'mean': (e * w).sum() / "
                        "np.broadcast_to(w, e.shape).sum(), 'sum': (e * "
                        "w).sum()}[reduction])((input - target) ** 2, 1 if "
                        "weight is None else weight)"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor d = difference(c);
      return weighted_mean(c, op::mul(d, d), 2, 3);
    }),
};

extern const OpDef l1_loss_op = {
    .name = "l1_loss",
    .sig = "input: Tensor[float], target: Tensor, reduction: str = \"mean\", "
           "weight: Tensor[float]? = None",
    .doc = FE_DOC(R"(Absolute error |input - target|.

Args:
    input: any shape, floating-point.
    target: the same shape; nothing is broadcast.
    reduction: "mean", "sum" or "none".
    weight: factor of every element, of the same shape; "mean" divides by their
        sum.

Returns:
    Tensor of shape (), or of the elements for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x, y = fe.tensor([1.0, 2.0]), fe.tensor([1.0, 4.0])
    >>> F.l1_loss(x, y).item()
    1.0
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(4), f(4), \"none\"\n"
                       "f(4), f(4), \"sum\"\n"
                       "f(4), f(4), weight=p(4)"),
    .reference = FE_DOC("(lambda e, w: {'none': e * w, 'mean': (e * w).sum() / "
                        "np.broadcast_to(w, e.shape).sum(), 'sum': (e * "
                        "w).sum()}[reduction])(np.abs(input - target), 1 if "
                        "weight is None else weight)"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      return weighted_mean(c, op::abs(difference(c)), 2, 3);
    }),
};

extern const OpDef smooth_l1_loss_op = {
    .name = "smooth_l1_loss",
    .sig = "input: Tensor[float], target: Tensor, reduction: str = \"mean\", "
           "beta: float = 1.0",
    .doc = FE_DOC(
        R"(Squared error near 0, absolute error away from it: d^2 / (2 beta) where
d = |input - target| is below beta, else d - beta / 2.

Args:
    input: any shape, floating-point.
    target: the same shape; nothing is broadcast.
    reduction: "mean", "sum" or "none".
    beta: where one becomes the other; 0 is l1_loss.

Returns:
    Tensor of shape (), or of the elements for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`, or a negative `beta`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x, y = fe.tensor([1.0, 2.0]), fe.tensor([1.0, 4.0])
    >>> F.smooth_l1_loss(x, y).item()
    0.75

Source: R. Girshick, "Fast R-CNN", ICCV 2015, equation 3.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(9), f(9), \"none\", 0.5\n"
                       "f(9), f(9), \"sum\", 0"),
    .reference =
        FE_DOC("(lambda e: {'none': e, 'mean': e.mean(), 'sum': "
               "e.sum()}[reduction])((lambda d: np.where(d < beta, d * d / 2 / "
               "max(beta, 1e-9), d - beta / 2))(np.abs(input - target)))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      check_reduction(c, 2);
      const double beta = c.f(3);
      if (!(beta >= 0)) {
        c.fail<ValueError>("beta must be 0 or more, got ", beta);
      }
      const Tensor d = difference(c);
      return reduced(c, beta == 0 ? op::abs(d) : op::huber(d, beta, 1.0), 2);
    }),
};

extern const OpDef huber_loss_op = {
    .name = "huber_loss",
    .sig = "input: Tensor[float], target: Tensor, reduction: str = \"mean\", "
           "delta: float = 1.0, weight: Tensor[float]? = None",
    .doc = FE_DOC(
        R"(Squared error near 0, absolute error away from it: d^2 / 2 where
d = |input - target| is at most delta, else delta (d - delta / 2).

Args:
    input: any shape, floating-point.
    target: the same shape; nothing is broadcast.
    reduction: "mean", "sum" or "none".
    delta: where one becomes the other, above 0.
    weight: factor of every element, of the same shape.

Returns:
    Tensor of shape (), or of the elements for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`, or `delta` is not positive.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x, y = fe.tensor([1.0, 2.0]), fe.tensor([1.0, 4.0])
    >>> F.huber_loss(x, y).item()
    0.75

Source: P. Huber, "Robust estimation of a location parameter", Ann. Math. Statist.
35 (1964).
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(9), f(9), \"none\", 0.5\n"
                       "f(9), f(9), \"sum\", 2.0\n"
                       "f(4), f(4), weight=p(4)"),
    .reference = FE_DOC("(lambda e: {'none': e, 'mean': e.mean(), 'sum': "
                        "e.sum()}[reduction])((lambda d: np.where(d <= delta, "
                        "d * d / 2, delta * (d - delta / 2)))(np.abs(input - "
                        "target)) * (1 if weight is None else weight))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      check_reduction(c, 2);
      const double delta = c.f(3);
      if (!(delta > 0)) {
        c.fail<ValueError>("delta must be above 0, got ", delta);
      }
      const Tensor loss = op::huber(difference(c), delta, delta);
      if (c.is_tensor(4)) check_same_shape(c, 0, 4);
      return reduced(c, weighted(c, loss, 4), 2);
    }),
};

extern const OpDef gaussian_nll_loss_op = {
    .name = "gaussian_nll_loss",
    .sig = "input: Tensor[float], target: Tensor, var: Operand, full: bool = "
           "False, eps: float = 1e-6, reduction: str = \"mean\"",
    .doc = FE_DOC(R"(Negative log-likelihood of a normal distribution:
(log(var) + (input - target)^2 / var) / 2.

Args:
    input: the means, any shape, floating-point.
    target: the same shape; nothing is broadcast.
    var: variances, 0 or more: the same shape, one dimension of size 1, the last
        dimension left out, or a number.
    full: True adds log(2 pi) / 2.
    eps: smaller variances count as this; the gradient does not see it.
    reduction: "mean", "sum" or "none".

Returns:
    Tensor of shape (), or of the elements for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`, or a negative variance.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x, y = fe.tensor([1.0, 2.0]), fe.tensor([1.0, 4.0])
    >>> F.gaussian_nll_loss(x, y, fe.ones((2,))).item()
    1.0

Source: D. Nix and A. Weigend, "Estimating the mean and variance of the target
probability distribution", 1994.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3), p(2, 3)\n"
                       "f(2, 3), f(2, 3), p(2), True\n"
                       "f(2, 3), f(2, 3), p(1, 3), reduction=\"none\"\n"
                       "f(4), f(4), 2.0, reduction=\"sum\""),
    .reference =
        FE_DOC("(lambda v: (lambda e: {'none': e, 'mean': e.mean(), 'sum': "
               "e.sum()}[reduction])(0.5 * (np.log(v) + (input - target) ** 2 "
               "/ v) + (0.5 * np.log(2 * np.pi) if full else "
               "0)))(np.asarray(var)[..., None] if np.ndim(var) == input.ndim "
               "- 1 and np.ndim(var) else np.asarray(var))"),
    .where = kFunctional,
    .decompose = FE_GRAD(decompose_gaussian_nll),
};

extern const OpDef poisson_nll_loss_op = {
    .name = "poisson_nll_loss",
    .sig = "input: Tensor[float], target: Tensor, log_input: bool = True, "
           "full: bool = False, eps: float = 1e-8, reduction: str = \"mean\"",
    .doc = FE_DOC(
        R"(Negative log-likelihood of counts that follow a Poisson distribution:
exp(input) - target * input.

Args:
    input: logarithm of the rate, any shape; the rate itself without `log_input`.
    target: counts; broadcasts.
    log_input: False gives input - target * log(input + eps).
    full: True adds Stirling's formula for log(target!), for targets above 1.
    eps: keeps the logarithm finite.
    reduction: "mean", "sum" or "none".

Returns:
    Tensor of shape (), or of the elements for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> F.poisson_nll_loss(fe.zeros((2,)), fe.ones((2,))).item()
    1.0

Source: torch.nn.functional.poisson_nll_loss.
)"),
    .examples = FE_DOC("f(2, 3), p(2, 3)\n"
                       "p(2, 3), p(2, 3), False, True\n"
                       "f(4), p(4), reduction=\"none\""),
    .reference =
        FE_DOC("(lambda e: {'none': e, 'mean': e.mean(), 'sum': "
               "e.sum()}[reduction])((np.exp(input) - target * input if "
               "log_input else input - target * np.log(input + eps)) + "
               "(np.where(target > 1, target * np.log(target) - target + 0.5 * "
               "np.log(2 * np.pi * target), 0) if full else 0))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_poisson_nll),
};

extern const OpDef kl_div_op = {
    .name = "kl_div",
    .sig = "input: Tensor[float], target: Tensor[float], reduction: str = "
           "\"mean\", log_target: bool = False",
    .doc = FE_DOC(
        R"(Kullback-Leibler divergence of distributions, element by element:
target * (log(target) - input).

Args:
    input: log-probabilities, any shape.
    target: probabilities; broadcasts.
    reduction: "batchmean" (the sum, divided by the first size), "mean" (over all
        elements, which is not the divergence), "sum" or "none".
    log_target: True: the target holds log-probabilities, too.

Returns:
    Tensor of shape (), or of the elements for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: unknown `reduction`.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> p = fe.tensor([[0.5, 0.5]])
    >>> F.kl_div(p.log(), p, reduction="batchmean").item()
    0.0

Source: S. Kullback and R. Leibler, "On information and sufficiency", 1951.
)"),
    .examples = FE_DOC("f(2, 3), u(2, 3)\n"
                       "f(2, 3), u(2, 3), \"batchmean\"\n"
                       "f(2, 3), f(2, 3), \"sum\", True\n"
                       "f(4), u(4), \"none\""),
    .reference = FE_DOC(
        "(lambda e: {'none': e, 'mean': e.mean(), 'sum': e.sum(), 'batchmean': "
        "e.sum() / len(e)}[reduction])(np.exp(target) * (target - input) if "
        "log_target else target * (np.log(target) - input))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_kl_div),
};

}  // namespace ferrule
