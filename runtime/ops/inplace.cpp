// Ops that write into their first argument, which is their result. No gradient
// flows to what was overwritten.
#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_target(OpCall& c) {
  const TensorImpl& x = c.in(0);
  c.view(0, 0, x.sizes(), x.steps(), x.offset);
}

// Argument 1, a tensor, stands for one number.
void check_value(const OpCall& c) {
  const TensorImpl& value = c.in(1);
  if (value.ndim != 0) {
    c.fail<ShapeError>("value must be a number or a 0-d tensor, got shape ",
                       value.sizes(), "; use copy_");
  }
  if (is_complex(value.dtype) && !is_complex(c.in(0).dtype)) {
    c.fail<DTypeError>("a complex value does not fit into a tensor of ",
                       c.in(0).dtype);
  }
}

void infer_random_target(OpCall& c) {
  if (!is_float(c.in(0).dtype)) {
    c.fail<DTypeError>("draws floating-point numbers, input is ",
                       c.in(0).dtype);
  }
  infer_target(c);
}

// A value a sample is copied.
[[maybe_unused]] Results batch_fill(Batch& b) {
  if (!b.batched(1)) return b.run();
  return one(op::copy_(b.in[0].tensor, b.aligned(1, b.ndim(0))));
}

}  // namespace

extern const OpDef copy__op = {
    .name = "copy_",
    .sig = "input: Tensor!, src: Tensor",
    .doc = FE_DOC(R"(Overwrites a tensor with the values of another.

Args:
    input: the tensor that is written.
    src: a shape that broadcasts to that of `input`; its dtype is converted.

Returns:
    `input`.

Raises:
    ShapeError: the shapes do not fit.

Example:
    >>> import ferrule as fe
    >>> x = fe.zeros((2,))
    >>> x.copy_(fe.tensor([1, 2])).tolist()
    [1.0, 2.0]

Source: torch.Tensor.copy_.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3), f(3)\n"
                       "f(4), i(5, 4)"),
    .where = kMethod,
    .infer =
        [](OpCall& c) {
          Dims shape = broadcast(c, c.in(0).sizes(), c.in(1).sizes());
          if (!(shape == Dims(c.in(0).sizes()))) {
            c.fail<ShapeError>("src of shape ", c.in(1).sizes(),
                               " does not broadcast to the shape of input, ",
                               c.in(0).sizes());
          }
          infer_target(c);
        },
    .vjp = FE_GRAD([](Vjp& v) { v.set(1, v.grad()); }),
    .batch = FE_GRAD(batch_elementwise),
};

extern const OpDef fill__op = {
    .name = "fill_",
    .sig = "input: Tensor!, value: Operand",
    .doc = FE_DOC(R"(Overwrites a tensor with one number.

Args:
    input: the tensor that is written.
    value: the number, converted to the dtype of `input`; also a 0-d tensor.

Returns:
    `input`.

Raises:
    ShapeError: elements of `input` share memory, or `value` has dimensions.
    DTypeError: `value` is complex and `input` is not.
    ValueError: the dtype of `input` cannot hold an integer so large.

Example:
    >>> import ferrule as fe
    >>> fe.zeros((2,)).fill_(3).tolist()
    [3.0, 3.0]

Source: torch.Tensor.fill_.
)"),
    .examples = FE_DOC("f(2, 3), 2.5\n"
                       "i(9, 4), 3"),
    .where = kMethod,
    .infer =
        [](OpCall& c) {
          check_in_range(c, 1, c.in(0).dtype);
          if (c.is_tensor(1)) check_value(c);
          infer_target(c);
        },
    .vjp = FE_GRAD([](Vjp& v) { v.set(1, v.grad()); }),
    .batch = FE_GRAD(batch_fill),
};

extern const OpDef zero__op = {
    .name = "zero_",
    .sig = "input: Tensor!",
    .doc = FE_DOC(R"(Overwrites a tensor with zeros.

Args:
    input: the tensor that is written.

Returns:
    `input`.

Raises:
    ShapeError: elements of `input` share memory.

Example:
    >>> import ferrule as fe
    >>> fe.ones((2,)).zero_().tolist()
    [0.0, 0.0]

Source: torch.Tensor.zero_.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "i(9, 4)"),
    .where = kMethod,
    .infer = infer_target,
    .vjp = FE_GRAD([](Vjp&) {}),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef normal__op = {
    .name = "normal_",
    .sig = "input: Tensor!, mean: float = 0.0, std: float = 1.0",
    .doc = FE_DOC(R"(Overwrites a tensor with random numbers of N(mean, std^2).

Args:
    input: the tensor that is written.
    mean, std: of the distribution.

Returns:
    `input`. Takes one tick of the generator.

Raises:
    ValueError: `std` is negative.
    DTypeError: `input` is not a floating-point tensor.

Example:
    >>> import ferrule as fe
    >>> fe.empty((2,)).normal_(5.0, 0.0).tolist()
    [5.0, 5.0]

Source: see randn.
)"),
    .examples = FE_DOC("f(2, 3), 1.0, 2.0\n"
                       "f(5)"),
    .where = kMethod,
    .random = true,
    .infer =
        [](OpCall& c) {
          if (!(c.f(2) >= 0)) {
            c.fail<ValueError>("std must be 0 or more, got ", c.f(2));
          }
          infer_random_target(c);
        },
    .vjp = FE_GRAD([](Vjp&) {}),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef uniform__op = {
    .name = "uniform_",
    .sig = "input: Tensor!, low: float = 0.0, high: float = 1.0",
    .doc = FE_DOC(R"(Overwrites a tensor with uniform random numbers.

Args:
    input: the tensor that is written.
    low, high: the borders.

Returns:
    `input`. Takes one tick of the generator.

Raises:
    ValueError: `low` is greater than `high`.
    DTypeError: `input` is not a floating-point tensor.

Example:
    >>> import ferrule as fe
    >>> fe.empty((2,)).uniform_(5.0, 5.0).tolist()
    [5.0, 5.0]

Source: see rand.
)"),
    .examples = FE_DOC("f(2, 3), -1.0, 1.0\n"
                       "f(5)"),
    .where = kMethod,
    .random = true,
    .infer =
        [](OpCall& c) {
          if (!(c.f(1) <= c.f(2))) {
            c.fail<ValueError>("low must not be greater than high, got ",
                               c.f(1), " and ", c.f(2));
          }
          infer_random_target(c);
        },
    .vjp = FE_GRAD([](Vjp&) {}),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef bernoulli__op = {
    .name = "bernoulli_",
    .sig = "input: Tensor!, p: float = 0.5",
    .doc = FE_DOC(R"(Overwrites a tensor with ones of probability p and zeros.

Args:
    input: the tensor that is written, of any dtype.
    p: probability of a 1.

Returns:
    `input`. Takes one tick of the generator.

Raises:
    ValueError: p is not a probability.

Example:
    >>> import ferrule as fe
    >>> fe.empty((2,)).bernoulli_(1.0).tolist()
    [1.0, 1.0]

Source: see bernoulli.
)"),
    .examples = FE_DOC("f(2, 3), 0.3"),
    .where = kMethod,
    .random = true,
    .infer =
        [](OpCall& c) {
          if (!(c.f(1) >= 0 && c.f(1) <= 1)) {
            c.fail<ValueError>("p must be a probability in 0..1, got ", c.f(1));
          }
          infer_target(c);
        },
    .vjp = FE_GRAD([](Vjp&) {}),
    .batch = FE_GRAD(batch_leading),
};

}  // namespace ferrule
