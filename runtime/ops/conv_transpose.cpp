// Transposed convolution over one, two and three dimensions: the gradient of
// conv2d in its input, conv2d_dx, as a function of its own.
#include <algorithm>
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

// The numbers of a call, and the result's sizes of the spatial dimensions.
struct Transposed : ConvNumbers {
  Numbers more;  // output_padding
  Numbers size;

  Transposed(const OpCall& c, const Space& space);
};

void check_channels(const OpCall& c, const Space& space, int64_t groups) {
  const auto input = c.in(0).sizes(), weight = c.in(1).sizes();
  require_images(c, "input", input, space);
  if (static_cast<int>(weight.size()) != space.n + 2) {
    c.fail<ShapeError>(
        "weight must have shape (in_channels, out_channels / groups, ",
        space.kernel, "), got ", weight);
  }
  checked_numel(weight);
  const int64_t channels = input[input.size() - space.n - 1];
  if (channels != weight[0]) {
    c.fail<ShapeError>("input ", input, " has ", channels,
                       " channels, but weight ", weight, " expects ", weight[0],
                       "; a transposed convolution's weight is (in_channels, "
                       "out_channels / groups, ",
                       space.kernel, ")");
  }
  if (channels % groups != 0) {
    c.fail<ShapeError>("the ", channels, " channels of input ", input,
                       " cannot be divided into groups=", groups);
  }
  check_bias(c, 2, apply(IntOp::mul, weight[1], groups));
}

Transposed::Transposed(const OpCall& c, const Space& space)
    : ConvNumbers(c, space, 3, 4, 7, 6), more(spatial_numbers(c, 5, space, 0)) {
  require_same_dtype(c, {0, 1, 2});
  check_channels(c, space, groups);
  for (int k = 0; k < space.n; ++k) {
    const Int in = size_of(&c.in(0), c.in(0).ndim - space.n + k);
    const Int kernel = c.in(1).shape[2 + k];
    if (more[k].value >= std::max(stride[k].value, dilation[k].value)) {
      c.fail<ValueError>("output_padding ", more[k].value, " for ",
                         space.sides[k], " must be smaller than stride ",
                         stride[k].value, " or dilation ", dilation[k].value);
    }
    if (in.value == 0 || kernel.value == 0) {
      c.fail<ShapeError>(in.value ? "the kernel" : "the input", " has ",
                         space.sides[k], " 0");
    }
    size.push((in - 1) * stride[k] - padding[k] * 2 +
              dilation[k] * (kernel - 1) + more[k] + 1);
    if (size[k].value < 1) {
      c.fail<ShapeError>("the result would have ", space.sides[k], " ",
                         size[k].value, ": padding ", padding[k].value,
                         " takes all of it away; use a smaller one");
    }
  }
}

// The transposed convolution of images, without bias. `size`, `stride` and so
// on hold two numbers. conv2d_dx takes an output_padding below the stride;
// what is more comes from zeros at the end of the input.
struct Plane {
  Numbers size, stride, padding, dilation, more;
};
Tensor transpose_plane(Tensor x, const Tensor& w, const Int& channels,
                       const Plane& p, int64_t groups) {
  const int at = x.ndim() - 2;
  for (int k = 0; k < 2; ++k) {
    const Int zeros = p.more[k] / p.stride[k];
    if (zeros.value == 0) continue;
    IntList longer = sizes_of(x.impl());
    const Int end = longer[at + k];
    longer[at + k] = end + zeros;
    x = op::slice_dx(x, longer, at + k, 0, end);
  }
  IntList size = sizes_of(x.impl());
  size[at - 1] = channels;
  size[at] = p.size[0];
  size[at + 1] = p.size[1];
  return op::conv2d_dx(x, w, size, p.stride, p.padding, p.dilation, groups);
}

// A new tensor `y`, the bias of channels before `n` dimensions added.
Tensor with_bias(const OpCall& c, Tensor y, int n) {
  if (!c.has(2)) return y;
  IntList shape{size_of(&c.in(2), 0)};
  for (int k = 0; k < n; ++k) shape.push(1);
  const Tensor bias = op::reshape(c.tensor(2), shape);
  // Under vmap the bias alone may differ from sample to sample.
  return bias.device() == y.device() ? op::add.inplace(y, bias)
                                     : op::add(y, bias);
}

Int channels_of(const OpCall& c, int64_t groups) {
  return size_of(&c.in(1), 1) * groups;
}

Results decompose_conv_transpose1d(OpCall& c) {
  const Transposed a(c, kLine);
  const Plane p = {{1, a.size[0]},
                   {1, a.stride[0]},
                   {0, a.padding[0]},
                   {1, a.dilation[0]},
                   {0, a.more[0]}};
  const Tensor y = transpose_plane(op::unsqueeze(c.tensor(0), -2),
                                   op::unsqueeze(c.tensor(1), -2),
                                   channels_of(c, a.groups), p, a.groups);
  return one(op::squeeze(with_bias(c, y, 2), IntList{-2}));
}

Results decompose_conv_transpose2d(OpCall& c) {
  const Transposed a(c, kPlane);
  const Plane p = {a.size, a.stride, a.padding, a.dilation, a.more};
  const Tensor y = transpose_plane(c.tensor(0), c.tensor(1),
                                   channels_of(c, a.groups), p, a.groups);
  return one(with_bias(c, y, 2));
}

// The kernel reaches over depth only: height and width are one dimension.
Tensor transpose_depth(const OpCall& c, const Tensor& x, const Transposed& a) {
  const Numbers in = sizes_of(x.impl()), kernel = sizes_of(&c.in(1));
  const Int area = in[3] * in[4], channels = channels_of(c, a.groups);
  const Plane p = {{a.size[0], area},
                   {a.stride[0], 1},
                   {a.padding[0], 0},
                   {a.dilation[0], 1},
                   {a.more[0], 0}};
  const Tensor y = transpose_plane(
      op::reshape(x, IntList{in[0], in[1], in[2], area}),
      op::reshape(c.tensor(1), IntList{kernel[0], kernel[1], kernel[2], 1}),
      channels, p, a.groups);
  return op::reshape(with_bias(c, y, 2),
                     IntList{in[0], channels, a.size[0], in[3], in[4]});
}

// Adds what the kernel's depths i make of the input's depths j, `parts` of
// shape (N, D, C, kd, H, W), at depth j * stride + i * dilation - padding.
Tensor add_depths(const Tensor& parts, const Transposed& a) {
  const Numbers in = sizes_of(parts.impl());
  const Int stride = a.stride[0], length = a.size[0];
  const IntList size{in[0], in[2], length, in[4], in[5]};
  Tensor sum;
  for (Int i = 0; i.value < in[3].value; i = i + 1) {
    const Int shift = i * a.dilation[0] - a.padding[0];
    // 0 <= j * stride + shift < length for j in [first, end).
    const Int first = combine(IntOp::max, (stride - 1 - shift) / stride, 0);
    const Int beyond = (length - 1 - shift) / stride + 1;
    const Int end =
        combine(IntOp::max, combine(IntOp::min, beyond, in[1]), first);
    const Int from = first * stride + shift;
    const Int to =
        combine(IntOp::max, from + (end - first - 1) * stride + 1, 0);
    const Tensor part = op::slice(op::select(parts, 3, i), 1, first, end);
    const Tensor term = op::slice_dx(op::permute(part, IntList{0, 2, 1, 3, 4}),
                                     size, 2, from, to, stride);
    sum = sum ? op::add.inplace(sum, term) : term;
  }
  return sum;
}

// The kernel's depths as channels of one transposed convolution of all depths'
// images, whose parts are then added along depth.
Tensor transpose_volume(const OpCall& c, const Tensor& x, const Transposed& a) {
  const Numbers in = sizes_of(x.impl()), kernel = sizes_of(&c.in(1));
  const Int channels = channels_of(c, a.groups);
  const Plane p = {{a.size[1], a.size[2]},
                   {a.stride[1], a.stride[2]},
                   {a.padding[1], a.padding[2]},
                   {a.dilation[1], a.dilation[2]},
                   {a.more[1], a.more[2]}};
  const Tensor images =
      op::reshape(op::permute(x, IntList{0, 2, 1, 3, 4}),
                  IntList{in[0] * in[2], in[1], in[3], in[4]});
  const Tensor y = transpose_plane(
      images,
      op::reshape(c.tensor(1), IntList{kernel[0], kernel[1] * kernel[2],
                                       kernel[3], kernel[4]}),
      channels * kernel[2], p, a.groups);
  const Tensor parts = op::reshape(
      y, IntList{in[0], in[2], channels, kernel[2], a.size[1], a.size[2]});
  return with_bias(c, add_depths(parts, a), 3);
}

Results decompose_conv_transpose3d(OpCall& c) {
  const Transposed a(c, kVolume);
  const bool single = c.in(0).ndim == 4;
  const Tensor x = single ? op::unsqueeze(c.tensor(0), 0) : c.tensor(0);
  bool flat = true;
  for (int k = 1; k < 3; ++k) {
    flat &= c.in(1).shape[2 + k] == 1 && a.stride[k].value == 1 &&
            a.padding[k].value == 0 && a.more[k].value == 0;
  }
  const Tensor y = flat ? transpose_depth(c, x, a) : transpose_volume(c, x, a);
  return one(single ? op::squeeze(y, IntList{0}) : y);
}

#endif

}  // namespace

extern const OpDef conv_transpose1d_op = {
    .name = "conv_transpose1d",
    .sig = "input: Tensor[float], weight: Tensor[float], "
           "bias: Tensor[float]? = None, stride: int[] = 1, "
           "padding: int[] = 0, output_padding: int[] = 0, groups: int = 1, "
           "dilation: int[] = 1",
    .doc = FE_DOC(R"(Transposed one-dimensional convolution.

Args:
    input: shape (N, C, L), or (C, L) for one sequence.
    weight: shape (C, out / groups, k).
    bias: shape (out,), or None.
    stride: distance in the result of neighbours in the input.
    padding: elements that are left out at both ends of the result.
    output_padding: elements that the result is longer at its far end, fewer
        than stride or dilation.
    groups: number of blocks of channels that do not see each other.
    dilation: distance of the window's elements.

Returns:
    Shape (N, out, L') with
    L' = (L - 1) stride - 2 padding + dilation (k - 1) + output_padding + 1.

Raises:
    ShapeError: channels do not fit, or nothing is left of the result.
    ValueError: a number is out of range.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> x, w = fe.tensor([[[1.0, 2.0]]]), fe.tensor([[[1.0, 1.0]]])
    >>> fe.nn.functional.conv_transpose1d(x, w, stride=2).tolist()
    [[[1.0, 1.0, 2.0, 2.0]]]

Source: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep
learning", arXiv:1603.07285, section 4.
)"),
    .examples = FE_DOC("f(2, 3, 4), f(3, 2, 3), f(2)\n"
                       "f(1, 4, 5), f(4, 1, 3), f(2), 3, 1, 2, 2\n"
                       "f(2, 3), f(2, 2, 2), None, (1,), (1,), (2,), 1, (3,)\n"
                       "f(0, 2, 4), f(2, 2, 3), f(2)"),
    .reference =
        FE_DOC("convolve_transposed(input, weight, bias, stride, padding, "
               "output_padding, groups, dilation)"),
    .where = kFunctional,
    .autocast = Autocast::lower,
    .decompose = FE_GRAD(decompose_conv_transpose1d),
};

extern const OpDef conv_transpose2d_op = {
    .name = "conv_transpose2d",
    .sig = "input: Tensor[float], weight: Tensor[float], "
           "bias: Tensor[float]? = None, stride: int[] = 1, "
           "padding: int[] = 0, output_padding: int[] = 0, groups: int = 1, "
           "dilation: int[] = 1",
    .doc = FE_DOC(R"(Transposed two-dimensional convolution.

Args:
    input: shape (N, C, H, W), or (C, H, W) for one image.
    weight: shape (C, out / groups, kh, kw).
    bias: shape (out,), or None.
    stride: distance in the result of neighbours in the input.
    padding: rows and columns that are left out at both sides of the result.
    output_padding: rows and columns that the result has more at its far sides,
        fewer than stride or dilation.
    groups: number of blocks of channels that do not see each other.
    dilation: distance of the window's elements.

Returns:
    Shape (N, out, H', W') with
    H' = (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1.

Raises:
    ShapeError: channels do not fit, or nothing is left of the result.
    ValueError: a number is out of range.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> x, w = fe.tensor([[[[1.0, 2.0]]]]), fe.ones((1, 1, 1, 2))
    >>> fe.nn.functional.conv_transpose2d(x, w, stride=(1, 2)).tolist()
    [[[[1.0, 1.0, 2.0, 2.0]]]]

Source: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep
learning", arXiv:1603.07285, section 4.
)"),
    .examples =
        FE_DOC("f(2, 3, 3, 2), f(3, 2, 2, 3), f(2)\n"
               "f(1, 4, 3, 2), f(4, 1, 3, 2), f(2), 2, 1, (1, 0), 2\n"
               "f(2, 2, 3), f(2, 2, 2, 2), None, (1, 2), (1, 0), (2, 1), 1, "
               "(3, 1)\n"
               "f(0, 2, 4, 4), f(2, 2, 3, 3), f(2)"),
    .reference =
        FE_DOC("convolve_transposed(input, weight, bias, stride, padding, "
               "output_padding, groups, dilation)"),
    .where = kFunctional,
    .autocast = Autocast::lower,
    .decompose = FE_GRAD(decompose_conv_transpose2d),
};

extern const OpDef conv_transpose3d_op = {
    .name = "conv_transpose3d",
    .sig = "input: Tensor[float], weight: Tensor[float], "
           "bias: Tensor[float]? = None, stride: int[] = 1, "
           "padding: int[] = 0, output_padding: int[] = 0, groups: int = 1, "
           "dilation: int[] = 1",
    .doc = FE_DOC(R"(Transposed three-dimensional convolution.

Args:
    input: shape (N, C, D, H, W), or (C, D, H, W) for one volume.
    weight: shape (C, out / groups, kd, kh, kw).
    bias: shape (out,), or None.
    stride: distance in the result of neighbours in the input.
    padding: layers that are left out at both sides of the result.
    output_padding: layers that the result has more at its far sides, fewer
        than stride or dilation.
    groups: number of blocks of channels that do not see each other.
    dilation: distance of the window's elements.

Returns:
    Shape (N, out, D', H', W') with
    D' = (D - 1) stride - 2 padding + dilation (kd - 1) + output_padding + 1.

Raises:
    ShapeError: channels do not fit, or nothing is left of the result.
    ValueError: a number is out of range.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> x, w = fe.ones((1, 1, 1, 1, 2)), fe.ones((1, 1, 1, 1, 2))
    >>> fe.nn.functional.conv_transpose3d(x, w).tolist()
    [[[[[1.0, 2.0, 1.0]]]]]

Source: V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep
learning", arXiv:1603.07285, section 4.
)"),
    .examples =
        FE_DOC("f(1, 2, 2, 2, 3), f(2, 2, 3, 2, 2), f(2)\n"
               "f(1, 2, 3, 2, 2), f(2, 1, 3, 2, 2), f(2), 2, 1, (1, 1, 0), 2\n"
               "f(2, 3, 2, 2), f(2, 2, 2, 1, 2), None, (3, 1, 1), "
               "(1, 0, 1), (2, 0, 1), 1, (1, 1, 2)\n"
               "f(2, 2, 3, 2, 2), f(2, 3, 2, 1, 1), f(3), (2, 1, 1), "
               "(1, 0, 0), (1, 0, 0), 1, (2, 1, 1)\n"
               "f(0, 2, 2, 2, 2), f(2, 2, 1, 2, 2), f(2)"),
    .reference =
        FE_DOC("convolve_transposed(input, weight, bias, stride, padding, "
               "output_padding, groups, dilation)"),
    .where = kFunctional,
    .autocast = Autocast::lower,
    .decompose = FE_GRAD(decompose_conv_transpose3d),
};

}  // namespace ferrule
