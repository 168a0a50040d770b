"""Model files of one version of the format, which later ones must go on reading.

    python tests/python/golden_files.py tests/golden/1.0

writes them: small models that use most of what a file can hold, each with a sample
of its results. Two more say what three training steps made of the weights
(`training.npz`) and what results at other sizes are (`sizes.npz`). They are made once
for a version, and committed; test_golden_files.py runs those of all versions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import ferrule as fe
from ferrule import Tensor, nn
from ferrule.nn import functional as F


class Image(nn.Module):
    """Convolutions, batch norm, pooling, a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)))
        x = F.max_pool2d(x + F.gelu(self.depthwise(x)), 2)
        return F.log_softmax(self.head(x.mean((2, 3))), dim=-1)


class Text(nn.Module):
    """Embeddings, causal attention, layer norm; sequences of any length."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 8)
        self.positions = nn.Embedding(32, 8)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.head = nn.Linear(8, 11)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions(fe.arange(ids.shape[1]))
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        return self.head(x + F.scaled_dot_product_attention(q, k, v, is_causal=True))


class Tagger(nn.Module):
    """A recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0])


def loops(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Graphs that run graphs."""
    doubled = fe.while_loop(
        lambda t: (t.abs().amax() < 100).reshape(()), lambda t: (t * 2,), (x,)
    )[0]
    last, sums = fe.scan(lambda total, row: (total + row, total * row), x[0], x)
    chosen = fe.cond(x.sum() > 0, lambda t: t.sqrt(), lambda t: -t, (x.abs(),))
    return doubled, last + sums.sum(0), chosen


def dtypes(x: Tensor) -> tuple[Tensor, ...]:
    """Constants and results of every dtype."""
    kinds = [fe.float64, fe.float16, fe.bfloat16, fe.int64, fe.int32, fe.int16]
    kinds += [fe.int8, fe.uint8, fe.bool, fe.complex64, fe.complex128]
    constants = [fe.tensor([0, 1, 2]).to(kind) for kind in kinds]
    return tuple((x > 0.5).to(c.dtype) + c for c in constants)


def spectrum(x: Tensor) -> tuple[Tensor, Tensor]:
    """Transforms and decompositions."""
    matrix = x.transpose(-1, -2) @ x + fe.eye(3)
    return fe.fft.rfft(x).abs(), fe.linalg.cholesky(matrix)


def programs() -> Iterator[tuple[str, fe.Program]]:
    fe.manual_seed(1)
    batch = ({0: "batch"},)
    image = Image()
    for _ in range(3):  # running statistics that are not those of a new model
        image(fe.randn(8, 1, 6, 6))
    yield "image", fe.export(image, (fe.randn(2, 1, 6, 6),), dynamic_shapes=batch)
    ids = fe.tensor([[1, 2, 3, 4], [9, 8, 7, 10]])
    sizes = ({0: "batch", 1: fe.Dim("time", min=1, max=32)},)
    yield "text", fe.export(Text(), (ids,), dynamic_shapes=sizes)
    sizes = ({0: "batch", 1: "time"},)
    yield "tagger", fe.export(Tagger(), (fe.randn(2, 5, 3),), dynamic_shapes=sizes)
    yield "loops", fe.export(loops, (fe.randn(4, 3),))
    yield "dtypes", fe.export(dtypes, (fe.tensor([0.0, 1.0, 2.0]),))
    yield "spectrum", fe.export(spectrum, (fe.randn(4, 3),))
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    yield (
        "training",
        fe.export(
            model,
            (fe.randn(5, 4),),
            dynamic_shapes=batch,
            train=(F.cross_entropy, fe.optim.AdamW(model.parameters(), lr=0.05)),
            targets=(fe.tensor([0, 1, 2, 1, 0]),),
            metadata={"classes": "a,b,c"},
        ),
    )


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    """Of the training program."""
    for i in range(3):
        x = fe.arange(12 + 4 * i).reshape(-1, 4) / 7 - 1
        yield x.float(), fe.arange(3 + i) % 3


def trained(program: fe.Program) -> dict[str, np.ndarray]:
    """The losses of three steps, and the state after them."""
    losses = [program.run("train_step", x, y)[0].item() for x, y in batches()]
    state = {name: t.numpy() for name, t in program.state_dict().items()}
    return {"losses": np.array(losses), **state}


def other_sizes() -> dict[str, Tensor]:
    """Inputs of other sizes than the samples'."""
    return {
        "image": (fe.arange(7 * 36).reshape(7, 1, 6, 6) % 13 / 6 - 1).float(),
        "text": fe.arange(3 * 9).reshape(3, 9) % 11,
        "tagger": (fe.arange(1 * 7 * 3).reshape(1, 7, 3) % 5 / 2 - 1).float(),
        "training": (fe.arange(4 * 9).reshape(9, 4) % 7 / 3 - 1).float(),
    }


def at_other_sizes(program: fe.Program, x: Tensor) -> np.ndarray:
    return program.run("forward", x)[0].numpy()


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    inputs, results = other_sizes(), {}
    for name, program in programs():
        program.save(folder / f"{name}.fer")
        if name in inputs:
            results[name] = at_other_sizes(program, inputs[name])
        if name == "training":
            np.savez(folder / "training.npz", **trained(program))
    np.savez(folder / "sizes.npz", **results)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
