// Interpolation along one dimension, and its transpose: each other's gradients.
// Images are resized by one call for each dimension.
#include "runtime/core/resize.h"
#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void check_resize(const OpCall& c, int64_t from, int64_t to) {
  const ResizeMode mode = resize_mode(c.str(3));
  if (mode == ResizeMode::unknown) {
    c.fail<ValueError>("mode must be 'nearest', 'nearest-exact', 'linear' or "
                       "'cubic', got '",
                       c.str(3), "'");
  }
  if (mode < ResizeMode::linear && (c.b(4) || c.b(6))) {
    c.fail<ValueError>("mode '", c.str(3), "' takes neither align_corners nor ",
                       "antialias");
  }
  if (c.has(5) && !(c.f(5) >= 0x1p-31 && c.f(5) <= 0x1p31)) {
    c.fail<ValueError>("scale must be positive, and within 2^31, got ", c.f(5));
  }
  constexpr int64_t kMost = int64_t{1} << 31;
  if (from < 1 || to < 1 || from >= kMost || to >= kMost) {
    c.fail<ShapeError>("sizes must lie in 1..2147483647, got ", from, " to ",
                       to, "; shape is ", c.in(0).sizes());
  }
}

Dims resized(const OpCall& c) {
  Dims shape(c.in(0).sizes());
  if (shape.n == 0) c.fail<ShapeError>("a 0-d tensor has no dimension");
  shape[c.dim(1, shape.n)] = c.i(2);
  return shape;
}

}  // namespace

extern const OpDef resize_op = {
    .name = "resize",
    .sig = "input: Tensor[float], dim: int, size: int, mode: str = \"linear\", "
           "align_corners: bool = False, scale: float? = None, "
           "antialias: bool = False",
    .doc = FE_DOC(R"(Interpolates along one dimension.

Args:
    input: any shape.
    dim: the dimension.
    size: its new size.
    mode: "nearest", "nearest-exact", "linear" or "cubic".
    align_corners: True maps the centres of the outermost elements onto each
        other, False their outer edges.
    scale: size of the result by size of the input, for the coordinates; None:
        as the sizes are.
    antialias: True widens the filter where the result is smaller.

Returns:
    The shape of `input` with another size.

Raises:
    ShapeError: a size is 0.
    ValueError: unknown mode.

Example:
    >>> import ferrule as fe
    >>> fe.ops.resize(fe.tensor([0.0, 1.0]), 0, 4).tolist()
    [0.0, 0.25, 0.75, 1.0]

Source: torch.nn.functional.interpolate, whose coordinates these are; Keys,
"Cubic Convolution Interpolation for Digital Image Processing", 1981.
)"),
    .examples = FE_DOC("f(2, 3, 5), 2, 8\n"
                       "f(2, 5, 3), 1, 3\n"
                       "f(4, 3), 0, 7, \"cubic\"\n"
                       "f(2, 7), 1, 3, \"nearest\"\n"
                       "f(2, 5), -1, 9, \"nearest-exact\"\n"
                       "f(2, 5), 1, 8, \"linear\", True\n"
                       "f(3, 9), 1, 4, \"linear\", False, None, True\n"
                       "f(9, 2), 0, 4, \"cubic\", False, None, True\n"
                       "f(2, 6), 1, 9, \"cubic\", False, 1.6\n"
                       "f(2, 1), 1, 3, \"cubic\"\n"
                       "f(0, 4), 1, 2"),
    .reference = FE_DOC("resized(input, dim, size, mode, align_corners, scale, "
                        "antialias)"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          const Dims shape = resized(c);
          check_resize(c, c.in(0).shape[c.dim(1, shape.n)], c.i(2));
          c.out(0, c.in(0).dtype, shape);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      const Arg* a = v.args;
      const auto d = static_cast<int>(a[1].i < 0 ? a[1].i + v.ndim(0) : a[1].i);
      v.set(0, op::resize_dx(v.grad(), a[1], v.size(0, d), a[3], a[4], a[5],
                             a[6]));
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef resize_dx_op = {
    .name = "resize_dx",
    .sig = "grad: Tensor[float], dim: int, size: int, mode: str = \"linear\", "
           "align_corners: bool = False, scale: float? = None, "
           "antialias: bool = False",
    .doc = FE_DOC(R"(Gradient of resize: its transpose.

Args:
    grad: gradient of the result.
    dim: the dimension.
    size: its size in the input of resize.
    mode, align_corners, scale, antialias: as of resize.

Returns:
    The shape of the input of resize.

Raises:
    ShapeError: a size is 0.

Example:
    >>> import ferrule as fe
    >>> fe.ops.resize_dx(fe.tensor([1.0, 1.0, 1.0, 1.0]), 0, 2).tolist()
    [2.0, 2.0]

Source: the chain rule.
)"),
    .examples = FE_DOC("f(2, 3, 8), 2, 5\n"
                       "f(2, 3, 3), 1, 5\n"
                       "f(7, 3), 0, 4, \"cubic\"\n"
                       "f(2, 3), 1, 7, \"nearest\"\n"
                       "f(2, 8), 1, 5, \"linear\", True\n"
                       "f(3, 4), 1, 9, \"linear\", False, None, True"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          const Dims shape = resized(c);
          check_resize(c, c.i(2), c.in(0).shape[c.dim(1, shape.n)]);
          c.out(0, c.in(0).dtype, shape);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      const Arg* a = v.args;
      const auto d = static_cast<int>(a[1].i < 0 ? a[1].i + v.ndim(0) : a[1].i);
      v.set(0,
            op::resize(v.grad(), a[1], v.size(0, d), a[3], a[4], a[5], a[6]));
    }),
    .batch = FE_GRAD(batch_dims),
};

}  // namespace ferrule
