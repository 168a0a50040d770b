"""What a worker process of a loader does."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from socket import socket
from typing import Any, NamedTuple

from ..._ferrule import set_num_threads
from ._blocks import FAILURE, RESULT, BlockWriter
from ._seeding import seeded
from .fetch import Fetcher
from .worker_info import become_worker


class Begin(NamedTuple):
    """Starts an epoch."""

    seed: int
    skip: int


class Read(NamedTuple):
    """Asks for a batch; tells which blocks are free."""

    number: int
    indices: Any
    freed: list[int]


class Failure(NamedTuple):
    """An error of a worker as text, and itself with its cause if they can be sent."""

    error: bytes | None
    text: str


class Role(NamedTuple):
    """What a worker is told when it starts."""

    id: int
    num_workers: int
    fetcher: Fetcher
    init: Callable[[int], None] | None
    keep: int
    """Blocks that it keeps when they are not in use."""


def run_worker(
    role: Role, tasks: Connection, results: socket, not_mine: list[Any]
) -> None:
    """Serves until `tasks` ends.

    Args:
        role: what it is.
        tasks: gives `Begin` and `Read`.
        results: takes messages of a `BlockWriter`.
        not_mine: the reader's ends of all connections, which came along by the
            fork; only without them the end of `tasks` is seen.
    """
    for end in not_mine:
        end.close()
    # Ctrl-C goes to all processes of a terminal; the reader decides. Handlers that
    # the program has for itself are not for its copies.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    set_num_threads(1)
    blocks = BlockWriter(results, role.keep)
    with suppress(EOFError, ConnectionError):
        _serve(role, tasks, blocks)


def _end_with_parent(parent: int) -> None:
    """Ends this process when the one that reads is gone, whatever it is doing."""
    reader = parent_process()
    assert reader is not None
    while os.getppid() == parent and not wait([reader.sentinel], timeout=0.5):
        pass
    os._exit(1)


def _serve(role: Role, tasks: Connection, blocks: BlockWriter) -> None:
    failed: Failure | None = None
    init = role.init
    while True:
        task = tasks.recv()
        if isinstance(task, Begin):
            become_worker(role.id, role.num_workers, task.seed, role.fetcher.dataset)
            try:
                if init is not None:
                    first, init = init, None
                    with seeded(task.seed, -1 - role.id, process_wide=True):
                        first(role.id)
                role.fetcher.begin(task.seed, task.skip, process_wide=True)
            except Exception as error:
                failed = describe(error)
            continue
        blocks.freed(task.freed)
        if failed is None:
            failed = _read(role.fetcher, task, blocks)
        if failed is not None:
            blocks.send(FAILURE, task.number, failed)
            failed = None


def _read(fetcher: Fetcher, task: Read, blocks: BlockWriter) -> Failure | None:
    try:
        batch = fetcher.fetch(task.number, task.indices)
    except Exception as error:
        return describe(error)
    try:
        blocks.send(RESULT, task.number, batch)
    except (EOFError, ConnectionError):
        raise
    except Exception as error:
        refused = TypeError(
            f"[DataLoader] a worker cannot send batch {task.number} to the program: "
            f"{error}; return what can be pickled from the data set or collate_fn, "
            'or choose workers="thread"'
        )
        refused.__cause__ = error
        return describe(refused)
    return None


def describe(error: BaseException) -> Failure:
    """The error as another process can raise it."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    for known in ((error, error.__cause__), (error, None)):
        try:
            packed = pickle.dumps(known)
            pickle.loads(packed)
        except Exception:  # many classes do not come through
            continue
        return Failure(packed, text)
    return Failure(None, text)
