// Pooling: the largest value or the mean of every window.
#include <algorithm>

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/core/window.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/spatial.h"

namespace ferrule {
namespace {

void require_image(const OpCall& c, std::string_view what,
                   std::span<const int64_t> shape) {
  require_images(c, what, shape, kPlane);
}

// The shape with other sizes of the plane.
Dims with_plane(std::span<const int64_t> image, int64_t height, int64_t width) {
  Dims d(image);
  d[d.n - 2] = height;
  d[d.n - 1] = width;
  return d;
}

// Checks a pooling whose kernel_size, stride and padding are arguments from
// `first` on; the shape of its result for an input of shape `input`.
Dims check_pool(const OpCall& c, int first, std::span<const int64_t> input,
                bool ceil_mode, int dilation_at = -1) {
  require_image(c, "input", input);
  require_ints(c, first, 1);
  if (c.has(first + 1)) require_ints(c, first + 1, 1);
  require_ints(c, first + 2, 0);
  if (dilation_at >= 0) require_ints(c, dilation_at, 1);
  PoolShape s(c, first, input, ceil_mode, dilation_at);
  check_window(c, s.h, "height");
  check_window(c, s.w, "width");
  return with_plane(input, s.h.out, s.w.out);
}

// `grad` and `indices` of max_pool2d belong to one another and to the input.
void require_same_planes(const OpCall& c, std::span<const int64_t> input,
                         std::span<const int64_t> pooled) {
  require_image(c, "input", input);
  const size_t n = input.size();
  if (pooled.size() != n ||
      !std::equal(input.begin(), input.end() - 2, pooled.begin())) {
    c.fail<ShapeError>("indices of shape ", pooled,
                       " do not belong to an input of shape ", input,
                       ": all but the last two sizes must be equal");
  }
}

void require_grad_shape(const OpCall& c, const Dims& want) {
  if (want == Dims(c.in(0).sizes())) return;
  c.fail<ShapeError>("grad must have the shape of the result, ", want, ", got ",
                     c.in(0).sizes());
}

void require_output_size(const OpCall& c, std::span<const int64_t> input,
                         int64_t height, int64_t width) {
  if (height < 0 || width < 0) {
    c.fail<ValueError>("output_size must be 0 or more, got ",
                       Dims{height, width});
  }
  const Image image(input);
  if ((image.height == 0 || image.width == 0) && height * width != 0) {
    c.fail<ShapeError>("an input of shape ", input,
                       " has no elements to average");
  }
  // begin and end of a window are found by a product of two sizes.
  constexpr int64_t kMost = int64_t{1} << 31;
  if (std::max({image.height, image.width, height, width}) >= kMost) {
    c.fail<ShapeError>("sizes of 2^31 and more are not supported, got ", input,
                       " to ", Dims{height, width});
  }
}

}  // namespace

// Kernel: the first of equal values wins; a NaN is the largest value. A dilated
// window may see nothing but padding: its value is -infinity and its index -1,
// which max_pool2d_dx passes over and max_pool2d_gather takes as a 0.
extern const OpDef max_pool2d_op = {
    .name = "max_pool2d",
    .sig = "input: Tensor[float], kernel_size: int[2], stride: int[2]? = None, "
           "padding: int[2] = 0, dilation: int[2] = 1, "
           "ceil_mode: bool = False -> out, indices",
    .doc = FE_DOC(R"(Largest value of every window, and where it stands.

Args:
    input: shape (N, C, H, W) or (C, H, W).
    kernel_size: the window.
    stride: its step; None: the window's size.
    padding: minus infinity at both sides, at most half the window.
    dilation: distance of the window's elements.
    ceil_mode: True keeps a last window that is not filled.

Returns:
    out and indices, both of shape (N, C, H', W') with
    H' = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1 (rounded up with
    ceil_mode). An index is h * W + w, int64. The first of equal values counts.

Raises:
    ShapeError: the window is larger than the padded input.
    ValueError: a number is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[1.0, 2.0], [4.0, 3.0]]])
    >>> out, indices = fe.ops.max_pool2d(x, 2)
    >>> out.tolist(), indices.tolist()
    ([[[4.0]]], [[[2]]])

Source: torch.nn.functional.max_pool2d, whose rules for the borders these are.
)"),
    .examples = FE_DOC("f(2, 3, 4, 6), 2\n"
                       "f(3, 5, 5), (3, 2), 1, 1\n"
                       "f(1, 2, 7, 7), 3, 2, (1, 0), ceil_mode=True\n"
                       "f(1, 1, 9, 8), 3, 2, 1, 2\n"
                       "f(0, 3, 4, 4), 2"),
    .reference = FE_DOC(
        "np.lib.stride_tricks.sliding_window_view("
        "np.pad(input, [(0, 0)] * (input.ndim - 2) + [(p, p + "
        "(s - 1 if ceil_mode and (n + 2 * p - d * (k - 1) - 1) % s "
        "and ((n + 2 * p - d * (k - 1) - 1) // s + 1) * s < n + p else 0)) "
        "for n, k, s, p, d in zip(input.shape[-2:], kernel_size, "
        "stride or kernel_size, padding, dilation)], "
        "constant_values=-np.inf), "
        "[d * (k - 1) + 1 for d, k in zip(dilation, kernel_size)], (-2, -1))"
        "[..., ::(stride or kernel_size)[0], ::(stride or kernel_size)[1], "
        "::dilation[0], ::dilation[1]].max((-2, -1))"),
    .where = kInternal,
    .keeps_channels_last = true,
    .saves = "indices",
    .infer =
        [](OpCall& c) {
          Dims shape = check_pool(c, 1, c.in(0).sizes(), c.b(5), 4);
          c.out(0, c.in(0).dtype, shape);
          c.out(1, DType::i64, shape);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::max_pool2d_dx(v.grad(), v.out(1), v.sizes(0)));
    }),
    .batch = FE_GRAD(batch_first_dim),
};

extern const OpDef max_pool2d_dx_op = {
    .name = "max_pool2d_dx",
    .sig = "grad: Tensor[float], indices: Tensor[int], input_size: int[]",
    .doc = FE_DOC(R"(Gradient of max_pool2d: adds each value where it came from.

Args:
    grad: shape (N, C, H', W') or (C, H', W').
    indices: of max_pool2d, int64, the same shape.
    input_size: shape of the input of max_pool2d.

Returns:
    Shape `input_size`.

Raises:
    ShapeError: the shapes do not belong together.
    IndexOutOfRange: an index is outside of its plane.

Example:
    >>> import ferrule as fe
    >>> g, i = fe.tensor([[[5.0]]]), fe.tensor([[[2]]])
    >>> fe.ops.max_pool2d_dx(g, i, (1, 2, 2)).tolist()
    [[[0.0, 0.0], [5.0, 0.0]]]

Source: the chain rule.
)"),
    .examples = FE_DOC("f(2, 3, 2, 2), i(12, 2, 3, 2, 2), (2, 3, 3, 4)\n"
                       "f(2, 3, 3), i(4, 2, 3, 3), (2, 2, 2)"),
    .where = kInternal,
    .saves = "indices",
    .infer =
        [](OpCall& c) {
          Dims size = shape_of(c, 2);
          require_same_planes(c, size, c.in(1).sizes());
          require_grad_shape(c, Dims(c.in(1).sizes()));
          if (c.in(1).dtype != DType::i64) {
            c.fail<DTypeError>("indices must be int64, got ", c.in(1).dtype);
          }
          c.out(0, c.in(0).dtype, size);
        },
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, op::max_pool2d_gather(v.grad(), v.in(1))); }),
    .batch = FE_GRAD(batch_first_dim),
};

extern const OpDef max_pool2d_gather_op = {
    .name = "max_pool2d_gather",
    .sig = "input: Tensor[float], indices: Tensor[int]",
    .doc = FE_DOC(R"(Values of every plane at the indices of max_pool2d.

Args:
    input: shape (N, C, H, W) or (C, H, W).
    indices: h * W + w in the plane, int64, shape (N, C, H', W').

Returns:
    Shape of `indices`.

Raises:
    ShapeError: the shapes do not belong together.
    IndexOutOfRange: an index is outside of its plane.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[1.0, 2.0], [4.0, 3.0]]])
    >>> fe.ops.max_pool2d_gather(x, fe.tensor([[[2]]])).tolist()
    [[[4.0]]]

Source: the transpose of max_pool2d_dx.
)"),
    .examples = FE_DOC("f(2, 3, 3, 4), i(12, 2, 3, 2, 2)\n"
                       "f(2, 2, 2), i(4, 2, 3, 3)"),
    .reference =
        FE_DOC("np.take_along_axis(input.reshape(*input.shape[:-2], -1), "
               "indices.reshape(*indices.shape[:-2], -1), -1)"
               ".reshape(indices.shape)"),
    .where = kInternal,
    .saves = "indices",
    .infer =
        [](OpCall& c) {
          require_same_planes(c, c.in(0).sizes(), c.in(1).sizes());
          if (c.in(1).dtype != DType::i64) {
            c.fail<DTypeError>("indices must be int64, got ", c.in(1).dtype);
          }
          c.out(0, c.in(0).dtype, c.in(1).sizes());
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::max_pool2d_dx(v.grad(), v.in(1), v.sizes(0)));
    }),
    .batch = FE_GRAD(batch_first_dim),
};

extern const OpDef avg_pool2d_op = {
    .name = "avg_pool2d",
    .sig = "input: Tensor[float], kernel_size: int[2], stride: int[2]? = None, "
           "padding: int[2] = 0, ceil_mode: bool = False, "
           "count_include_pad: bool = True",
    .doc = FE_DOC(R"(Mean of every window.

Args:
    input: shape (N, C, H, W) or (C, H, W).
    kernel_size: the window.
    stride: its step; None: the window's size.
    padding: zeros at both sides, at most half the window.
    ceil_mode: True keeps a last window that is not filled.
    count_include_pad: False divides by the number of elements that are not
        padding.

Returns:
    Shape (N, C, H', W') with H' = (H + 2 padding - kh) // stride + 1 (rounded
    up with ceil_mode).

Raises:
    ShapeError: the window is larger than the padded input.
    ValueError: a number is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[1.0, 2.0], [4.0, 3.0]]])
    >>> fe.nn.functional.avg_pool2d(x, 2).tolist()
    [[[2.5]]]

Source: torch.nn.functional.avg_pool2d, whose rules for the borders these are.
)"),
    .examples = FE_DOC("f(2, 3, 4, 6), 2\n"
                       "f(3, 5, 5), (3, 2), 1, 1\n"
                       "f(1, 2, 7, 6), 3, 2, 1, count_include_pad=False\n"
                       "f(1, 2, 6, 7), 3, 2, (1, 0), True\n"
                       "f(1, 2, 6, 7), 3, 2, (1, 0), True, False\n"
                       "f(0, 3, 4, 4), 2"),
    .reference =
        FE_DOC("np.nanmean(windows(input, kernel_size, stride or "
               "kernel_size, padding, ceil_mode, 0.0 if count_include_pad "
               "else np.nan), (-2, -1))"),
    .where = kFunctional,
    .keeps_channels_last = true,
    .infer =
        [](OpCall& c) {
          c.out(0, c.in(0).dtype, check_pool(c, 1, c.in(0).sizes(), c.b(4)));
        },
    .vjp = FE_GRAD([](Vjp& v) {
      const Arg* a = v.args;
      v.set(0, op::avg_pool2d_dx(v.grad(), v.sizes(0), a[1], a[2], a[3], a[4],
                                 a[5]));
    }),
    .batch = FE_GRAD(batch_first_dim),
};

extern const OpDef avg_pool2d_dx_op = {
    .name = "avg_pool2d_dx",
    .sig = "grad: Tensor[float], input_size: int[], kernel_size: int[2], "
           "stride: int[2]? = None, padding: int[2] = 0, "
           "ceil_mode: bool = False, count_include_pad: bool = True",
    .doc = FE_DOC(R"(Gradient of avg_pool2d: spreads each value over its window.

Args:
    grad: gradient of the result, shape (N, C, H', W') or (C, H', W').
    input_size: shape of the input of avg_pool2d.
    kernel_size, stride, padding, ceil_mode, count_include_pad: as there.

Returns:
    Shape `input_size`.

Raises:
    ShapeError: `grad` is not the shape that avg_pool2d gives.

Example:
    >>> import ferrule as fe
    >>> fe.ops.avg_pool2d_dx(fe.ones((1, 1, 1)), (1, 2, 2), 2).tolist()
    [[[0.25, 0.25], [0.25, 0.25]]]

Source: the chain rule.
)"),
    .examples =
        FE_DOC("f(2, 3, 2, 3), (2, 3, 4, 6), 2\n"
               "f(3, 5, 6), (3, 5, 5), (3, 2), 1, 1\n"
               "f(1, 2, 4, 3), (1, 2, 7, 6), 3, 2, 1, count_include_pad=False"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          Dims size = shape_of(c, 1);
          require_grad_shape(c, check_pool(c, 2, size, c.b(5)));
          c.out(0, c.in(0).dtype, size);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      const Arg* a = v.args;
      v.set(0, op::avg_pool2d(v.grad(), a[2], a[3], a[4], a[5], a[6]));
    }),
    .batch = FE_GRAD(batch_first_dim),
};

extern const OpDef adaptive_avg_pool2d_op = {
    .name = "adaptive_avg_pool2d",
    .sig = "input: Tensor[float], output_size: int[2]",
    .doc =
        FE_DOC(R"(Mean over windows chosen so that the result has a given size.

Args:
    input: shape (N, C, H, W) or (C, H, W).
    output_size: (H', W') of the result.

Returns:
    Shape (N, C, H', W'). Row o averages the rows from floor(o H / H') to
    ceil((o + 1) H / H'), and columns so too.

Raises:
    ShapeError: the input has no elements to average.
    ValueError: a negative size.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    >>> fe.nn.functional.adaptive_avg_pool2d(x, (1, 2)).tolist()
    [[[3.0, 4.0]]]

Source: torch.nn.functional.adaptive_avg_pool2d.
)"),
    .examples = FE_DOC("f(2, 3, 4, 6), (2, 3)\n"
                       "f(3, 5, 7), (3, 2)\n"
                       "f(2, 2, 3, 4), 1\n"
                       "f(1, 2, 3, 2), (5, 2)"),
    .reference =
        FE_DOC("np.stack([np.stack([input[..., i * input.shape[-2] // "
               "output_size[0] : -(-(i + 1) * input.shape[-2] // "
               "output_size[0]), j * input.shape[-1] // output_size[1] : "
               "-(-(j + 1) * input.shape[-1] // "
               "output_size[1])].mean((-2, -1)) for j in "
               "range(output_size[1])], -1) for i in "
               "range(output_size[0])], -2)"),
    .where = kFunctional,
    .keeps_channels_last = true,
    .infer =
        [](OpCall& c) {
          auto x = c.in(0).sizes();
          require_image(c, "input", x);
          const int64_t h = c.ints(1)[0].value, w = c.ints(1)[1].value;
          require_output_size(c, x, h, w);
          c.out(0, c.in(0).dtype, with_plane(x, h, w));
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::adaptive_avg_pool2d_dx(v.grad(), v.sizes(0)));
    }),
    .batch = FE_GRAD(batch_first_dim),
};

extern const OpDef adaptive_avg_pool2d_dx_op = {
    .name = "adaptive_avg_pool2d_dx",
    .sig = "grad: Tensor[float], input_size: int[]",
    .doc =
        FE_DOC(R"(Gradient of adaptive_avg_pool2d: spreads values over windows.

Args:
    grad: gradient of the result, shape (N, C, H', W') or (C, H', W').
    input_size: shape of the input of adaptive_avg_pool2d.

Returns:
    Shape `input_size`.

Raises:
    ShapeError: the shapes do not belong together.

Example:
    >>> import ferrule as fe
    >>> fe.ops.adaptive_avg_pool2d_dx(fe.ones((1, 1, 1)), (1, 2, 2)).tolist()
    [[[0.25, 0.25], [0.25, 0.25]]]

Source: the chain rule.
)"),
    .examples = FE_DOC("f(2, 3, 2, 3), (2, 3, 4, 6)\n"
                       "f(3, 3, 2), (3, 5, 7)\n"
                       "f(1, 2, 5, 2), (1, 2, 3, 2)"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          Dims size = shape_of(c, 1);
          auto g = c.in(0).sizes();
          require_image(c, "input", size);
          if (static_cast<int>(g.size()) != size.n) {
            c.fail<ShapeError>("grad of shape ", g,
                               " does not belong to an input of shape ", size);
          }
          const Image image(g);
          require_output_size(c, size, image.height, image.width);
          require_grad_shape(c, with_plane(size, image.height, image.width));
          c.out(0, c.in(0).dtype, size);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::adaptive_avg_pool2d(v.grad(),
                                       IntList{v.size(0, v.ndim(0) - 2),
                                               v.size(0, v.ndim(0) - 1)}));
    }),
    .batch = FE_GRAD(batch_first_dim),
};

}  // namespace ferrule
