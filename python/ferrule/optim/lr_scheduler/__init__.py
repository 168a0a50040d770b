"""Schedulers: they change learning rates, and momentum, between steps.

>>> import ferrule as fe
>>> model = fe.nn.Linear(2, 1)
>>> optimizer = fe.optim.SGD(model.parameters(), lr=1.0)
>>> scheduler = fe.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
>>> for epoch in range(4):
...     optimizer.zero_grad()
...     model(fe.ones((1, 2))).sum().backward()
...     optimizer.step()
...     scheduler.step()
...     print(scheduler.get_last_lr())
[1.0]
[0.5]
[0.5]
[0.25]
"""

from .combined import ChainedScheduler, SequentialLR
from .cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from .cycle import CyclicLR, OneCycleLR
from .decay import (
    ConstantLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from .function import LambdaLR, MultiplicativeLR
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
