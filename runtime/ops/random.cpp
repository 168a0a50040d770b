// Random tensors. Element i of a result depends on the generator's state, on i
// and on nothing else, so that every device and any number of threads draw the
// same numbers.
#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"

namespace ferrule {
namespace {

DType dtype_or(const OpCall& c, int arg, DType fallback) {
  return c.has(arg) ? c.dtype(arg) : fallback;
}

DType float_dtype(const OpCall& c, int arg, DType fallback) {
  const DType t = dtype_or(c, arg, fallback);
  if (!is_float(t)) {
    c.fail<DTypeError>("draws floating-point numbers, dtype is ", t,
                       "; use randint for integers");
  }
  return t;
}

// rand, randn: size, dtype, device.
void infer_sized(OpCall& c) {
  c.out(0, float_dtype(c, 1, DType::f32), shape_of(c, 0));
}

// rand_like, randn_like: input, dtype, device.
void infer_like(OpCall& c) {
  if (c.has(2) && !c.device.is_graph()) c.device = c.args[2].device;
  c.out(0, float_dtype(c, 1, c.in(0).dtype), c.in(0).sizes());
}

void require_probability(const OpCall& c, int arg) {
  const double p = c.f(arg);
  if (p >= 0 && p <= 1) return;
  c.fail<ValueError>(c.info.schema.params[arg].name,
                     " must be a probability in 0..1, got ", p);
}

void require_range(const OpCall& c, int64_t low, int64_t high) {
  if (low < high) return;
  c.fail<ValueError>("low must be less than high, got ", low, " and ", high);
}

}  // namespace

extern const OpDef rand_op = {
    .name = "rand",
    .sig = "size: int[], dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(Random numbers, uniform in [0, 1).

Args:
    size: the shape.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape `size`. Takes one tick of the generator.

Raises:
    DTypeError: `dtype` is not a floating-point one.

Example:
    >>> import ferrule as fe
    >>> x = fe.rand((100,))
    >>> 0 <= fe.amin(x).item() <= fe.amax(x).item() < 1
    True

Source: Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1,
2, 3", SC 2011.
)"),
    .examples = FE_DOC("(2, 3)\n"
                       "()\n"
                       "(300, 400), fe.float64"),
    .where = kFunction,
    .random = true,
    .infer = infer_sized,
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef randn_op = {
    .name = "randn",
    .sig = "size: int[], dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(Random numbers of the normal distribution N(0, 1).

Args:
    size: the shape.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape `size`. Takes one tick of the generator.

Raises:
    DTypeError: `dtype` is not a floating-point one.

Example:
    >>> import ferrule as fe
    >>> fe.randn((2, 3)).shape
    (2, 3)

Source: G. Box, M. Muller, "A note on the generation of random normal deviates",
Ann. Math. Statist. 29 (1958), over Philox4x32-10.
)"),
    .examples = FE_DOC("(2, 3)\n"
                       "()\n"
                       "(300, 401), fe.float64"),
    .where = kFunction,
    .random = true,
    .infer = infer_sized,
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef rand_like_op = {
    .name = "rand_like",
    .sig = "input: Tensor, dtype: dtype? = None, device: device? = None",
    .doc =
        FE_DOC(R"(Random numbers, uniform in [0, 1), in the shape of a tensor.

Args:
    input: gives the shape.
    dtype: None is that of `input`.
    device: None is that of `input`.

Returns:
    Shape of `input`. Takes one tick of the generator.

Raises:
    DTypeError: the dtype is not a floating-point one.

Example:
    >>> import ferrule as fe
    >>> fe.rand_like(fe.zeros((2, 3))).shape
    (2, 3)

Source: see rand.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(0, 2)"),
    .where = kFunction,
    .random = true,
    .infer = infer_like,
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef randn_like_op = {
    .name = "randn_like",
    .sig = "input: Tensor, dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(Random numbers of N(0, 1) in the shape of a tensor.

Args:
    input: gives the shape.
    dtype: None is that of `input`.
    device: None is that of `input`.

Returns:
    Shape of `input`. Takes one tick of the generator.

Raises:
    DTypeError: the dtype is not a floating-point one.

Example:
    >>> import ferrule as fe
    >>> fe.randn_like(fe.zeros((2, 3))).shape
    (2, 3)

Source: see randn.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(5)"),
    .where = kFunction,
    .random = true,
    .infer = infer_like,
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef randint_op = {
    .name = "randint",
    .sig = "low: int, high: int, size: int[], dtype: dtype? = None, "
           "device: device? = None",
    .doc = FE_DOC(R"(Random integers, all of low .. high - 1 equally likely.

Args:
    low: the least.
    high: one above the greatest.
    size: the shape.
    dtype: None is int64.
    device: None is the CPU.

Returns:
    Shape `size`. Takes one tick of the generator. The probabilities differ by
    less than 2^-64.

Raises:
    ValueError: there is no integer between `low` and `high`.

Example:
    >>> import ferrule as fe
    >>> fe.amax(fe.ops.randint(0, 3, (100,))).item()
    2

Source: D. Lemire, "Fast random integer generation in an interval", ACM Trans.
Model. Comput. Simul. 29 (2019), over Philox4x32-10.
)"),
    .examples = FE_DOC("0, 10, (2, 3)\n"
                       "-5, 2, (400, 300), fe.int32"),
    .where = kInternal,  // fe.randint: also as randint(high, size)
    .random = true,
    .infer =
        [](OpCall& c) {
          require_range(c, c.i(0), c.i(1));
          const DType t = dtype_or(c, 3, DType::i64);
          if (is_complex(t) || t == DType::bool_) {
            c.fail<DTypeError>("draws integers, dtype is ", t);
          }
          c.out(0, t, shape_of(c, 2));
        },
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef randperm_op = {
    .name = "randperm",
    .sig = "n: int, dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(The numbers 0 .. n - 1 in random order.

Args:
    n: how many.
    dtype: None is int64.
    device: None is the CPU.

Returns:
    Shape (n,). Takes one tick of the generator.

Raises:
    ValueError: n is negative.

Example:
    >>> import ferrule as fe
    >>> sorted(fe.randperm(4).tolist())
    [0, 1, 2, 3]

Source: the order of n random 64-bit numbers of Philox4x32-10.
)"),
    .examples = FE_DOC("7\n"
                       "0\n"
                       "5000"),
    .where = kFunction,
    .random = true,
    .infer =
        [](OpCall& c) {
          if (c.i(0) < 0) {
            c.fail<ValueError>("n must be 0 or more, got ", c.i(0));
          }
          const DType t = dtype_or(c, 1, DType::i64);
          if (is_complex(t) || t == DType::bool_) {
            c.fail<DTypeError>("gives integers, dtype is ", t);
          }
          c.out(0, t, Dims{c.i(0)});
        },
};

extern const OpDef bernoulli_op = {
    .name = "bernoulli",
    .sig = "input: Tensor[float], p: float? = None",
    .doc = FE_DOC(R"(1 with the probability given by each element, else 0.

Args:
    input: probabilities; below 0 they count as 0, above 1 as 1.
    p: one probability for all elements, in place of theirs.

Returns:
    Shape and dtype of `input`. Takes one tick of the generator.

Raises:
    DTypeError: `input` is not a floating-point tensor.
    ValueError: p is not a probability.

Example:
    >>> import ferrule as fe
    >>> fe.bernoulli(fe.tensor([0.0, 1.0])).tolist()
    [0.0, 1.0]

Source: torch.bernoulli, over Philox4x32-10.
)"),
    .examples = FE_DOC("u(2, 3)\n"
                       "u(5)\n"
                       "f(4), 0.25"),
    .random = true,
    .infer =
        [](OpCall& c) {
          if (c.has(1)) require_probability(c, 1);
          c.out_like(0, 0);
        },
    .batch = FE_GRAD(batch_leading),
};

// Without training there is nothing to draw and nothing to record: the input
// itself is the result. Else native_dropout keeps the mask for the gradient.
extern const OpDef dropout_op = {
    .name = "dropout",
    .sig = "input: Tensor[float], p: float = 0.5, training: bool = True",
    .doc = FE_DOC(R"(Sets random elements to 0 and enlarges the others.

Args:
    input: any shape.
    p: probability of a 0; what is kept is divided by 1 - p.
    training: False gives `input` itself.

Returns:
    Shape of `input`. Takes one tick of the generator, if anything is drawn.

Raises:
    ValueError: p is not a probability.

Example:
    >>> import ferrule as fe
    >>> fe.nn.functional.dropout(fe.ones((2,)), 0.5, False).tolist()
    [1.0, 1.0]

Source: Srivastava et al., "Dropout: a simple way to prevent neural networks
from overfitting", JMLR 15 (2014).
)"),
    .examples = FE_DOC("f(2, 3), 0.5, False\nf(2, 3), 0.0"),
    .reference = FE_DOC("input"),
    .where = kFunctional,
    .has_inplace = true,
    .decompose = FE_GRAD([](OpCall& c) {
      require_probability(c, 1);
      Results r;
      r.n = 1;
      r[0] = c.f(1) == 0 || !c.b(2) ? c.tensor(0)
                                    : op::native_dropout(c.tensor(0), c.f(1));
      return r;
    }),
};

extern const OpDef native_dropout_op = {
    .name = "native_dropout",
    .sig = "input: Tensor[float], p: float -> out, mask",
    .doc = FE_DOC(R"(Dropout with its mask.

Args:
    input: any shape.
    p: probability of a 0; what is kept is divided by 1 - p.

Returns:
    out and mask (bool, True: kept), both of the shape of `input`. Takes one
    tick of the generator.

Raises:
    ValueError: p is not a probability.

Example:
    >>> import ferrule as fe
    >>> out, mask = fe.ops.native_dropout(fe.ones((2,)), 1.0)
    >>> out.tolist(), mask.tolist()
    ([0.0, 0.0], [False, False])

Source: see dropout.
)"),
    .examples = FE_DOC("f(2, 3), 0.5\n"
                       "f(4, 5), 0.1"),
    .where = kInternal,
    .random = true,
    .saves = "mask",
    .infer =
        [](OpCall& c) {
          require_probability(c, 1);
          c.out_like(0, 0);
          c.out(1, DType::bool_, c.in(0).sizes());
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::dropout_dx(v.grad(), v.out(1), v.args[1]));
    }),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef dropout_dx_op = {
    .name = "dropout_dx",
    .sig = "grad: Tensor[float], mask: Tensor[bool], p: float",
    .doc = FE_DOC(R"(Gradient of dropout: grad / (1 - p) where the mask is True.

Args:
    grad: any shape.
    mask: bool, the same shape.
    p: as for dropout.

Returns:
    Shape of `grad`.

Raises:
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> fe.ops.dropout_dx(fe.ones((2,)), fe.tensor([True, False]), 0.5).tolist()
    [2.0, 0.0]

Source: the chain rule.
)"),
    .examples = FE_DOC("f(2, 3), b(2, 3), 0.25\nf(4), b(4), 0.0"),
    .reference = FE_DOC("np.where(mask, grad / (1 - p), 0)"),
    .where = kInternal,
    .saves = "mask",
    .infer =
        [](OpCall& c) {
          require_probability(c, 2);
          if (!(Dims(c.in(0).sizes()) == Dims(c.in(1).sizes()))) {
            c.fail<ShapeError>("mask must have the shape of grad, ",
                               c.in(0).sizes(), ", got ", c.in(1).sizes());
          }
          c.out_like(0, 0);
        },
    .vjp = FE_GRAD(
        [](Vjp& v) { v.set(0, op::dropout_dx(v.grad(), v.in(1), v.args[2])); }),
    .batch = FE_GRAD(batch_leading),
};

}  // namespace ferrule
