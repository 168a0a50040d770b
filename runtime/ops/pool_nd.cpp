// Pooling over one and three dimensions, made of that over two.
#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"
#include "runtime/ops/pool_volume.h"
#include "runtime/ops/spatial.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

Results decompose_max_pool1d(OpCall& c) {
  const PoolNumbers a(c, kLine, 1, 4);
  check_pooling(c, kLine, a);
  return as_lines(op::max_pool2d.multi(
      as_row(c.tensor(0)), IntList{1, a.kernel[0]}, IntList{1, a.stride[0]},
      IntList{0, a.padding[0]}, IntList{1, a.dilation[0]}, c.b(5)));
}

// The two stages of max_pool3d.
struct MaxStages {
  PoolNumbers a;
  bool ceil_mode;

  explicit MaxStages(const OpCall& c) : a(c, kVolume, 1, 4), ceil_mode(c.b(5)) {
    check_pooling(c, kVolume, a);
  }
  Results planes(const Tensor& x) const {
    return op::max_pool2d.multi(
        x, IntList{a.kernel[1], a.kernel[2]}, IntList{a.stride[1], a.stride[2]},
        IntList{a.padding[1], a.padding[2]},
        IntList{a.dilation[1], a.dilation[2]}, ceil_mode);
  }
  Results columns(const Tensor& x) const {
    return op::max_pool2d.multi(
        x, IntList{a.kernel[0], 1}, IntList{a.stride[0], 1},
        IntList{a.padding[0], 0}, IntList{a.dilation[0], 1}, ceil_mode);
  }
  // A dilated window may see nothing but padding.
  bool may_miss() const {
    for (const Int& d : a.dilation) {
      if (d.value > 1) return true;
    }
    return false;
  }
};

Results decompose_max_pool3d(OpCall& c) {
  const MaxStages s(c);
  return one(pool_volume(
      c.tensor(0), [&](const Tensor& x) { return s.planes(x)[0]; },
      [&](const Tensor& x) { return s.columns(x)[0]; }));
}

Results decompose_max_pool3d_with_indices(OpCall& c) {
  const MaxStages s(c);
  return pool_volume_indexed(
      c.tensor(0), [&](const Tensor& x) { return s.planes(x); },
      [&](const Tensor& x) { return s.columns(x); }, s.may_miss());
}

Results decompose_avg_pool1d(OpCall& c) {
  const PoolNumbers a(c, kLine, 1);
  check_pooling(c, kLine, a);
  return one(as_line(op::avg_pool2d(
      as_row(c.tensor(0)), IntList{1, a.kernel[0]}, IntList{1, a.stride[0]},
      IntList{0, a.padding[0]}, c.b(4), c.b(5))));
}

// The number of elements that a window counts is a product over the dimensions.
Results decompose_avg_pool3d(OpCall& c) {
  const PoolNumbers a(c, kVolume, 1);
  check_pooling(c, kVolume, a);
  return one(pool_volume(
      c.tensor(0),
      [&](const Tensor& x) {
        return op::avg_pool2d(x, IntList{a.kernel[1], a.kernel[2]},
                              IntList{a.stride[1], a.stride[2]},
                              IntList{a.padding[1], a.padding[2]}, c.b(4),
                              c.b(5));
      },
      [&](const Tensor& x) {
        return op::avg_pool2d(x, IntList{a.kernel[0], 1},
                              IntList{a.stride[0], 1}, IntList{a.padding[0], 0},
                              c.b(4), c.b(5));
      }));
}

#endif

}  // namespace

extern const OpDef max_pool1d_op = {
    .name = "max_pool1d",
    .sig = "input: Tensor[float], kernel_size: int[], stride: int[]? = None, "
           "padding: int[] = 0, dilation: int[] = 1, "
           "ceil_mode: bool = False -> out, indices",
    .doc = FE_DOC(R"(Largest value of every window, and where it stands.

Args:
    input: shape (N, C, L) or (C, L).
    kernel_size: the window.
    stride: its step; None: the window's size.
    padding: minus infinity at both ends, at most half the window.
    dilation: distance of the window's elements.
    ceil_mode: True keeps a last window that is not filled.

Returns:
    out and indices (int64), both of shape (N, C, L') with
    L' = (L + 2 padding - dilation (k - 1) - 1) // stride + 1 (rounded up with
    ceil_mode). The first of equal values counts.

Raises:
    ShapeError: the window is larger than the padded input.
    ValueError: a number is out of range.

Example:
    >>> import ferrule as fe
    >>> out, indices = fe.ops.max_pool1d(fe.tensor([[1.0, 4.0, 3.0, 2.0]]), 2)
    >>> out.tolist(), indices.tolist()
    ([[4.0, 3.0]], [[1, 2]])

Source: torch.nn.functional.max_pool1d, whose rules for the borders these are.
)"),
    .examples = FE_DOC("f(2, 3, 6), 2\n"
                       "f(3, 7), 3, 2, 1\n"
                       "f(1, 2, 7), 3, 2, 0, ceil_mode=True\n"
                       "f(1, 1, 8), (3,), (2,), (1,), (2,)\n"
                       "f(0, 3, 4), 2"),
    .reference = FE_DOC("max_pool(input, kernel_size, stride, padding, "
                        "dilation, ceil_mode)"),
    .where = kInternal,
    .decompose = FE_GRAD(decompose_max_pool1d),
};

extern const OpDef max_pool3d_op = {
    .name = "max_pool3d",
    .sig = "input: Tensor[float], kernel_size: int[], stride: int[]? = None, "
           "padding: int[] = 0, dilation: int[] = 1, ceil_mode: bool = False",
    .doc = FE_DOC(R"(Largest value of every window of volumes.

Args:
    input: shape (N, C, D, H, W) or (C, D, H, W).
    kernel_size: the window.
    stride: its step; None: the window's size.
    padding: minus infinity at both sides, at most half the window.
    dilation: distance of the window's elements.
    ceil_mode: True keeps a last window that is not filled.

Returns:
    Shape (N, C, D', H', W') with
    D' = (D + 2 padding - dilation (kd - 1) - 1) // stride + 1 (rounded up with
    ceil_mode).

Raises:
    ShapeError: the window is larger than the padded input.
    ValueError: a number is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[[1.0, 2.0]], [[4.0, 3.0]]]])
    >>> fe.ops.max_pool3d(x, (2, 1, 2)).tolist()
    [[[[4.0]]]]

Source: torch.nn.functional.max_pool3d, whose rules for the borders these are.
)"),
    .examples = FE_DOC("f(2, 2, 2, 4, 2), 2\n"
                       "f(2, 3, 4, 5), (2, 3, 2), 1, (1, 1, 0)\n"
                       "f(1, 2, 3, 5, 4), 2, 2, 0, ceil_mode=True\n"
                       "f(1, 1, 4, 5, 5), 2, 1, 1, (2, 3, 1)\n"
                       "f(0, 3, 4, 4, 4), 2"),
    .reference = FE_DOC("max_pool(input, kernel_size, stride, padding, "
                        "dilation, ceil_mode)[0]"),
    .where = kInternal,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_max_pool3d),
};

extern const OpDef max_pool3d_with_indices_op = {
    .name = "max_pool3d_with_indices",
    .sig = "input: Tensor[float], kernel_size: int[], stride: int[]? = None, "
           "padding: int[] = 0, dilation: int[] = 1, "
           "ceil_mode: bool = False -> out, indices",
    .doc = FE_DOC(R"(Largest value of every window of volumes, and where it is.

Args:
    input: shape (N, C, D, H, W) or (C, D, H, W).
    kernel_size, stride, padding, dilation, ceil_mode: as for max_pool3d.

Returns:
    out and indices, both of shape (N, C, D', H', W'). An index is
    (d * H + h) * W + w, int64; -1 where a dilated window sees padding only.
    The first of equal values counts.

Raises:
    ShapeError: the window is larger than the padded input.
    ValueError: a number is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[[1.0, 2.0]], [[4.0, 3.0]]]])
    >>> fe.ops.max_pool3d_with_indices(x, (2, 1, 1))[1].tolist()
    [[[[2, 3]]]]

Source: torch.nn.functional.max_pool3d_with_indices.
)"),
    .examples = FE_DOC("f(2, 2, 2, 4, 2), 2\n"
                       "f(2, 3, 4, 5), (2, 3, 2), 1, (1, 1, 0)\n"
                       "f(1, 2, 3, 5, 4), 2, 2, 0, ceil_mode=True\n"
                       "f(1, 1, 4, 5, 5), 2, 1, 1, (2, 3, 1)\n"
                       "f(0, 3, 4, 4, 4), 2"),
    .reference = FE_DOC("max_pool(input, kernel_size, stride, padding, "
                        "dilation, ceil_mode)"),
    .where = kInternal,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_max_pool3d_with_indices),
};

extern const OpDef avg_pool1d_op = {
    .name = "avg_pool1d",
    .sig = "input: Tensor[float], kernel_size: int[], stride: int[]? = None, "
           "padding: int[] = 0, ceil_mode: bool = False, "
           "count_include_pad: bool = True",
    .doc = FE_DOC(R"(Mean of every window of sequences.

Args:
    input: shape (N, C, L) or (C, L).
    kernel_size: the window.
    stride: its step; None: the window's size.
    padding: zeros at both ends, at most half the window.
    ceil_mode: True keeps a last window that is not filled.
    count_include_pad: False divides by the number of elements that are not
        padding.

Returns:
    Shape (N, C, L') with L' = (L + 2 padding - k) // stride + 1 (rounded up
    with ceil_mode).

Raises:
    ShapeError: the window is larger than the padded input.
    ValueError: a number is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 3.0, 5.0, 7.0]])
    >>> fe.nn.functional.avg_pool1d(x, 2).tolist()
    [[2.0, 6.0]]

Source: torch.nn.functional.avg_pool1d, whose rules for the borders these are.
)"),
    .examples = FE_DOC("f(2, 3, 6), 2\n"
                       "f(3, 7), 3, 2, 1, count_include_pad=False\n"
                       "f(1, 2, 6), 3, 2, 1, True\n"
                       "f(0, 3, 4), 2"),
    .reference = FE_DOC("avg_pool(input, kernel_size, stride, padding, "
                        "ceil_mode, count_include_pad)"),
    .where = kFunctional,
    .decompose = FE_GRAD(decompose_avg_pool1d),
};

extern const OpDef avg_pool3d_op = {
    .name = "avg_pool3d",
    .sig = "input: Tensor[float], kernel_size: int[], stride: int[]? = None, "
           "padding: int[] = 0, ceil_mode: bool = False, "
           "count_include_pad: bool = True",
    .doc = FE_DOC(R"(Mean of every window of volumes.

Args:
    input: shape (N, C, D, H, W) or (C, D, H, W).
    kernel_size: the window.
    stride: its step; None: the window's size.
    padding: zeros at both sides, at most half the window.
    ceil_mode: True keeps a last window that is not filled.
    count_include_pad: False divides by the number of elements that are not
        padding.

Returns:
    Shape (N, C, D', H', W') with D' = (D + 2 padding - kd) // stride + 1
    (rounded up with ceil_mode).

Raises:
    ShapeError: the window is larger than the padded input.
    ValueError: a number is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[[1.0, 2.0]], [[4.0, 3.0]]]])
    >>> fe.nn.functional.avg_pool3d(x, (2, 1, 2)).tolist()
    [[[[2.5]]]]

Source: torch.nn.functional.avg_pool3d, whose rules for the borders these are.
)"),
    .examples = FE_DOC("f(2, 2, 2, 4, 2), 2\n"
                       "f(2, 3, 4, 5), (2, 3, 2), 1, (1, 1, 0)\n"
                       "f(1, 2, 3, 5, 4), 3, 2, 1, True, False\n"
                       "f(1, 2, 4, 3, 4), 3, 2, 1, True\n"
                       "f(0, 3, 4, 4, 4), 2"),
    .reference = FE_DOC("avg_pool(input, kernel_size, stride, padding, "
                        "ceil_mode, count_include_pad)"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_avg_pool3d),
};

}  // namespace ferrule
