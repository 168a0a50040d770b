"""`Checkpoints`: all of a training run's state in files, to go on after a crash."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .._ferrule import FerruleError, Tensor, tensor
from ..random import get_rng_state, set_rng_state
from ..serialization import load, save

__all__ = ["Checkpoints"]

_NAME = re.compile(r"step-(\d+)\.safetensors")


class _Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Any) -> Any: ...


class Checkpoints:
    """Saves and restores everything that a training run consists of.

    A checkpoint is a file of the folder, ``step-00000120.safetensors``. It holds
    the state of all objects and that of the random numbers of Ferrule, NumPy and
    Python, so that a run that was killed and resumed continues as if it had not
    been: with the same losses, bit for bit.

    A file is there when it is whole, whatever happens while it is written.

    Args:
        folder: where the files are; made if need be.
        keep: how many of the latest stay; 0: all.
        objects: by name, what has `state_dict` and `load_state_dict`: the model, the
            optimizer, a scheduler, a loader.

    Attributes:
        extra: what was saved besides, after `resume`.

    Raises:
        TypeError: an object lacks `state_dict` or `load_state_dict`.
        ValueError: `keep` is negative.

    Example:
        >>> import tempfile
        >>> import ferrule as fe
        >>> model = fe.nn.Linear(2, 1)
        >>> optimizer = fe.optim.Adam(model.parameters())
        >>> folder = tempfile.mkdtemp()
        >>> checkpoints = fe.utils.Checkpoints(
        ...     folder, keep=2, model=model, optimizer=optimizer
        ... )
        >>> for step in range(checkpoints.resume(), 30):
        ...     optimizer.zero_grad()
        ...     model(fe.rand(4, 2)).square().mean().backward()
        ...     optimizer.step()
        ...     if (step + 1) % 10 == 0:
        ...         path = checkpoints.save(step + 1)
        >>> [path.name for path in checkpoints.paths()]
        ['step-00000020.safetensors', 'step-00000030.safetensors']
        >>> checkpoints.resume()
        30
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        keep: int = 3,
        **objects: _Stateful,
    ) -> None:
        if keep < 0:
            raise ValueError(f"[Checkpoints] keep must be at least 0, got {keep}")
        for name, value in objects.items():
            for method in ("state_dict", "load_state_dict"):
                if not callable(getattr(value, method, None)):
                    raise TypeError(
                        f"[Checkpoints] '{name}' is a {type(value).__name__}, which "
                        f"has no {method}(); pass other values to save()"
                    )
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.keep = keep
        self.objects = objects
        self.extra: dict[str, Any] = {}

    def save(self, step: int, **extra: Any) -> Path:
        """Writes the checkpoint of a step, and removes those that are too old.

        Args:
            step: how many steps were done; `resume` returns it.
            extra: numbers, texts, tensors, and dicts and lists of them, to be kept.

        Returns:
            The path of the file.
        """
        if step < 0:
            raise ValueError(f"[Checkpoints] step must be at least 0, got {step}")
        path = self.folder / f"step-{step:08}.safetensors"
        states = {name: value.state_dict() for name, value in self.objects.items()}
        state = {"step": int(step), "random": _random_state(), "extra": extra}
        save({"objects": states, **state}, path)
        if self.keep:
            # Not those of later steps, which a run has gone back from.
            older = [p for p in self.paths() if _step_of(p) <= step]
            for old in older[: -self.keep]:
                old.unlink(missing_ok=True)
        return path

    def paths(self) -> list[Path]:
        """The files of the folder, by step."""
        return sorted(self._found(), key=_step_of)

    def _found(self) -> Iterator[Path]:
        for path in self.folder.iterdir():
            if _NAME.fullmatch(path.name):
                yield path

    def latest(self) -> Path | None:
        """The file of the highest step, if there is one."""
        return max(self._found(), key=_step_of, default=None)

    def resume(self, path: str | os.PathLike[str] | None = None) -> int:
        """Restores all objects and the random numbers from a checkpoint.

        Args:
            path: the file; None: the latest.

        Returns:
            The number of steps that were done; 0, and nothing is changed, if there
            is no checkpoint yet.

        Raises:
            FormatError: the file is damaged.
            FerruleError: it holds other objects than this, or one does not fit; the
                message names them.
        """
        for part in self.folder.glob(".step-*.part"):
            part.unlink(missing_ok=True)  # of a run that was killed while it saved
        source = self.latest() if path is None else Path(path)
        if source is None:
            return 0
        state = load(source)
        saved = state.get("objects") if isinstance(state, Mapping) else None
        if not isinstance(saved, Mapping) or "random" not in state:
            raise FerruleError(f"[Checkpoints] {source} is no checkpoint of a run")
        if saved.keys() != self.objects.keys():
            raise FerruleError(
                f"[Checkpoints] {source} holds {', '.join(saved) or 'no objects'}; "
                f"there are {', '.join(self.objects) or 'none'} to restore"
            )
        for name, value in self.objects.items():
            try:
                value.load_state_dict(saved[name])
            except (FerruleError, ValueError, KeyError) as error:
                raise FerruleError(
                    f"[Checkpoints] '{name}' does not fit {source}: {error}"
                ) from error
        _set_random_state(state["random"])  # last: loading may draw
        self.extra = dict(state["extra"])
        return int(state["step"])

    def __repr__(self) -> str:
        return f"Checkpoints({str(self.folder)!r}, {', '.join(self.objects)})"


def _step_of(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def _random_state() -> dict[str, Any]:
    """That of Ferrule, of Python's `random` and of NumPy's global generator."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    version, numbers, next_gauss = random.getstate()
    return {
        "ferrule": get_rng_state(),
        "python": [version, tensor(list(numbers)), next_gauss],
        "numpy": [
            kind,
            tensor(np.asarray(keys, np.int64)),
            *(int(position), int(has_gauss), float(gauss)),
        ],
    }


def _set_random_state(state: Mapping[str, Any]) -> None:
    set_rng_state(state["ferrule"])
    version, numbers, next_gauss = state["python"]
    random.setstate((version, tuple(_integers(numbers)), next_gauss))
    kind, keys, *rest = state["numpy"]
    keys = np.array(_integers(keys), np.uint32)
    np.random.set_state((kind, keys, *rest))  # noqa: NPY002


def _integers(values: Tensor) -> list[int]:
    numbers: list[int] = values.tolist()
    return numbers
