"""Runs the work for batches ahead, on threads, and gives results in order."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

Task = Callable[[], Any]


class _Slot:
    """The place of one result."""

    def __init__(self, task: Task) -> None:
        self.task: Task | None = task
        self.ready = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        task, self.task = self.task, None
        try:
            if task is not None:
                self.result = task()
        except BaseException as error:  # handed to the reader
            self.error = error
        self.ready.set()


_Queue = SimpleQueue[_Slot | None]


def _work(queue: _Queue) -> None:
    while (slot := queue.get()) is not None:
        slot.run()
        del slot  # the next get may wait long


def _stop(queue: _Queue, pending: deque[_Slot], workers: int) -> None:
    """Unstarted tasks become empty, then every worker meets its end mark."""
    for slot in pending:
        slot.task = None
    pending.clear()
    for _ in range(workers):
        queue.put(None)


class Prefetcher(Iterator[Any]):
    """Results of `tasks`, in their order, computed by threads ahead of use.

    At most `depth` results are under way or waiting. The threads know nothing of
    this object: when it is dropped, closed or at its end, they finish what they
    are at and end. They are daemons, so they never hold up the end of the
    program.

    Args:
        tasks: callables, taken from the iterator on the reader's thread.
        workers: number of threads.
        depth: number of tasks ahead.
    """

    def __init__(self, tasks: Iterator[Task], workers: int, depth: int) -> None:
        self._tasks = tasks
        self._depth = depth
        self._queue: _Queue = SimpleQueue()
        self._pending: deque[_Slot] = deque()
        self._finish = weakref.finalize(
            self, _stop, self._queue, self._pending, workers
        )
        self._finish.atexit = False
        for i in range(workers):
            threading.Thread(
                target=_work,
                args=(self._queue,),
                name=f"ferrule-loader-{i}",
                daemon=True,
            ).start()

    def __next__(self) -> Any:
        if not self._finish.alive:
            raise StopIteration
        try:
            self._fill()
            if not self._pending:
                raise StopIteration
            slot = self._pending.popleft()
            slot.ready.wait()
            if slot.error is not None:
                raise slot.error
            return slot.result
        except BaseException:  # also Ctrl-C
            self.close()
            raise

    def _fill(self) -> None:
        while len(self._pending) < self._depth:
            task = next(self._tasks, None)
            if task is None:
                return
            slot = _Slot(task)
            self._pending.append(slot)
            self._queue.put(slot)

    def close(self) -> None:
        """Ends the threads; later calls of `next` find nothing."""
        self._finish()
