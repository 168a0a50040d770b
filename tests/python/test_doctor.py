"""The doctor: a machine that works, and ones where something does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import ferrule as fe
from ferrule import _cli, doctor


def by_name() -> dict[str, doctor.Check]:
    checks = doctor.examine()
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


def test_everything_works_here() -> None:
    found = by_name()
    needed = [
        *("version", "processor", "threads", "memory", "kernels", "training"),
        *("files", "C++ runtime"),
    ]
    for name in needed:
        assert found[name].status == "ok", found[name]
    assert fe.__version__ in found["version"].detail
    assert found["CUDA"].status == "absent"  # the tests run without one
    for check in found.values():
        assert check.status in ("ok", "absent") and check.detail


def test_command() -> None:
    command = [sys.executable, "-m", "ferrule.doctor"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] == "Everything works." and "\x1b" not in done.stdout
    assert lines[0].startswith("ok     version  ")

    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    checks = json.loads(done.stdout)
    assert {check["name"] for check in checks} >= {"kernels", "files", "torch"}


def test_settings_are_told() -> None:
    settings = {"FERRULE_ISA": "v2", "FERRULE_NUM_THREADS": "3"}
    if fe._ferrule._instruction_set().startswith("neon"):
        settings["FERRULE_ISA"] = "neon"
    done = subprocess.run(
        [sys.executable, "-m", "ferrule.doctor", "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, **settings},
    )
    found = {check["name"]: check for check in json.loads(done.stdout)}
    assert (
        f"because FERRULE_ISA={settings['FERRULE_ISA']}"
        in (found["processor"]["detail"])
    )
    assert found["threads"]["detail"].startswith("3, because FERRULE_NUM_THREADS=3")


def test_wrong_numbers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fe.Tensor, "tanh", lambda x: x)
    (check,) = [c for c in doctor.examine() if c.name == "kernels"]
    assert check.status == "failed" and check.detail.startswith("tanh is wrong by")
    assert "FERRULE_ISA" in check.advice


def test_what_raises_has_failed(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def export(*args: object, **kwargs: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(fe, "export", export)
    assert doctor.main([]) == 1
    out = capsys.readouterr().out
    assert "FAILED files" in out and "OSError: no space left" in out
    assert out.endswith("1 checks failed.\n")


def test_absent_things_are_no_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sklearn", "sklearn.datasets"):
        monkeypatch.setitem(sys.modules, name, None)  # cannot be imported
    monkeypatch.setenv("FERRULE_DATA", "/nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "/nowhere")
    monkeypatch.setattr(doctor, "_PACKAGES", {"no-such-package": "tests"})
    found = by_name()
    for name in ("digits", "MNIST", "FashionMNIST", "no-such-package"):
        assert found[name].status == "absent" and found[name].advice
    assert found["no-such-package"].advice == "pip install no-such-package"


def test_random_numbers_stay() -> None:
    fe.manual_seed(3)
    expected = fe.rand(2).numpy()
    fe.manual_seed(3)
    doctor.examine()
    np.testing.assert_array_equal(fe.rand(2).numpy(), expected)


def test_console_script(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["ferrule", "doctor", "--json"])
    with pytest.raises(SystemExit) as ended:
        _cli.main()
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "version"
