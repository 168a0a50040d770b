"""Workers that are processes."""

from __future__ import annotations

import gc
import os
import pickle
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from ..._ferrule import FerruleError
from ._blocks import FAILURE, BlockReader
from ._worker import Begin, Failure, Read, Role, run_worker
from .fetch import Fetcher

__all__ = ["ProcessWorkers", "WorkerError"]

# Seconds between looks at whether workers live, besides what is noticed at once.
_LOOK = 1.0


class WorkerError(FerruleError):
    """A worker process of a loader ended, or raised what cannot be passed on."""


class WorkerTraceback(Exception):
    """The traceback of an error in a worker process, as text."""

    def __str__(self) -> str:
        return "\n\n" + "\n".join(map(str, self.args))


class _Worker(NamedTuple):
    process: Any
    tasks: Connection
    channel: socket.socket
    blocks: BlockReader
    asked: deque[tuple[int, int]]
    """(epoch, number) of the batches that it was asked for and has not given."""


class ProcessWorkers:
    """Processes that read batches and hand them over by shared memory.

    Args:
        fetcher: reads a batch; every process has a copy.
        count: how many processes.
        init: called in every process with its number, or None.
        context: of `multiprocessing`: how processes are started.
        ahead: batches that one worker works ahead.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        count: int,
        init: Callable[[int], None] | None,
        context: Any,
        ahead: int,
    ) -> None:
        self._owner = os.getpid()
        self.epoch = 0
        self.closed = False
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._arrived: deque[_Worker] = deque()
        try:
            with _frozen_heap():
                for i in range(count):
                    role = Role(i, count, fetcher, init, ahead + 1)
                    self._workers.append(self._start(role, context))
        except BaseException:
            self.close(at_once=True)
            raise
        for worker in self._workers:
            self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _start(self, role: Role, context: Any) -> _Worker:
        theirs, tasks = context.Pipe(duplex=False)
        channel, results = socket.socketpair()
        not_mine = []
        if context.get_start_method() == "fork":
            not_mine = [tasks, channel, self._selector]
            for other in self._workers:
                not_mine += [other.tasks, other.channel]
        process = context.Process(
            target=run_worker,
            args=(role, theirs, results, not_mine),
            name=f"ferrule-loader-{role.id}",
            daemon=True,
        )
        try:
            process.start()
        except BaseException:
            tasks.close()
            channel.close()
            raise
        finally:
            theirs.close()
            results.close()
        return _Worker(process, tasks, channel, BlockReader(channel), deque())

    def begin(self, seed: int, skip: int) -> None:
        """Starts an epoch; what was asked for in the last one is forgotten."""
        self.epoch += 1
        for worker in self._workers:
            self._tell(worker, Begin(seed, skip))

    def submit(self, number: int, indices: Any) -> None:
        """Asks for a batch, of the worker that has least to do."""
        worker = min(self._workers, key=lambda w: len(w.asked))
        worker.asked.append((self.epoch, number))
        self._tell(worker, Read(number, indices, worker.blocks.freed()))

    def receive(self, timeout: float | None) -> tuple[int, Any]:
        """Waits for any batch of this epoch: its number, and what it is.

        Raises:
            TimeoutError: none came within `timeout` seconds.
            WorkerError: a worker has ended.
            SampleError: a worker's data set raised an error.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            worker = self._next_to_speak(end)
            try:
                message = worker.blocks.receive()
            except EOFError:
                raise self._ended(worker) from None
            if message is None:
                continue
            epoch, _ = worker.asked.popleft()
            if epoch != self.epoch:
                continue
            if message.kind == FAILURE:
                raise _error_from(worker, message.value)
            return message.number, message.value

    def _next_to_speak(self, end: float | None) -> _Worker:
        while not self._arrived:
            wait = _LOOK
            if end is not None:
                wait = min(wait, end - time.monotonic())
                if wait <= 0:
                    raise TimeoutError
            ready = self._selector.select(wait)
            self._arrived.extend(key.data for key, _ in ready)
            if not ready:
                for worker in self._workers:
                    if not worker.process.is_alive():
                        raise self._ended(worker)
        return self._arrived.popleft()

    def _tell(self, worker: _Worker, task: Any) -> None:
        try:
            worker.tasks.send(task)
        except ConnectionError:
            raise self._ended(worker) from None

    def _ended(self, worker: _Worker) -> WorkerError:
        """The error that a worker is gone, which says why."""
        worker.process.join(1)
        code = worker.process.exitcode
        who = f"{worker.process.name} (process {worker.process.pid})"
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            how = f"was ended by {name}"
            if name == "SIGKILL":
                how += ", as the system does with a process when memory runs out"
        else:
            how = "ended" if code is None else f"ended with exit status {code}"
        doing = ", ".join(str(n) for e, n in worker.asked if e == self.epoch)
        return WorkerError(
            f"[DataLoader] worker {who} {how}; it was to read batches {doing or 'none'}"
        )

    def close(self, at_once: bool = False) -> None:
        """Ends the processes.

        Args:
            at_once: True leaves no time to finish a sample.
        """
        if os.getpid() != self._owner:
            return  # a copy in a worker
        self.closed = True
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.tasks.close()
        patience = 0.05 if at_once else 0.3
        for end in (lambda p: None, lambda p: p.terminate(), lambda p: p.kill()):
            alive = [w.process for w in workers if w.process.is_alive()]
            for process in alive:
                end(process)
            limit = time.monotonic() + patience
            for process in alive:
                process.join(max(0.0, limit - time.monotonic()))
        self._selector.close()
        for worker in workers:
            worker.channel.close()
            worker.process.join()
            worker.process.close()


def _error_from(worker: _Worker, failure: Failure) -> BaseException:
    where = f"Traceback of worker {worker.process.name} ({worker.process.pid}):"
    trace = WorkerTraceback(where, failure.text)
    if failure.error is None:
        last = failure.text.strip().rpartition("\n")[2]
        error: BaseException = WorkerError(f"[DataLoader] a worker raised {last}")
    else:
        error, cause = pickle.loads(failure.error)
        error.__cause__ = cause
    innermost = error
    while innermost.__cause__ is not None:
        innermost = innermost.__cause__
    innermost.__cause__ = trace
    return error


@contextmanager
def _frozen_heap() -> Iterator[None]:
    """Processes that are forked inside never look through the objects of this one.

    Their garbage collection would write into every object, and so copy the memory
    that they share with this process.
    """
    was_frozen = gc.get_freeze_count() > 0
    if not was_frozen:
        gc.freeze()
    try:
        yield
    finally:
        if not was_frozen:
            gc.unfreeze()
