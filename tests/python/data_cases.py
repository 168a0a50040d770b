"""Data sets for the tests of the loader, and what they look at."""

import multiprocessing
import os
import random
import threading
import time

import numpy as np

import ferrule as fe
from ferrule.utils import data


def rows(n):
    x = fe.from_numpy(np.arange(2 * n, dtype=np.float32).reshape(n, 2))
    return data.TensorDataset(x, fe.from_numpy(np.arange(n)))


class Squares(data.Dataset):
    def __init__(self, n=10, bad=None):
        self.n, self.bad = n, bad

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if index == self.bad:
            raise ValueError("bad image")
        return index * index


class Noise(Squares):
    """Draws from every generator that is seeded everywhere."""

    def __getitem__(self, index):
        return index, data.sample_generator().random(), fe.rand(2)


class GlobalNoise(Squares):
    """Draws from the generators of the process."""

    def __getitem__(self, index):
        return random.random(), np.random.rand(), fe.rand(2)  # noqa: NPY002


class Mixed(Squares):
    """Every kind of thing that a sample may be."""

    def __getitem__(self, index):
        return {
            "image": fe.full((3, 40, 40), float(index)),
            "half": fe.full((2,), index / 3, dtype=fe.bfloat16),
            "array": np.full((2, 3), index, np.int16),
            "bool": fe.tensor(index % 2 == 0),
            "empty": fe.zeros((0, 2)),
            "name": f"sample {index}",
            "number": index / 7,
        }


class Count(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __iter__(self):
        return iter(range(self.n))


class NoisyCount(Count):
    def __iter__(self):
        return ((i, fe.rand(1), random.random()) for i in range(self.n))


class Slow(Squares):
    """Takes a minute for every sample from number 2 on."""

    def __getitem__(self, index):
        if index >= 2:
            time.sleep(60)
        return index


def values(batch):
    """Batches as plain data, to be compared."""
    if isinstance(batch, fe.Tensor):
        return str(batch.dtype), tuple(batch.shape), batch.tolist()
    if isinstance(batch, dict):
        return {k: values(v) for k, v in batch.items()}
    if isinstance(batch, (list, tuple)):
        return [values(b) for b in batch]
    return batch


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("ferrule-loader")]


def wait_until(condition, seconds=5):
    """Is it true within some seconds?"""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def nothing_left():
    """No thread and no process of a loader?"""
    return not loader_threads() and not multiprocessing.active_children()


def open_files():
    return len(os.listdir("/proc/self/fd"))


def is_running(pid):
    """Is there such a process, and has it not ended?"""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
