// Cross entropy of classes, and its gradient.
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

// Classes stand in dimension 1, or in the only one.
int class_dim(const TensorImpl& input) { return input.ndim > 1 ? 1 : 0; }

// One loss a row: the input's shape without the classes.
Dims loss_shape(const TensorImpl& input) {
  Dims shape(input.sizes());
  shape.erase(class_dim(input));
  return shape;
}

// What may have been meant by class indices of another shape than one a row.
const char* target_hint(const TensorImpl& input, const TensorImpl& target) {
  if (std::ranges::equal(target.sizes(), input.sizes())) {
    return "; a one-hot target is floating-point: target.to(input.dtype), or "
           "take the indices: target.argmax(1)";
  }
  if (target.ndim == 2 && target.shape[1] == 1)
    return "; write target.squeeze(1)";
  if (input.ndim > 2 && target.ndim == input.ndim - 1 &&
      std::ranges::equal(target.sizes(), input.sizes().first(target.ndim))) {
    return "; classes are dimension 1 of input: input.movedim(-1, 1)";
  }
  return "";
}

// Checks input, target, weight, ignore_index, reduction, label_smoothing,
// which stand from argument `first` on.
void check_loss(const OpCall& c, int first) {
  const TensorImpl& input = c.in(first);
  const TensorImpl& target = c.in(first + 1);
  if (input.ndim == 0) {
    c.fail<ShapeError>("input must have a dimension of classes, got shape ()");
  }
  const int64_t classes = input.shape[class_dim(input)];
  if (is_integer(target.dtype)) {
    const Dims want = loss_shape(input);
    if (!(want == Dims(target.sizes()))) {
      c.fail<ShapeError>("target of class indices has shape ", target.sizes(),
                         ", but input ", input.sizes(), " wants ", want,
                         target_hint(input, target));
    }
  } else if (is_float(target.dtype)) {
    if (!(Dims(input.sizes()) == Dims(target.sizes()))) {
      c.fail<ShapeError>("target of class probabilities has shape ",
                         target.sizes(), ", but input has ", input.sizes(),
                         "; class indices are integers: target.long()");
    }
  } else {
    c.fail<DTypeError>("target must hold class indices (an integer dtype) or "
                       "probabilities (a float dtype), got ",
                       target.dtype);
  }
  if (c.is_tensor(first + 2) &&
      !(Dims(c.in(first + 2).sizes()) == Dims({classes}))) {
    c.fail<ShapeError>("weight has shape ", c.in(first + 2).sizes(),
                       ", but there are ", classes, " classes");
  }
  const auto reduction = c.str(first + 4);
  if (reduction != "none" && reduction != "mean" && reduction != "sum") {
    c.fail<ValueError>(
        "reduction must be \"none\", \"mean\" or \"sum\", got \"", reduction,
        "\"");
  }
  if (!(c.f(first + 5) >= 0 && c.f(first + 5) <= 1)) {
    c.fail<ValueError>("label_smoothing must lie in [0, 1], got ",
                       c.f(first + 5));
  }
}

Dims reduced_loss_shape(const OpCall& c, int first) {
  return c.str(first + 4) == "none" ? loss_shape(c.in(first)) : Dims();
}

void infer_cross_entropy(OpCall& c) {
  check_loss(c, 0);
  c.compute = c.in(0).dtype;
  c.out(0, c.compute, reduced_loss_shape(c, 0));
}

void infer_cross_entropy_backward(OpCall& c) {
  check_loss(c, 1);
  const Dims want = reduced_loss_shape(c, 1);
  if (!(want == Dims(c.in(0).sizes()))) {
    c.fail<ShapeError>("grad has shape ", c.in(0).sizes(),
                       ", but the loss has ", want);
  }
  c.compute = c.in(1).dtype;
  c.out_like(0, 1);
}

// A weight a class beside the input.
[[maybe_unused]] Tensor beside_classes(const Tensor& weight, int ndim) {
  IntList shape{size_of(weight.impl(), 0)};
  for (int d = 2; d < ndim; ++d) shape.push(1);
  return op::reshape(weight, shape);
}

// The gradient for probabilities as targets: what -log p weighs.
[[maybe_unused]] Tensor gradient_of_target(Vjp& v) {
  const Tensor input = v.in(0);
  const int d = class_dim(*input.impl());
  const std::string_view reduction = v.args[4].str;
  Tensor factor = op::mul(v.grad(), v.args[5].f - 1);
  if (reduction == "none") factor = op::unsqueeze(factor, d);
  if (reduction == "mean") {
    factor = op::div(factor, v.numel(0) / v.size(0, d));
  }
  Tensor result = op::mul(op::log_softmax(input, d), factor);
  if (v.has(2)) {
    result = op::mul(result, beside_classes(v.in(2), input.ndim()));
  }
  return result;
}

// The share of every class in the row's target (ClassTargets in
// runtime/cpu/softmax.h), and by what the sum of losses is divided.
struct Shares {
  Tensor share;
  Tensor divisor;
};
[[maybe_unused]] Shares shares_of(const OpCall& c, int first) {
  const Tensor input = c.tensor(first);
  Tensor target = c.tensor(first + 1);
  const int d = class_dim(*input.impl());
  const double smoothing = c.f(first + 5);
  const Int classes = size_of(input.impl(), d);
  const Tensor weight = c.is_tensor(first + 2)
                            ? beside_classes(c.tensor(first + 2), input.ndim())
                            : Tensor();
  Shares r;
  Tensor counted;  // 1 for rows that are not ignored
  if (is_integer(target.dtype())) {
    target = op::unsqueeze(op::cast(target, DType::i64), d);
    const Tensor valid = op::ne(target, c.args[first + 3]);
    counted = op::cast(valid, input.dtype());
    target = op::scatter_add(op::zeros_like(input), d,
                             op::where(valid, target, 0), counted);
    r.divisor = op::sum(weight ? op::mul(target, weight) : target);
  } else {
    counted = op::ones_like(op::sum(input, IntList{d}, true));
    r.divisor = op::sum(counted);
  }
  r.share = op::mul(target, 1 - smoothing);
  if (smoothing != 0) {
    r.share = op::add(r.share, op::div(op::mul(counted, smoothing), classes));
  }
  if (weight) r.share = op::mul(r.share, weight);
  return r;
}

// p and the shares s of a row give (sum(s) p - s) * grad.
[[maybe_unused]] Results decompose_backward(OpCall& c) {
  const Tensor input = c.tensor(1);
  const int d = class_dim(*input.impl());
  const Shares shares = shares_of(c, 1);
  Tensor grad = c.tensor(0);
  if (c.str(5) == "none") grad = op::unsqueeze(grad, d);
  if (c.str(5) == "mean") grad = op::div(grad, shares.divisor);
  const Tensor total = op::sum(shares.share, IntList{d}, true);
  const Tensor row =
      op::sub(op::mul(total, op::softmax(input, d)), shares.share);
  Results r;
  r.n = 1;
  r[0] = op::cast(op::mul(row, grad), input.dtype());
  return r;
}

// --- batching: the losses of all rows at once, reduced sample by sample

[[maybe_unused]] Int rows_of_sample(const Batch& b, int input) {
  const int ndim = b.ndim(input);
  Int n = 1;
  for (int d = 0; d < ndim; ++d) {
    if (d != (ndim > 1 ? 1 : 0)) n = n * b.dim(input, d);
  }
  return n;
}

// What "mean" divides by: (samples, 1), or a number. Arguments are as in
// check_loss; the targets are those of all samples.
[[maybe_unused]] Tensor counted_in_sample(const Batch& b, int first, Int rows) {
  const Tensor target = b.in[first + 1].tensor;
  const DType t = accumulator(b.in[first].tensor.dtype());
  if (!is_integer(target.dtype())) {
    return op::full(IntList{b.size, 1}, rows, t, device_of(target));
  }
  const Tensor valid = op::ne(target, b.args[first + 3]);
  Tensor counted = op::cast(valid, t);
  if (b.has(first + 2)) {
    const Tensor classes = op::cast(op::where(valid, target, 0), DType::i64);
    const Tensor flat = op::reshape(classes, IntList{b.size * rows});
    const Tensor weight =
        op::index_select(op::cast(b.in[first + 2].tensor, t), 0, flat);
    counted = op::mul(op::reshape(counted, IntList{b.size * rows}), weight);
  }
  return op::sum(op::reshape(counted, IntList{b.size, rows}), IntList{1}, true);
}

// Rows of all samples, for input and target.
[[maybe_unused]] void join_rows(Batch& b, int first) {
  const bool many = b.ndim(first) > 1;
  for (int i : {first, first + 1}) {
    b.set(i, many ? b.within(i, 0) : b.whole(i));
  }
  b.args[first + 4] = Arg("none");
}

[[maybe_unused]] Results batch_cross_entropy(Batch& b) {
  if (b.batched(2)) return {};
  const std::string_view reduction = b.args[4].str;
  const Int rows = rows_of_sample(b, 0);
  join_rows(b, 0);
  const Tensor loss = op::reshape(b.run()[0], IntList{b.size, rows});
  if (reduction == "none") return one(loss);
  const Tensor sum = op::sum(loss, IntList{1}, true);
  if (reduction == "sum") return one(sum);
  return one(
      op::cast(op::div(sum, counted_in_sample(b, 0, rows)), loss.dtype()));
}

[[maybe_unused]] Results batch_cross_entropy_backward(Batch& b) {
  if (b.batched(3)) return {};
  const std::string_view reduction = b.args[5].str;
  const Int rows = rows_of_sample(b, 1);
  Tensor grad = b.whole(0);
  join_rows(b, 1);
  if (reduction != "none") grad = op::reshape(grad, IntList{b.size, 1});
  if (reduction == "mean") {
    grad = op::cast(op::div(grad, counted_in_sample(b, 1, rows)), grad.dtype());
  }
  if (reduction != "none") grad = op::expand(grad, IntList{b.size, rows});
  const IntList shape = sizes_of(b.in[1].tensor.impl());
  IntList losses;
  for (int d = 0; d < shape.n; ++d) {
    if (d != 1) losses.push(shape.v[d]);
  }
  b.set(0, op::reshape(grad, losses));
  return b.run();
}

}  // namespace

extern const OpDef cross_entropy_op = {
    .name = "cross_entropy",
    .sig = "input: Tensor[float], target: Tensor, weight: "
           "Tensor[float]? = None, ignore_index: int = -100, "
           "reduction: str = \"mean\", label_smoothing: float = 0.0",
    .doc = FE_DOC(R"(Cross entropy of softmax(input) with the target.

Args:
    input: scores (logits) of shape (N, C), (N, C, d1, ...) or (C,), not yet
        normalised.
    target: class indices, an integer tensor of shape (N,), (N, d1, ...) or ();
        or class probabilities, a float tensor of the shape of `input`.
    weight: weight of every class, shape (C,).
    ignore_index: class index of rows that do not count.
    reduction: "none", "sum", or "mean": divided by the sum of the weights of
        the targets' classes (for probabilities: by the number of rows).
    label_smoothing: part of the target, in [0, 1], that is spread evenly over
        the classes.

Returns:
    Tensor of shape (), or of the rows for "none".

Raises:
    ShapeError: the shapes do not fit.
    IndexError: a class index is out of range.
    ValueError: `reduction` or `label_smoothing` is not one of those.

Example:
    >>> import ferrule as fe
    >>> logits = fe.tensor([[0.0, 0.0]])
    >>> loss = fe.nn.functional.cross_entropy
    >>> round(loss(logits, fe.tensor([1])).item(), 4)
    0.6931

Source: torch.nn.CrossEntropyLoss, whose documentation has the formulas;
label smoothing: C. Szegedy et al., "Rethinking the Inception architecture",
CVPR 2016.
)"),
    .examples =
        FE_DOC("f(4, 3), i(3, 4)\n"
               "f(4, 3), i(3, 4), weight=p(3)\n"
               "f(4, 3), i(3, 4), reduction=\"sum\", label_smoothing=0.1\n"
               "f(2, 3, 4), i(3, 2, 4), reduction=\"none\"\n"
               "f(4, 3), u(4, 3), weight=p(3), label_smoothing=0.2"),
    .reference =
        FE_DOC("(lambda y, w, logp: (lambda rows, n: rows if reduction == "
               "'none' else rows.sum() / (n if reduction == 'mean' else "
               "1))(-(((1 - label_smoothing) * y + label_smoothing / "
               "input.shape[1]) * w * logp).sum(1), (y * w).sum() if "
               "target.dtype.kind == 'i' else y.size / "
               "y.shape[1]))(target if target.dtype.kind == 'f' else "
               "np.moveaxis(np.eye(input.shape[1])[target], -1, 1), 1 if "
               "weight is None else weight.reshape((1, -1) + (1,) * "
               "(input.ndim - 2)), input - np.log(np.exp(input).sum(1, "
               "keepdims=True)))"),
    .where = kFunctional,
    .autocast = Autocast::f32,
    .saves = "input target weight",
    .infer = infer_cross_entropy,
    .vjp = FE_GRAD([](Vjp& v) {
      if (v.needs(2)) {
        fail<AutogradError>(
            "[cross_entropy] has no gradient for 'weight'; pass "
            "weight.detach()");
      }
      if (v.needs(0)) {
        v.set(0, op::cross_entropy_backward(v.grad(), v.in(0), v.in(1), v.in(2),
                                            v.args[3], v.args[4], v.args[5]));
      }
      if (v.needs(1)) v.set(1, gradient_of_target(v));
    }),
    .batch = FE_GRAD(batch_cross_entropy),
};

extern const OpDef cross_entropy_backward_op = {
    .name = "cross_entropy_backward",
    .sig = "grad: Tensor[float], input: Tensor[float], target: Tensor, "
           "weight: Tensor[float]? = None, ignore_index: int = -100, "
           "reduction: str = \"mean\", label_smoothing: float = 0.0",
    .doc = FE_DOC(R"(Gradient of cross_entropy for its input, in one pass.

Args:
    grad: gradient of the loss; its shape is that of the loss.
    input: scores (logits) of shape (N, C), (N, C, d1, ...) or (C,), not yet
        normalised.
    target, weight, ignore_index, reduction, label_smoothing: as there.

Returns:
    Tensor of the shape of `input`.

Raises:
    ShapeError: the shapes do not fit.
    IndexError: a class index is out of range.

Example:
    >>> import ferrule as fe
    >>> logits = fe.tensor([[0.0, 0.0]])
    >>> one = fe.tensor(1.0)
    >>> fe.ops.cross_entropy_backward(one, logits, fe.tensor([1])).tolist()
    [[0.5, -0.5]]
)"),
    .examples =
        FE_DOC("f(), f(4, 3), i(3, 4)\n"
               "f(), f(4, 3), i(3, 4), weight=p(3), label_smoothing=0.1\n"
               "f(2, 4), f(2, 3, 4), i(3, 2, 4), reduction=\"none\"\n"
               "f(), f(4, 3), u(4, 3), weight=p(3), reduction=\"sum\""),
    .where = kInternal,
    .saves = "grad input target weight",
    .infer = infer_cross_entropy_backward,
    .decompose = FE_GRAD(decompose_backward),
    .batch = FE_GRAD(batch_cross_entropy_backward),
};

}  // namespace ferrule
