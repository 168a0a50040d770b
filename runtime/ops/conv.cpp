// Two-dimensional convolution: a closed trio, each one's gradient being the
// other two.
#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/core/window.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"
#include "runtime/ops/spatial.h"

namespace ferrule {
namespace {

// Checks all that the trio has in common and finds the geometry.
Conv2dShape check_conv(const OpCall& c, std::span<const int64_t> input,
                       std::span<const int64_t> weight) {
  check_convolution(c, kPlane, input, weight, {c, kPlane, 3, 4, 5, 6});
  return {c, input, weight};
}

// Shape of the result of the convolution proper.
Dims conv_out(const Conv2dShape& s, std::span<const int64_t> input) {
  Dims d;
  if (input.size() == 4) d.push(s.batch);
  d.push(s.out_channels);
  d.push(s.h.out);
  d.push(s.w.out);
  return d;
}

// In conv2d_dx and conv2d_dw: the gradient has the shape of the result.
void require_grad_shape(const OpCall& c, const Conv2dShape& s,
                        std::span<const int64_t> input,
                        std::span<const int64_t> weight) {
  Dims want = conv_out(s, input);
  if (want == Dims(c.in(0).sizes())) return;
  c.fail<ShapeError>("grad has shape ", c.in(0).sizes(),
                     ", but the convolution of input ", input, " with weight ",
                     weight, " has shape ", want);
}

// One image a sample, without N, as N = 1.
[[maybe_unused]] Results batch_of_images(Batch& b,
                                         std::initializer_list<int> images,
                                         int input_size,
                                         Results (*rule)(Batch&)) {
  if (b.ndim(0) == 3) {
    for (int i : images) {
      b.in[i].tensor = op::unsqueeze(b.in[i].tensor, -4);
    }
    if (input_size >= 0) {
      b.ints[input_size].insert(b.ints[input_size].begin(), 1);
    }
  }
  return rule(b);
}

// With a weight a sample, the samples' channels lie side by side, in groups of
// their own; else samples are more images.
[[maybe_unused]] Results batch_conv2d(Batch& b) {
  return batch_of_images(b, {0}, -1, [](Batch& b) {
    if (b.batched(1)) {
      const bool repeated = b.batched(0) || b.args[6].i != 1;
      if (repeated) b.set(0, b.within(0, 1));
      b.set(1, b.within(1, 0));
      if (b.has(2)) b.set(2, b.within(2, 0));
      if (repeated) b.args[6] = Arg(Int(b.args[6].i) * b.size);
      Results r = b.run();
      return one(b.apart(r[0], 1));
    }
    Batched bias;
    if (b.batched(2)) {
      std::swap(bias, b.in[2]);
      b.args[2] = Arg();
    }
    b.set(0, b.within(0, 0));
    Tensor y = b.apart(b.run()[0], 0);
    if (!bias.tensor) return one(std::move(y));
    const Int channels = size_of(bias.tensor.impl(), 1);
    return one(op::add(
        y, op::reshape(bias.tensor, IntList{b.size, 1, channels, 1, 1})));
  });
}

[[maybe_unused]] Results batch_conv2d_dx(Batch& b) {
  return batch_of_images(b, {0}, 2, [](Batch& b) {
    if (!b.batched(1)) {
      b.set(0, b.within(0, 0));
      b.ints[2][0] = b.ints[2][0] * b.size;
      return b.run();
    }
    b.set(0, b.within(0, 1));
    b.set(1, b.within(1, 0));
    b.ints[2][1] = b.ints[2][1] * b.size;
    b.args[6] = Arg(Int(b.args[6].i) * b.size);
    return one(b.apart(b.run()[0], 1));
  });
}

[[maybe_unused]] Results batch_conv2d_dw(Batch& b) {
  return batch_of_images(b, {0, 1}, -1, [](Batch& b) {
    // One input for all samples makes more channels of the result.
    const bool repeated = b.batched(1) || b.args[6].i != 1;
    b.set(0, b.within(0, 1));
    if (repeated) b.set(1, b.within(1, 1));
    b.ints[2][0] = b.ints[2][0] * b.size;
    if (repeated) b.args[6] = Arg(Int(b.args[6].i) * b.size);
    return b.run();
  });
}

// Every element of the result, or of its gradient, is a sum over one filter.
[[maybe_unused]] int64_t macs_conv2d(OpDef::Shapes in, OpDef::Shapes out) {
  return checked_numel(out[0]) *
         checked_numel(std::span<const int64_t>(in[1]).subspan(1));
}
[[maybe_unused]] int64_t macs_conv2d_dx(OpDef::Shapes in, OpDef::Shapes) {
  return checked_numel(in[0]) *
         checked_numel(std::span<const int64_t>(in[1]).subspan(1));
}
[[maybe_unused]] int64_t macs_conv2d_dw(OpDef::Shapes in, OpDef::Shapes out) {
  return checked_numel(in[0]) *
         checked_numel(std::span<const int64_t>(out[0]).subspan(1));
}

}  // namespace

extern const OpDef conv2d_op = {
    .name = "conv2d",
    .sig = "input: Tensor[float], weight: Tensor[float], "
           "bias: Tensor[float]? = None, stride: int[2] = 1, "
           "padding: int[2] = 0, dilation: int[2] = 1, groups: int = 1",
    .doc = FE_DOC(R"(Two-dimensional convolution (cross-correlation).

Args:
    input: shape (N, C, H, W), or (C, H, W) for one image.
    weight: shape (out, C / groups, kh, kw).
    bias: shape (out,), or None.
    stride: step of the window.
    padding: zeros at both sides of H and W.
    dilation: distance of the window's elements.
    groups: number of blocks of channels that do not see each other.

Returns:
    Shape (N, out, H', W') with
    H' = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1.

Raises:
    ShapeError: channels do not fit, or the kernel is larger than the padded
        input.
    ValueError: stride, padding, dilation or groups is out of range.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> w = fe.tensor([[[[1.0, 1.0], [1.0, 1.0]]]])
    >>> fe.nn.functional.conv2d(x, w).tolist()
    [[[[10.0]]]]

Source: LeCun et al., "Gradient-based learning applied to document
recognition", Proc. IEEE 86 (1998).
)"),
    .examples = FE_DOC("f(2, 3, 5, 6), f(4, 3, 3, 2), f(4)\n"
                       "f(1, 2, 5, 5), f(2, 2, 3, 3), padding=1\n"
                       "f(2, 3, 5, 5), f(2, 3, 1, 1), f(2)\n"
                       "f(3, 5, 5), f(2, 3, 3, 3), f(2)\n"
                       "f(1, 2, 7, 6), f(3, 2, 3, 2), f(3), (2, 1), (1, 0)\n"
                       "f(1, 2, 7, 7), f(2, 2, 3, 3), None, 1, 0, (2, 3)\n"
                       "f(2, 4, 4, 4), f(6, 2, 3, 3), f(6), 1, 1, 1, 2\n"
                       "f(1, 3, 5, 5), f(3, 1, 3, 3), f(3), 2, 1, 1, 3\n"
                       "f(0, 2, 4, 4), f(2, 2, 3, 3), f(2)"),
    .reference =
        FE_DOC("np.concatenate([np.einsum('...chwij,ocij->...ohw', x, w) "
               "for x, w in zip("
               "np.split(np.lib.stride_tricks.sliding_window_view("
               "np.pad(input, [(0, 0)] * (input.ndim - 2) "
               "+ [(p, p) for p in padding]), "
               "[d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:])], "
               "(-2, -1))[..., ::stride[0], ::stride[1], ::dilation[0], "
               "::dilation[1]], groups, -5), np.split(weight, groups))], -3) "
               "+ (0 if bias is None else bias[:, None, None])"),
    .where = kFunctional,
    .keeps_channels_last = true,
    .autocast = Autocast::lower,
    .saves = "input@weight weight@input",
    .infer =
        [](OpCall& c) {
          require_same_dtype(c, {0, 1, 2});
          auto x = c.in(0).sizes();
          Conv2dShape s = check_conv(c, x, c.in(1).sizes());
          check_bias(c, 2, s.out_channels);
          c.out(0, c.in(0).dtype, conv_out(s, x));
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      const Arg* a = v.args;
      if (v.needs(0)) {
        v.set(0, op::conv2d_dx(g, v.in(1), v.sizes(0), a[3], a[4], a[5], a[6]));
      }
      if (v.needs(1)) {
        v.set(1, op::conv2d_dw(g, v.in(0), v.sizes(1), a[3], a[4], a[5], a[6]));
      }
      if (v.needs(2)) {
        v.set(2, v.ndim(0) == 4 ? op::sum(g, IntList{0, 2, 3})
                                : op::sum(g, IntList{1, 2}));
      }
    }),
    .batch = FE_GRAD(batch_conv2d),
    .macs = FE_GRAD(macs_conv2d),
};

extern const OpDef conv2d_dx_op = {
    .name = "conv2d_dx",
    .sig = "grad: Tensor[float], weight: Tensor[float], input_size: int[], "
           "stride: int[2] = 1, padding: int[2] = 0, dilation: int[2] = 1, "
           "groups: int = 1",
    .doc =
        FE_DOC(R"(Gradient of conv2d in its input: the transposed convolution.

Args:
    grad: gradient of the result, shape (N, out, H', W') or (out, H', W').
    weight: shape (out, C / groups, kh, kw).
    input_size: shape of the input, which `grad` alone does not tell.
    stride, padding, dilation, groups: as for conv2d.

Returns:
    Shape `input_size`.

Raises:
    ShapeError: `grad` is not the shape that conv2d gives.

Example:
    >>> import ferrule as fe
    >>> g, w = fe.ones((1, 1, 1, 1)), fe.ones((1, 1, 2, 2))
    >>> fe.ops.conv2d_dx(g, w, (1, 1, 2, 2)).tolist()
    [[[[1.0, 1.0], [1.0, 1.0]]]]

Source: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep
learning", arXiv:1603.07285, section 4.
)"),
    .examples =
        FE_DOC("f(2, 4, 3, 5), f(4, 3, 3, 2), (2, 3, 5, 6)\n"
               "f(1, 2, 5, 5), f(2, 2, 3, 3), (1, 2, 5, 5), padding=1\n"
               "f(2, 3, 3), f(2, 3, 3, 3), (3, 5, 5)\n"
               "f(1, 3, 4, 5), f(3, 2, 3, 2), (1, 2, 7, 6), (2, 1), (1, 0)\n"
               "f(1, 2, 3, 1), f(2, 2, 3, 3), (1, 2, 7, 7), 1, 0, (2, 3)\n"
               "f(1, 2, 2, 2), f(2, 1, 3, 3), (1, 2, 6, 6), 3, 0, 1, 2"),
    .where = kInternal,
    .saves = "grad@weight weight@grad",
    .infer =
        [](OpCall& c) {
          require_same_dtype(c, {0, 1});
          Dims size = shape_of(c, 2);
          Conv2dShape s = check_conv(c, size, c.in(1).sizes());
          require_grad_shape(c, s, size, c.in(1).sizes());
          c.out(0, c.in(0).dtype, size);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      const Arg* a = v.args;
      if (v.needs(0)) {
        v.set(0, op::conv2d(g, v.in(1), Arg(), a[3], a[4], a[5], a[6]));
      }
      if (v.needs(1)) {
        v.set(1, op::conv2d_dw(v.in(0), g, v.sizes(1), a[3], a[4], a[5], a[6]));
      }
    }),
    .batch = FE_GRAD(batch_conv2d_dx),
    .macs = FE_GRAD(macs_conv2d_dx),
};

extern const OpDef conv2d_dw_op = {
    .name = "conv2d_dw",
    .sig = "grad: Tensor[float], input: Tensor[float], weight_size: int[], "
           "stride: int[2] = 1, padding: int[2] = 0, dilation: int[2] = 1, "
           "groups: int = 1",
    .doc = FE_DOC(R"(Gradient of conv2d in its weight.

Args:
    grad: gradient of the result, shape (N, out, H', W') or (out, H', W').
    input: shape (N, C, H, W) or (C, H, W).
    weight_size: shape of the weight, which the others alone do not tell.
    stride, padding, dilation, groups: as for conv2d.

Returns:
    Shape `weight_size`.

Raises:
    ShapeError: `grad` is not the shape that conv2d gives.

Example:
    >>> import ferrule as fe
    >>> g, x = fe.ones((1, 1, 1, 1)), fe.ones((1, 1, 2, 2))
    >>> fe.ops.conv2d_dw(g, x, (1, 1, 2, 2)).tolist()
    [[[[1.0, 1.0], [1.0, 1.0]]]]

Source: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep
learning", arXiv:1603.07285.
)"),
    .examples =
        FE_DOC("f(2, 4, 3, 5), f(2, 3, 5, 6), (4, 3, 3, 2)\n"
               "f(1, 2, 5, 5), f(1, 2, 5, 5), (2, 2, 3, 3), padding=1\n"
               "f(2, 3, 3), f(3, 5, 5), (2, 3, 3, 3)\n"
               "f(1, 3, 4, 5), f(1, 2, 7, 6), (3, 2, 3, 2), (2, 1), (1, 0)\n"
               "f(1, 2, 3, 1), f(1, 2, 7, 7), (2, 2, 3, 3), 1, 0, (2, 3)\n"
               "f(1, 2, 2, 2), f(1, 2, 6, 6), (2, 1, 3, 3), 3, 0, 1, 2\n"
               "f(0, 2, 2, 2), f(0, 2, 4, 4), (2, 2, 3, 3)"),
    .where = kInternal,
    .saves = "grad@input input@grad",
    .infer =
        [](OpCall& c) {
          require_same_dtype(c, {0, 1});
          Dims size = shape_of(c, 2);
          Conv2dShape s = check_conv(c, c.in(1).sizes(), size);
          require_grad_shape(c, s, c.in(1).sizes(), size);
          c.out(0, c.in(0).dtype, size);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      const Arg* a = v.args;
      if (v.needs(0)) {
        v.set(0, op::conv2d(v.in(1), g, Arg(), a[3], a[4], a[5], a[6]));
      }
      if (v.needs(1)) {
        v.set(1, op::conv2d_dx(v.in(0), g, v.sizes(1), a[3], a[4], a[5], a[6]));
      }
    }),
    .batch = FE_GRAD(batch_conv2d_dw),
    .macs = FE_GRAD(macs_conv2d_dw),
};

}  // namespace ferrule
