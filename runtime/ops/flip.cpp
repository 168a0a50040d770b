// Elements in another order along their dimensions: flip, roll, rot90.
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/graph/passes/simplify.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_flip(OpCall& c) {
  const TensorImpl& x = c.in(0);
  uint32_t seen = 0;
  for (const Int& given : c.ints(1)) {
    const int d = OpCall::wrap_dim(c, given.value, x.ndim);
    if (seen >> d & 1) {
      c.fail<ValueError>("dims ", dims_of(c, 1), " name dimension ", d,
                         " twice");
    }
    seen |= 1u << d;
  }
  c.out_like(0, 0);
}

#ifndef FE_RUNTIME_ONLY

Results flip_dim(OpCall& c, int d, const char* what) {
  const Tensor x = c.tensor(0);
  if (x.ndim() <= d) {
    c.fail<ShapeError>("input must have ", d + 1, " or more dimensions to be ",
                       what, ", got shape ", x.shape());
  }
  return one(op::flip(x, IntList{d}));
}

// Element i goes to i + shift, round the end.
Tensor roll_dim(const Tensor& x, int d, Int shift) {
  const Int n = size_of(x.impl(), d);
  if (n.value == 0) return x;
  const Int cut = n - shift % n;
  return op::cat(
      std::vector<Tensor>{op::slice(x, d, cut, n), op::slice(x, d, 0, cut)}, d);
}

Results decompose_roll(OpCall& c) {
  Tensor x = c.tensor(0);
  const auto shifts = c.ints(1);
  const bool flat = !c.has(2) || c.ints(2).empty();
  const size_t n = flat ? 1 : c.ints(2).size();
  if (shifts.size() != n) {
    c.fail<ValueError>("shifts ", dims_of(c, 1), " and dims ",
                       c.has(2) ? dims_of(c, 2) : Dims(),
                       " must have the same length; without dims there is one "
                       "shift");
  }
  if (flat) {
    const Tensor line = op::reshape(x, IntList{-1});
    return one(op::reshape(roll_dim(line, 0, shifts[0]), sizes_of(x.impl())));
  }
  for (size_t k = 0; k < n; ++k) {
    const int d = OpCall::wrap_dim(c, c.ints(2)[k].value, x.ndim());
    if (x.ndim() > 0) x = roll_dim(x, d, shifts[k]);
  }
  return one(x.same(c.tensor(0)) ? op::clone(x) : x);
}

Results decompose_rot90(OpCall& c) {
  const Tensor x = c.tensor(0);
  const Dims dims = c.has(2) ? dims_of(c, 2) : Dims{0, 1};
  if (dims.n != 2 || x.ndim() < 2) {
    c.fail<ValueError>("a plane has two dimensions, got dims ", dims,
                       " for input of shape ", x.shape());
  }
  const int a = OpCall::wrap_dim(c, dims[0], x.ndim());
  const int b = OpCall::wrap_dim(c, dims[1], x.ndim());
  if (a == b) c.fail<ValueError>("dims ", dims, " name one dimension twice");
  switch (apply(IntOp::mod, c.i(1), 4)) {
    case 0:
      return one(op::clone(x));
    case 1:
      return one(op::transpose(op::flip(x, IntList{b}), a, b));
    case 2:
      return one(op::flip(x, IntList{a, b}));
    default:
      return one(op::flip(op::transpose(x, a, b), IntList{b}));
  }
}

#endif

}  // namespace

extern const OpDef flip_op = {
    .name = "flip",
    .sig = "input: Tensor, dims: int[]",
    .doc = FE_DOC(R"(Reverses the order of the elements along dimensions.

Args:
    input: any shape.
    dims: the dimensions.

Returns:
    A new tensor of the shape of `input`.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.

Example:
    >>> import ferrule as fe
    >>> fe.flip(fe.tensor([[1, 2], [3, 4]]), (0,)).tolist()
    [[3, 4], [1, 2]]

Source: numpy.flip.
)"),
    .examples = FE_DOC("f(5), (0,)\n"
                       "f(2, 3, 4), (0, -1)\n"
                       "f(2, 3, 4), (1,)\n"
                       "f(2, 3), ()\n"
                       "f(0, 3), (1,)"),
    .reference = FE_DOC("np.flip(input, dims)"),
    .infer = infer_flip,
    .vjp = FE_GRAD([](Vjp& v) { v.set(0, op::flip(v.grad(), v.args[1])); }),
    .simplify = involution,
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef flipud_op = {
    .name = "flipud",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Reverses the first dimension.

Args:
    input: one dimension or more.

Returns:
    A new tensor of the shape of `input`.

Raises:
    ShapeError: `input` is 0-d.

Example:
    >>> import ferrule as fe
    >>> fe.flipud(fe.tensor([[1, 2], [3, 4]])).tolist()
    [[3, 4], [1, 2]]

Source: numpy.flipud.
)"),
    .examples = FE_DOC("f(5)\nf(2, 3)"),
    .reference = FE_DOC("np.flipud(input)"),
    .decompose =
        FE_GRAD([](OpCall& c) { return flip_dim(c, 0, "turned upside down"); }),
};

extern const OpDef fliplr_op = {
    .name = "fliplr",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Reverses the second dimension.

Args:
    input: two dimensions or more.

Returns:
    A new tensor of the shape of `input`.

Raises:
    ShapeError: `input` has less than two dimensions.

Example:
    >>> import ferrule as fe
    >>> fe.fliplr(fe.tensor([[1, 2], [3, 4]])).tolist()
    [[2, 1], [4, 3]]

Source: numpy.fliplr.
)"),
    .examples = FE_DOC("f(2, 3)\nf(2, 3, 4)"),
    .reference = FE_DOC("np.fliplr(input)"),
    .decompose = FE_GRAD([](OpCall& c) { return flip_dim(c, 1, "mirrored"); }),
};

extern const OpDef roll_op = {
    .name = "roll",
    .sig = "input: Tensor, shifts: int[], dims: int[]? = None",
    .doc = FE_DOC(R"(Moves the elements along dimensions, round the end.

Args:
    input: any shape.
    shifts: by how much, one for each of `dims`; negative ones move backwards.
    dims: the dimensions; None rolls all elements as one line.

Returns:
    A new tensor of the shape of `input`.

Raises:
    IndexError: a dimension is out of range.
    ValueError: there are not as many shifts as dimensions.

Example:
    >>> import ferrule as fe
    >>> fe.roll(fe.arange(5), 2).tolist()
    [3, 4, 0, 1, 2]

Source: numpy.roll.
)"),
    .examples = FE_DOC("f(5), 2\n"
                       "f(2, 3, 4), (1, -5), (0, -1)\n"
                       "f(2, 3), -2\n"
                       "f(2, 3), (1, 1), (1, 1)\n"
                       "f(0, 3), 1, 0"),
    .reference = FE_DOC("np.roll(input, shifts, dims)"),
    .decompose = FE_GRAD(decompose_roll),
};

extern const OpDef rot90_op = {
    .name = "rot90",
    .sig = "input: Tensor, k: int = 1, dims: int[]? = None",
    .doc = FE_DOC(R"(Rotates a plane by quarters of a turn.

Args:
    input: two dimensions or more.
    k: how many quarters, from the first of `dims` towards the second.
    dims: the two dimensions of the plane; None: (0, 1).

Returns:
    A new tensor; the sizes of the two dimensions change places if k is odd.

Raises:
    IndexError: a dimension is out of range.
    ValueError: the plane has not two different dimensions.

Example:
    >>> import ferrule as fe
    >>> fe.rot90(fe.tensor([[1, 2], [3, 4]])).tolist()
    [[2, 4], [1, 3]]

Source: numpy.rot90.
)"),
    .examples =
        FE_DOC("f(2, 3)\nf(2, 3), 2\nf(2, 3, 4), -1, (1, 2)\nf(2, 3), 4"),
    .reference = FE_DOC("np.rot90(input, k, dims or (0, 1))"),
    .decompose = FE_GRAD(decompose_rot90),
};

}  // namespace ferrule
