"""Worker processes of the loader: what happens when something dies."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import ferrule as fe
from data_cases import Mixed, Slow, is_running, nothing_left, wait_until
from ferrule.utils import data


def workers_of(pid):
    """Processes that are children of `pid`."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def program(code):
    """Starts a program in a process group of its own."""
    head = """
        import os, signal, sys, time
        sys.path.insert(0, os.environ["CASES"])
        # Shells start background work with Ctrl-C ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        import data_cases
        import ferrule as fe
        from ferrule.utils import data
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code)],
        env=os.environ | {"CASES": os.path.dirname(__file__)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def shared_memory():
    return set(os.listdir("/dev/shm"))


READS_SLOWLY = """
    loader = data.DataLoader(data_cases.Slow(100), num_workers=4, {options})
    for batch in loader:
        print("batch", flush=True)
        {then}
"""


def started(then="pass", options=""):
    """A program two batches into its data, and its workers, who are at samples."""
    process = program(READS_SLOWLY.format(then=then, options=options))
    for _ in range(2 if then == "pass" else 1):
        assert process.stdout.readline() == "batch\n", process.stderr.read()
    return process, workers_of(process.pid)


@pytest.mark.parametrize("persistent", [False, True])
def test_kill_of_a_worker_is_an_error_within_5_seconds(persistent):
    loader = data.DataLoader(Slow(50), num_workers=2, persistent_workers=persistent)
    iterator = iter(loader)
    next(iterator), next(iterator)
    processes = {p.name: p.pid for p in multiprocessing.active_children()}
    killed = processes["ferrule-loader-0"]
    os.kill(killed, signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(data.WorkerError) as info:
        next(iterator)
    assert time.monotonic() - start < 5
    assert f"(process {killed}) was ended by SIGKILL, as the system does" in str(
        info.value
    )
    assert "it was to read batches 2, " in str(info.value)
    assert wait_until(nothing_left)


def test_a_worker_that_exits_is_an_error():
    class Exits(Slow):
        def __getitem__(self, index):
            sys.exit(3)

    loader = data.DataLoader(Exits(), num_workers=1)
    with pytest.raises(data.WorkerError, match="ended with exit status 3; it was to"):
        next(iter(loader))


@pytest.mark.parametrize(
    ("then", "options"),
    [
        ("pass", ""),  # waits for a batch
        ("time.sleep(60)", ""),  # is in the middle of training
        ("pass", "persistent_workers=True"),
        ("pass", "workers='thread'"),
    ],
)
def test_interrupt_ends_program_and_workers_within_a_second(then, options):
    before = shared_memory()
    spans = []
    for _ in range(3):  # the machine may be busy with other things
        process, workers = started(then, options)
        assert len(workers) == (0 if "thread" in options else 4)
        start = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        spans.append(time.monotonic() - start)
        assert errors.count("KeyboardInterrupt") == 1, errors
        assert not any(map(is_running, workers))
        assert shared_memory() <= before
        if spans[-1] < 1:
            return
    raise AssertionError(f"ended after {spans} seconds")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_when_the_program_is_killed(number):
    before = shared_memory()
    process, workers = started()
    os.kill(process.pid, number)
    process.communicate(timeout=30)
    assert wait_until(lambda: not any(map(is_running, workers)))
    assert shared_memory() <= before


@pytest.mark.parametrize(
    "code",
    [
        "next(iter(data.DataLoader(data_cases.Mixed(99), num_workers=3)))",
        """
        loader = data.DataLoader(
            data_cases.Mixed(99), num_workers=3, persistent_workers=True
        )
        kept = [next(iter(loader))]
        """,
        """
        with data.DataLoader(
            data_cases.Mixed(99), num_workers=3, persistent_workers=True
        ) as loader:
            next(iter(loader))
        """,
        """
        kept = iter(data.DataLoader(data_cases.Mixed(9), num_workers=3))
        first = next(kept)
        """,
        """
        kept = iter(data.DataLoader(
            data_cases.Mixed(9), num_workers=3, workers="thread"
        ))
        first = next(kept)
        """,
    ],
)
def test_the_end_of_a_program_is_quiet(code):
    process = program(textwrap.dedent(code) + "\nprint('end')")
    output, errors = process.communicate(timeout=30)
    assert (output, errors, process.returncode) == ("end\n", "", 0)


def test_fork_while_threads_allocate():
    """A fork must not copy a mutex that another thread holds."""
    over = threading.Event()

    def allocate():
        while not over.is_set():
            fe.empty(200_000) + 1  # above the caches of a thread

    threads = [threading.Thread(target=allocate) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(60):
            pid = os.fork()
            if pid == 0:
                fe.set_num_threads(1)
                fe.empty(200_000) + 1
                fe.memory_stats()
                os._exit(0)
            done = []
            assert wait_until(lambda: done or done.extend(ended(pid)), 20)  # noqa: B023
            assert done == [0]
    finally:
        over.set()
        for thread in threads:
            thread.join()


def ended(pid):
    """[exit status] of a child that has ended."""
    which, status = os.waitpid(pid, os.WNOHANG)
    return [status] if which else []


def test_blocks_are_used_again():
    loader = data.DataLoader(Mixed(400), batch_size=4, num_workers=2)
    files = len(os.listdir("/proc/self/fd"))
    most = 0
    for _ in loader:
        most = max(most, len(os.listdir("/proc/self/fd")) - files)
    del _
    # Two sockets, two ends of pipes and a sentinel, and blocks for what is ahead.
    assert most < 30
    gc.collect()
    assert wait_until(nothing_left)


MEMORY = """
    import numpy as np

    class Objects(data_cases.Squares):
        # Every look at a Python object writes into it: a copied page, in a worker.
        def __init__(self, n):
            self.n = n
            self.records = [(f"image {{i}}", [i, float(i)]) for i in range(n)]
        def __getitem__(self, index):
            name, numbers = self.records[index]
            return fe.full((64,), numbers[1])

    class Arrays(data_cases.Squares):
        def __init__(self, n):
            self.n = n
            self.records = np.ones((n, 500), np.float32)
        def __getitem__(self, index):
            return self.records[index]

    def proportional_size():
        # Pages that processes share are counted once.
        me = os.getpid()
        with open(f"/proc/self/task/{{me}}/children") as file:
            pids = [me, *map(int, file.read().split())]
        assert len(pids) == 9
        total = 0
        for pid in pids:
            with open(f"/proc/{{pid}}/smaps_rollup") as file:
                total += sum(int(x.split()[1]) for x in file if x.startswith("Pss:"))
        return total

    records = {kind}(50_000)
    loader = data.DataLoader(records, 100, shuffle=True, num_workers=8, {options})
    for epoch in range(10):
        for k, batch in enumerate(loader):
            if k == 450:
                print(proportional_size())
"""


@pytest.mark.parametrize(
    ("kind", "options"),
    [("Objects", ""), ("Arrays", ""), ("Arrays", "persistent_workers=True")],
)
def test_memory_stays_the_same_over_epochs(kind, options):
    process = program(MEMORY.format(kind=kind, options=options))
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    sizes = [int(size) for size in output.split()]
    # In the first epoch caches fill.
    assert len(sizes) == 10 and sizes[1] <= 1.05 * sizes[0], sizes
    assert max(sizes) <= 1.02 * sizes[1], sizes
