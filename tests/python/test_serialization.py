"""save and load: round trips, foreign files, damage, atomic writing."""

import json
import math
import os

import numpy as np
import pytest

import ferrule as fe

DTYPES = [
    fe.bool,
    fe.uint8,
    fe.int8,
    fe.int16,
    fe.int32,
    fe.int64,
    fe.float16,
    fe.bfloat16,
    fe.float32,
    fe.float64,
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)], ids=str)
def test_every_dtype_and_shape(path, dtype, shape):
    a = np.arange(math.prod(shape), dtype=np.float32) + 1
    x = fe.from_numpy(a.reshape(shape)).to(dtype)
    fe.save({"x": x}, path)
    y = fe.load(path)["x"]
    assert (y.dtype, y.shape, y.tolist()) == (dtype, shape, x.tolist())


def test_structure_comes_back(path):
    state = {
        "model": {"0.weight": fe.ones((2, 2)), "0.bias": fe.zeros((2,))},
        "optimizer": {"state": {0: {"step": fe.tensor(3)}, 1: {}}, "groups": [{}]},
        "epoch": 3,
        "rng": (2**63 + 1, 7),
        "note": 'ä \n "quoted"',
        "flags": [True, None, 1.5, "x", []],
        "extremes": [math.inf, -math.inf],
        "$tensor": {"$dict": 1, None: 2, True: 3},
        "tuple": ((), (1, (2,))),
    }
    fe.save(state, path)
    back = fe.load(path)
    assert back["model"]["0.weight"].tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert back["optimizer"]["state"][0]["step"].item() == 3
    for key in ("epoch", "rng", "note", "flags", "extremes", "$tensor", "tuple"):
        assert back[key] == state[key]
    assert list(back) == list(state)
    assert type(back["flags"][0]) is bool
    fe.save([float("nan"), np.float32(2), np.int64(3)], path)
    nan, two, three = fe.load(path)
    assert math.isnan(nan) and (two, three) == (2.0, 3)
    fe.save(fe.ones((1,)), path)
    assert fe.load(path).tolist() == [1.0]


def test_bfloat16_and_float16_specials(path):
    x = fe.tensor([math.inf, -math.inf, 1e-40, -0.0, 3.0, math.nan])
    for dtype in (fe.bfloat16, fe.float16):
        fe.save({"x": x.to(dtype)}, path)
        y = fe.load(path)["x"].to(fe.float32).numpy()
        want = x.to(dtype).to(fe.float32).numpy()
        assert y[:-1].tobytes() == want[:-1].tobytes()
        assert math.isnan(y[-1])


def test_shared_tensors_are_stored_once_and_stay_shared(path):
    x = fe.zeros((1000,))
    fe.save({"a": x, "b": {"c": x}}, path)
    assert path.stat().st_size < 2 * 4000
    back = fe.load(path)
    back["a"].fill_(1.0)
    assert back["b"]["c"][0].item() == 1.0


def test_clashing_and_odd_names(path):
    state = {"a.b": fe.ones((1,)), "a": {"b": fe.zeros((1,))}, "": fe.full((1,), 2.0)}
    fe.save(state, path)
    back = fe.load(path)
    assert (back["a.b"].item(), back["a"]["b"].item(), back[""].item()) == (1, 0, 2)


def test_views_and_parameters(path):
    p = fe.nn.Parameter(fe.from_numpy(np.arange(6, dtype=np.float32).reshape(2, 3)))
    fe.save({"t": p.transpose(0, 1), "row": p[1]}, path)
    back = fe.load(path)
    assert back["t"].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert back["row"].tolist() == [3.0, 4.0, 5.0]
    assert not back["t"].requires_grad


def test_other_programs_can_read_it_and_write_it(path):
    from safetensors.numpy import load_file, save_file

    model = fe.nn.Linear(2, 1)
    fe.save({"model": model.state_dict(), "epoch": 1}, path)
    assert sorted(load_file(path)) == ["model.bias", "model.weight"]
    save_file({"w": np.ones(3, np.float32)}, path)
    assert fe.load(path)["w"].tolist() == [1.0, 1.0, 1.0]


def test_what_cannot_be_saved(path):
    with pytest.raises(TypeError, match=r"'a\.1' is of type function; only"):
        fe.save({"a": [1, print_nothing]}, path)
    with pytest.raises(TypeError, match="'a' has a key of type tuple"):
        fe.save({"a": {(1, 2): 3}}, path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        fe.save({}, path.parent / "missing" / "file")
    assert os.listdir(path.parent) == []


def print_nothing():
    """Something that is no data."""


def test_failed_write_leaves_the_old_file(path, monkeypatch):
    fe.save({"x": 1}, path)

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        fe.save({"x": 2}, path)
    assert fe.load(path) == {"x": 1}
    assert os.listdir(path.parent) == [path.name]


def test_damage(path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        fe.load(path)
    fe.save({"x": fe.ones((10,)), "n": 1}, path)
    whole = path.read_bytes()
    for n in range(0, len(whole), 7):
        path.write_bytes(whole[:n])
        with pytest.raises(fe.FormatError, match="is no whole safetensors file"):
            fe.load(path)
    path.write_bytes(b"\x80\x04pickle" * 10)
    with pytest.raises(fe.FormatError):
        fe.load(path)


@pytest.mark.parametrize(
    "skeleton",
    [
        '{"$tensor": "gone"}',
        '{"$call": "os.system"}',
        '{"$dict": 3}',
        '{"$dict": [[[], 1]]}',
        '{"$tensor": []}',
        "{",
        "[" * 100000,
    ],
)
def test_damaged_metadata(path, skeleton):
    from safetensors.numpy import save_file

    save_file({"w": np.ones(3)}, path, metadata={"ferrule": skeleton})
    with pytest.raises(fe.FormatError, match="damaged metadata"):
        fe.load(path)


def test_unknown_dtype(path):
    header = {"x": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0")
    with pytest.raises(fe.FormatError, match="tensor 'x' has dtype F8_E4M3; known"):
        fe.load(path)
