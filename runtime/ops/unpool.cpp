// What undoes max pooling, pooling by powers, and max pooling of windows at
// random distances: compositions.
#include <algorithm>
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"
#include "runtime/ops/pool_volume.h"
#include "runtime/ops/spatial.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// --- max_unpool

// output_size may have the sizes of batch and channels in front.
Numbers unpooled_size(const OpCall& c, const Space& space,
                      const PoolNumbers& a) {
  const TensorImpl& x = c.in(0);
  Numbers smallest;
  for (int k = 0; k < space.n; ++k) {
    const Int in = size_of(&x, x.ndim - space.n + k);
    smallest.push((in - 1) * a.stride[k] + a.kernel[k] - a.padding[k] * 2);
  }
  if (!c.has(5)) return smallest;
  auto given = c.ints(5);
  const auto n = static_cast<size_t>(space.n);
  if (given.size() == n + 2) given = given.subspan(2);
  if (given.size() != n) {
    c.fail<ValueError>("output_size must have ", n, " or ", n + 2,
                       " numbers, got ", dims_of(c, 5));
  }
  Numbers size;
  for (int k = 0; k < space.n; ++k) {
    const int64_t want = smallest[k].value, step = a.stride[k].value;
    if (given[k].value <= want - step || given[k].value >= want + step) {
      c.fail<ValueError>("output_size ", dims_of(c, 5), ": the ",
                         space.sides[k], " must lie between ", want - step,
                         " and ", want + step, ", both excluded");
    }
    size.push(given[k]);
  }
  return size;
}

Results unpool(OpCall& c, const Space& space) {
  const TensorImpl &x = c.in(0), &indices = c.in(1);
  require_images(c, "input", x.sizes(), space);
  if (!(Dims(indices.sizes()) == Dims(x.sizes()))) {
    c.fail<ShapeError>("indices must have the shape of input, ", x.sizes(),
                       ", got ", indices.sizes());
  }
  const Numbers size = unpooled_size(c, space, PoolNumbers(c, space, 2));
  const Numbers in = sizes_of(&x);
  const int first = x.ndim - space.n;
  const IntList planes{product(in, 0, first), product(in, first, in.n)};
  IntList result = in;
  for (int k = 0; k < space.n; ++k) result[first + k] = size[k];
  const Tensor zeros =
      op::zeros(IntList{planes.v[0], product(size, 0, space.n)}, x.dtype,
                device_of(c.tensor(0)));
  const Tensor placed = op::scatter(zeros, 1, op::reshape(c.tensor(1), planes),
                                    op::reshape(c.tensor(0), planes));
  return one(op::reshape(placed, result));
}

// --- lp_pool

// The mean of powers, times the number of elements, to the power 1 / p.
Results power_pool(OpCall& c, const Space& space, const OpDef& avg_pool) {
  const double p = c.number(1);
  if (p == 0) c.fail<ValueError>("norm_type must not be 0");
  const Numbers kernel = spatial_numbers(c, 2, space, 1);
  const Tensor powers = op::pow(c.tensor(0), p);
  const Tensor mean = avg_pool(powers, c.args[2], c.args[3], 0, c.args[4]);
  const Tensor sum = op::mul(mean, product(kernel, 0, space.n));
  return one(op::pow(sum, 1 / p));
}

// --- fractional_max_pool

// Where the windows of `kernel` elements begin, (planes, out): at random
// distances, the last at the end.
Tensor random_starts(const Tensor& sample, Int in, Int kernel, Int out) {
  const DType t = sample.dtype();
  const Int last = in - kernel;
  const Tensor i = op::arange(out, Arg(), 1, DType::i64, device_of(sample));
  const Tensor ends = op::eq(i, out - 1);
  const double distance = out.value > 1 ? static_cast<double>(last.value) /
                                              static_cast<double>(out.value - 1)
                                        : 0;
  const Tensor u = op::unsqueeze(sample, 1);
  const Tensor at = op::mul(op::add(op::cast(i, t), u), distance);
  const Tensor start = op::sub(op::floor(at), op::floor(op::mul(u, distance)));
  return op::where(ends, last, op::cast(start, DType::i64));
}

// The order of the samples' last dimension is PyTorch's: x, y of planes and
// z, y, x of volumes.
Results fractional_pool(OpCall& c, const Space& space) {
  const TensorImpl &x = c.in(0), &samples = c.in(3);
  require_images(c, "input", x.sizes(), space);
  const int n = space.n, first = x.ndim - n;
  const Numbers kernel = spatial_numbers(c, 1, space, 1);
  const Numbers out = spatial_numbers(c, 2, space, 1);
  const Numbers in = sizes_of(&x);
  for (int k = 0; k < n; ++k) {
    const Int size = in[first + k];
    if (out[k].value + kernel[k].value <= size.value) continue;
    c.fail<ShapeError>("windows of ", space.sides[k], " ", kernel[k].value,
                       " and output_size ", out[k].value, " need an input of ",
                       space.sides[k], " ", out[k].value + kernel[k].value,
                       ", got ", x.sizes());
  }
  const int64_t batch = x.ndim == n + 2 ? x.shape[0] : 1;
  const int64_t channels = x.shape[first - 1];
  if (!(Dims(samples.sizes()) == Dims{batch, channels, n})) {
    c.fail<ShapeError>("samples must have shape ", Dims{batch, channels, n},
                       " for input ", x.sizes(), ", got ", samples.sizes());
  }
  const Int planes = product(in, 0, first);
  const Tensor u = op::reshape(
      op::cast(c.tensor(3), accumulator(samples.dtype)), IntList{planes, n});
  // The index of each element of each window: (planes, *out, *kernel).
  Tensor index;
  for (int k = 0; k < n; ++k) {
    const Tensor sample = op::select(u, 1, n == 2 ? 1 - k : k);
    const Tensor starts =
        random_starts(sample, in[first + k], kernel[k], out[k]);
    const Tensor within =
        op::arange(kernel[k], Arg(), 1, DType::i64, device_of(starts));
    IntList shape{planes};
    for (int d = 0; d < 2 * n; ++d) shape.push(1);
    shape[1 + k] = out[k];
    shape[1 + n + k] = kernel[k];
    const Tensor at =
        op::reshape(op::add(op::unsqueeze(starts, 2), within), shape);
    index = index ? op::add(op::mul(index, in[first + k]), at) : at;
  }
  const Int count = product(out, 0, n), window = product(kernel, 0, n);
  index = op::reshape(index, IntList{planes, count, window});
  const Tensor flat =
      op::reshape(c.tensor(0), IntList{planes, product(in, first, in.n)});
  const Tensor values = op::reshape(
      op::gather(flat, 1, op::reshape(index, IntList{planes, count * window})),
      IntList{planes, count, window});
  const Tensor largest = op::argmax(values, 2, true);
  IntList shape = in;
  for (int k = 0; k < n; ++k) shape[first + k] = out[k];
  Results r;
  r.n = 2;
  r[0] = op::reshape(op::gather(values, 2, largest), shape);
  r[1] = op::reshape(op::gather(index, 2, largest), shape);
  return r;
}

#endif

}  // namespace

extern const OpDef max_unpool1d_op = {
    .name = "max_unpool1d",
    .sig = "input: Tensor, indices: Tensor[int], kernel_size: int[], "
           "stride: int[]? = None, padding: int[] = 0, "
           "output_size: int[]? = None",
    .doc = FE_DOC(R"(Puts values back to where max_pool1d took them from.

Args:
    input: shape (N, C, L) or (C, L).
    indices: int64, of the same shape, as max_pool1d returns them.
    kernel_size: the window of the pooling.
    stride: its step; None: the window's size.
    padding: that of the pooling.
    output_size: the length, or a whole shape, where several were pooled to that
        of `input`; None: (L - 1) * stride + kernel_size - 2 padding.

Returns:
    Shape (N, C, L') with zeros elsewhere.

Raises:
    ShapeError: the shapes differ.
    ValueError: an output_size that was not pooled to such an input.
    IndexOutOfRange: an index is outside of its sequence.

Example:
    >>> import ferrule as fe
    >>> x, i = fe.nn.functional.max_pool1d(
    ...     fe.tensor([[1.0, 3.0, 4.0, 2.0]]), 2, return_indices=True)
    >>> fe.nn.functional.max_unpool1d(x, i, 2).tolist()
    [[0.0, 3.0, 4.0, 0.0]]

Source: torch.nn.functional.max_unpool1d.
)"),
    .examples = FE_DOC("f(2, 3, 2), np.array([[[1, 3]] * 3] * 2), 2\n"
                       "f(1, 2), np.array([[4, 0]]), 2, 3, 0, 6"),
    .reference =
        FE_DOC("unpooled(input, indices, 1, kernel_size, stride, padding, "
               "output_size)"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return unpool(c, kLine); }),
};

extern const OpDef max_unpool2d_op = {
    .name = "max_unpool2d",
    .sig = "input: Tensor, indices: Tensor[int], kernel_size: int[], "
           "stride: int[]? = None, padding: int[] = 0, "
           "output_size: int[]? = None",
    .doc = FE_DOC(R"(Puts values back to where max_pool2d took them from.

Args:
    input: shape (N, C, H, W) or (C, H, W).
    indices: int64, of the same shape, as max_pool2d returns them.
    kernel_size: the window of the pooling.
    stride: its step; None: the window's size.
    padding: that of the pooling.
    output_size: height and width, or a whole shape, where several were pooled to
        that of `input`; None: (H - 1) * stride + kernel_size - 2 padding.

Returns:
    Shape (N, C, H', W') with zeros elsewhere.

Raises:
    ShapeError: the shapes differ.
    ValueError: an output_size that was not pooled to such an input.
    IndexOutOfRange: an index is outside of its plane.

Example:
    >>> import ferrule as fe
    >>> x, i = fe.nn.functional.max_pool2d(
    ...     fe.tensor([[[1.0, 3.0], [4.0, 2.0]]]), 2, return_indices=True)
    >>> fe.nn.functional.max_unpool2d(x, i, 2).tolist()
    [[[0.0, 0.0], [4.0, 0.0]]]

Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional
Networks", 2013.
)"),
    .examples =
        FE_DOC("f(2, 1, 1, 2), np.array([[[[1, 7]]], [[[4, 2]]]]), 2\n"
               "f(1, 2, 1), np.array([[[1], [5]]]), (2, 2), 2, (0, 0), (5, 2)"),
    .reference =
        FE_DOC("unpooled(input, indices, 2, kernel_size, stride, padding, "
               "output_size)"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return unpool(c, kPlane); }),
};

extern const OpDef max_unpool3d_op = {
    .name = "max_unpool3d",
    .sig = "input: Tensor, indices: Tensor[int], kernel_size: int[], "
           "stride: int[]? = None, padding: int[] = 0, "
           "output_size: int[]? = None",
    .doc = FE_DOC(R"(Puts values back to where max_pool3d took them from.

Args:
    input: shape (N, C, D, H, W) or (C, D, H, W).
    indices: int64, of the same shape, as max_pool3d returns them.
    kernel_size: the window of the pooling.
    stride: its step; None: the window's size.
    padding: that of the pooling.
    output_size: depth, height and width, or a whole shape, where several were
        pooled to that of `input`; None: (D - 1) * stride + kernel_size -
        2 padding.

Returns:
    Shape (N, C, D', H', W') with zeros elsewhere.

Raises:
    ShapeError: the shapes differ.
    ValueError: an output_size that was not pooled to such an input.
    IndexOutOfRange: an index is outside of its volume.

Example:
    >>> import ferrule as fe
    >>> x, i = fe.ones((1, 1, 1, 1)), fe.tensor([[[[5]]]])
    >>> fe.nn.functional.max_unpool3d(x, i, 2).flatten().tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]

Source: torch.nn.functional.max_unpool3d.
)"),
    .examples =
        FE_DOC("f(1, 2, 1, 1, 2), np.array([[[[[1, 7]]], [[[4, 14]]]]]), "
               "2"),
    .reference =
        FE_DOC("unpooled(input, indices, 3, kernel_size, stride, padding, "
               "output_size)"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return unpool(c, kVolume); }),
};

extern const OpDef lp_pool1d_op = {
    .name = "lp_pool1d",
    .sig = "input: Tensor[float], norm_type: Scalar, kernel_size: int[], "
           "stride: int[]? = None, ceil_mode: bool = False",
    .doc = FE_DOC(R"(Root of the sum of powers of every window of sequences.

(sum x^p)^(1/p)

Args:
    input: shape (N, C, L) or (C, L).
    norm_type: p; infinity is max pooling's business.
    kernel_size: the window.
    stride: its step; None: the window's size.
    ceil_mode: True keeps a last window that is not filled.

Returns:
    Shape (N, C, L'), as of avg_pool1d.

Raises:
    ShapeError: the window is larger than the input.
    ValueError: p is 0.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.lp_pool1d(fe.tensor([[3.0, 4.0]]), 2, 2).tolist()
    [[5.0]]

Source: torch.nn.functional.lp_pool1d.
)"),
    .examples = FE_DOC("p(2, 3, 6), 2, 2\np(2, 7), 3.5, 3, 2\n"
                       "p(1, 2, 5), 1, 2, 2, True"),
    .where = kFunctional,
    .decompose =
        FE_GRAD([](OpCall& c) { return power_pool(c, kLine, op::avg_pool1d); }),
};

extern const OpDef lp_pool2d_op = {
    .name = "lp_pool2d",
    .sig = "input: Tensor[float], norm_type: Scalar, kernel_size: int[], "
           "stride: int[]? = None, ceil_mode: bool = False",
    .doc = FE_DOC(R"(Root of the sum of powers of every window of images.

(sum x^p)^(1/p)

Args:
    input: shape (N, C, H, W) or (C, H, W).
    norm_type: p; infinity is max pooling's business.
    kernel_size: the window.
    stride: its step; None: the window's size.
    ceil_mode: True keeps a last window that is not filled.

Returns:
    Shape (N, C, H', W'), as of avg_pool2d.

Raises:
    ShapeError: the window is larger than the input.
    ValueError: p is 0.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[1.0, 1.0], [1.0, 1.0]]])
    >>> fe.nn.functional.lp_pool2d(x, 2, 2).tolist()
    [[[2.0]]]

Source: torch.nn.functional.lp_pool2d.
)"),
    .examples = FE_DOC("p(2, 3, 4, 6), 2, 2\np(2, 5, 7), 3.5, (3, 2), 2\n"
                       "p(1, 2, 5, 5), 1, 2, 2, True"),
    .where = kFunctional,
    .decompose = FE_GRAD(
        [](OpCall& c) { return power_pool(c, kPlane, op::avg_pool2d); }),
};

extern const OpDef lp_pool3d_op = {
    .name = "lp_pool3d",
    .sig = "input: Tensor[float], norm_type: Scalar, kernel_size: int[], "
           "stride: int[]? = None, ceil_mode: bool = False",
    .doc = FE_DOC(R"(Root of the sum of powers of every window of volumes.

(sum x^p)^(1/p)

Args:
    input: shape (N, C, D, H, W) or (C, D, H, W).
    norm_type: p; infinity is max pooling's business.
    kernel_size: the window.
    stride: its step; None: the window's size.
    ceil_mode: True keeps a last window that is not filled.

Returns:
    Shape (N, C, D', H', W'), as of avg_pool3d.

Raises:
    ShapeError: the window is larger than the input.
    ValueError: p is 0.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.lp_pool3d(fe.ones((1, 2, 2, 2)), 1, 2).tolist()
    [[[[8.0]]]]

Source: torch.nn.functional.lp_pool3d.
)"),
    .examples =
        FE_DOC("p(1, 2, 4, 2, 6), 2, 2\np(2, 3, 3, 4), 1.5, (3, 2, 2), 1"),
    .where = kFunctional,
    .decompose = FE_GRAD(
        [](OpCall& c) { return power_pool(c, kVolume, op::avg_pool3d); }),
};

extern const OpDef fractional_max_pool2d_op = {
    .name = "fractional_max_pool2d",
    .sig = "input: Tensor[float], kernel_size: int[], output_size: int[], "
           "samples: Tensor[float] -> out, indices",
    .doc = FE_DOC(R"(Largest values of windows that lie at random distances.

Args:
    input: shape (N, C, H, W) or (C, H, W).
    kernel_size: the window.
    output_size: (H', W') of the result.
    samples: shape (N, C, 2), numbers from 0 to 1 that the distances along width
        and height are made of.

Returns:
    out and indices, both of shape (N, C, H', W'); an index is h * W + w.

Raises:
    ShapeError: the windows do not fit.

Example:
    >>> import ferrule as fe
    >>> x = fe.arange(16.0).reshape(1, 4, 4)
    >>> fe.ops.fractional_max_pool2d(x, 2, 2, fe.zeros((1, 1, 2)))[0].tolist()
    [[[5.0, 7.0], [13.0, 15.0]]]

Source: Graham, "Fractional Max-Pooling", 2015.
)"),
    .examples = FE_DOC("f(2, 2, 6, 7), 2, (3, 4), u(2, 2, 2)\n"
                       "f(2, 5, 5), (2, 3), 2, u(1, 2, 2)\n"
                       "f(1, 1, 4, 4), 2, 1, u(1, 1, 2)"),
    .where = kInternal,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return fractional_pool(c, kPlane); }),
};

extern const OpDef fractional_max_pool3d_op = {
    .name = "fractional_max_pool3d",
    .sig = "input: Tensor[float], kernel_size: int[], output_size: int[], "
           "samples: Tensor[float] -> out, indices",
    .doc = FE_DOC(R"(Largest values of windows that lie at random distances.

Args:
    input: shape (N, C, D, H, W) or (C, D, H, W).
    kernel_size: the window.
    output_size: (D', H', W') of the result.
    samples: shape (N, C, 3), numbers from 0 to 1 that the distances along depth,
        height and width are made of.

Returns:
    out and indices, both of shape (N, C, D', H', W'); an index is
    (d * H + h) * W + w.

Raises:
    ShapeError: the windows do not fit.

Example:
    >>> import ferrule as fe
    >>> x, u = fe.zeros((1, 1, 4, 4, 4)), fe.zeros((1, 1, 3))
    >>> fe.ops.fractional_max_pool3d(x, 2, 2, u)[0].shape
    (1, 1, 2, 2, 2)

Source: Graham, "Fractional Max-Pooling", 2015.
)"),
    .examples = FE_DOC("f(1, 2, 5, 5, 4), 2, (3, 2, 2), u(1, 2, 3)"),
    .where = kInternal,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return fractional_pool(c, kVolume); }),
};

}  // namespace ferrule
