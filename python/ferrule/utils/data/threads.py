"""Workers that are threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import copy
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from .fetch import Fetcher
from .worker_info import become_worker

__all__ = ["ThreadWorkers"]


class _Result(NamedTuple):
    epoch: int
    number: int
    value: Any
    error: BaseException | None


class _Epoch:
    """An epoch that threads work for until it is over."""

    def __init__(self, id: int, seed: int, fetcher: Fetcher) -> None:
        self.id, self.seed, self.fetcher = id, seed, fetcher
        self.over = False


_Task = tuple[_Epoch, int, Any]


class ThreadWorkers:
    """Threads that read batches.

    They know nothing of this object: when it is closed they finish what they are at
    and end. They are daemons, so they never hold up the end of the program.

    Args:
        fetcher: reads a batch; it is copied for every epoch.
        count: how many threads.
        init: called by every thread with its number, or None.
    """

    def __init__(
        self, fetcher: Fetcher, count: int, init: Callable[[int], None] | None
    ) -> None:
        self._fetcher = fetcher
        self._count = count
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._results: SimpleQueue[_Result] = SimpleQueue()
        self._epoch = _Epoch(0, 0, fetcher)
        for i in range(count):
            threading.Thread(
                target=_work,
                args=(i, count, init, self._tasks, self._results),
                name=f"ferrule-loader-{i}",
                daemon=True,
            ).start()

    @property
    def epoch(self) -> int:
        """Counts the epochs."""
        return self._epoch.id

    @property
    def closed(self) -> bool:
        """Have they been told to end?"""
        return self._count == 0

    def begin(self, seed: int, skip: int) -> None:
        """Starts an epoch; what was asked for in the last one is forgotten."""
        self._epoch.over = True
        fetcher = copy(self._fetcher)
        fetcher.begin(seed, skip, process_wide=False)
        self._epoch = _Epoch(self._epoch.id + 1, seed, fetcher)

    def submit(self, number: int, indices: Any) -> None:
        """Asks for a batch."""
        self._tasks.put((self._epoch, number, indices))

    def receive(self, timeout: float | None) -> tuple[int, Any]:
        """Waits for any batch of this epoch: its number, and what it is.

        Raises:
            TimeoutError: none came within `timeout` seconds.
        """
        while True:
            try:
                result = self._results.get(timeout=timeout)
            except Empty:
                raise TimeoutError from None
            if result.epoch != self.epoch:
                continue
            if result.error is not None:
                raise result.error
            return result.number, result.value

    def close(self, at_once: bool = False) -> None:
        """Ends the threads, each when it has finished its batch."""
        self._epoch.over = True
        for _ in range(self._count):
            self._tasks.put(None)
        self._count = 0


def _work(
    id: int,
    count: int,
    init: Callable[[int], None] | None,
    tasks: SimpleQueue[_Task | None],
    results: SimpleQueue[_Result],
) -> None:
    while (task := tasks.get()) is not None:
        epoch, number, indices = task
        del task  # the next one may be long in coming
        if epoch.over:
            continue
        try:
            become_worker(id, count, epoch.seed, epoch.fetcher.dataset)
            if init is not None:
                first, init = init, None
                first(id)
            value = epoch.fetcher.fetch(number, indices)
            result = _Result(epoch.id, number, value, None)
            del value
        except BaseException as error:  # handed to the reader
            result = _Result(epoch.id, number, None, error)
        results.put(result)
        del result, indices, epoch
