// Pooling whose windows are chosen so that the result has a given size, as far
// as it is made of other pooling: means of lines and volumes, maxima.
#include <algorithm>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/core/window.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"
#include "runtime/ops/pool_volume.h"
#include "runtime/ops/spatial.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// The argument output_size; every dimension of the input has elements.
Numbers check_adaptive(const OpCall& c, const Space& space, int64_t least) {
  const auto input = c.in(0).sizes();
  require_images(c, "input", input, space);
  const Numbers size = spatial_numbers(c, 1, space, least);
  for (int k = 0; k < space.n; ++k) {
    const int64_t in = input[input.size() - space.n + k];
    if (in == 0) {
      c.fail<ShapeError>("an input of shape ", input, " has no elements along ",
                         space.sides[k]);
    }
    if (in >= int64_t{1} << 31) {
      c.fail<ShapeError>("sizes of 2^31 and more are not supported, got ",
                         input);
    }
  }
  return size;
}

// Windows of different lengths as ones of the same length, which a pooling with
// that kernel and stride takes: elements `at` of the input, in order, of which
// a shorter window has its last one several times. No tensor: all elements.
struct EqualWindows {
  Int length;
  Tensor at;
};

EqualWindows equal_windows(const OpCall& c, const Tensor& x, int dim, Int out) {
  const Int n = size_of(x.impl(), dim);
  if (out.value == 1) return {n, {}};
  if (n.symbolic() || out.symbolic()) {
    c.fail<ShapeError>("the windows of dimension ", dim, " of shape ",
                       x.shape(),
                       " depend on its size, which must be fixed where it is "
                       "captured unless output_size is 1");
  }
  if (n.value % out.value == 0) return {n / out, {}};
  int64_t longest = 0;
  for (int64_t o = 0; o < out.value; ++o) {
    const AdaptiveWindow w(n.value, out.value, o);
    longest = std::max(longest, w.end - w.begin);
  }
  const Arg device = device_of(x);
  const Tensor o =
      op::unsqueeze(op::arange(out, Arg(), 1, DType::i64, device), 1);
  const Tensor begin = op::floor_divide(op::mul(o, n), out);
  const Tensor last = op::floor_divide(op::add(op::mul(o, n), n - 1), out);
  const Tensor steps = op::arange(longest, Arg(), 1, DType::i64, device);
  const Tensor at = op::minimum(op::add(begin, steps), last);
  return {longest, op::reshape(at, IntList{-1})};
}

// Largest values of images and their indices. `x` has rows before columns.
Results adaptive_max(const OpCall& c, const Tensor& x, Int rows, Int columns) {
  const int d = x.ndim() - 2;
  const EqualWindows h = equal_windows(c, x, d, rows);
  const EqualWindows w = equal_windows(c, x, d + 1, columns);
  Tensor spread = x;
  if (h.at) spread = op::index_select(spread, d, h.at);
  if (w.at) spread = op::index_select(spread, d + 1, w.at);
  Results r = op::max_pool2d.multi(spread, IntList{h.length, w.length});
  if (!h.at && !w.at) return r;
  const Int width = size_of(spread.impl(), d + 1);
  Tensor row = op::floor_divide(r[1], width);
  Tensor column = op::sub(r[1], op::mul(row, width));
  if (h.at) row = op::take(h.at, row);
  if (w.at) column = op::take(w.at, column);
  r[1] = op::add(op::mul(row, size_of(x.impl(), d + 1)), column);
  return r;
}

Results decompose_adaptive_avg_pool1d(OpCall& c) {
  const Numbers size = check_adaptive(c, kLine, 0);
  return one(as_line(
      op::adaptive_avg_pool2d(as_row(c.tensor(0)), IntList{1, size[0]})));
}

// All elements of a window have the same weight, and a window is a box.
Results decompose_adaptive_avg_pool3d(OpCall& c) {
  const Numbers size = check_adaptive(c, kVolume, 0);
  return one(pool_volume(
      c.tensor(0),
      [&](const Tensor& x) {
        return op::adaptive_avg_pool2d(x, IntList{size[1], size[2]});
      },
      [&](const Tensor& x) {
        return op::adaptive_avg_pool2d(x, IntList{size[0], size[1] * size[2]});
      }));
}

Results decompose_adaptive_max_pool1d(OpCall& c) {
  const Numbers size = check_adaptive(c, kLine, 1);
  return as_lines(adaptive_max(c, as_row(c.tensor(0)), 1, size[0]));
}

Results decompose_adaptive_max_pool2d(OpCall& c) {
  const Numbers size = check_adaptive(c, kPlane, 1);
  return adaptive_max(c, c.tensor(0), size[0], size[1]);
}

Results decompose_adaptive_max_pool3d(OpCall& c) {
  const Numbers size = check_adaptive(c, kVolume, 1);
  return pool_volume_indexed(
      c.tensor(0),
      [&](const Tensor& x) { return adaptive_max(c, x, size[1], size[2]); },
      [&](const Tensor& x) {
        const EqualWindows d = equal_windows(c, x, 1, size[0]);
        const Tensor spread = d.at ? op::index_select(x, 1, d.at) : x;
        Results r = op::max_pool2d.multi(spread, IntList{d.length, 1});
        if (!d.at) return r;
        const Int width = size_of(x.impl(), 2);
        const Tensor row = op::floor_divide(r[1], width);
        const Tensor column = op::sub(r[1], op::mul(row, width));
        r[1] = op::add(op::mul(op::take(d.at, row), width), column);
        return r;
      },
      false);
}

#endif

}  // namespace

extern const OpDef adaptive_avg_pool1d_op = {
    .name = "adaptive_avg_pool1d",
    .sig = "input: Tensor[float], output_size: int[]",
    .doc =
        FE_DOC(R"(Mean over windows chosen so that the result has a given size.

Args:
    input: shape (N, C, L) or (C, L).
    output_size: L' of the result.

Returns:
    Shape (N, C, L'). Element o averages those from floor(o L / L') to
    ceil((o + 1) L / L').

Raises:
    ShapeError: the input has no elements to average.
    ValueError: a negative size.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0, 3.0]])
    >>> fe.nn.functional.adaptive_avg_pool1d(x, 2).tolist()
    [[1.5, 2.5]]

Source: torch.nn.functional.adaptive_avg_pool1d.
)"),
    .examples = FE_DOC("f(2, 3, 6), 2\nf(3, 7), (3,)\nf(1, 2, 3), 5"),
    .reference = FE_DOC("adaptive_pool(input, output_size, np.mean)"),
    .where = kFunctional,
    .decompose = FE_GRAD(decompose_adaptive_avg_pool1d),
};

extern const OpDef adaptive_avg_pool3d_op = {
    .name = "adaptive_avg_pool3d",
    .sig = "input: Tensor[float], output_size: int[]",
    .doc =
        FE_DOC(R"(Mean over windows chosen so that the result has a given size.

Args:
    input: shape (N, C, D, H, W) or (C, D, H, W).
    output_size: (D', H', W') of the result, or one number for all.

Returns:
    Shape (N, C, D', H', W'). Layer o averages the layers from floor(o D / D')
    to ceil((o + 1) D / D'), and rows and columns so too.

Raises:
    ShapeError: the input has no elements to average.
    ValueError: a negative size.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[[1.0, 2.0]], [[4.0, 3.0]]]])
    >>> fe.nn.functional.adaptive_avg_pool3d(x, 1).tolist()
    [[[[2.5]]]]

Source: torch.nn.functional.adaptive_avg_pool3d.
)"),
    .examples = FE_DOC("f(1, 2, 4, 3, 2), (2, 3, 1)\n"
                       "f(2, 3, 4, 5), (2, 3, 2)\n"
                       "f(1, 2, 2, 3, 2), (3, 2, 2)\n"
                       "f(2, 2, 2, 2, 3), 1"),
    .reference = FE_DOC("adaptive_pool(input, output_size, np.mean)"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_adaptive_avg_pool3d),
};

extern const OpDef adaptive_max_pool1d_op = {
    .name = "adaptive_max_pool1d",
    .sig = "input: Tensor[float], output_size: int[] -> out, indices",
    .doc = FE_DOC(R"(Largest values of windows, so many that the result has a
given size, and where they stand.

Args:
    input: shape (N, C, L) or (C, L).
    output_size: L' of the result.

Returns:
    out and indices (int64), both of shape (N, C, L'). Element o is the largest
    from floor(o L / L') to ceil((o + 1) L / L').

Raises:
    ShapeError: the input has no elements.
    ValueError: a size less than 1.

Example:
    >>> import ferrule as fe
    >>> out, indices = fe.ops.adaptive_max_pool1d(fe.tensor([[3.0, 1.0, 2.0]]), 2)
    >>> out.tolist(), indices.tolist()
    ([[3.0, 2.0]], [[0, 2]])

Source: torch.nn.functional.adaptive_max_pool1d.
)"),
    .examples = FE_DOC("f(2, 3, 6), 2\nf(3, 7), (3,)\nf(1, 2, 3), 5\n"
                       "f(0, 2, 5), 2"),
    .reference = FE_DOC("adaptive_pool(input, output_size, np.max)"),
    .where = kInternal,
    .decompose = FE_GRAD(decompose_adaptive_max_pool1d),
};

extern const OpDef adaptive_max_pool2d_op = {
    .name = "adaptive_max_pool2d",
    .sig = "input: Tensor[float], output_size: int[] -> out, indices",
    .doc = FE_DOC(R"(Largest values of windows, so many that the result has a
given size, and where they stand.

Args:
    input: shape (N, C, H, W) or (C, H, W).
    output_size: (H', W') of the result, or one number for both.

Returns:
    out and indices, both of shape (N, C, H', W'). Row o is of the rows from
    floor(o H / H') to ceil((o + 1) H / H'), and columns so too. An index is
    h * W + w, int64; the first of equal values counts.

Raises:
    ShapeError: the input has no elements.
    ValueError: a size less than 1.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[1.0, 2.0, 3.0], [4.0, 6.0, 5.0]]])
    >>> fe.ops.adaptive_max_pool2d(x, (1, 2))[1].tolist()
    [[[4, 4]]]

Source: torch.nn.functional.adaptive_max_pool2d.
)"),
    .examples = FE_DOC("f(2, 3, 4, 6), (2, 3)\n"
                       "f(3, 5, 7), (3, 2)\n"
                       "f(2, 2, 3, 4), 1\n"
                       "f(1, 2, 3, 4), (5, 2)"),
    .reference = FE_DOC("adaptive_pool(input, output_size, np.max, 2)"),
    .where = kInternal,
    .decompose = FE_GRAD(decompose_adaptive_max_pool2d),
};

extern const OpDef adaptive_max_pool3d_op = {
    .name = "adaptive_max_pool3d",
    .sig = "input: Tensor[float], output_size: int[] -> out, indices",
    .doc = FE_DOC(R"(Largest values of windows, so many that the result has a
given size, and where they stand.

Args:
    input: shape (N, C, D, H, W) or (C, D, H, W).
    output_size: (D', H', W') of the result, or one number for all.

Returns:
    out and indices, both of shape (N, C, D', H', W'). Layer o is of the layers
    from floor(o D / D') to ceil((o + 1) D / D'), and rows and columns so too.
    An index is (d * H + h) * W + w, int64; the first of equal values counts.

Raises:
    ShapeError: the input has no elements.
    ValueError: a size less than 1.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[[1.0, 2.0]], [[4.0, 3.0]]]])
    >>> fe.ops.adaptive_max_pool3d(x, 1)[1].tolist()
    [[[[2]]]]

Source: torch.nn.functional.adaptive_max_pool3d.
)"),
    .examples = FE_DOC("f(1, 2, 4, 3, 2), (2, 3, 1)\n"
                       "f(2, 3, 4, 5), (2, 3, 2)\n"
                       "f(1, 2, 2, 3, 2), (3, 2, 2)\n"
                       "f(2, 2, 2, 2, 3), 1"),
    .reference = FE_DOC("adaptive_pool(input, output_size, np.max)"),
    .where = kInternal,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_adaptive_max_pool3d),
};

}  // namespace ferrule
