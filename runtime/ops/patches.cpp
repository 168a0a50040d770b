// Patches of images as columns of matrices, and back: im2col and its transpose.
#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"
#include "runtime/ops/spatial.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// kernel_size, dilation, padding and stride are arguments from `first` on.
struct Patches {
  Numbers kernel, dilation, padding, stride;

  Patches(const OpCall& c, int first)
      : kernel(spatial_numbers(c, first, kPlane, 1)),
        dilation(spatial_numbers(c, first + 1, kPlane, 1)),
        padding(spatial_numbers(c, first + 2, kPlane, 0)),
        stride(spatial_numbers(c, first + 3, kPlane, 1)) {}

  Int extent(int k) const { return dilation[k] * (kernel[k] - 1) + 1; }
  // How many patches there are along dimension k of so many elements.
  Int count(const OpCall& c, int k, Int size) const {
    const Int room = size + padding[k] * 2 - extent(k);
    if (room.value < 0) {
      c.fail<ShapeError>("a patch of ", kPlane.sides[k], " ", extent(k).value,
                         " does not fit into an image of ", kPlane.sides[k],
                         " ", size.value, " with padding ", padding[k].value);
    }
    return room / stride[k] + 1;
  }
  // (..., H, W), padded -> (..., kh, kw, patches).
  Tensor columns(const Tensor& image) const {
    Tensor t = image;
    const int n = t.ndim();
    for (int k = 0; k < 2; ++k) {
      t = op::unfold(t, n - 2 + k, extent(k), stride[k]);
      t = op::slice(t, t.ndim() - 1, 0, Arg(), dilation[k]);
    }
    // (..., rows, columns, kh, kw)
    IntList order, shape;
    for (int d = 0; d < n - 2; ++d) {
      order.push(d);
      shape.push(size_of(t.impl(), d));
    }
    for (int d : {n, n + 1, n - 2, n - 1}) order.push(d);
    const Int patches = size_of(t.impl(), n - 2) * size_of(t.impl(), n - 1);
    for (Int i : {kernel[0], kernel[1], patches}) shape.push(i);
    return op::reshape(op::permute(t, order), shape);
  }
};

// A batch of one where there is none.
Tensor batched(const Tensor& x, bool alone) {
  return alone ? op::unsqueeze(x, 0) : x;
}
Tensor unbatched(const Tensor& x, bool alone) {
  return alone ? op::squeeze(x, IntList{0}) : x;
}

Results decompose_im2col(OpCall& c) {
  require_images(c, "input", c.in(0).sizes(), kPlane);
  const Patches p(c, 1);
  const bool alone = c.in(0).ndim == 3;
  Tensor x = batched(c.tensor(0), alone);
  for (int k = 0; k < 2; ++k) p.count(c, k, size_of(x.impl(), 2 + k));
  const Int h = p.padding[0], w = p.padding[1];
  if (h.value > 0 || w.value > 0) x = op::pad(x, IntList{w, w, h, h});
  const Tensor t = p.columns(x);
  const Int rows = size_of(t.impl(), 1) * p.kernel[0] * p.kernel[1];
  const Tensor columns =
      op::reshape(t, IntList{size_of(t.impl(), 0), rows, size_of(t.impl(), 4)});
  return apart(c, unbatched(columns, alone));
}

// Adds every element of a column to the pixel that it was taken from: im2col of
// the pixels' numbers tells which.
Results decompose_fold(OpCall& c) {
  const Numbers size = spatial_numbers(c, 1, kPlane, 1);
  const Patches p(c, 2);
  const TensorImpl& given = c.in(0);
  if (given.ndim != 2 && given.ndim != 3) {
    c.fail<ShapeError>(
        "input must have shape (N, C * kh * kw, patches) or (C * ",
        "kh * kw, patches), got ", given.sizes());
  }
  const bool alone = given.ndim == 2;
  const Tensor x = batched(c.tensor(0), alone);
  const Int elements = p.kernel[0] * p.kernel[1];
  const Int rows = size_of(x.impl(), 1), patches = size_of(x.impl(), 2);
  if (rows.value % elements.value != 0) {
    c.fail<ShapeError>("the ", rows.value, " rows of input ", given.sizes(),
                       " cannot be divided into patches of ", p.kernel[0].value,
                       " x ", p.kernel[1].value, " elements");
  }
  const Int want = p.count(c, 0, size[0]) * p.count(c, 1, size[1]);
  if (want.value != patches.value) {
    c.fail<ShapeError>("an output of ", size[0].value, " x ", size[1].value,
                       " has ", want.value, " such patches, but input ",
                       given.sizes(), " has ", patches.value);
  }
  const Int height = size[0] + p.padding[0] * 2;
  const Int width = size[1] + p.padding[1] * 2;
  const Tensor numbers =
      op::arange(height * width, Arg(), 1, DType::i64, device_of(x));
  const Tensor index = op::reshape(
      p.columns(op::reshape(numbers, IntList{height, width})), IntList{-1});
  const Int images = size_of(x.impl(), 0), channels = rows / elements;
  const Tensor terms =
      op::reshape(x, IntList{images * channels, elements * patches});
  const Tensor zeros = op::zeros(IntList{images * channels, height * width},
                                 x.dtype(), device_of(x));
  Tensor sum = op::index_add(zeros, 1, index, terms);
  sum = op::reshape(sum, IntList{images, channels, height, width});
  if (p.padding[0].value == 0 && p.padding[1].value == 0) {
    return one(unbatched(sum, alone));
  }
  for (int k = 0; k < 2; ++k) {
    sum = op::slice(sum, 2 + k, p.padding[k], p.padding[k] + size[k]);
  }
  return one(op::clone(unbatched(sum, alone)));
}

#endif

}  // namespace

extern const OpDef im2col_op = {
    .name = "im2col",
    .sig = "input: Tensor, kernel_size: int[2], dilation: int[2] = 1, "
           "padding: int[2] = 0, stride: int[2] = 1",
    .doc = FE_DOC(R"(Patches of images, each as a column.

Args:
    input: shape (N, C, H, W) or (C, H, W).
    kernel_size: size of a patch.
    dilation: distance of a patch's elements.
    padding: zeros at both sides of the image.
    stride: distance of patches.

Returns:
    Shape (N, C * kh * kw, L) with a column for each of the L patches, row by
    row.

Raises:
    ShapeError: a patch does not fit into the image.
    ValueError: a number is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[[1, 2, 3], [4, 5, 6]]])
    >>> fe.nn.functional.unfold(x, 2).tolist()
    [[1, 2], [2, 3], [4, 5], [5, 6]]

Source: torch.nn.functional.unfold.
)"),
    .examples = FE_DOC("f(2, 3, 4, 5), 2\n"
                       "f(2, 5, 4), (3, 2), 1, 1, 2\n"
                       "f(1, 2, 7, 6), 3, (2, 1), (1, 0), (1, 2)\n"
                       "i(9, 1, 2, 3, 3), 3\n"
                       "f(0, 2, 3, 3), 2"),
    .reference =
        FE_DOC("columns(input, kernel_size, dilation, padding, stride)"),
    .where = kInternal,
    .aliases = FE_DOC("nn.functional.unfold"),
    .decompose = FE_GRAD(decompose_im2col),
};

extern const OpDef fold_op = {
    .name = "fold",
    .sig = "input: Tensor, output_size: int[], kernel_size: int[2], "
           "dilation: int[2] = 1, padding: int[2] = 0, stride: int[2] = 1",
    .doc = FE_DOC(R"(Images from patches: adds them up where they overlap.

Args:
    input: shape (N, C * kh * kw, L) or (C * kh * kw, L), as `unfold` gives.
    output_size: (H, W) of the images, or one number for both.
    kernel_size: size of a patch.
    dilation: distance of a patch's elements.
    padding: what `unfold` padded the images with, and is cut off.
    stride: distance of patches.

Returns:
    Shape (N, C, H, W).

Raises:
    ShapeError: the sizes do not belong together.
    ValueError: a number is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.fold(fe.ones((4, 2)), (2, 3), 2).tolist()
    [[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]]

Source: torch.nn.functional.fold.
)"),
    .examples = FE_DOC("f(2, 12, 12), (4, 5), 2\n"
                       "f(12, 9), (5, 4), (3, 2), 1, 1, 2\n"
                       "f(1, 18, 10), (7, 6), 3, (2, 1), (1, 0), (1, 2)\n"
                       "f(1, 9, 1), 3, 3"),
    .reference = FE_DOC("folded(input, output_size, kernel_size, dilation, "
                        "padding, stride)"),
    .where = kFunctional,
    .decompose = FE_GRAD(decompose_fold),
};

}  // namespace ferrule
