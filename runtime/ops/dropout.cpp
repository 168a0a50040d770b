// Dropout of channels, and for self-normalising networks.
#include <cmath>

#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/wide.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

void check_probability(const OpCall& c) {
  if (c.f(1) >= 0 && c.f(1) <= 1) return;
  c.fail<ValueError>("p must be a probability in 0..1, got ", c.f(1));
}

bool draws(const OpCall& c) { return c.f(1) > 0 && c.b(2); }

// Random zeros and ones, the ones with probability 1 - p: for every element of
// (N, C, ...), or one for every channel.
Tensor noise(const OpCall& c, const Tensor& x, bool by_channel) {
  IntList shape = sizes_of(x.impl());
  for (int d = 2; by_channel && d < x.ndim(); ++d) shape[d] = 1;
  const Tensor like = op::ones(shape, x.dtype(), device_of(x));
  return op::bernoulli(like, 1 - c.f(1));
}

void require_channels(const OpCall& c) {
  if (c.in(0).ndim >= 2) return;
  c.fail<ShapeError>("input must be (N, C, ...), got shape ", c.in(0).sizes());
}

// Of `n` dimensions: (N, C, ...) with n more, or (C, ...).
template <int n, bool one_less_is_batched = false>
Results decompose_channels(OpCall& c) {
  check_probability(c);
  const int ndim = c.in(0).ndim;
  if (ndim != n + 1 && ndim != n + 2) {
    c.fail<ShapeError>("input must be (N, C, ...) or (C, ...) with ", n,
                       n == 1 ? " dimension" : " dimensions",
                       " behind the channels, got shape ", c.in(0).sizes());
  }
  Tensor x = c.tensor(0);
  if (!draws(c)) return one(op::clone(x));
  const bool lone = ndim == n + 1 && !one_less_is_batched;
  if (lone) x = op::unsqueeze(x, 0);
  if (c.f(1) == 1) {
    x = op::mul(x, 0.0);
  } else {
    x = op::mul(x, op::div(noise(c, x, true), 1 - c.f(1)));
  }
  return one(lone ? op::squeeze(x, IntList{0}) : x);
}

// What is dropped becomes the limit of selu for very negative inputs, and a
// linear function of the result has mean and variance of the input.
Results decompose_alpha(OpCall& c, bool by_channel) {
  check_probability(c);
  Tensor x = c.tensor(0);
  if (!draws(c)) return one(op::clone(x));
  const double p = c.f(1);
  if (p == 1) return one(op::mul(x, 0.0));
  constexpr double kAlpha = 1.7580993408473766;
  const double a = 1 / std::sqrt((kAlpha * kAlpha * p + 1) * (1 - p));
  x = widened(x);
  const Tensor kept = noise(c, x, by_channel);
  const Tensor shift =
      op::add(op::mul(op::sub(kept, 1.0), kAlpha * a), kAlpha * a * p);
  const Tensor y = op::add(op::mul(x, op::mul(kept, a)), shift);
  return one(narrowed(y, c.in(0).dtype));
}

#endif

}  // namespace

extern const OpDef dropout1d_op = {
    .name = "dropout1d",
    .sig = "input: Tensor[float], p: float = 0.5, training: bool = True",
    .doc = FE_DOC(
        R"(Sets random channels to 0 and enlarges the others by 1 / (1 - p).

Args:
    input: shape (N, C, L) or (C, L).
    p: probability of a drop.
    training: False gives the input.

Returns:
    The shape of `input`. Takes one tick of the generator, if anything is drawn.

Raises:
    ShapeError: another number of dimensions.
    ValueError: p is not a probability.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x = fe.ones((1, 1, 1))
    >>> F.dropout1d(x, 1.0).item()
    0.0

Source: J. Tompson et al., "Efficient object localization using convolutional
networks", CVPR 2015.
)"),
    .examples = FE_DOC("f(2, 3, 4), 0.5, False\n"
                       "f(3, 4), 0.0\n"
                       "f(2, 3, 4), 1.0, False"),
    .reference = FE_DOC("input"),
    .where = kFunctional,
    .has_inplace = true,
    .decompose = FE_GRAD(decompose_channels<1>),
};

extern const OpDef dropout2d_op = {
    .name = "dropout2d",
    .sig = "input: Tensor[float], p: float = 0.5, training: bool = True",
    .doc = FE_DOC(
        R"(Sets random channels to 0 and enlarges the others by 1 / (1 - p).

Args:
    input: shape (N, C, H, W), or (N, C, L).
    p: probability of a drop.
    training: False gives the input.

Returns:
    The shape of `input`. Takes one tick of the generator, if anything is drawn.

Raises:
    ShapeError: another number of dimensions.
    ValueError: p is not a probability.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x = fe.ones((1, 1, 1, 1))
    >>> F.dropout2d(x, 1.0).item()
    0.0

Source: J. Tompson et al., "Efficient object localization using convolutional
networks", CVPR 2015.
)"),
    .examples = FE_DOC("f(2, 3, 4, 2), 0.5, False\n"
                       "f(2, 3, 4), 0.0"),
    .reference = FE_DOC("input"),
    .where = kFunctional,
    .has_inplace = true,
    .decompose = FE_GRAD(decompose_channels<2, true>),
};

extern const OpDef dropout3d_op = {
    .name = "dropout3d",
    .sig = "input: Tensor[float], p: float = 0.5, training: bool = True",
    .doc = FE_DOC(
        R"(Sets random channels to 0 and enlarges the others by 1 / (1 - p).

Args:
    input: shape (N, C, D, H, W) or (C, D, H, W).
    p: probability of a drop.
    training: False gives the input.

Returns:
    The shape of `input`. Takes one tick of the generator, if anything is drawn.

Raises:
    ShapeError: another number of dimensions.
    ValueError: p is not a probability.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x = fe.ones((1, 1, 1, 1, 1))
    >>> F.dropout3d(x, 1.0).item()
    0.0

Source: J. Tompson et al., "Efficient object localization using convolutional
networks", CVPR 2015.
)"),
    .examples = FE_DOC("f(2, 3, 1, 2, 2), 0.5, False\n"
                       "f(2, 3, 4, 2), 0.0"),
    .reference = FE_DOC("input"),
    .where = kFunctional,
    .has_inplace = true,
    .decompose = FE_GRAD(decompose_channels<3>),
};

extern const OpDef alpha_dropout_op = {
    .name = "alpha_dropout",
    .sig = "input: Tensor[float], p: float = 0.5, training: bool = False",
    .doc = FE_DOC(
        R"(Dropout that keeps mean and variance of inputs with mean 0 and variance 1; for
selu.

Args:
    input: any shape.
    p: probability of a drop.
    training: False gives the input.

Returns:
    The shape of `input`. Takes one tick of the generator, if anything is drawn.

Raises:
    ShapeError: another number of dimensions.
    ValueError: p is not a probability.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> F.alpha_dropout(fe.ones((2,)), 0.5).tolist()
    [1.0, 1.0]

Source: G. Klambauer et al., "Self-normalizing neural networks", NIPS 2017.
)"),
    .examples = FE_DOC("f(2, 3), 0.5\n"
                       "f(4), 0.0, True"),
    .reference = FE_DOC("input"),
    .where = kFunctional,
    .has_inplace = true,
    .decompose = FE_GRAD([](OpCall& c) { return decompose_alpha(c, false); }),
};

extern const OpDef feature_alpha_dropout_op = {
    .name = "feature_alpha_dropout",
    .sig = "input: Tensor[float], p: float = 0.5, training: bool = False",
    .doc = FE_DOC(R"(alpha_dropout of whole channels.

Args:
    input: shape (N, C, ...).
    p: probability of a drop.
    training: False gives the input.

Returns:
    The shape of `input`. Takes one tick of the generator, if anything is drawn.

Raises:
    ShapeError: another number of dimensions.
    ValueError: p is not a probability.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> F.feature_alpha_dropout(fe.ones((1, 2)), 0.5).tolist()
    [[1.0, 1.0]]

Source: G. Klambauer et al., "Self-normalizing neural networks", NIPS 2017.
)"),
    .examples = FE_DOC("f(2, 3), 0.5\n"
                       "f(2, 3, 4), 0.0, True"),
    .reference = FE_DOC("input"),
    .where = kFunctional,
    .has_inplace = true,
    .decompose = FE_GRAD([](OpCall& c) {
      require_channels(c);
      return decompose_alpha(c, true);
    }),
};

}  // namespace ferrule
