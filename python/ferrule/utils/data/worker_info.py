"""`get_worker_info`: which worker of a loader runs this code."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

__all__ = ["WorkerInfo", "get_worker_info"]


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker of a `DataLoader` knows of itself.

    Attributes:
        id: 0 for the first worker.
        num_workers: how many there are.
        seed: another number for every worker and epoch. What is drawn from it
            depends on the number of workers; random functions that are simply
            called do not.
        dataset: the worker's copy of the data set; in a thread, the data set.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Here(threading.local):
    info: WorkerInfo | None = None


_here = _Here()


def get_worker_info() -> WorkerInfo | None:
    """Returns what this worker of a `DataLoader` is, None outside of workers.

    Example:
        >>> import ferrule as fe
        >>> fe.utils.data.get_worker_info() is None
        True
    """
    return _here.info


def become_worker(id: int, num_workers: int, epoch_seed: int, dataset: Any) -> None:
    """Says which worker this thread is."""
    seed = (epoch_seed + id) & ((1 << 63) - 1)
    _here.info = WorkerInfo(id, num_workers, seed, dataset)
