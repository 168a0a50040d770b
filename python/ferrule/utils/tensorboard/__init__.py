"""Event files for TensorBoard; neither TensorFlow nor protobuf is needed.

>>> import tempfile
>>> import ferrule as fe
>>> with fe.utils.tensorboard.SummaryWriter(tempfile.mkdtemp()) as writer:
...     for step in range(3):
...         writer.add_scalar("loss", 1 / (step + 1), step)

``tensorboard --logdir DIR`` shows them.
"""

from .writer import SummaryWriter

__all__ = ["SummaryWriter"]
