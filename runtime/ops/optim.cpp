// Steps of optimizers over all parameters at once, in place.
#include "ferrule/op.h"
#include "runtime/ops/optim_checks.h"

namespace ferrule {
extern const OpDef sgd_step_op = {
    .name = "sgd_step",
    .sig = "params: Tensor[]!, grads: Tensor[], momentum_buffers: Tensor[]!, "
           "lr: Operand, momentum: float = 0.0, dampening: float = 0.0, "
           "weight_decay: float = 0.0, nesterov: bool = False, "
           "maximize: bool = False, first: bool = False ->",
    .doc = FE_DOC(R"(One step of stochastic gradient descent, in place.

With g the gradient (negated if `maximize`), for every parameter p:
    g += weight_decay p
    buf = momentum buf + (1 - dampening) g   (buf = g if `first`)
    g = g + momentum buf if `nesterov`, else buf
    p -= lr g
With momentum 0 there are no buffers and g is used as it is.

Args:
    params: the parameters, contiguous.
    grads: their gradients; None leaves a parameter as it is.
    momentum_buffers: state of the parameters' shapes; empty for momentum 0.
    lr: the learning rate, a number or float64 of shape ().
    momentum, dampening, weight_decay, nesterov, maximize: see above.
    first: True if the buffers hold nothing yet.

Returns:
    Nothing; `params` and `momentum_buffers` are written.

Raises:
    ShapeError: the lists do not fit each other.

Example:
    >>> import ferrule as fe
    >>> p, g = fe.tensor([1.0]), fe.tensor([0.5])
    >>> fe.ops.sgd_step([p], [g], [], 0.1)
    >>> round(p.item(), 6)
    0.95

Source: Sutskever et al., "On the importance of initialization and momentum in
deep learning", ICML 2013, in the form of torch.optim.SGD.
)"),
    .examples = FE_DOC("[f(2, 3), f(4)], [f(2, 3), f(4)], [], 0.1\n"
                       "[f(5)], [f(5)], [f(5)], 0.1, 0.9, 0.0, 0.01, True"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          require_rate(c, 3);
          require_at_least_0(c, 4);
          const int kWithout[] = {1}, kWith[] = {1, 2};
          if (c.f(4) == 0) {
            check_lists(c, kWithout);
          } else {
            check_lists(c, kWith);
            require_dense(c, 2);
          }
          if (c.b(7) && (c.f(4) == 0 || c.f(5) != 0)) {
            c.fail<ValueError>("nesterov needs a momentum and no dampening");
          }
          require_dense(c, 0);
        },
};

extern const OpDef adam_step_op = {
    .name = "adam_step",
    .sig = "params: Tensor[]!, grads: Tensor[], exp_avgs: Tensor[]!, "
           "exp_avg_sqs: Tensor[]!, max_exp_avg_sqs: Tensor[]!, step: Tensor!, "
           "lr: Operand, beta1: float = 0.9, beta2: float = 0.999, "
           "eps: float = 1e-8, weight_decay: float = 0.0, "
           "amsgrad: bool = False, maximize: bool = False, "
           "decoupled: bool = False ->",
    .doc = FE_DOC(R"(One step of Adam or AdamW, in place.

With t the step, raised by one, and g the gradient (negated if `maximize`), for
every parameter p:
    p -= lr weight_decay p           if `decoupled` (AdamW)
    g += weight_decay p              else
    m = beta1 m + (1 - beta1) g
    v = beta2 v + (1 - beta2) g^2
    w = max(w, v) if `amsgrad`, else v
    p -= lr / (1 - beta1^t) m / (sqrt(w) / sqrt(1 - beta2^t) + eps)

Args:
    params: the parameters, contiguous.
    grads: their gradients; None leaves a parameter as it is.
    exp_avgs, exp_avg_sqs: m and v above, of the parameters' shapes.
    max_exp_avg_sqs: w, for `amsgrad`; else empty.
    step: number of steps so far, int64 of shape (); it is raised by one.
    lr: the learning rate, a number or float64 of shape ().
    beta1, beta2, eps, weight_decay, amsgrad, maximize, decoupled: see above.

Returns:
    Nothing; all of `params`, the state and `step` are written.

Raises:
    ShapeError: the lists do not fit each other.
    DTypeError: `step` is not int64.

Example:
    >>> import ferrule as fe
    >>> p, g, m, v = (fe.tensor([x]) for x in (1.0, 0.5, 0.0, 0.0))
    >>> fe.ops.adam_step([p], [g], [m], [v], [], fe.tensor(0), 0.1)
    >>> round(p.item(), 6)
    0.9

Source: D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR
2015; I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR
2019; Reddi et al., "On the convergence of Adam and beyond", ICLR 2018; in the
form of torch.optim.Adam.
)"),
    .examples =
        FE_DOC("[f(2, 3), f(4)], [f(2, 3), f(4)], [f(2, 3), f(4)], [p(2, "
               "3), p(4)], [], np.zeros((), np.int64), 0.1\n"
               "[f(5)], [f(5)], [f(5)], [p(5)], [p(5)], np.ones((), "
               "np.int64), 0.1, 0.9, 0.99, 1e-8, 0.01, True, False, True"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          require_rate(c, 6);
          const int kWithout[] = {1, 2, 3}, kWith[] = {1, 2, 3, 4};
          if (c.b(11)) {
            check_lists(c, kWith);
            require_dense(c, 4);
          } else {
            check_lists(c, kWithout);
          }
          require_step(c, 5);
          for (int beta : {7, 8}) require_below_1(c, beta);
          require_at_least_0(c, 9);
          for (int list : {0, 2, 3}) require_dense(c, list);
        },
};

}  // namespace ferrule
