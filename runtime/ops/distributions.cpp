// Random numbers of further distributions, drawn in place, and samples of given
// weights.
#include <cmath>

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"

namespace ferrule {
namespace {

void infer_target(OpCall& c) {
  const TensorImpl& x = c.in(0);
  c.view(0, 0, x.sizes(), x.steps(), x.offset);
}

void infer_float_target(OpCall& c) {
  if (!is_float(c.in(0).dtype)) {
    c.fail<DTypeError>("draws floating-point numbers, input is ",
                       c.in(0).dtype);
  }
  infer_target(c);
}

void infer_real_target(OpCall& c) {
  if (is_complex(c.in(0).dtype) || c.in(0).dtype == DType::bool_) {
    c.fail<DTypeError>("draws real numbers, input is ", c.in(0).dtype);
  }
  infer_target(c);
}

void require_positive(const OpCall& c, int arg) {
  if (c.f(arg) > 0) return;
  c.fail<ValueError>(c.info.schema.params[arg].name, " must be positive, got ",
                     c.f(arg));
}

// Samples are more rows.
[[maybe_unused]] Results batch_multinomial(Batch& b) {
  b.set(0, b.ndim(0) > 1 ? b.within(0, 0) : b.whole(0));
  return b.run();
}

}  // namespace

extern const OpDef exponential__op = {
    .name = "exponential_",
    .sig = "input: Tensor!, lambd: float = 1.0",
    .doc = FE_DOC(R"(Overwrites a tensor with exponentially distributed numbers.

The density is lambd exp(-lambd x) for x >= 0.

Args:
    input: the tensor that is written.
    lambd: the rate, 1 / mean.

Returns:
    `input`. Takes one tick of the generator.

Raises:
    ValueError: `lambd` is not positive.
    DTypeError: `input` is not a floating-point tensor.

Example:
    >>> import ferrule as fe
    >>> fe.amin(fe.empty((100,)).exponential_()).item() >= 0
    True

Source: inversion, -ln(u) / lambd.
)"),
    .examples = FE_DOC("f(2, 3)\nf(5), 2.0"),
    .where = kMethod,
    .random = true,
    .infer =
        [](OpCall& c) {
          require_positive(c, 1);
          infer_float_target(c);
        },
    .vjp = FE_GRAD([](Vjp&) {}),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef geometric__op = {
    .name = "geometric_",
    .sig = "input: Tensor!, p: float",
    .doc = FE_DOC(R"(Overwrites a tensor with geometrically distributed numbers.

How many trials there are up to the first success: k with probability
p (1 - p)^(k - 1), k = 1, 2, ...

Args:
    input: the tensor that is written, of any real dtype.
    p: probability of a success, in (0, 1).

Returns:
    `input`. Takes one tick of the generator.

Raises:
    ValueError: p is not between 0 and 1.
    DTypeError: `input` is bool or complex.

Example:
    >>> import ferrule as fe
    >>> fe.amin(fe.empty((100,)).geometric_(0.5)).item() >= 1
    True

Source: inversion, ceil(ln(u) / ln(1 - p)).
)"),
    .examples = FE_DOC("f(2, 3), 0.5\ni(9, 4), 0.1"),
    .where = kMethod,
    .random = true,
    .infer =
        [](OpCall& c) {
          if (!(c.f(1) > 0 && c.f(1) < 1)) {
            c.fail<ValueError>("p must be between 0 and 1, got ", c.f(1));
          }
          infer_real_target(c);
        },
    .vjp = FE_GRAD([](Vjp&) {}),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef cauchy__op = {
    .name = "cauchy_",
    .sig = "input: Tensor!, median: float = 0.0, sigma: float = 1.0",
    .doc = FE_DOC(R"(Overwrites a tensor with numbers of a Cauchy distribution.

Args:
    input: the tensor that is written.
    median: of the distribution; it has no mean.
    sigma: half of the width at half of the maximum.

Returns:
    `input`. Takes one tick of the generator.

Raises:
    ValueError: `sigma` is not positive.
    DTypeError: `input` is not a floating-point tensor.

Example:
    >>> import ferrule as fe
    >>> fe.empty((2, 3)).cauchy_().shape
    (2, 3)

Source: inversion, median + sigma cot(2 pi u).
)"),
    .examples = FE_DOC("f(2, 3)\nf(5), 1.0, 2.0"),
    .where = kMethod,
    .random = true,
    .infer =
        [](OpCall& c) {
          require_positive(c, 2);
          infer_float_target(c);
        },
    .vjp = FE_GRAD([](Vjp&) {}),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef log_normal__op = {
    .name = "log_normal_",
    .sig = "input: Tensor!, mean: float = 1.0, std: float = 2.0",
    .doc = FE_DOC(R"(Overwrites a tensor with numbers whose logarithm is normal.

Args:
    input: the tensor that is written.
    mean, std: of the logarithm.

Returns:
    `input`. Takes one tick of the generator.

Raises:
    ValueError: `std` is not positive.
    DTypeError: `input` is not a floating-point tensor.

Example:
    >>> import ferrule as fe
    >>> fe.amin(fe.empty((100,)).log_normal_(0.0, 1.0)).item() > 0
    True

Source: the exponential of normal_.
)"),
    .examples = FE_DOC("f(2, 3)\nf(5), 0.0, 0.5"),
    .where = kMethod,
    .random = true,
    .infer =
        [](OpCall& c) {
          require_positive(c, 2);
          infer_float_target(c);
        },
    .vjp = FE_GRAD([](Vjp&) {}),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef random__op = {
    .name = "random_",
    .sig = "input: Tensor!, low: int? = None, high: int? = None",
    .doc = FE_DOC(R"(Overwrites a tensor with random integers.

Args:
    input: the tensor that is written.
    low: the least. If it is given alone it is `high`, and the least is 0.
    high: one above the greatest. None: the greatest is the largest that the
        dtype has; for floating-point ones 2^24 (float32), 2^53 (float64), 2^11
        (float16) or 2^8 (bfloat16).

Returns:
    `input`. Takes one tick of the generator.

Raises:
    ValueError: there is no integer between `low` and `high`.
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.amax(fe.empty((100,)).random_(3)).item()
    2.0

Source: see randint.
)"),
    .examples = FE_DOC("f(2, 3)\nf(5), 7\ni(9, 4), -3, 5"),
    .where = kMethod,
    .random = true,
    .infer =
        [](OpCall& c) {
          const DType t = c.in(0).dtype;
          if (is_complex(t)) c.fail<DTypeError>("draws integers, input is ", t);
          if (!c.has(1) && c.has(2)) {
            c.fail<ValueError>("high is given without low");
          }
          const int64_t low = c.has(2) ? c.i(1) : 0;
          const int64_t high = c.i(c.has(2) ? 2 : 1);
          if (c.has(1) && low >= high) {
            c.fail<ValueError>("low must be less than high, got ", low, " and ",
                               high);
          }
          infer_target(c);
        },
    .vjp = FE_GRAD([](Vjp&) {}),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef normal_op = {
    .name = "normal",
    .sig = "mean: Operand, std: Operand = 1.0, size: int[]? = None, "
           "dtype: dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(Normal random numbers with given means and deviations.

Args:
    mean: a tensor, or a number.
    std: a tensor whose shape broadcasts with that of `mean`, or a number.
    size: the shape, if both are numbers.
    dtype: None is that of the tensors, float32 for numbers.
    device: for numbers; None is the CPU.

Returns:
    The shape of `mean` and `std`, or `size`. Takes one tick of the generator.
    No gradient flows through it.

Raises:
    ValueError: `std` is negative, or `size` is missing or superfluous.
    ShapeError: the shapes do not fit together.

Example:
    >>> import ferrule as fe
    >>> fe.normal(fe.tensor([1.0, 5.0]), 0.0).tolist()
    [1.0, 5.0]
    >>> fe.normal(0.0, 1.0, (2, 3)).shape
    (2, 3)

Source: see randn.
)"),
    .examples = FE_DOC("f(2, 3), p(3)\n"
                       "f(4), 2.0\n"
                       "1.0, p(2, 2)\n"
                       "1.0, 2.0, (3, 2)"),
    .where = kFunction,
    .random = true,
    .decompose = FE_GRAD([](OpCall& c) {
      const bool numbers = !c.is_tensor(0) && !c.is_tensor(1);
      if (numbers != c.has(2)) {
        c.fail<ValueError>(numbers
                               ? "size is needed, as mean and std are numbers"
                               : "size is given by the tensors already");
      }
      if (!c.is_tensor(1) && !(c.number(1) >= 0)) {
        c.fail<ValueError>("std must be 0 or more, got ", c.number(1));
      }
      NoGrad no_grad;
      Results r;
      r.n = 1;
      if (numbers) {
        r[0] = op::randn(c.ints(2), c.args[3], c.args[4]);
        r[0] = op::add(op::mul(r[0], c.args[1]), c.args[0]);
        return r;
      }
      Dims shape;
      for (int i = 0; i < 2; ++i) {
        if (c.is_tensor(i)) shape = broadcast(c, shape, c.in(i).sizes());
      }
      const int operands[] = {0, 1};
      const Arg dtype = c.has(3) ? c.args[3] : Arg(c.promoted(operands, true));
      Tensor z = op::randn(IntList(shape), dtype, c.device);
      r[0] = op::cast(op::add(op::mul(z, c.args[1]), c.args[0]), dtype);
      return r;
    }),
};

extern const OpDef multinomial_op = {
    .name = "multinomial",
    .sig = "input: Tensor[float], num_samples: int, replacement: bool = False",
    .doc = FE_DOC(R"(Draws indices with the probabilities that weights give.

Args:
    input: (n) or (rows, n), weights of 0 or more; they need not sum to 1.
    num_samples: how many are drawn from each row.
    replacement: whether an index may be drawn several times.

Returns:
    int64, (num_samples) or (rows, num_samples). Takes one tick of the generator.

Raises:
    ShapeError: `input` has another number of dimensions, or no weights.
    ValueError: `num_samples` is not positive, or more than n without
        `replacement`.
    IndexError: a weight is negative or not finite, or too few are above 0.

Example:
    >>> import ferrule as fe
    >>> fe.multinomial(fe.tensor([0.0, 3.0, 0.0]), 2, replacement=True).tolist()
    [1, 1]

Source: inversion of the cumulative sums; without replacement the smallest of
exponential numbers divided by the weights, P. Efraimidis and P. Spirakis,
"Weighted random sampling with a reservoir", Inf. Process. Lett. 97 (2006).
)"),
    .examples = FE_DOC("p(5), 3\n"
                       "p(2, 4), 4\n"
                       "p(2, 3), 7, True"),
    .random = true,
    .infer =
        [](OpCall& c) {
          const TensorImpl& w = c.in(0);
          if (w.ndim < 1 || w.ndim > 2 || w.shape[w.ndim - 1] == 0) {
            c.fail<ShapeError>(
                "input must have shape (n) or (rows, n) with n > 0, got ",
                w.sizes());
          }
          const int64_t n = w.shape[w.ndim - 1], k = c.i(1);
          if (k < 1 || (!c.b(2) && k > n)) {
            c.fail<ValueError>("cannot draw num_samples = ", k, " of ", n,
                               c.b(2) ? "" : " without replacement");
          }
          Dims shape(w.sizes());
          shape[shape.n - 1] = k;
          c.out(0, DType::i64, shape);
        },
    .batch = FE_GRAD(batch_multinomial),
};

}  // namespace ferrule
