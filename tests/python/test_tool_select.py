"""`ferrule select`, and builds with the ops of some models alone."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import ferrule as fe
from ferrule import nn
from test_export import TOOL

ROOT = Path(__file__).resolve().parents[2]


def select(*args: object) -> subprocess.CompletedProcess[str]:
    command = [str(TOOL), "select", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("select")
    mlp, loop = folder / "mlp.fer", folder / "loop.fer"
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    optimizer = fe.optim.SGD(net.parameters(), lr=0.1)
    fe.export(
        net,
        (fe.rand(2, 6),),
        train=(nn.functional.cross_entropy, optimizer),
        targets=(fe.tensor([0, 1]),),
        path=mlp,
    )

    def summed(x: fe.Tensor) -> fe.Tensor:
        return fe.scan(lambda c, row: (c + row.sin(), c), fe.zeros(3), x)[0]

    fe.export(summed, (fe.rand(4, 3),), path=loop)
    return mlp, loop


DTYPES = {str(t).rpartition(".")[2] for t in (fe.bool, fe.int64, fe.float32)}


def ops_of(*models: Path) -> list[str]:
    """What `select` lists but for dtypes and `state`."""
    listed = select(*models).stdout.split()
    return [name for name in listed if name not in DTYPES | {"state"}]


def test_lists_the_ops_of_all_graphs(models: tuple[Path, Path]) -> None:
    mlp, loop = models
    ops = ops_of(mlp)
    assert ops == sorted(ops)
    assert {"linear", "relu", "relu_backward", "cross_entropy", "sgd_step"} <= set(ops)
    inside = ops_of(loop)  # of the loop's step, too
    assert {"add", "scan", "sin"} <= set(inside)
    assert ops_of(mlp, loop) == sorted({*ops, *inside})


def test_lists_dtypes_and_whether_state_changes(models: tuple[Path, Path]) -> None:
    mlp, loop = models
    listed = select(mlp).stdout.split()
    assert listed[-3:] == ["float32", "int64", "state"]  # the targets are int64
    assert select(loop).stdout.split()[-1] == "float32"


def test_a_weight_that_no_node_reads_needs_no_dtype(tmp_path: Path) -> None:
    """Batch norm's count of batches, int64, stands in the graph of inference."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    fe.export(net, (fe.rand(1, 3, 8, 8),), path=tmp_path / "norm.fer")
    assert select(tmp_path / "norm.fer").stdout.split() == [
        "batch_norm",
        "conv2d",
        "float32",
    ]


def test_statistics_of_the_batch_count_as_state(tmp_path: Path) -> None:
    def normalized(x: fe.Tensor) -> fe.Tensor:
        return nn.functional.batch_norm(x, None, None, training=True)

    fe.export(normalized, (fe.rand(2, 3, 8, 8),), path=tmp_path / "norm.fer")
    listed = select(tmp_path / "norm.fer").stdout.split()
    assert listed == ["batch_norm", "float32", "state"]


def test_says_what_needs_an_op(models: tuple[Path, Path], tmp_path: Path) -> None:
    mlp, loop = models
    found = {op["name"]: op for op in json.loads(select("--json", *models).stdout)}
    assert found["sin"]["where"] == [f"{loop}:forward"]
    assert found["linear"]["where"] == [f"{mlp}:forward", f"{mlp}:train_step"]
    assert found["linear"]["version"] == 1
    done = select("--output", tmp_path / "ops.txt", loop)
    listed = (tmp_path / "ops.txt").read_text()
    assert listed == select(loop).stdout
    assert done.stdout == f"{len(ops_of(loop))} ops\n"


def test_refuses(tmp_path: Path) -> None:
    assert select().returncode == 2
    assert select(tmp_path / "nowhere.fer").returncode == 3


def configure(build: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["cmake", "-S", str(ROOT), "-B", str(build), "-G", "Ninja"]
    return subprocess.run([*command, *options], capture_output=True, text=True)


needs_cmake = pytest.mark.skipif(
    not (shutil.which("cmake") and shutil.which("ninja")),
    reason="there are no cmake and ninja on the path",
)


@needs_cmake
def test_tables_of_a_selected_build(models: tuple[Path, Path], tmp_path: Path) -> None:
    mlp, loop = models
    ops = tmp_path / "ops.txt"
    select("--output", ops, loop)
    done = configure(
        tmp_path / "build",
        "-DFERRULE_RUNTIME_ONLY=ON",
        f"-DFERRULE_MODELS={mlp}",
        f"-DFERRULE_OPS={ops}",
    )
    assert done.returncode == 0, done.stderr
    generate = ["cmake", "--build", str(tmp_path / "build"), "-t", "ferrule_generated"]
    subprocess.run(generate, check=True, capture_output=True)
    generated = tmp_path / "build" / "generated"
    table = re.findall(r"&(\w+)_op,", (generated / "op_table.cpp").read_text())
    assert table == ops_of(*models)
    kernels = re.findall(
        r"&(\w+)_cpu,", (generated / "cpu_kernel_table.cpp").read_text()
    )
    assert "linear" in kernels and set(kernels) <= set(table)


@needs_cmake
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-DFERRULE_OPS=x"], "set FERRULE_RUNTIME_ONLY=ON"),
        (["-DFERRULE_RUNTIME_ONLY=ON", "-DFERRULE_OPS=x"], "there is no file 'x'"),
        (["-DFERRULE_RUNTIME_ONLY=ON", "-DFERRULE_MODELS=x"], "there is no file 'x'"),
        (
            ["-DFERRULE_RUNTIME_ONLY=ON", f"-DFERRULE_MODELS={ROOT}/LICENSE"],
            "flatc cannot read",
        ),
        (["-DFERRULE_RUNTIME_ONLY=ON", "-DFERRULE_ISA=v9"], "FERRULE_ISA is 'v9'"),
    ],
)
def test_settings_that_do_not_fit(
    options: list[str], message: str, tmp_path: Path
) -> None:
    done = configure(tmp_path / "build", *options)
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())


@pytest.mark.long
@needs_cmake
def test_a_selected_build_runs_its_models(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    mlp, loop = models
    isa = "neon" if platform.machine() == "aarch64" else "v2"
    build = tmp_path / "build"
    done = configure(
        build,
        "-DCMAKE_BUILD_TYPE=Release",
        "-DFERRULE_RUNTIME_ONLY=ON",
        f"-DFERRULE_MODELS={mlp}",
        f"-DFERRULE_ISA={isa}",
        "-DFERRULE_SMALL=ON",
    )
    assert done.returncode == 0, done.stderr
    subprocess.run(["cmake", "--build", str(build)], check=True, capture_output=True)
    tool = str(build / "bin" / "ferrule")
    checked = subprocess.run(
        [tool, "check", "--tolerance", "1e-5", str(mlp)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    x = tmp_path / "x.npy"
    np.save(x, np.ones((2, 6), np.float32))
    ran = subprocess.run([tool, "run", str(mlp), "--input", f"x={x}"])
    assert ran.returncode == 0
    refused = subprocess.run(
        [tool, "inspect", str(loop)], capture_output=True, text=True
    )
    assert refused.returncode == 3
    for op in ("add", "scan", "sin"):
        assert op in refused.stderr
