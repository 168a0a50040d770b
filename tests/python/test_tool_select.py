"""`ferrule select`, and builds with the ops of some models alone."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

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


def generated(build: Path, *options: str) -> tuple[str, list[str]]:
    """What a build for a deployed runtime generates: ferrule_built.h, and the
    names of its ops."""
    done = configure(build, "-DFERRULE_RUNTIME_ONLY=ON", *options)
    assert done.returncode == 0, done.stderr
    command = ["cmake", "--build", str(build), "-t", "ferrule_generated"]
    subprocess.run(command, check=True, capture_output=True)
    table = (build / "generated" / "op_table.cpp").read_text()
    built = (build / "generated" / "ferrule_built.h").read_text()
    return built, re.findall(r"&(\w+)_op,", table)


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
    build = tmp_path / "build"
    built, table = generated(build, f"-DFERRULE_MODELS={mlp}", f"-DFERRULE_OPS={ops}")
    assert table == ops_of(*models)
    kernels = re.findall(
        r"&(\w+)_cpu,", (build / "generated" / "cpu_kernel_table.cpp").read_text()
    )
    assert "linear" in kernels and set(kernels) <= set(table)
    assert f"kBuiltDTypes = {1 << 8 | 1 << 5};" in built  # float32, int64
    assert "kControlFlow = true" in built
    assert "kState = true" in built
    assert "kSmall = false" in built


@needs_cmake
def test_a_list_of_ops_alone_gives_all_dtypes(tmp_path: Path) -> None:
    ops = tmp_path / "ops.txt"
    ops.write_text("relu\nadd\n")
    built, table = generated(tmp_path / "a", f"-DFERRULE_OPS={ops}")
    assert table == ["add", "relu"]
    assert f"kBuiltDTypes = {(1 << 12) - 1};" in built
    assert "kControlFlow = false" in built
    assert "kState = true" in built
    ops.write_text("relu\nfloat16\n")
    built, _ = generated(tmp_path / "b", f"-DFERRULE_OPS={ops}")
    assert f"kBuiltDTypes = {1 << 6};" in built
    assert "kState = false" in built


@needs_cmake
def test_a_runtime_that_does_not_train(tmp_path: Path) -> None:
    built, table = generated(tmp_path / "build", "-DFERRULE_TRAINING=OFF")
    assert "kState = false" in built
    assert f"kBuiltDTypes = {(1 << 12) - 1};" in built
    gone = set(generated(tmp_path / "all")[1]) - set(table)
    assert {"relu_backward", "conv2d_dw", "adam_step"} <= gone
    # Transposed convolutions are made of this one.
    assert "conv2d_dx" in table
    assert all(re.search("_(backward|dx|dw|step)$", op) for op in gone), gone


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
        (["-DFERRULE_TRAINING=OFF"], "set FERRULE_RUNTIME_ONLY=ON"),
    ],
)
def test_settings_that_do_not_fit(
    options: list[str], message: str, tmp_path: Path
) -> None:
    done = configure(tmp_path / "build", *options)
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())


# Models as the Python package writes them, in a process of its own for the
# instruction set that they are to run with: then results are the same bits.
EXPORT = """
import sys

import ferrule as fe
from ferrule import models, nn

fe.manual_seed(0)
kind, path = sys.argv[1:]
if kind == "mobilenet":
    fe.export(models.mobilenet_v2().eval(), (fe.rand(1, 3, 224, 224),), path=path)
else:
    net = models.LeNet()
    if kind == "float64":
        net.double()
    dtype = fe.float64 if kind == "float64" else fe.float32
    fe.export(
        net,
        (fe.rand(4, 1, 28, 28, dtype=dtype),),
        train=(nn.functional.cross_entropy, fe.optim.Adam(net.parameters())),
        targets=(fe.tensor([0, 1, 2, 3]),),
        path=path,
    )
"""


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], capture_output=True, text=True)


@pytest.mark.long
@needs_cmake
@pytest.mark.parametrize(
    ("kind", "limit"), [("mobilenet", 300_000), ("lenet", 500_000)]
)
def test_a_selected_build_runs_its_model(kind: str, limit: int, tmp_path: Path) -> None:
    """And no other one, and is small."""
    x86 = platform.machine() == "x86_64"
    isa = "v3" if x86 else "neon"
    environment = os.environ | {"FERRULE_ISA": isa}
    for name in (kind, "lenet" if kind == "mobilenet" else "float64"):
        command = [sys.executable, "-c", EXPORT, name, tmp_path / f"{name}.fer"]
        subprocess.run(command, check=True, env=environment)
    model, other = tmp_path / f"{kind}.fer", tmp_path / f"{name}.fer"
    ops, build = tmp_path / "ops.txt", tmp_path / "build"
    select("--output", ops, model)
    done = configure(
        build,
        "-DCMAKE_BUILD_TYPE=Release",
        "-DFERRULE_RUNTIME_ONLY=ON",
        "-DBUILD_SHARED_LIBS=ON",
        f"-DFERRULE_OPS={ops}",
        f"-DFERRULE_ISA={isa}",
        "-DFERRULE_SMALL=ON",
    )
    assert done.returncode == 0, done.stderr
    made = run("cmake", "--build", build)
    assert made.returncode == 0, made.stdout + made.stderr

    tool = build / "bin" / "ferrule"
    checked = run(tool, "check", model)  # its samples, bit by bit
    assert checked.returncode == 0, checked.stdout + checked.stderr
    refused = run(tool, "inspect", other)
    assert refused.returncode == 3
    if kind == "mobilenet":
        for op in ("cross_entropy_backward", "max_pool2d", "adam_step"):
            assert f"{op} version 1 (this runtime has no such op)" in refused.stderr
    else:
        assert "does not compute in float64; it was built for" in refused.stderr

    size_report = run(sys.executable, ROOT / "tools" / "size-report", build)
    size = int(size_report.stdout.split()[-1].replace(",", ""))
    print(f"{kind}: {size:,} bytes")
    if x86:
        assert size <= limit, size_report.stdout
