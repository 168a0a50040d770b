// Convolution over one and three dimensions, made of conv2d.
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"
#include "runtime/ops/spatial.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

ConvNumbers check_call(const OpCall& c, const Space& space) {
  require_same_dtype(c, {0, 1, 2});
  const ConvNumbers a(c, space, 3, 4, 5, 6);
  check_convolution(c, space, c.in(0).sizes(), c.in(1).sizes(), a);
  check_bias(c, 2, c.in(1).shape[0]);
  return a;
}

Results decompose_conv1d(OpCall& c) {
  const ConvNumbers a = check_call(c, kLine);
  const Tensor y =
      op::conv2d(op::unsqueeze(c.tensor(0), -2), op::unsqueeze(c.tensor(1), -2),
                 c.args[2], IntList{1, a.stride[0]}, IntList{0, a.padding[0]},
                 IntList{1, a.dilation[0]}, a.groups);
  return one(op::squeeze(y, IntList{-2}));
}

// The kernel reaches over depth only: height and width are one dimension.
Tensor convolve_depth(const Tensor& x, const Tensor& w, const Arg& bias,
                      const ConvNumbers& a) {
  const Numbers in = sizes_of(x.impl()), kernel = sizes_of(w.impl());
  const Tensor y =
      op::conv2d(op::reshape(x, IntList{in[0], in[1], in[2], in[3] * in[4]}),
                 op::reshape(w, IntList{kernel[0], kernel[1], kernel[2], 1}),
                 bias, IntList{a.stride[0], 1}, IntList{a.padding[0], 0},
                 IntList{a.dilation[0], 1}, a.groups);
  return op::reshape(
      y, IntList{in[0], kernel[0], size_of(y.impl(), 2), in[3], in[4]});
}

// For each depth of the result an image whose channels are those that the
// kernel's depths see there: (N * D', C * kd, H, W). It takes kd times the
// memory of the input, but one convolution instead of kd, whose results would
// have to be added.
Tensor convolve_volume(const Tensor& x, const Tensor& w, const Arg& bias,
                       const ConvNumbers& a) {
  const Numbers in = sizes_of(x.impl()), kernel = sizes_of(w.impl());
  const Int pad = a.padding[0], stride = a.stride[0], step = a.dilation[0];
  const Int depth = (in[2] + pad * 2 - step * (kernel[2] - 1) - 1) / stride + 1;
  Tensor padded = x;
  if (pad.value > 0) {
    IntList size = in;
    size[2] = in[2] + pad * 2;
    padded = op::slice_dx(x, size, 2, pad, pad + in[2]);
  }
  std::vector<Tensor> seen;
  for (Int i = 0; i.value < kernel[2].value; i = i + 1) {
    const Int first = i * step, last = first + (depth - 1) * stride;
    const Tensor part = op::slice(padded, 2, first, last + 1, stride);
    seen.push_back(op::permute(part, IntList{0, 2, 1, 3, 4}));
  }
  const Tensor images =
      op::reshape(op::stack(seen, 3),
                  IntList{in[0] * depth, in[1] * kernel[2], in[3], in[4]});
  const Tensor y = op::conv2d(
      images,
      op::reshape(
          w, IntList{kernel[0], kernel[1] * kernel[2], kernel[3], kernel[4]}),
      bias, IntList{a.stride[1], a.stride[2]},
      IntList{a.padding[1], a.padding[2]},
      IntList{a.dilation[1], a.dilation[2]}, a.groups);
  const Numbers out = sizes_of(y.impl());
  const Tensor apart =
      op::reshape(y, IntList{in[0], depth, kernel[0], out[2], out[3]});
  return op::clone(op::permute(apart, IntList{0, 2, 1, 3, 4}));
}

Results decompose_conv3d(OpCall& c) {
  const ConvNumbers a = check_call(c, kVolume);
  const Tensor w = c.tensor(1);
  const bool single = c.in(0).ndim == 4;
  const Tensor x = single ? op::unsqueeze(c.tensor(0), 0) : c.tensor(0);
  bool flat = true;
  for (int k = 1; k < 3; ++k) {
    flat &= c.in(1).shape[2 + k] == 1 && a.stride[k].value == 1 &&
            a.padding[k].value == 0;
  }
  const Tensor y = flat ? convolve_depth(x, w, c.args[2], a)
                        : convolve_volume(x, w, c.args[2], a);
  return one(single ? op::squeeze(y, IntList{0}) : y);
}

#endif

}  // namespace

extern const OpDef conv1d_op = {
    .name = "conv1d",
    .sig = "input: Tensor[float], weight: Tensor[float], "
           "bias: Tensor[float]? = None, stride: int[] = 1, "
           "padding: int[] = 0, dilation: int[] = 1, groups: int = 1",
    .doc = FE_DOC(R"(One-dimensional convolution (cross-correlation).

Args:
    input: shape (N, C, L), or (C, L) for one sequence.
    weight: shape (out, C / groups, k).
    bias: shape (out,), or None.
    stride: step of the window.
    padding: zeros at both ends.
    dilation: distance of the window's elements.
    groups: number of blocks of channels that do not see each other.

Returns:
    Shape (N, out, L') with
    L' = (L + 2 padding - dilation (k - 1) - 1) // stride + 1.

Raises:
    ShapeError: channels do not fit, or the kernel is larger than the padded
        input.
    ValueError: stride, padding, dilation or groups is out of range.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> x, w = fe.tensor([[[1.0, 2.0, 4.0]]]), fe.tensor([[[1.0, 1.0]]])
    >>> fe.nn.functional.conv1d(x, w).tolist()
    [[[3.0, 6.0]]]

Source: A. Waibel et al., "Phoneme recognition using time-delay neural
networks", IEEE Trans. ASSP 37 (1989); torch.nn.functional.conv1d.
)"),
    .examples = FE_DOC("f(2, 3, 7), f(4, 3, 3), f(4)\n"
                       "f(1, 4, 8), f(6, 2, 3), f(6), 2, 1, 2, 2\n"
                       "f(3, 6), f(3, 1, 2), None, (1,), (2,), (3,), 3\n"
                       "f(0, 2, 4), f(2, 2, 3), f(2)"),
    .reference = FE_DOC(
        "convolve(input, weight, bias, stride, padding, dilation, groups)"),
    .where = kFunctional,
    .autocast = Autocast::lower,
    .decompose = FE_GRAD(decompose_conv1d),
};

extern const OpDef conv3d_op = {
    .name = "conv3d",
    .sig = "input: Tensor[float], weight: Tensor[float], "
           "bias: Tensor[float]? = None, stride: int[] = 1, "
           "padding: int[] = 0, dilation: int[] = 1, groups: int = 1",
    .doc = FE_DOC(R"(Three-dimensional convolution (cross-correlation).

Args:
    input: shape (N, C, D, H, W), or (C, D, H, W) for one volume.
    weight: shape (out, C / groups, kd, kh, kw).
    bias: shape (out,), or None.
    stride: step of the window.
    padding: zeros at both sides of D, H and W.
    dilation: distance of the window's elements.
    groups: number of blocks of channels that do not see each other.

Returns:
    Shape (N, out, D', H', W') with
    D' = (D + 2 padding - dilation (kd - 1) - 1) // stride + 1.

Raises:
    ShapeError: channels do not fit, or the kernel is larger than the padded
        input.
    ValueError: stride, padding, dilation or groups is out of range.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> x, w = fe.ones((1, 1, 2, 2, 2)), fe.ones((1, 1, 2, 2, 2))
    >>> fe.nn.functional.conv3d(x, w).tolist()
    [[[[[8.0]]]]]

Source: S. Ji et al., "3D convolutional neural networks for human action
recognition", IEEE Trans. PAMI 35 (2013); torch.nn.functional.conv3d.
)"),
    .examples = FE_DOC("f(1, 2, 3, 4, 3), f(2, 2, 2, 3, 2), f(2)\n"
                       "f(1, 2, 3, 3, 4), f(2, 1, 3, 2, 2), f(2), 2, 1, 1, 2\n"
                       "f(2, 4, 3, 3), f(2, 2, 2, 2, 2), None, (2, 1, 1), "
                       "(1, 0, 1), (1, 2, 1)\n"
                       "f(2, 2, 4, 2, 3), f(3, 2, 2, 1, 1), f(3), (2, 1, 1), "
                       "(1, 0, 0), (2, 1, 1)\n"
                       "f(0, 2, 2, 2, 2), f(2, 2, 1, 2, 2), f(2)"),
    .reference = FE_DOC(
        "convolve(input, weight, bias, stride, padding, dilation, groups)"),
    .where = kFunctional,
    .autocast = Autocast::lower,
    .decompose = FE_GRAD(decompose_conv3d),
};

}  // namespace ferrule
