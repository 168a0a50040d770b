// Steps of optimizers that keep running means of the gradient or of the
// parameter, in place.
#include "ferrule/op.h"
#include "runtime/ops/optim_checks.h"

namespace ferrule {

extern const OpDef nadam_step_op = {
    .name = "nadam_step",
    .sig = "params: Tensor[]!, grads: Tensor[], exp_avgs: Tensor[]!, "
           "exp_avg_sqs: Tensor[]!, step: Tensor!, mu_product: Tensor!, "
           "lr: Operand, beta1: float = 0.9, beta2: float = 0.999, "
           "eps: float = 1e-8, weight_decay: float = 0.0, "
           "momentum_decay: float = 4e-3, decoupled: bool = False, "
           "maximize: bool = False ->",
    .doc = FE_DOC(R"(One step of NAdam, in place: Adam with Nesterov's momentum.

With t the step, raised by one, and g the gradient (negated if `maximize`), for
every parameter p:
    mu_t = beta1 (1 - 0.5 * 0.96^(t momentum_decay))
    p -= lr weight_decay p           if `decoupled`
    g += weight_decay p              else
    m = beta1 m + (1 - beta1) g
    v = beta2 v + (1 - beta2) g^2
    n = (1 - mu_t) g / (1 - mu_1 ... mu_t)
        + mu_(t+1) m / (1 - mu_1 ... mu_(t+1))
    p -= lr n / (sqrt(v / (1 - beta2^t)) + eps)

Args:
    params: the parameters, contiguous.
    grads: their gradients; None leaves a parameter as it is.
    exp_avgs, exp_avg_sqs: m and v above, of the parameters' shapes.
    step: number of steps so far, int64 of shape (); it is raised by one.
    mu_product: mu_1 ... mu_(t-1), float64 of shape (); it is multiplied by mu_t.
    lr: the learning rate, a number or float64 of shape ().
    beta1, beta2, eps, weight_decay, momentum_decay, decoupled, maximize: see
        above.

Returns:
    Nothing; `params`, the state and the counters are written.

Raises:
    ShapeError: the lists do not fit each other.
    DTypeError: `step` is not int64, or `mu_product` not float64.

Example:
    >>> import ferrule as fe
    >>> p, g, m, v = (fe.tensor([x]) for x in (1.0, 0.5, 0.0, 0.0))
    >>> product = fe.ones((), dtype=fe.float64)
    >>> fe.ops.nadam_step([p], [g], [m], [v], fe.tensor(0), product, 0.1)
    >>> p.item() < 0.9, round(product.item(), 3)
    (True, 0.45)

Source: T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop;
in the form of torch.optim.NAdam.
)"),
    .examples = FE_DOC(
        "[f(2, 3), f(4)], [f(2, 3), f(4)], [f(2, 3), f(4)], [p(2, 3), p(4)], "
        "np.zeros((), np.int64), np.ones(()), 0.1\n"
        "[f(5)], [f(5)], [f(5)], [p(5)], np.ones((), np.int64), np.full((), "
        "0.4), 0.1, 0.9, 0.99, 1e-8, 0.01, 4e-3, True, True"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          require_rate(c, 6);
          const int kLists[] = {1, 2, 3};
          check_lists(c, kLists);
          for (int list : {0, 2, 3}) require_dense(c, list);
          require_step(c, 4);
          require_scalar(c, 5);
          require_at_least_0(c, 9);
          for (int beta : {7, 8}) require_below_1(c, beta);
        },
};

extern const OpDef radam_step_op = {
    .name = "radam_step",
    .sig = "params: Tensor[]!, grads: Tensor[], exp_avgs: Tensor[]!, "
           "exp_avg_sqs: Tensor[]!, step: Tensor!, lr: Operand, "
           "beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, "
           "weight_decay: float = 0.0, decoupled: bool = False, "
           "maximize: bool = False ->",
    .doc = FE_DOC(
        R"(One step of RAdam, in place: Adam that waits until it knows the variance.

With t the step, raised by one, and g the gradient (negated if `maximize`), for
every parameter p:
    p -= lr weight_decay p           if `decoupled`
    g += weight_decay p              else
    m = beta1 m + (1 - beta1) g
    v = beta2 v + (1 - beta2) g^2
    rho = r - 2 t beta2^t / (1 - beta2^t), with r = 2 / (1 - beta2) - 1
    n = m / (1 - beta1^t)
    if rho > 5:
        n *= sqrt((rho - 4) (rho - 2) r / ((r - 4) (r - 2) rho))
             sqrt(1 - beta2^t) / (sqrt(v) + eps)
    p -= lr n

Args:
    params: the parameters, contiguous.
    grads: their gradients; None leaves a parameter as it is.
    exp_avgs, exp_avg_sqs: m and v above, of the parameters' shapes.
    step: number of steps so far, int64 of shape (); it is raised by one.
    lr: the learning rate, a number or float64 of shape ().
    beta1, beta2, eps, weight_decay, decoupled, maximize: see above.

Returns:
    Nothing; `params`, the state and the counters are written.

Raises:
    ShapeError: the lists do not fit each other.
    DTypeError: `step` is not int64.

Example:
    >>> import ferrule as fe
    >>> p, g, m, v = (fe.tensor([x]) for x in (1.0, 0.5, 0.0, 0.0))
    >>> fe.ops.radam_step([p], [g], [m], [v], fe.tensor(0), 0.1)
    >>> round(p.item(), 6)
    0.95

Source: Liu et al., "On the variance of the adaptive learning rate and beyond",
ICLR 2020; in the form of torch.optim.RAdam.
)"),
    .examples = FE_DOC("[f(2, 3), f(4)], [f(2, 3), f(4)], [f(2, 3), f(4)], "
                       "[p(2, 3), p(4)], np.zeros((), np.int64), 0.1\n"
                       "[f(5)], [f(5)], [f(5)], [p(5)], np.full((), 9, "
                       "np.int64), 0.1, 0.9, 0.99, 1e-8, 0.01, True, True"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          require_rate(c, 5);
          const int kLists[] = {1, 2, 3};
          check_lists(c, kLists);
          for (int list : {0, 2, 3}) require_dense(c, list);
          require_step(c, 4);
          require_at_least_0(c, 8);
          for (int beta : {6, 7}) require_below_1(c, beta);
        },
};

extern const OpDef adamax_step_op = {
    .name = "adamax_step",
    .sig = "params: Tensor[]!, grads: Tensor[], exp_avgs: Tensor[]!, "
           "exp_infs: Tensor[]!, step: Tensor!, lr: Operand, "
           "beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, "
           "weight_decay: float = 0.0, maximize: bool = False ->",
    .doc = FE_DOC(R"(One step of Adamax, in place: Adam by the largest gradient.

With t the step, raised by one, and g the gradient (negated if `maximize`), for
every parameter p:
    g += weight_decay p
    m = beta1 m + (1 - beta1) g
    u = max(beta2 u, |g| + eps)
    p -= lr / (1 - beta1^t) m / u

Args:
    params: the parameters, contiguous.
    grads: their gradients; None leaves a parameter as it is.
    exp_avgs, exp_infs: m and u above, of the parameters' shapes.
    step: number of steps so far, int64 of shape (); it is raised by one.
    lr: the learning rate, a number or float64 of shape ().
    beta1, beta2, eps, weight_decay, maximize: see above.

Returns:
    Nothing; `params`, the state and the counters are written.

Raises:
    ShapeError: the lists do not fit each other.
    DTypeError: `step` is not int64.

Example:
    >>> import ferrule as fe
    >>> p, g, m, u = (fe.tensor([x]) for x in (1.0, 0.5, 0.0, 0.0))
    >>> fe.ops.adamax_step([p], [g], [m], [u], fe.tensor(0), 0.1)
    >>> round(p.item(), 6)
    0.9

Source: D. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015,
section 7.1; in the form of torch.optim.Adamax.
)"),
    .examples = FE_DOC("[f(2, 3), f(4)], [f(2, 3), f(4)], [f(2, 3), f(4)], "
                       "[p(2, 3), p(4)], np.zeros((), np.int64), 0.1\n"
                       "[f(5)], [f(5)], [f(5)], [p(5)], np.ones((), np.int64), "
                       "0.1, 0.9, 0.99, 1e-8, 0.01, True"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          require_rate(c, 5);
          const int kLists[] = {1, 2, 3};
          check_lists(c, kLists);
          for (int list : {0, 2, 3}) require_dense(c, list);
          require_step(c, 4);
          require_at_least_0(c, 8);
          for (int beta : {6, 7}) require_below_1(c, beta);
        },
};

extern const OpDef asgd_step_op = {
    .name = "asgd_step",
    .sig = "params: Tensor[]!, grads: Tensor[], axs: Tensor[]!, "
           "step: Tensor!, eta: Tensor!, mu: Tensor!, lr: Operand, "
           "lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6, "
           "weight_decay: float = 0.0, maximize: bool = False ->",
    .doc = FE_DOC(R"(One step of averaged stochastic gradient descent, in place.

With t the step, raised by one, and g the gradient (negated if `maximize`), for
every parameter p:
    g += weight_decay p
    p = (1 - lambd eta) p - eta g
    x += mu (p - x)
and then eta = lr / (1 + lambd lr t)^alpha and mu = 1 / max(1, t - t0).

Args:
    params: the parameters, contiguous.
    grads: their gradients; None leaves a parameter as it is.
    axs: the means x, of the parameters' shapes.
    step: number of steps so far, int64 of shape (); it is raised by one.
    eta: the step size, float64 of shape (): at first lr.
    mu: weight of the newest in the mean, float64 of shape (): at first 1.
    lr: the learning rate, a number or float64 of shape ().
    lambd, alpha, t0, weight_decay, maximize: see above.

Returns:
    Nothing; `params`, the state and the counters are written.

Raises:
    ShapeError: the lists do not fit each other.
    DTypeError: `step` is not int64, or `eta` or `mu` not float64.

Example:
    >>> import ferrule as fe
    >>> p, g, x = (fe.tensor([x]) for x in (1.0, 0.5, 0.0))
    >>> eta, mu = (fe.tensor(x, dtype=fe.float64) for x in (0.1, 1.0))
    >>> fe.ops.asgd_step([p], [g], [x], fe.tensor(0), eta, mu, 0.1, lambd=0.0)
    >>> round(p.item(), 6)
    0.95

Source: Polyak and Juditsky, "Acceleration of stochastic approximation by
averaging", 1992; in the form of torch.optim.ASGD.
)"),
    .examples =
        FE_DOC("[f(2, 3), f(4)], [f(2, 3), f(4)], [f(2, 3), f(4)], "
               "np.zeros((), np.int64), np.full((), 0.1), np.ones(()), 0.1\n"
               "[f(5)], [f(5)], [f(5)], np.full((), 9, np.int64), np.full((), "
               "0.1), np.full((), 0.5), 0.1, 0.1, 0.5, 3.0, 0.01, True"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          require_rate(c, 6);
          const int kLists[] = {1, 2};
          check_lists(c, kLists);
          for (int list : {0, 2}) require_dense(c, list);
          require_step(c, 3);
          require_scalar(c, 4);
          require_scalar(c, 5);
        },
};

}  // namespace ferrule
