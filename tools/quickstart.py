"""The main job, start to end: train in Python, export, run the file from C++.

Called by tools/quickstart, which prepares the machine. Read it as an example: the
training loop is written out by hand.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import ferrule as fe
from ferrule import nn
from ferrule.nn import functional as F
from ferrule.utils.data import DataLoader

ROOT = Path(__file__).resolve().parent.parent


class Net(nn.Module):
    """Two convolutions and two linear layers, for 28x28 or 8x8 grey images."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(32 * (size // 4) ** 2, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, 10),
        )

    def forward(self, x: fe.Tensor) -> fe.Tensor:
        return self.classifier(self.features(x))


def load(
    data: str | None, dataset: str
) -> tuple[fe.utils.data.Dataset, fe.utils.data.Dataset]:
    """MNIST from files, else downloaded, else the digits of scikit-learn."""
    if dataset == "digits":
        return fe.datasets.Digits(train=True), fe.datasets.Digits(train=False)
    root = data or os.environ.get("FERRULE_DATA")
    shared = ROOT.parent / "shared" / "data"
    if root is None and shared.is_dir():
        root = str(shared)
    try:
        train = fe.datasets.MNIST(root, train=True)
        return train, fe.datasets.MNIST(root, train=False)
    except (OSError, fe.FerruleError) as error:
        if data or dataset == "mnist":
            raise
        print(f"MNIST is not to be had ({error});\nusing scikit-learn's digits.")
        return fe.datasets.Digits(train=True), fe.datasets.Digits(train=False)


def accuracy(model: nn.Module, loader: DataLoader) -> float:
    """Share of the images whose largest logit is the right one."""
    model.eval()
    right = total = 0
    with fe.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            total += y.shape[0]
    model.train()
    return right / total


def train(
    model: nn.Module, optimizer: fe.optim.Optimizer, loader: DataLoader, epochs: int
) -> None:
    """The loop that every training script has at its heart."""
    live = sys.stdout.isatty()
    first_lr = optimizer.param_groups[0]["lr"]
    for epoch in range(epochs):
        started, total = time.perf_counter(), 0.0
        for step, (x, y) in enumerate(loader, 1):
            # The step size falls to zero in a straight line.
            done = (epoch + step / len(loader)) / epochs
            optimizer.param_groups[0]["lr"] = first_lr * (1 - done)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
            if step == len(loader) or (live and step % 20 == 0):
                rate = step / (time.perf_counter() - started)
                print(
                    f"{chr(13) if live else ''}epoch {epoch + 1}/{epochs}  "
                    f"step {step}/{len(loader)}  loss {total / step:.4f}  "
                    f"{rate:.0f} steps/s",
                    end="\n" if step == len(loader) else "",
                    flush=True,
                )


def compare_with_cpp(
    program_path: Path, out: Path, images: fe.Tensor, logits: np.ndarray
) -> None:
    """Runs the file with the C++ tool; it exits with 1 if a bit differs."""
    np.save(out / "images.npy", images.numpy())
    np.save(out / "logits.npy", logits)
    tool = os.environ.get("FERRULE_TOOL", str(ROOT / "build/release/bin/ferrule"))
    command = [
        tool, "run", str(program_path), "--batch", "500",
        "--input", f"x={out / 'images.npy'}",
        "--output", f"output={out / 'logits_cpp.npy'}",
        "--expect", f"output={out / 'logits.npy'}",
    ]  # fmt: skip
    print("$", " ".join(command), flush=True)
    subprocess.run(command, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/quickstart", description=__doc__)
    parser.add_argument("--data", metavar="DIR", help="folder of the MNIST files")
    parser.add_argument(
        "--dataset", choices=("auto", "mnist", "digits"), default="auto"
    )
    parser.add_argument("--epochs", type=int, help="default: 3; 30 for small digits")
    parser.add_argument("--out", default=str(ROOT / "build" / "quickstart"))
    options = parser.parse_args()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)

    fe.manual_seed(0)
    train_set, test_set = load(options.data, options.dataset)
    size = train_set[0][0].shape[-1]
    print(
        f"{type(train_set).__name__}: {len(train_set)} images for training, "
        f"{len(test_set)} for testing"
    )
    epochs = options.epochs or (3 if size == 28 else 30)
    loader = DataLoader(train_set, batch_size=64, shuffle=True, num_workers=1)
    test_loader = DataLoader(test_set, batch_size=500)
    model = Net(size)
    optimizer = fe.optim.Adam(model.parameters(), lr=2e-3)
    train(model, optimizer, loader, epochs)
    reached = accuracy(model, test_loader)
    print(f"test accuracy {100 * reached:.2f} %")

    # Who goes on training from the file does so with a step size of its own.
    optimizer.param_groups[0]["lr"] = 1e-3
    x, y = next(iter(loader))
    path = out / "digits.fer"
    fe.export(
        model,
        (x,),
        dynamic_shapes={"x": {0: fe.Dim("batch", min=1, max=4096)}},
        train=(F.cross_entropy, optimizer),
        targets=(y,),
        path=path,
    )
    print(f"exported {path} ({path.stat().st_size / 1e6:.2f} MB)")

    # Eager, the file in Python and the file in C++ must agree bit by bit.
    batches = [batch for batch, _ in test_loader]
    model.eval()
    with fe.no_grad():
        eager = np.concatenate([model(b).numpy() for b in batches])
    program = fe.load_program(path)
    in_python = np.concatenate([program(b).numpy() for b in batches])
    if eager.tobytes() != in_python.tobytes():
        print("error: the file gives other logits than eager", file=sys.stderr)
        return 1
    images = np.concatenate([b.numpy() for b in batches])
    compare_with_cpp(path, out, fe.from_numpy(images), eager)

    tool = "build/release/bin/ferrule"
    print(f"""
Made in {out}:
  digits.fer               the trained network and how to train it on
  images.npy, logits.npy   the test images and eager's logits
  logits_cpp.npy           the logits that C++ computed: the same bits

Try next:
  {tool} inspect {path}
  {tool} train --help
  build/venv/bin/python -c "import ferrule as fe; print(fe.load_program('{path}'))"
""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
