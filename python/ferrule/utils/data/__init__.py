"""Data sets, samplers, and the loader that makes batches of them."""

from ._seeding import sample_generator
from .collate import default_collate, default_convert
from .combined import (
    ChainDataset,
    ConcatDataset,
    StackDataset,
    Subset,
    random_split,
)
from .dataset import Dataset, IterableDataset, TensorDataset
from .distributed import DistributedSampler
from .fetch import SampleError
from .loader import DataLoader
from .processes import WorkerError
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .worker_info import WorkerInfo, get_worker_info

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "RandomSampler",
    "SampleError",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "WorkerError",
    "WorkerInfo",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
    "sample_generator",
]
