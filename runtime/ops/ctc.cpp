// Connectionist temporal classification.
#include <cmath>
#include <vector>

#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/loss_parts.h"

namespace ferrule {
namespace {

// The arguments log_probs, targets, input_lengths, target_lengths and blank,
// from `first` on.
void check_ctc(const OpCall& c, int first) {
  const TensorImpl &x = c.in(first), &targets = c.in(first + 1);
  if (x.dtype != DType::f32 && x.dtype != DType::f64) {
    c.fail<DTypeError>("log_probs must be float32 or float64, got ", x.dtype);
  }
  if (x.ndim != 3) {
    c.fail<ShapeError>("log_probs must be (T, N, C), got ", x.sizes());
  }
  const int64_t batch = x.shape[1], classes = x.shape[2];
  if (targets.ndim != 2 || targets.shape[0] != batch) {
    c.fail<ShapeError>("targets must be (N, S), got ", targets.sizes(),
                       " beside log_probs ", x.sizes());
  }
  for (int i : {first + 2, first + 3}) {
    if (Dims(c.in(i).sizes()) == Dims({batch})) continue;
    c.fail<ShapeError>(c.info.schema.params[i].name, " must have shape (",
                       batch, ",), one for each sequence, got ",
                       c.in(i).sizes());
  }
  for (int i : {first + 1, first + 2, first + 3}) {
    if (c.in(i).dtype == DType::i64) continue;
    c.fail<DTypeError>(c.info.schema.params[i].name, " must be int64, got ",
                       c.in(i).dtype);
  }
  if (c.i(first + 4) < 0 || c.i(first + 4) >= classes) {
    c.fail<ValueError>("blank ", c.i(first + 4), " is out of range; valid: 0..",
                       classes - 1);
  }
}

void infer_terms(OpCall& c) {
  check_ctc(c, 0);
  c.compute = c.in(0).dtype;
  c.out(0, c.compute, Dims{c.in(0).shape[1]});
}

void infer_terms_backward(OpCall& c) {
  check_ctc(c, 1);
  if (!(Dims(c.in(0).sizes()) == Dims({c.in(1).shape[1]})) ||
      c.in(0).dtype != c.in(1).dtype) {
    c.fail<ShapeError>("grad must be ", c.in(1).dtype, " of shape (",
                       c.in(1).shape[1], ",), got ", c.in(0).dtype, " ",
                       c.in(0).sizes());
  }
  c.compute = c.in(1).dtype;
  c.out_like(0, 1);
}

#ifndef FE_RUNTIME_ONLY

// In place of the logarithm of 0, whose derivatives would be NaN.
constexpr double kNever = -1e30;

// `states` moved to the next state, or beyond it.
Tensor moved(const Tensor& states, int by) {
  const Int kept = size_of(states.impl(), 1) - by;
  const Tensor shifted = op::narrow(states, 1, 0, kept);
  return op::pad(shifted, IntList{by, 0}, "constant", kNever);
}

// The forward pass of the kernel (runtime/cpu/ctc.cpp), frame by frame.
Tensor composed_terms(const OpCall& c, int first, const Tensor& x) {
  if (size_of(x.impl(), 0).symbolic()) {
    c.fail<ShapeError>("has second derivatives only where the number of frames "
                       "is fixed");
  }
  const Tensor targets = c.tensor(first + 1);
  const Tensor used = c.tensor(first + 2), lengths = c.tensor(first + 3);
  const Int batch = size_of(x.impl(), 1);
  const Int longest = size_of(targets.impl(), 1);
  const Int states = longest * 2 + 1;
  const Arg device = device_of(x);
  // A blank before every label, and one behind the last; what stands behind a
  // target is not looked at.
  const Tensor place = op::arange(0, longest, 1, DType::i64, device);
  const Tensor safe =
      op::where(op::lt(place, op::unsqueeze(lengths, 1)), targets, 0);
  Tensor labels = op::full_like(safe, c.sym(first + 4));
  labels = op::reshape(op::stack(std::vector<Tensor>{labels, safe}, 2),
                       IntList{batch, longest * 2});
  labels = op::pad(labels, IntList{0, 1}, "constant", c.sym(first + 4));
  const Tensor before = op::pad(op::narrow(labels, 1, 0, states - 2),
                                IntList{2, 0}, "constant", c.sym(first + 4));
  const Tensor number = op::arange(0, states, 1, DType::i64, device);
  Tensor leaps = op::logical_and(op::ne(labels, before),
                                 op::eq(op::remainder(number, 2), 1));
  leaps = op::logical_and(leaps, op::gt(number, 1));
  const auto emission = [&](int64_t t) {
    return op::gather(op::select(x, 0, t), 1, labels);
  };
  Tensor alpha = op::where(op::lt(number, 2), emission(0), kNever);
  for (int64_t t = 1; t < x.size(0); ++t) {
    const Tensor leapt = op::where(leaps, moved(alpha, 2), kNever);
    const Tensor sum = op::logsumexp(
        op::stack(std::vector<Tensor>{alpha, moved(alpha, 1), leapt}, 0),
        IntList{0});
    const Tensor runs = op::unsqueeze(op::gt(used, t), 1);
    alpha = op::where(runs, op::add(emission(t), sum), alpha);
  }
  const Tensor last = op::mul(op::unsqueeze(lengths, 1), 2);
  const Tensor behind = op::gather(alpha, 1, last);
  const Tensor on = op::where(
      op::gt(last, 0), op::gather(alpha, 1, op::clamp_min(op::sub(last, 1), 0)),
      kNever);
  const Tensor terms =
      op::neg(op::squeeze(op::logaddexp(behind, on), IntList{1}));
  // Without frames there is one alignment, that of no labels.
  const Tensor none = op::where(op::eq(lengths, 0), 0.0, INFINITY);
  return op::where(op::eq(used, 0), none,
                   op::where(op::gt(terms, -kNever / 2), INFINITY, terms));
}

// The gradient of the forward pass, recorded if that is wanted.
Results decompose_backward(OpCall& c) {
  const Tensor x = c.tensor(1);
  const bool recorded =
      grad_enabled() && (requires_grad(x) || requires_grad(c.tensor(0)));
  const GradMode record(true);
  Tensor leaf = x;
  if (!requires_grad(x)) {
    leaf = x.detach();
    set_requires_grad(leaf, true);
  }
  const Tensor terms[] = {composed_terms(c, 1, leaf)};
  const Tensor inputs[] = {leaf};
  const Tensor grads[] = {c.tensor(0)};
  const Tensor r = grad(terms, inputs, grads,
                        {.retain_graph = true, .create_graph = true})[0];
  return one(recorded ? r : r.detach());
}

Results decompose_ctc(OpCall& c) {
  check_reduction(c, 5);
  Tensor x = widened(c.tensor(0)), targets = c.tensor(1);
  Tensor used = c.tensor(2), lengths = c.tensor(3);
  const bool batched = x.ndim() == 3;
  if (x.ndim() != 2 && !batched) {
    c.fail<ShapeError>("log_probs must be (T, N, C) or (T, C), got ",
                       x.shape());
  }
  if (!batched) {
    x = op::unsqueeze(x, 1);
    if (targets.ndim() == 1) targets = op::unsqueeze(targets, 0);
    if (used.ndim() == 0) used = op::unsqueeze(used, 0);
    if (lengths.ndim() == 0) lengths = op::unsqueeze(lengths, 0);
  }
  const auto whole = [](const Tensor& t) { return op::cast(t, DType::i64); };
  lengths = whole(lengths);
  Tensor loss =
      op::ctc_terms(x, whole(targets), whole(used), lengths, c.args[4]);
  if (c.b(6)) loss = op::where(op::eq(loss, INFINITY), 0.0, loss);
  if (c.str(5) == "mean") {
    const Tensor share = op::cast(op::clamp_min(lengths, 1), loss.dtype());
    loss = op::div(loss, share);
  }
  if (c.str(5) == "none" && !batched) loss = op::squeeze(loss, IntList{0});
  return reduced(c, loss, 5);
}

#endif

// Samples are more sequences, which log_probs have in dimension 1.
[[maybe_unused]] Results batch_ctc(Batch& b, int log_probs) {
  for (int i = 0; i < b.info.schema.n; ++i) {
    if (b.has(i)) b.set(i, b.within(i, i == log_probs ? 1 : 0));
  }
  return b.run();
}
[[maybe_unused]] Results batch_ctc_terms(Batch& b) { return batch_ctc(b, 0); }
[[maybe_unused]] Results batch_ctc_terms_backward(Batch& b) {
  return one(b.apart(batch_ctc(b, 1)[0], 1));
}

}  // namespace

extern const OpDef ctc_loss_op = {
    .name = "ctc_loss",
    .sig = "log_probs: Tensor[float], targets: Tensor[int], input_lengths: "
           "Tensor[int], target_lengths: Tensor[int], blank: int = 0, "
           "reduction: str = \"mean\", zero_infinity: bool = False",
    .doc = FE_DOC(
        R"(Connectionist temporal classification; see nn.functional.ctc_loss, which
takes lists of lengths and targets that are not padded, too.

Args:
    log_probs: shape (T, N, C), or (T, C) without a batch.
    targets: labels, shape (N, S), padded; or (S,) without a batch.
    input_lengths, target_lengths: shape (N,), or ().
    blank: the label that stands for none.
    reduction: "mean" (divided by the target's length first), "sum" or "none".
    zero_infinity: True makes 0 of infinite losses and of their gradients.

Returns:
    Tensor of shape (), or (N,) for "none".

Raises:
    ShapeError: shapes do not fit.
    ValueError: a length is out of range; unknown `reduction`.
    IndexError: a label is out of range.

Example:
    >>> import ferrule as fe
    >>> log_probs = fe.log_softmax(fe.zeros((2, 1, 2)), 2)
    >>> two, one = fe.tensor([2]), fe.tensor([1])
    >>> round(fe.ops.ctc_loss(log_probs, fe.tensor([[1]]), two, one).item(), 4)
    0.2877

Source: A. Graves et al., "Connectionist temporal classification: labelling
unsegmented sequence data with recurrent neural networks", ICML 2006.
)"),
    .examples = FE_DOC(
        "f(5, 2, 4), i(3, 2, 2) + 1, np.array([5, 4]), np.array([2, 1])\n"
        "f(5, 4), i(3, 2) + 1, np.array(5), np.array(2), reduction=\"none\"\n"
        "f(4, 2, 3), np.array([[1, 1, 1], [2, 1, 0]]), np.array([4, 4]), "
        "np.array([3, 2]), 0, \"sum\", True"),
    .where = kInternal,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_ctc),
};

extern const OpDef ctc_terms_op = {
    .name = "ctc_terms",
    .sig = "log_probs: Tensor[float], targets: Tensor[int], input_lengths: "
           "Tensor[int], target_lengths: Tensor[int], blank: int = 0",
    .doc = FE_DOC(R"(The loss of every sequence; see ctc_loss.

Args:
    log_probs: shape (T, N, C), float32 or float64.
    targets: shape (N, S), int64.
    input_lengths, target_lengths: shape (N,), int64.
    blank: the label that stands for none.

Returns:
    Shape (N,); infinite where no alignment is possible.

Raises:
    ShapeError: shapes do not fit.
    ValueError: a length is out of range.
    IndexError: a label is out of range.

Example:
    >>> import ferrule as fe
    >>> log_probs = fe.log_softmax(fe.zeros((1, 1, 2)), 2)
    >>> one = fe.tensor([1])
    >>> round(fe.ops.ctc_terms(log_probs, fe.tensor([[1]]), one, one).item(), 4)
    0.6931
)"),
    .examples = FE_DOC(
        "f(5, 2, 4), i(3, 2, 2) + 1, np.array([5, 4]), np.array([2, 1])\n"
        "f(6, 3, 3), np.array([[1, 1, 2], [2, 0, 0], [0, 0, 0]]), np.array([6, "
        "3, 2]), np.array([3, 1, 0])\n"
        "f(4, 1, 3), np.array([[0, 1]]), np.array([4]), np.array([2]), 2"),
    .where = kInternal,
    .saves = "log_probs targets input_lengths target_lengths",
    .infer = infer_terms,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::ctc_terms_backward(v.grad(), v.in(0), v.in(1), v.in(2),
                                      v.in(3), v.args[4]));
    }),
    .decompose = FE_GRAD([](OpCall& c) {
      check_ctc(c, 0);
      return one(composed_terms(c, 0, c.tensor(0)));
    }),
    .batch = FE_GRAD(batch_ctc_terms),
};

extern const OpDef ctc_terms_backward_op = {
    .name = "ctc_terms_backward",
    .sig = "grad: Tensor[float], log_probs: Tensor[float], targets: "
           "Tensor[int], input_lengths: Tensor[int], target_lengths: "
           "Tensor[int], blank: int = 0",
    .doc = FE_DOC(R"(Gradient of ctc_terms for log_probs.

Args:
    grad: shape (N,).
    log_probs, targets, input_lengths, target_lengths, blank: as there.

Returns:
    Shape of `log_probs`.

Raises:
    ShapeError: shapes do not fit.
    ValueError: a length is out of range.
    IndexError: a label is out of range.

Example:
    >>> import ferrule as fe
    >>> log_probs = fe.log_softmax(fe.zeros((1, 1, 2)), 2)
    >>> one, label = fe.tensor([1]), fe.tensor([[1]])
    >>> grad = fe.ops.ctc_terms_backward(fe.ones((1,)), log_probs, label, one, one)
    >>> (0 + grad).tolist()
    [[[0.0, -1.0]]]
)"),
    .examples = FE_DOC(
        "f(2), f(5, 2, 4), i(3, 2, 2) + 1, np.array([5, 4]), np.array([2, 1])\n"
        "f(3), f(6, 3, 3), np.array([[1, 1, 2], [2, 0, 0], [0, 0, 0]]), "
        "np.array([6, 3, 2]), np.array([3, 1, 0])"),
    .where = kInternal,
    .infer = infer_terms_backward,
    .decompose = FE_GRAD(decompose_backward),
    .batch = FE_GRAD(batch_ctc_terms_backward),
};

}  // namespace ferrule
