"""`DistributedSampler`: the share of one process of many."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sized

import numpy as np

from ._random import permutation
from .sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index, so that processes read different samples.

    All processes give the same `seed`, and the same epoch to `set_epoch`.

    Args:
        dataset: what is sampled.
        num_replicas: number of processes; None: $WORLD_SIZE.
        rank: which one this is, from 0; None: $RANK.
        shuffle: False keeps the order.
        seed: chooses the orders.
        drop_last: True drops what does not divide evenly; False repeats samples
            from the beginning, so that all processes read the same number.

    Raises:
        ValueError: `rank` is not in 0 .. num_replicas - 1.
        RuntimeError: an argument is None and its variable is not set.

    Example:
        >>> import ferrule as fe
        >>> list(fe.utils.data.DistributedSampler(range(5), 2, 1, shuffle=False))
        [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None:
            num_replicas = _environment("num_replicas", "WORLD_SIZE")
        if rank is None:
            rank = _environment("rank", "RANK")
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"[DistributedSampler] rank {rank} is not in 0..{num_replicas - 1}"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0

    @property
    def num_samples(self) -> int:
        """How many indices this process gets."""
        n = len(self.dataset)
        return (n if self.drop_last else n + self.num_replicas - 1) // self.num_replicas

    @property
    def total_size(self) -> int:
        """How many all processes get together."""
        return self.num_samples * self.num_replicas

    def set_epoch(self, epoch: int) -> None:
        """Chooses another order; to be called before every epoch."""
        self.epoch = epoch

    def order(self) -> np.ndarray:
        """Starts an epoch; its indices."""
        n = len(self.dataset)
        whole = permutation(n, self.seed, self.epoch) if self.shuffle else np.arange(n)
        # Repeats from the beginning, or leaves out the end.
        return np.resize(whole, self.total_size)[self.rank :: self.num_replicas]

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def __len__(self) -> int:
        return self.num_samples


def _environment(argument: str, variable: str) -> int:
    value = os.environ.get(variable, "")
    if not value.isdecimal():
        raise RuntimeError(
            f"[DistributedSampler] give {argument}, or set ${variable}, which is "
            f"{value!r}"
        )
    return int(value)
