// Channels that become pixels, pixels that become channels, channels that
// change places: compositions of reshape and permute.
#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// The sizes of (..., C, H, W), all before the last three as one.
struct Sizes {
  Int batch = 1, channels, height, width;

  Sizes(const OpCall& c, int64_t factor) {
    const TensorImpl& x = c.in(0);
    if (x.ndim < 3) {
      c.fail<ShapeError>("input must have shape (..., C, H, W), got ",
                         x.sizes());
    }
    if (factor < 1 || factor >= int64_t{1} << 20) {
      c.fail<ValueError>(c.info.schema.params[1].name,
                         " must be positive, got ", factor);
    }
    for (int d = 0; d < x.ndim - 3; ++d) batch = batch * size_of(&x, d);
    channels = size_of(&x, x.ndim - 3);
    height = size_of(&x, x.ndim - 2);
    width = size_of(&x, x.ndim - 1);
  }
};

Tensor with_image(const OpCall& c, const Tensor& t, Int channels, Int height,
                  Int width) {
  IntList shape = sizes_of(&c.in(0));
  shape[shape.n - 3] = channels;
  shape[shape.n - 2] = height;
  shape[shape.n - 1] = width;
  return op::reshape(t, shape);
}

Results decompose_pixel_shuffle(OpCall& c) {
  const Int r = c.sym(1);
  const Sizes s(c, r.value);
  if (s.channels.value % (r.value * r.value) != 0) {
    c.fail<ShapeError>("the ", s.channels.value, " channels of input ",
                       c.in(0).sizes(), " cannot be divided into squares of ",
                       r.value, " x ", r.value, " pixels");
  }
  const Int channels = s.channels / (r * r);
  Tensor t = op::reshape(c.tensor(0),
                         IntList{s.batch, channels, r, r, s.height, s.width});
  t = op::permute(t, IntList{0, 1, 4, 2, 5, 3});
  return apart(c, with_image(c, t, channels, s.height * r, s.width * r));
}

Results decompose_pixel_unshuffle(OpCall& c) {
  const Int r = c.sym(1);
  const Sizes s(c, r.value);
  if (s.height.value % r.value != 0 || s.width.value % r.value != 0) {
    c.fail<ShapeError>("height and width of input ", c.in(0).sizes(),
                       " cannot be divided by ", r.value);
  }
  const Int height = s.height / r, width = s.width / r;
  Tensor t = op::reshape(c.tensor(0),
                         IntList{s.batch, s.channels, height, r, width, r});
  t = op::permute(t, IntList{0, 1, 3, 5, 2, 4});
  return apart(c, with_image(c, t, s.channels * r * r, height, width));
}

// Channel i of group g goes to place i * groups + g.
Results decompose_channel_shuffle(OpCall& c) {
  const TensorImpl& x = c.in(0);
  const Int groups = c.sym(1);
  if (x.ndim < 3) {
    c.fail<ShapeError>("input must have shape (N, C, ...), got ", x.sizes());
  }
  const Int channels = size_of(&x, 1);
  if (groups.value < 1 || channels.value % groups.value != 0) {
    c.fail<ValueError>("the ", channels.value, " channels of input ", x.sizes(),
                       " cannot be divided into groups=", groups.value);
  }
  Int inner = 1;
  for (int d = 2; d < x.ndim; ++d) inner = inner * size_of(&x, d);
  const Tensor t = op::reshape(
      c.tensor(0), IntList{size_of(&x, 0), groups, channels / groups, inner});
  return apart(c, op::reshape(op::transpose(t, 1, 2), sizes_of(&x)));
}

#endif

}  // namespace

extern const OpDef pixel_shuffle_op = {
    .name = "pixel_shuffle",
    .sig = "input: Tensor, upscale_factor: int",
    .doc = FE_DOC(R"(Larger images of fewer channels: channels become pixels.

Args:
    input: shape (..., C * r * r, H, W).
    upscale_factor: r.

Returns:
    Shape (..., C, H * r, W * r).

Raises:
    ShapeError: the channels cannot be divided by r * r.
    ValueError: r is not positive.

Example:
    >>> import ferrule as fe
    >>> fe.pixel_shuffle(fe.arange(4).reshape(4, 1, 1), 2).tolist()
    [[[0, 1], [2, 3]]]

Source: Shi et al., "Real-Time Single Image and Video Super-Resolution Using an
Efficient Sub-Pixel Convolutional Neural Network", 2016.
)"),
    .examples =
        FE_DOC("f(1, 8, 2, 3), 2\nf(9, 2, 1), 3\ni(9, 2, 2, 4, 1, 2), 2"),
    .reference = FE_DOC(
        "(lambda r, s: input.reshape(*s[:-3], s[-3] // r // r, r, r, *s[-2:])"
        ".transpose(*range(len(s) - 2), len(s), len(s) - 2, len(s) + 1, "
        "len(s) - 1).reshape(*s[:-3], s[-3] // r // r, s[-2] * r, s[-1] * r))"
        "(upscale_factor, input.shape)"),
    .where = kFunction | kFunctional,
    .decompose = FE_GRAD(decompose_pixel_shuffle),
};

extern const OpDef pixel_unshuffle_op = {
    .name = "pixel_unshuffle",
    .sig = "input: Tensor, downscale_factor: int",
    .doc = FE_DOC(R"(Smaller images of more channels: pixels become channels.

The inverse of `pixel_shuffle`.

Args:
    input: shape (..., C, H * r, W * r).
    downscale_factor: r.

Returns:
    Shape (..., C * r * r, H, W).

Raises:
    ShapeError: height or width cannot be divided by r.
    ValueError: r is not positive.

Example:
    >>> import ferrule as fe
    >>> fe.pixel_unshuffle(fe.arange(4).reshape(1, 2, 2), 2).flatten().tolist()
    [0, 1, 2, 3]

Source: torch.nn.functional.pixel_unshuffle.
)"),
    .examples = FE_DOC("f(1, 2, 4, 6), 2\nf(1, 3, 3), 3\nf(2, 2, 1, 2, 2), 1"),
    .reference = FE_DOC(
        "(lambda r, s: input.reshape(*s[:-2], s[-2] // r, r, s[-1] // r, r)"
        ".transpose(*range(len(s) - 2), len(s) - 1, len(s) + 1, len(s) - 2, "
        "len(s)).reshape(*s[:-3], s[-3] * r * r, s[-2] // r, s[-1] // r))"
        "(downscale_factor, input.shape)"),
    .where = kFunction | kFunctional,
    .decompose = FE_GRAD(decompose_pixel_unshuffle),
};

extern const OpDef channel_shuffle_op = {
    .name = "channel_shuffle",
    .sig = "input: Tensor, groups: int",
    .doc = FE_DOC(R"(Deals out the channels of groups in turns.

Args:
    input: shape (N, C, ...).
    groups: number of groups that the channels are in.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: fewer than three dimensions.
    ValueError: the channels cannot be divided into so many groups.

Example:
    >>> import ferrule as fe
    >>> fe.channel_shuffle(fe.arange(4).reshape(1, 4, 1), 2).flatten().tolist()
    [0, 2, 1, 3]

Source: Zhang et al., "ShuffleNet", 2018.
)"),
    .examples = FE_DOC("f(1, 6, 2, 3), 2\nf(2, 4, 3), 4\nf(1, 3, 1, 1, 2), 1"),
    .reference =
        FE_DOC("input.reshape(input.shape[0], groups, -1, *input.shape[2:])"
               ".swapaxes(1, 2).reshape(input.shape)"),
    .where = kFunction | kFunctional,
    .decompose = FE_GRAD(decompose_channel_shuffle),
};

}  // namespace ferrule
