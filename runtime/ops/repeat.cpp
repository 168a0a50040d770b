// Copies of whole tensors or of their elements, side by side.
#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// `x` `times` over along dimension d: blocks of all that lies inside it are
// repeated, which needs three dimensions only, whatever the rank.
Tensor repeat_dim(const Tensor& x, int d, Int times) {
  IntList shape = sizes_of(x.impl());
  Int outer = 1, block = 1;
  for (int i = 0; i < shape.n; ++i) {
    Int& size = i < d ? outer : block;
    size = size * shape[i];
  }
  const Tensor blocks = op::reshape(x, IntList{outer, 1, block});
  shape[d] = shape[d] * times;
  return op::reshape(op::expand(blocks, IntList{outer, times, block}), shape);
}

// `times` holds one number a dimension of the result, which has new ones in
// front where `x` has fewer.
Results repeat_all(OpCall& c, std::span<const Int> times) {
  Tensor x = c.tensor(0);
  for (const Int& n : times) {
    if (n.value < 0) {
      c.fail<ValueError>("a number of copies must be 0 or more, got ", n.value,
                         " in ", dims_of(c, 1));
    }
  }
  IntList shape;
  const int lead = static_cast<int>(times.size()) - x.ndim();
  for (int i = 0; i < lead; ++i) shape.push(1);
  for (const Int& n : sizes_of(x.impl())) shape.push(n);
  Tensor result = op::reshape(x, shape);
  for (int d = 0; d < shape.n; ++d) {
    if (!times[d].symbolic() && times[d].value == 1) continue;
    result = repeat_dim(result, d, times[d]);
  }
  // Mostly reshape has copied what expand only showed, but not where it found
  // strides for it, as for a size of 1.
  return one(result->root ? op::clone(result) : result);
}

Results decompose_repeat(OpCall& c) {
  if (static_cast<int>(c.ints(1).size()) < c.in(0).ndim) {
    c.fail<ShapeError>("repeats ", dims_of(c, 1), " must have a number for ",
                       "each dimension of shape ", c.in(0).sizes());
  }
  return repeat_all(c, c.ints(1));
}

Results decompose_tile(OpCall& c) {
  IntList times;
  const int n = static_cast<int>(c.ints(1).size());
  for (int i = n; i < c.in(0).ndim; ++i) times.push(1);
  for (const Int& t : c.ints(1)) times.push(t);
  return repeat_all(c, std::span(times.v, static_cast<size_t>(times.n)));
}

#endif

}  // namespace

extern const OpDef repeat_op = {
    .name = "repeat",
    .sig = "input: Tensor, repeats: int[]",
    .doc = FE_DOC(R"(Copies of the whole tensor, side by side.

Args:
    input: any shape.
    repeats: how many along each dimension. There may be more numbers than
        dimensions: new dimensions come first.

Returns:
    A new tensor; every size is multiplied.

Raises:
    ShapeError: there are fewer numbers than dimensions.
    ValueError: a number is negative.

Example:
    >>> import ferrule as fe
    >>> fe.tensor([1, 2]).repeat(2, 2).tolist()
    [[1, 2, 1, 2], [1, 2, 1, 2]]

Source: torch.Tensor.repeat; unlike numpy.repeat it repeats the whole.
)"),
    .examples = FE_DOC("f(3), (2,)\n"
                       "f(2, 3), (2, 1, 3)\n"
                       "f(2, 3), (1, 1)\n"
                       "f(2, 3), (0, 2)\n"
                       "f(), (2, 2)"),
    .reference = FE_DOC("np.tile(input, repeats)"),
    .where = kMethod,
    .decompose = FE_GRAD(decompose_repeat),
};

extern const OpDef tile_op = {
    .name = "tile",
    .sig = "input: Tensor, dims: int[]",
    .doc = FE_DOC(R"(Copies of the whole tensor, side by side.

Args:
    input: any shape.
    dims: how many along each dimension, the last number for the last one.
        Dimensions without a number are not repeated; if there are more numbers
        than dimensions, new ones come first.

Returns:
    A new tensor; every size is multiplied.

Raises:
    ValueError: a number is negative.

Example:
    >>> import ferrule as fe
    >>> fe.tile(fe.tensor([1, 2]), (2,)).tolist()
    [1, 2, 1, 2]

Source: numpy.tile.
)"),
    .examples = FE_DOC("f(3), (2,)\n"
                       "f(2, 3), (2, 1, 3)\n"
                       "f(2, 3), (2,)\n"
                       "f(2, 3), ()\n"
                       "f(), (2, 2)"),
    .reference = FE_DOC("np.tile(input, dims)"),
    .decompose = FE_GRAD(decompose_tile),
};

extern const OpDef broadcast_to_op = {
    .name = "broadcast_to",
    .sig = "input: Tensor, size: int[]",
    .doc =
        FE_DOC(R"(Repeats dimensions of size 1, without copying; see `expand`.

Args:
    input: any shape.
    size: the new sizes; new dimensions come first.

Returns:
    A view whose repeated elements share memory.

Raises:
    ShapeError: a dimension that is not 1 would change.

Example:
    >>> import ferrule as fe
    >>> fe.broadcast_to(fe.tensor([1, 2]), (2, 2)).tolist()
    [[1, 2], [1, 2]]

Source: numpy.broadcast_to.
)"),
    .examples = FE_DOC("f(2, 1), (2, 3)\nf(3), (2, 3)\nf(), (2, 2)"),
    .reference = FE_DOC("np.broadcast_to(input, size)"),
    .decompose = FE_GRAD(
        [](OpCall& c) { return one(op::expand(c.tensor(0), c.args[1])); }),
};

}  // namespace ferrule
