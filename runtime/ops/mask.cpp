// Elements chosen by a mask.
#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/cpu/nonzero.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"
#include "runtime/ops/index_checks.h"

namespace ferrule {
namespace {

// The shape of a result is counted in the data.
void require_cpu(const OpCall& c) {
  if (c.device.is_cpu()) return;
  c.fail<DeviceError>("runs on the CPU only, got ", c.device,
                      "; move the tensor with .to(\"cpu\")");
}

// A value a sample is chosen.
[[maybe_unused]] Results batch_masked_fill(Batch& b) {
  if (!b.batched(2)) return batch_elementwise(b);
  const int ndim = std::max(b.ndim(0), b.ndim(1));
  const Tensor x = b.aligned(0, ndim);
  const Tensor value = op::cast(b.aligned(2, ndim), x.dtype());
  return one(op::where(b.aligned(1, ndim), value, x));
}

}  // namespace

extern const OpDef masked_fill_op = {
    .name = "masked_fill",
    .sig = "input: Tensor, mask: Tensor[bool], value: Operand",
    .doc = FE_DOC(R"(Puts a number where a mask is True.

Args:
    input: any shape.
    mask: bool; the shapes broadcast.
    value: a number or a 0-d tensor, converted to the dtype of `input`.

Returns:
    The broadcast shape, the dtype of `input`.

Raises:
    ShapeError: the shapes do not broadcast, or `value` has dimensions.
    DTypeError: `value` is complex and `input` is not.
    ValueError: the dtype of `input` cannot hold an integer so large.

Example:
    >>> import ferrule as fe
    >>> fe.masked_fill(fe.tensor([1, 2]), fe.tensor([True, False]), 9).tolist()
    [9, 2]

Source: torch.masked_fill.
)"),
    .examples = FE_DOC("f(2, 3), b(2, 3), 0.5\n"
                       "f(2, 3), b(3), -1.0\n"
                       "f(3), b(2, 1), 2\n"
                       "f(2, 3), b(3), f()"),
    .reference = FE_DOC("np.where(mask, value, input)"),
    .has_inplace = true,
    .saves = "mask",
    .infer =
        [](OpCall& c) {
          require_single(c, 2);
          c.compute = c.in(0).dtype;
          check_in_range(c, 2, c.compute);
          if (c.is_tensor(2) && is_complex(c.in(2).dtype) &&
              !is_complex(c.compute)) {
            c.fail<DTypeError>("a complex value does not fit into a tensor of ",
                               c.compute);
          }
          c.out(0, c.compute, broadcast(c, c.in(0).sizes(), c.in(1).sizes()));
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor mask = v.in(1);
      if (v.needs(0)) v.set(0, op::masked_fill(v.grad(), mask, 0.0));
      if (v.needs(2)) v.set(2, op::sum(op::where(mask, v.grad(), 0.0)));
    }),
    .batch = FE_GRAD(batch_masked_fill),
};

// Its size is only known from the data: it is counted while the result is
// shaped, and no graph can hold it.
extern const OpDef argwhere_op = {
    .name = "argwhere",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Where the elements are that are not zero.

Args:
    input: any shape.

Returns:
    Shape (n, ndim), int64: the indices of each such element, in their order.

Raises:
    RuntimeError: while capturing, where the data that decide n are not known.

Example:
    >>> import ferrule as fe
    >>> fe.argwhere(fe.tensor([[0, 3], [5, 0]])).tolist()
    [[0, 1], [1, 0]]

Source: numpy.argwhere.
)"),
    .examples = FE_DOC("b(3, 4)\nb(2, 3, 2)\ni(2, 7)\nb(0)"),
    .reference = FE_DOC("np.argwhere(input)"),
    .data_dependent = true,
    .infer =
        [](OpCall& c) {
          require_cpu(c);
          const TensorImpl& x = c.in(0);
          c.out(0, DType::i64, Dims{cpu::count_nonzero(x), x.ndim});
        },
};

extern const OpDef masked_select_op = {
    .name = "masked_select",
    .sig = "input: Tensor, mask: Tensor[bool]",
    .doc = FE_DOC(R"(The elements where a mask is True, one after another.

Args:
    input: any shape.
    mask: bool; the shapes broadcast.

Returns:
    Shape (n,): a copy.

Raises:
    ShapeError: the shapes do not broadcast.
    RuntimeError: while capturing, where the data that decide n are not known.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1, 2], [3, 4]])
    >>> fe.masked_select(x, x > 1).tolist()
    [2, 3, 4]

Source: torch.masked_select.
)"),
    .examples = FE_DOC("f(2, 3), b(2, 3)\nf(2, 3), b(3)\nf(3), b(2, 1)\n"
                       "f(700, 40), b(700, 40)"),
    .reference = FE_DOC("(lambda x, m: x[m])(*np.broadcast_arrays(input, "
                        "mask))"),
    .data_dependent = true,
    .saves = "mask",
    .infer =
        [](OpCall& c) {
          require_cpu(c);
          const TensorImpl& mask = c.in(1);
          const int64_t n =
              checked_numel(broadcast(c, c.in(0).sizes(), mask.sizes()));
          const int64_t repeats = mask.numel ? n / mask.numel : 0;
          const int64_t count = n ? cpu::count_nonzero(mask) * repeats : 0;
          c.out(0, c.in(0).dtype, Dims{count});
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      Tensor zero = op::zeros(v.sizes(0), g.dtype(), g.device());
      v.set(0, op::masked_scatter(zero, v.in(1), g));
    }),
};

extern const OpDef masked_pack_op = {
    .name = "masked_pack",
    .sig = "input: Tensor, mask: Tensor[bool], size: int[]",
    .doc = FE_DOC(R"(Gradient of masked_scatter in its source.

Like masked_select, with as many zeros behind as fill a given size.

Args:
    input: any shape.
    mask: bool; broadcasts to the shape of `input`.
    size: shape of the result; what does not fit is left out.

Returns:
    Shape `size`.

Raises:
    ShapeError: the shapes do not fit.

Example:
    >>> import ferrule as fe
    >>> x, m = fe.tensor([1.0, 2.0, 3.0]), fe.tensor([False, True, True])
    >>> fe.ops.masked_pack(x, m, (2, 2)).tolist()
    [[2.0, 3.0], [0.0, 0.0]]

Source: the chain rule.
)"),
    .examples = FE_DOC("f(2, 3), b(2, 3), (6,)\nf(2, 3), b(3), (3, 4)\n"
                       "f(700, 40), b(700, 40), (28000,)"),
    .where = kInternal,
    .saves = "mask",
    .infer =
        [](OpCall& c) {
          const Dims shape = broadcast(c, c.in(0).sizes(), c.in(1).sizes());
          if (!(shape == Dims(c.in(0).sizes()))) {
            c.fail<ShapeError>("mask of shape ", c.in(1).sizes(),
                               " does not broadcast to the shape of input, ",
                               c.in(0).sizes());
          }
          const Dims size = shape_of(c, 2);
          checked_numel(size);
          c.out(0, c.in(0).dtype, size);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      Tensor zero = op::zeros(v.sizes(0), g.dtype(), g.device());
      v.set(0, op::masked_scatter(zero, v.in(1), g));
    }),
};

extern const OpDef masked_scatter_op = {
    .name = "masked_scatter",
    .sig = "input: Tensor, mask: Tensor[bool], source: Tensor",
    .doc =
        FE_DOC(R"(Puts the elements of `source`, in order, where a mask is True.

Args:
    input: any shape.
    mask: bool; the shapes broadcast.
    source: as many elements as the mask is True at, or more; the dtype of
        `input`.

Returns:
    The broadcast shape.

Raises:
    ShapeError: the shapes do not broadcast.
    IndexOutOfRange: `source` has too few elements.

Example:
    >>> import ferrule as fe
    >>> x, m = fe.zeros((3,)), fe.tensor([True, False, True])
    >>> fe.masked_scatter(x, m, fe.tensor([1.0, 2.0])).tolist()
    [1.0, 0.0, 2.0]

Source: torch.masked_scatter.
)"),
    .examples = FE_DOC("f(2, 3), b(2, 3), f(6)\nf(2, 3), b(3), f(3, 4)\n"
                       "f(3), b(2, 1), f(6)\n"
                       "f(700, 40), b(700, 40), f(28000)"),
    .reference = FE_DOC("(lambda x, m: (lambda y: (y.__setitem__(m, "
                        "source.ravel()[:m.sum()]), y)[1])(x.copy()))"
                        "(*np.broadcast_arrays(input, mask))"),
    .has_inplace = true,
    .saves = "mask",
    .infer =
        [](OpCall& c) {
          require_same_dtype(c, {0, 2});
          c.out(0, c.in(0).dtype,
                broadcast(c, c.in(0).sizes(), c.in(1).sizes()));
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad(), mask = v.in(1);
      if (v.needs(0)) v.set(0, op::masked_fill(g, mask, 0.0));
      if (v.needs(2)) v.set(2, op::masked_pack(g, mask, v.sizes(2)));
    }),
};

}  // namespace ferrule
