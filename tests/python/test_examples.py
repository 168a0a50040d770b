"""The examples of docs/examples build against the installed package, and are right."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ferrule as fe
from ferrule.nn import functional as F

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
BUILD = ROOT / "build" / "release"
CLASSES = ["red", "green", "blue"]

needs_build = pytest.mark.skipif(
    not (BUILD / "cmake_install.cmake").exists(),
    reason="installs what build/release has built",
)
pytestmark = needs_build


def run(*command: object, **options: object) -> str:
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation."""
    prefix = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", BUILD, "--prefix", prefix)
    return prefix


@pytest.fixture(scope="module")
def programs(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples, built as their README says."""
    build = tmp_path_factory.mktemp("examples")
    options = [f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release"]
    run("cmake", "-S", EXAMPLES, "-B", build, *options)
    run("cmake", "--build", build)
    return build


@pytest.fixture(scope="module")
def make() -> ModuleType:
    """export.py as a module."""
    spec = importlib.util.spec_from_file_location("export", EXAMPLES / "export.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pictures(folder: Path, count: int) -> tuple[list[Path], fe.Tensor]:
    """PPM files, and what a program sees of them."""
    bytes_ = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
    paths = []
    for i, image in enumerate(bytes_):
        paths.append(folder / f"{i}.ppm")
        paths[-1].write_bytes(b"P6\n32 32\n255\n" + image.tobytes())
    seen = (bytes_.transpose(0, 3, 1, 2) / np.float32(255)).astype(np.float32)
    return paths, fe.from_numpy(np.ascontiguousarray(seen))


def lines(model: fe.nn.Module, x: fe.Tensor) -> list[str]:
    with fe.no_grad():
        logits = model(x)
    best = logits.argmax(1).tolist()
    return [f"{CLASSES[c]} {logits[i, c].item():.9g}" for i, c in enumerate(best)]


def test_classification(programs: Path, make: ModuleType, tmp_path: Path) -> None:
    fe.manual_seed(0)
    file = tmp_path / "classifier.fer"
    model = make.classifier(file)
    paths, x = pictures(tmp_path, 5)
    for i, path in enumerate(paths):
        printed = run(programs / "classify", file, path)
        assert printed.splitlines() == lines(model, x[i : i + 1])
    assert run(programs / "classify_cpp", file, *paths).splitlines() == lines(model, x)
    for program in ("classify", "classify_cpp"):
        done = subprocess.run(
            [programs / program, file, file], capture_output=True, text=True
        )
        assert done.returncode == 1
        assert "is no PPM picture of 32 x 32" in done.stderr
        done = subprocess.run(
            [programs / program, paths[0], paths[0]], capture_output=True, text=True
        )
        assert done.returncode == 1 and "0.ppm" in done.stderr


def test_generation(programs: Path, make: ModuleType, tmp_path: Path) -> None:
    fe.manual_seed(0)
    file = tmp_path / "gpt.fer"
    model = make.gpt(file)
    characters = fe.load_program(file).metadata["characters"]
    written = [characters.index(c) for c in "to be"]
    with fe.no_grad():
        cache, read = model.empty_cache(1), written
        for _ in range(40):
            logits, new = model.decode(fe.tensor([read]), cache)
            cache = fe.cat((cache, new), 4)
            read = [logits.argmax(-1).item()]
            written = written + read
            # The cache changes nothing but the time it takes.
            whole = model(fe.tensor([written[:-1]]))[:, -1]
            assert (whole - logits).abs().max().item() < 1e-5
    text = "".join(characters[i] for i in written)
    assert run(programs / "generate", file, "to be", 40) == f"{text}\n"
    # It ends where the context is full, and drawn texts are another.
    drawn = run(programs / "generate", file, "to be", 100, 1.0).rstrip("\n")
    assert len(drawn) == 65 and drawn[:45] != text


def test_fine_tuning(programs: Path, make: ModuleType, tmp_path: Path) -> None:
    fe.manual_seed(0)
    shipped, mine = tmp_path / "classifier.fer", tmp_path / "mine.fer"
    model = make.classifier(shipped)
    before = shipped.read_bytes()
    paths, x = pictures(tmp_path, 4)
    y = fe.tensor([0, 1, 2, 0])
    given = [f"{c}={path}" for c, path in zip(y.tolist(), paths, strict=True)]

    model.train()
    optimizer = fe.optim.Adam(model.fc.parameters(), lr=0.01)
    expected = []
    # Run twice: the second time it goes on from what the first has saved.
    for _ in range(2):
        for step in range(12):
            lr = np.float32(0.01) * np.float32(12 - step) / np.float32(12)
            optimizer.param_groups[0]["lr"] = float(lr)
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            expected.append(f"step {step + 1}: loss {loss.item():.9g}")
    printed = [run(programs / "finetune", shipped, mine, 12, *given) for _ in range(2)]
    assert "".join(printed).splitlines() == expected
    assert shipped.read_bytes() == before
    model.eval()
    assert run(programs / "classify_cpp", mine, *paths).splitlines() == lines(model, x)


@pytest.mark.skipif(not shutil.which("pkg-config"), reason="there is no pkg-config")
def test_pkg_config(prefix: Path, make: ModuleType, tmp_path: Path) -> None:
    """From another place than where it was installed, for C and for C++."""
    moved = tmp_path / "moved"
    shutil.copytree(prefix, moved)
    (found,) = moved.rglob("ferrule.pc")
    env = os.environ | {"PKG_CONFIG_PATH": str(found.parent)}
    flags = run("pkg-config", "--cflags", "--libs", "ferrule", env=env).split()
    program = tmp_path / "program"
    file = tmp_path / "classifier.fer"
    model = make.classifier(file)
    paths, x = pictures(tmp_path, 1)
    for compiler, source in (
        (["cc"], "classify.c"),
        (["c++", "-std=c++20"], "classify.cpp"),
    ):
        run(*compiler, EXAMPLES / source, "-o", program, *flags)
        assert run(program, file, *paths).splitlines() == lines(model, x)
