// Steps of optimizers that divide by a running size of the gradient, or look at
// its sign alone, in place.
#include "ferrule/op.h"
#include "runtime/ops/optim_checks.h"

namespace ferrule {

extern const OpDef rmsprop_step_op = {
    .name = "rmsprop_step",
    .sig = "params: Tensor[]!, grads: Tensor[], square_avgs: Tensor[]!, "
           "momentum_buffers: Tensor[]!, grad_avgs: Tensor[]!, "
           "step: Tensor!, lr: Operand, alpha: float = 0.99, "
           "eps: float = 1e-8, weight_decay: float = 0.0, "
           "momentum: float = 0.0, centered: bool = False, "
           "maximize: bool = False ->",
    .doc = FE_DOC(R"(One step of RMSprop, in place.

With g the gradient (negated if `maximize`), for every parameter p:
    g += weight_decay p
    v = alpha v + (1 - alpha) g^2
    a = alpha a + (1 - alpha) g, w = v - a^2   if `centered`, else w = v
    b = momentum b + g / (sqrt(w) + eps)
    p -= lr b

Args:
    params: the parameters, contiguous.
    grads: their gradients; None leaves a parameter as it is.
    square_avgs: v above, of the parameters' shapes.
    momentum_buffers: b above; empty for momentum 0.
    grad_avgs: a above; empty unless `centered`.
    step: number of steps so far, int64 of shape (); it is raised by one.
    lr: the learning rate, a number or float64 of shape ().
    alpha, eps, weight_decay, momentum, centered, maximize: see above.

Returns:
    Nothing; `params`, the state and the counters are written.

Raises:
    ShapeError: the lists do not fit each other.
    DTypeError: `step` is not int64.

Example:
    >>> import ferrule as fe
    >>> p, g, v = (fe.tensor([x]) for x in (1.0, 0.5, 0.0))
    >>> fe.ops.rmsprop_step([p], [g], [v], [], [], fe.tensor(0), 0.1, alpha=0.75)
    >>> round(p.item(), 6)
    0.8

Source: G. Hinton, "Neural networks for machine learning", lecture 6e, 2012;
centered: A. Graves, "Generating sequences with recurrent neural networks",
2013; in the form of torch.optim.RMSprop.
)"),
    .examples =
        FE_DOC("[f(2, 3), f(4)], [f(2, 3), f(4)], [p(2, 3), p(4)], [], [], "
               "np.zeros((), np.int64), 0.1\n"
               "[f(5)], [f(5)], [9 + p(5)], [f(5)], [u(5)], np.zeros((), "
               "np.int64), 0.1, 0.9, 1e-8, 0.01, 0.9, True"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          require_rate(c, 6);
          int lists[4] = {1, 2};
          int n = 2;
          if (c.f(10) > 0) lists[n++] = 3;
          if (c.b(11)) lists[n++] = 4;
          check_lists(c, {lists, static_cast<size_t>(n)});
          // The kernel uses what it is given.
          const bool given[] = {c.f(10) > 0, c.b(11)};
          for (int k = 0; k < 2; ++k) {
            if (given[k] || c.list(3 + k).empty()) continue;
            c.fail<ValueError>(c.info.schema.params[3 + k].name,
                               " must be empty: the options do not ask for it");
          }
          for (int list : {0, 2, 3, 4}) require_dense(c, list);
          require_step(c, 5);
          for (int arg : {7, 8, 10}) require_at_least_0(c, arg);
        },
};

extern const OpDef adagrad_step_op = {
    .name = "adagrad_step",
    .sig = "params: Tensor[]!, grads: Tensor[], sums: Tensor[]!, "
           "step: Tensor!, lr: Operand, lr_decay: float = 0.0, "
           "weight_decay: float = 0.0, eps: float = 1e-10, "
           "maximize: bool = False ->",
    .doc = FE_DOC(R"(One step of Adagrad, in place.

With t the step, raised by one, and g the gradient (negated if `maximize`), for
every parameter p:
    g += weight_decay p
    s += g^2
    p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

Args:
    params: the parameters, contiguous.
    grads: their gradients; None leaves a parameter as it is.
    sums: s above, of the parameters' shapes.
    step: number of steps so far, int64 of shape (); it is raised by one.
    lr: the learning rate, a number or float64 of shape ().
    lr_decay, weight_decay, eps, maximize: see above.

Returns:
    Nothing; `params`, the state and the counters are written.

Raises:
    ShapeError: the lists do not fit each other.
    DTypeError: `step` is not int64.

Example:
    >>> import ferrule as fe
    >>> p, g, s = (fe.tensor([x]) for x in (1.0, 0.5, 0.0))
    >>> fe.ops.adagrad_step([p], [g], [s], fe.tensor(0), 0.1)
    >>> round(p.item(), 6)
    0.9

Source: Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning
and stochastic optimization", JMLR 2011; in the form of torch.optim.Adagrad.
)"),
    .examples = FE_DOC("[f(2, 3), f(4)], [f(2, 3), f(4)], [p(2, 3), p(4)], "
                       "np.zeros((), np.int64), 0.1\n"
                       "[f(5)], [f(5)], [p(5)], np.ones((), np.int64), 0.1, "
                       "0.5, 0.01, 1e-10, True"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          require_rate(c, 4);
          const int kLists[] = {1, 2};
          check_lists(c, kLists);
          for (int list : {0, 2}) require_dense(c, list);
          require_step(c, 3);
          require_at_least_0(c, 7);
        },
};

extern const OpDef adadelta_step_op = {
    .name = "adadelta_step",
    .sig = "params: Tensor[]!, grads: Tensor[], square_avgs: Tensor[]!, "
           "acc_deltas: Tensor[]!, step: Tensor!, lr: Operand, "
           "rho: float = 0.9, eps: float = 1e-6, "
           "weight_decay: float = 0.0, maximize: bool = False ->",
    .doc = FE_DOC(R"(One step of Adadelta, in place.

With g the gradient (negated if `maximize`), for every parameter p:
    g += weight_decay p
    v = rho v + (1 - rho) g^2
    d = sqrt(u + eps) / sqrt(v + eps) g
    u = rho u + (1 - rho) d^2
    p -= lr d

Args:
    params: the parameters, contiguous.
    grads: their gradients; None leaves a parameter as it is.
    square_avgs, acc_deltas: v and u above, of the parameters' shapes.
    step: number of steps so far, int64 of shape (); it is raised by one.
    lr: the learning rate, a number or float64 of shape ().
    rho, eps, weight_decay, maximize: see above.

Returns:
    Nothing; `params`, the state and the counters are written.

Raises:
    ShapeError: the lists do not fit each other.
    DTypeError: `step` is not int64.

Example:
    >>> import ferrule as fe
    >>> p, g, v, u = (fe.tensor([x]) for x in (1.0, 0.5, 0.0, 1.0))
    >>> fe.ops.adadelta_step([p], [g], [v], [u], fe.tensor(0), 0.1, rho=0.75)
    >>> round(p.item(), 4)
    0.8

Source: M. Zeiler, "ADADELTA: an adaptive learning rate method", 2012; in the form
of torch.optim.Adadelta.
)"),
    .examples = FE_DOC("[f(2, 3), f(4)], [f(2, 3), f(4)], [p(2, 3), p(4)], "
                       "[p(2, 3), p(4)], np.zeros((), np.int64), 0.1\n"
                       "[f(5)], [f(5)], [p(5)], [p(5)], np.zeros((), "
                       "np.int64), 0.1, 0.5, 1e-6, 0.01, True"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          require_rate(c, 5);
          const int kLists[] = {1, 2, 3};
          check_lists(c, kLists);
          for (int list : {0, 2, 3}) require_dense(c, list);
          require_step(c, 4);
          require_at_least_0(c, 7);
        },
};

extern const OpDef rprop_step_op = {
    .name = "rprop_step",
    .sig = "params: Tensor[]!, grads: Tensor[], prevs: Tensor[]!, "
           "step_sizes: Tensor[]!, step: Tensor!, etaminus: float = 0.5, "
           "etaplus: float = 1.2, step_size_min: float = 1e-6, "
           "step_size_max: float = 50.0, maximize: bool = False ->",
    .doc = FE_DOC(R"(One step of resilient backpropagation, in place.

With g the gradient (negated if `maximize`), for every element of a parameter p:
    s = s etaplus    if g has the sign of the gradient before
    s = s etaminus   if it has the other; g = 0 then
    s is kept in step_size_min..step_size_max
    p -= sign(g) s

Args:
    params: the parameters, contiguous.
    grads: their gradients; None leaves a parameter as it is.
    prevs: the gradients before, as they were used.
    step_sizes: s above, of the parameters' shapes.
    step: number of steps so far, int64 of shape (); it is raised by one.
    etaminus, etaplus, step_size_min, step_size_max, maximize: see above.

Returns:
    Nothing; `params`, the state and the counters are written.

Raises:
    ShapeError: the lists do not fit each other.
    DTypeError: `step` is not int64.

Example:
    >>> import ferrule as fe
    >>> p, g, before, s = (fe.tensor([x]) for x in (1.0, 0.5, 0.5, 0.1))
    >>> fe.ops.rprop_step([p], [g], [before], [s], fe.tensor(0), etaplus=2.0)
    >>> round(p.item(), 6)
    0.8

Source: Riedmiller and Braun, "A direct adaptive method for faster backpropagation
learning: the RPROP algorithm", 1993; in the form of torch.optim.Rprop.
)"),
    .examples = FE_DOC("[f(2, 3), f(4)], [f(2, 3), f(4)], [f(2, 3), f(4)], "
                       "[p(2, 3), p(4)], np.zeros((), np.int64)\n"
                       "[f(5)], [f(5)], [f(5)], [p(5)], np.zeros((), "
                       "np.int64), 0.25, 2.0, 0.5, 1.0, True"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          const int kLists[] = {1, 2, 3};
          check_lists(c, kLists);
          for (int list : {0, 2, 3}) require_dense(c, list);
          require_step(c, 4);
          require_at_least_0(c, 7);
        },
};

}  // namespace ferrule
