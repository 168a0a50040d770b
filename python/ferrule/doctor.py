"""`python -m ferrule.doctor`: what works on this machine, and why not.

    python -m ferrule.doctor [--json]

Every line is a check that was run just now. The exit status is 1 if something does
not work; what is merely not there (an optional package, a GPU) is told and is no
failure.

>>> import ferrule.doctor
>>> {check.status for check in ferrule.doctor.examine()} <= {"ok", "absent"}
True
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from ._text import bytes_text
from .random import fork_rng

__all__ = ["Check", "examine", "main"]


@dataclass
class Check:
    """One line of the report."""

    name: str
    status: str
    """ "ok", "absent" (not there, and not needed) or "failed"."""
    detail: str
    """What was found."""
    advice: str = ""
    """What to do, if it is not "ok"."""


def examine() -> list[Check]:
    """Runs all checks; takes about a second. Random numbers stay as they were."""
    with fork_rng():
        return [check for examiner in _EXAMINERS for check in _run(*examiner)]


def _run(name: str, examiner: Callable[[], Iterator[Check]]) -> list[Check]:
    """A check that raises is one that failed."""
    found: list[Check] = []
    try:
        found.extend(examiner())
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        advice = "please report this with the output of --json"
        found.append(Check(name, "failed", text, advice))
    return found


# --- the machine -------------------------------------------------------------


def _versions() -> Iterator[Check]:
    import numpy as np

    import ferrule as fe

    yield Check(
        "version",
        "ok",
        f"ferrule {fe.__version__}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, {platform.system()} {platform.machine()}",
    )


def _processor() -> Iterator[Check]:
    from . import _ferrule

    isa = _ferrule._instruction_set()
    detail = f"{_processor_name()}; kernels for {isa} ({_ISA_TEXTS[isa]})"
    if wanted := os.environ.get("FERRULE_ISA"):
        detail += f", because FERRULE_ISA={wanted}"
    yield Check("processor", "ok", detail)

    cpus, present = _ferrule._available_cpus(), os.cpu_count() or 1
    detail = f"{_ferrule.get_num_threads()}"
    if wanted := os.environ.get("FERRULE_NUM_THREADS"):
        detail += f", because FERRULE_NUM_THREADS={wanted}"
    detail += f"; {cpus} of {present} processors may be used"
    if cpus < present:
        detail += " (affinity or cgroup)"
    yield Check("threads", "ok", detail)


_ISA_TEXTS = {
    "v2": "SSE 4.2",
    "v3": "AVX2",
    "v4": "AVX-512",
    "v4dot": "AVX-512 with dot products",
    "neon": "NEON",
    "neondot": "NEON with dot products",
    "neonmm": "NEON with matrix products",
}


def _processor_name() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.lower().startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> Iterator[Check]:
    sizes = {}
    for line in _lines("/proc/meminfo"):
        key, _, value = line.partition(":")
        if value.split()[1:] == ["kB"]:
            sizes[key] = int(value.split()[0]) * 1024
    if "MemAvailable" not in sizes:
        yield Check("memory", "absent", "the system does not tell how much there is")
        return
    free, total = sizes["MemAvailable"], sizes["MemTotal"]
    detail = f"{bytes_text(free)} of {bytes_text(total)} are free"
    limits = [
        int(line)
        for path in ("memory.max", "memory/memory.limit_in_bytes")
        for line in _lines(f"/sys/fs/cgroup/{path}")
        if line.isdigit()
    ]
    if limits and limits[0] < total:
        detail += f"; a cgroup grants {bytes_text(limits[0])}"
    if free < 2**28:
        advice = "little is free: use smaller batches, or end other programs"
        yield Check("memory", "failed", detail, advice)
    else:
        yield Check("memory", "ok", detail)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


# --- what the library does ---------------------------------------------------


def _kernels() -> Iterator[Check]:
    """Against NumPy in double precision, and with one thread against all."""
    import numpy as np

    import ferrule as fe

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((160, 96)), rng.standard_normal((96, 130))
    image, kernel = (
        rng.standard_normal((2, 4, 12, 12)),
        rng.standard_normal((6, 4, 3, 3)),
    )
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(2, 3))
    exponents = np.exp(a - a.max(1, keepdims=True))
    expected = {
        "matmul": a @ b,
        "conv2d": np.einsum("nchwij,kcij->nkhw", windows, kernel),
        "softmax": exponents / exponents.sum(1, keepdims=True),
        "tanh": np.tanh(a),
        "sum": a.sum(0),
    }

    def compute() -> dict[str, fe.Tensor]:
        x, y, i, k = (fe.tensor(v, dtype=fe.float32) for v in (a, b, image, kernel))
        return {
            "matmul": x @ y,
            "conv2d": fe.nn.functional.conv2d(i, k),
            "softmax": x.softmax(1),
            "tanh": x.tanh(),
            "sum": x.sum(0),
        }

    threads = fe.get_num_threads()
    results = compute()
    fe.set_num_threads(1)
    try:
        alone = compute()
    finally:
        fe.set_num_threads(threads)
    wrong = []
    for name, value in expected.items():
        got = results[name].numpy()
        if not np.allclose(got, value, rtol=1e-4, atol=1e-4 * np.abs(value).max()):
            wrong.append(f"{name} is wrong by {np.abs(got - value).max():.3g}")
        if not np.array_equal(got, alone[name].numpy()):
            wrong.append(f"{name} depends on the number of threads")
    advice = "try FERRULE_ISA=v2 (neon on Arm), and please report it"
    if wrong:
        yield Check("kernels", "failed", "; ".join(wrong), advice)
    else:
        yield Check("kernels", "ok", f"{', '.join(expected)} agree with NumPy")


def _training() -> Iterator[Check]:
    """A line is learnt from points on it, and its gradient is as it should be."""
    import ferrule as fe

    fe.manual_seed(0)
    x = fe.rand(64, 1)
    model = fe.nn.Linear(1, 1)
    optimizer = fe.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        loss = fe.nn.functional.mse_loss(model(x), 3 * x - 1)
        loss.backward()
        optimizer.step()
    found = [float(p) for p in model.parameters()]
    detail = f"y = 3x - 1 was found as y = {found[0]:.3f}x {found[1]:+.3f}"
    good = abs(found[0] - 3) < 0.02 and abs(found[1] + 1) < 0.02
    yield Check("training", "ok" if good else "failed", detail)


def _files() -> Iterator[Check]:
    import ferrule as fe

    model = fe.nn.Sequential(fe.nn.Linear(4, 8), fe.nn.ReLU(), fe.nn.Linear(8, 2))
    x = fe.rand(3, 4)
    with tempfile.TemporaryDirectory(prefix="ferrule-") as folder:
        path = os.path.join(folder, "model.fer")
        fe.export(model, (x,), path=path)
        again = fe.load_program(path)(x)
        same = again.tolist() == model(x).tolist()
        size = os.path.getsize(path)
        fe.save(model.state_dict(), os.path.join(folder, "state.safetensors"))
        state = fe.load(os.path.join(folder, "state.safetensors"))
        same &= state["0.weight"].tolist() == model.state_dict()["0.weight"].tolist()
        detail = f"a model file of {bytes_text(size)} and a state were written and read"
        if not same:
            detail += ", with other numbers"
        yield Check("files", "ok" if same else "failed", detail)

        tool = Path(__file__).parent / "bin" / "ferrule"
        if not tool.exists():
            detail = f"{tool} is missing"
            advice = "build the target ferrule_tool, or reinstall the package"
            yield Check("C++ runtime", "failed", detail, advice)
            return
        done = subprocess.run(
            [tool, "check", path], capture_output=True, text=True, timeout=60
        )
        good = done.returncode == 0
        detail = "the `ferrule` tool runs the file, with the same numbers"
        if not good:
            detail = (done.stderr or done.stdout).strip() or f"status {done.returncode}"
        yield Check("C++ runtime", "ok" if good else "failed", detail)


# --- what may be there besides -----------------------------------------------


def _data() -> Iterator[Check]:
    import ferrule as fe

    try:
        count = len(fe.datasets.Digits())
        yield Check("digits", "ok", f"{count} images for training, no network needed")
    except ImportError as error:
        advice = "pip install scikit-learn, for the tutorials' small data set"
        yield Check("digits", "absent", str(error), advice)
    for dataset in (fe.datasets.MNIST, fe.datasets.FashionMNIST):
        name = dataset.__name__
        try:
            count = len(dataset(download=False))
            yield Check(name, "ok", f"{count} images for training")
        except FileNotFoundError:
            advice = "downloaded when first used; or set FERRULE_DATA to a folder"
            yield Check(name, "absent", "not on this machine", advice)


_PACKAGES = {
    "torch": "comparisons",
    "onnx": "exchange of models",
    "pillow": "PNG and JPEG files",
    "matplotlib": "fe.utils.plot",
    "tensorboard": "looking at event files",
}


def _packages() -> Iterator[Check]:
    for name, use in _PACKAGES.items():
        try:
            yield Check(name, "ok", f"{metadata.version(name)}, for {use}")
        except metadata.PackageNotFoundError:
            detail = f"not installed; for {use}"
            yield Check(name, "absent", detail, f"pip install {name}")


def _devices() -> Iterator[Check]:
    import ferrule as fe

    try:
        fe.zeros(1, device="cuda")
    except fe.DeviceError as error:
        gpu = Path("/proc/driver/nvidia/version").exists()
        detail = f"{error}; the CPU is used"
        advice = "there is an NVIDIA driver, but this build has no CUDA" if gpu else ""
        yield Check("CUDA", "absent", detail, advice)
        return
    yield Check("CUDA", "ok", "tensors can be made on it")


_EXAMINERS: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
    ("version", _versions),
    ("processor", _processor),
    ("memory", _memory),
    ("kernels", _kernels),
    ("training", _training),
    ("files", _files),
    ("data", _data),
    ("packages", _packages),
    ("CUDA", _devices),
)


# --- the command -------------------------------------------------------------

_MARKS = {"ok": ("ok", "32"), "absent": ("-", "2"), "failed": ("FAILED", "31;1")}


def _report(checks: list[Check], color: bool) -> str:
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        mark, code = _MARKS[check.status]
        mark = f"{mark:<6}"
        if color:
            mark = f"\x1b[{code}m{mark}\x1b[0m"
        lines.append(f"{mark} {check.name:<{width}}  {check.detail}")
        if check.advice:
            lines.append(f"{'':<{width + 9}}{check.advice}")
    failed = sum(check.status == "failed" for check in checks)
    lines.append("")
    lines.append(f"{failed} checks failed." if failed else "Everything works.")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="ferrule doctor", description="Says what works on this machine."
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(arguments)
    checks = examine()
    if options.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(_report(checks, color))
    return int(any(check.status == "failed" for check in checks))


if __name__ == "__main__":
    sys.exit(main())
