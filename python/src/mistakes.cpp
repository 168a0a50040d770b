// Losses of the wrong thing: they can be computed and teach the model slowly,
// or nothing, so that PyTorch says nothing. Whether they are meant cannot be
// known; a warning is right.
#include "binder.h"
#include "ferrule/autograd.h"

namespace ferrule::python {
namespace {

constexpr Mistake kMistakes[] = {
    {"cross_entropy", "softmax",
     "it takes logits and applies softmax itself; leave that softmax out"},
    {"nll_loss", "softmax",
     "it takes logarithms of probabilities; use log_softmax, or cross_entropy "
     "of the logits",
     true},
    {"kl_div", "softmax",
     "its input is logarithms of probabilities; use log_softmax"},
    {"binary_cross_entropy_with_logits", "sigmoid",
     "it takes logits and applies sigmoid itself; leave that sigmoid out"},
};

}  // namespace

const Mistake* mistake_of(const OpDef& op) {
  for (const Mistake& m : kMistakes) {
    if (m.op == op.name) return &m;
  }
  return nullptr;
}

bool warn_of(const Mistake& mistake, const Tensor& input) {
  if (!input->history || history_name(input) != mistake.input) {
    return false;
  }
  warn(concat("[", mistake.op, "] its input is the result of ", mistake.input,
              ", but ", mistake.advice));
  return true;
}

// One number is read, which costs nothing beside the loss. Negative weights are
// nobody's, but would explain it.
void warn_of_loss(const Mistake& mistake, const Tensor& loss) {
  if (!mistake.negative_loss || !loss || loss->numel != 1 ||
      !loss.device().is_cpu()) {
    return;
  }
  const NoGrad no_grad;
  const nb::object value = own(item(loss));
  if (!(PyFloat_AsDouble(value.ptr()) < 0)) return;  // NaN, too
  warn(concat("[", mistake.op,
              "] the loss is negative, so that its input cannot "
              "be logarithms of probabilities: ",
              mistake.advice));
}

}  // namespace ferrule::python
