"""Transformations of functions: gradients, Jacobians, batches; names of torch.func.

They nest: `vmap(grad(f))` are gradients of every sample, `grad(grad(f))` a second
derivative, `jacfwd(jacrev(f))` a Hessian.

>>> import ferrule as fe
>>> from ferrule.func import functional_call, grad, vmap
>>> model = fe.nn.Linear(3, 1)
>>> def loss(params, x, y):
...     return ((functional_call(model, params, x) - y) ** 2).sum()
>>> params = dict(model.named_parameters())
>>> each = vmap(grad(loss), in_dims=(None, 0, 0))(params, fe.ones(8, 3), fe.ones(8, 1))
>>> each["weight"].shape
(8, 1, 3)
"""

from ._grad import grad, grad_and_value, value_and_grad, vjp
from ._jacobian import hessian, jacfwd, jacrev, jvp, linearize
from ._modules import functional_call, stack_module_state
from ._vmap import vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "value_and_grad",
    "vjp",
    "vmap",
]
