"""Has workers read batches ahead of use, and gives them in order."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from ..._ferrule import FerruleError
from .fetch import END

__all__ = ["Ahead", "Workers"]


class Workers(Protocol):
    """`ThreadWorkers` or `ProcessWorkers`."""

    @property
    def epoch(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def begin(self, seed: int, skip: int) -> None: ...
    def submit(self, number: int, indices: Any) -> None: ...
    def receive(self, timeout: float | None) -> tuple[int, Any]: ...
    def close(self, at_once: bool = False) -> None: ...


class LoaderTimeout(FerruleError, TimeoutError):
    """No batch came within the loader's `timeout`."""


class Ahead(Iterator[Any]):
    """The batches of an epoch, which workers read ahead.

    Args:
        tasks: (number, indices) of every batch, taken on the reader's thread.
        workers: who reads; an epoch of theirs has begun.
        depth: how many batches are under way or waiting.
        in_order: False gives a batch as soon as it is there.
        timeout: seconds to wait for a batch; None waits for ever.
        persistent: False ends the workers with the epoch.
    """

    def __init__(
        self,
        tasks: Iterator[tuple[int, Any]],
        workers: Workers,
        depth: int,
        in_order: bool,
        timeout: float | None,
        persistent: bool,
    ) -> None:
        self._tasks: Iterator[tuple[int, Any]] | None = tasks
        self._workers = workers
        self._depth = depth
        self._in_order = in_order
        self._timeout = timeout
        self._persistent = persistent
        self._epoch = workers.epoch
        self._asked: deque[int] = deque()
        self._arrived: dict[int, Any] = {}
        self._over = False
        if not persistent:
            # At exit too: threads and processes would outlive the interpreter.
            weakref.finalize(self, workers.close)
        self._fill()

    def __next__(self) -> Any:
        if self._over:
            raise StopIteration
        try:
            while self._asked:
                batch = self._next_batch()
                self._fill()
                if batch is not END:
                    return batch
        except BaseException as error:  # also Ctrl-C
            self._over = True
            self._workers.close(at_once=isinstance(error, KeyboardInterrupt))
            if isinstance(error, StopIteration):
                raise RuntimeError(
                    "[DataLoader] reading raised StopIteration"
                ) from error
            raise
        self.close()
        raise StopIteration

    def _fill(self) -> None:
        while self._tasks is not None and len(self._asked) < self._depth:
            task = next(self._tasks, None)
            if task is None:
                self._tasks = None
                return
            self._asked.append(task[0])
            self._workers.submit(*task)

    def _next_batch(self) -> Any:
        if self._workers.epoch != self._epoch:
            raise RuntimeError(
                "[DataLoader] another iterator has begun since and has the workers: "
                "with persistent_workers there can be one at a time"
            )
        while not self._ready():
            try:
                number, batch = self._workers.receive(self._timeout)
            except TimeoutError:
                raise LoaderTimeout(
                    f"[DataLoader] no batch within {self._timeout} s; give a longer "
                    "timeout, or look what keeps the data set"
                ) from None
            if batch is END:
                self._tasks = None
            self._arrived[number] = batch
        number = self._asked[0] if self._in_order else next(iter(self._arrived))
        self._asked.remove(number)
        return self._arrived.pop(number)

    def _ready(self) -> bool:
        return (
            self._asked[0] in self._arrived if self._in_order else bool(self._arrived)
        )

    def close(self) -> None:
        """Ends the epoch, and the workers if they are not to stay."""
        self._over = True
        self._tasks = None
        if not self._persistent:
            self._workers.close()
