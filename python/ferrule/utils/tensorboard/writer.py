"""`SummaryWriter`: what happens in training, for TensorBoard."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..._ferrule import Tensor
from . import _protobuf as pb
from . import _summaries as summaries
from ._events import EventFile
from ._graph import graph_def
from ._images import pixels

__all__ = ["SummaryWriter"]


class SummaryWriter:
    """Writes scalars, histograms, images, texts and graphs to event files.

    The names and arguments are those of ``torch.utils.tensorboard``. Values are
    tensors, arrays or numbers. What was written is on the disk after `flush`,
    after `close`, and at the latest `flush_secs` seconds later, when the next
    value comes.

    Args:
        log_dir: the folder of the run; None: "runs/DATE_HOST" and `comment`.
        comment: appended to the default `log_dir`.
        purge_step: TensorBoard forgets what an earlier file of this run says of
            this step and later ones; for a run that was resumed.
        max_queue: accepted; nothing is queued.
        flush_secs: seconds until values are written out.
        filename_suffix: appended to the file's name.

    Example:
        >>> import tempfile
        >>> import ferrule as fe
        >>> writer = fe.utils.tensorboard.SummaryWriter(tempfile.mkdtemp())
        >>> writer.add_scalar("loss/train", fe.tensor(0.5), 1)
        >>> writer.add_histogram("weights", fe.rand(100), 1)
        >>> writer.close()
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            now = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = os.fspath(log_dir)
        self._flush_secs = flush_secs
        self._suffix = filename_suffix
        self._closed = False
        self._files: dict[str, EventFile] = {}  # by folder
        self._file = self._open("")
        if purge_step is not None:
            start = 1
            self._file.event(pb.data(7, pb.integer(1, start)), purge_step)

    def _open(self, folder: str) -> EventFile:
        """The event file of a folder below `log_dir`."""
        if folder not in self._files:
            path = Path(self.log_dir) / folder
            self._files[folder] = EventFile(path, self._flush_secs, self._suffix)
        return self._files[folder]

    def _add(
        self,
        what: bytes,
        step: int | None,
        walltime: float | None,
        file: EventFile | None = None,
    ) -> None:
        if self._closed:
            raise ValueError("[SummaryWriter] the writer is closed")
        number = None if step is None else int(step)
        (file or self._file).event(what, number, walltime)

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds a number to the curve `tag`.

        Args:
            tag: the curve's name; "loss/train" stands in the group "loss".
            scalar_value: a number, or a tensor or array of one element.
            global_step: the place on the horizontal axis.
            walltime: seconds since 1970; None: now.

        Raises:
            ValueError: it is not one number.
        """
        value = summaries.scalar(_number("add_scalar", tag, scalar_value))
        self._add(summaries.one_of(tag, value), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds to several curves in one picture.

        Each name of `tag_scalar_dict` becomes a run of its own, in a folder below
        `log_dir`.
        """
        for name, scalar in tag_scalar_dict.items():
            folder = f"{main_tag.replace('/', '_')}_{name}"
            value = summaries.scalar(_number("add_scalars", name, scalar))
            self._add(
                summaries.one_of(main_tag, value),
                global_step,
                walltime,
                self._open(folder),
            )

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: str | int = "tensorflow",
        walltime: float | None = None,
    ) -> None:
        """Adds the distribution of values, of those that are finite.

        Args:
            tag: the histogram's name.
            values: a tensor or an array of any shape.
            global_step: the step.
            bins: "tensorflow" for buckets that grow by 10 %, a number of equal
                buckets, or a name that ``numpy.histogram`` knows.
            walltime: seconds since 1970; None: now.
        """
        histogram = summaries.histogram(_array(values), bins)
        self._add(summaries.one_of(tag, histogram), global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Adds a picture.

        Args:
            tag: the picture's name.
            img_tensor: floats from 0 to 1, or uint8, with 1 (grey), 2, 3 (colours)
                or 4 (and opacity) channels.
            global_step: the step.
            walltime: seconds since 1970; None: now.
            dataformats: the order of channels, height and width: "CHW", "HWC", "HW".

        Raises:
            ValueError: the shape does not fit `dataformats`.
        """
        image = summaries.image(pixels(_array(img_tensor), dataformats))
        self._add(summaries.one_of(tag, image), global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Adds many pictures of one size, as one that has them side by side."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Adds a figure of matplotlib as a picture.

        Args:
            tag: the picture's name.
            figure: a ``matplotlib.figure.Figure``.
            global_step: the step.
            close: True also closes the figure.
            walltime: seconds since 1970; None: now.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        image = summaries.image(np.asarray(canvas.buffer_rgba()))
        self._add(summaries.one_of(tag, image), global_step, walltime)
        if close:
            import matplotlib.pyplot as plt

            plt.close(figure)

    def add_text(
        self,
        tag: str,
        text_string: str,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds a text; TensorBoard shows it as Markdown."""
        value = summaries.one_of(
            f"{tag}/text_summary",
            summaries.string_tensor(text_string),
            summaries.plugin("text"),
        )
        self._add(value, global_step, walltime)

    def add_graph(self, model: Any, input_to_model: Tensor | Sequence[Tensor]) -> None:
        """Adds the graph of a model, as `ferrule.export` captures it.

        Args:
            model: an `nn.Module` or a function of tensors.
            input_to_model: what to call it with.

        Raises:
            FerruleError: the model cannot be captured.
        """
        args = (
            (input_to_model,)
            if isinstance(input_to_model, Tensor)
            else tuple(input_to_model)
        )
        self._add(pb.data(4, graph_def(model, args)), None, None)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Adds a run's hyperparameters and what they led to.

        Args:
            hparam_dict: numbers, texts and booleans by name.
            metric_dict: results by name, shown as scalars, too.
            run_name: the folder below `log_dir`; None: the time.
            global_step: the step of the results.

        Raises:
            TypeError: a hyperparameter is of another type.
        """
        hparams: dict[str, float | str | bool] = {}
        for name, value in hparam_dict.items():
            if not isinstance(value, (bool, str)):
                try:
                    value = _number("add_hparams", name, value)
                except ValueError as error:
                    raise TypeError(
                        f"[add_hparams] '{name}' is of type {type(value).__name__}; "
                        "hyperparameters are numbers, texts and booleans"
                    ) from error
            hparams[name] = value
        metrics = {n: _number("add_hparams", n, v) for n, v in metric_dict.items()}
        file = self._open(run_name or str(time.time()))
        for event in (
            summaries.experiment(hparams, metrics),
            summaries.session_start(hparams),
            *(summaries.one_of(n, summaries.scalar(v)) for n, v in metrics.items()),
            summaries.session_end(),
        ):
            self._add(event, global_step, None, file)

    def get_logdir(self) -> str:
        """The folder of the run."""
        return self.log_dir

    def flush(self) -> None:
        """Gives all that was added to the system."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Flushes and closes; again does nothing."""
        self._closed = True
        for file in self._files.values():
            file.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SummaryWriter({json.dumps(self.log_dir)})"


def _array(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        if not hasattr(np, value.dtype.name):  # bfloat16
            value = value.float()
        value = value.numpy()
    array: np.ndarray = np.asarray(value)
    return array


def _number(who: str, tag: str, value: Any) -> float:
    array = _array(value)
    if array.size != 1 or array.dtype.kind not in "biuf":
        raise ValueError(
            f"[{who}] '{tag}' must be one real number, got "
            + (
                f"shape {array.shape}"
                if array.dtype.kind in "biuf"
                else type(value).__name__
            )
        )
    return float(array.reshape(()))
