"""The profiler: events, averages, schedules, traces."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest

import ferrule as fe
from ferrule import nn
from ferrule.nn import functional as F
from ferrule.profiler import ProfilerAction, profile, record_function, schedule


def named(prof: profile, name: str) -> list[fe.profiler.Event]:
    return [event for event in prof.events() if event.name == name]


def test_a_training_step_by_phase() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3))
    optimizer = fe.optim.SGD(model.parameters(), lr=0.1)
    x, y = fe.rand(2, 1, 8, 8), fe.tensor([0, 2])
    with profile() as prof:
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    (conv,) = named(prof, "conv2d")
    assert (conv.kind, conv.phase, conv.thread) == ("op", "forward", 0)
    assert conv.inputs[:2] == (("float32", (2, 1, 8, 8)), ("float32", (4, 1, 3, 3)))
    assert conv.outputs == (("float32", (2, 4, 6, 6)),)
    (gradient,) = named(prof, "Conv2dBackward")
    assert gradient.kind == gradient.phase == "backward"
    assert gradient.parent is not None
    assert gradient.parent.name == "backward"
    (weight,) = named(prof, "conv2d_dw")
    assert weight.parent is gradient and weight in gradient.children
    (step,) = named(prof, "Optimizer.step#SGD.step")
    assert [child.phase for child in step.children] == ["optimizer"]
    assert step.start >= gradient.parent.end
    times = [event.start for event in prof.events()]
    assert times == sorted(times)
    for event in prof.events():
        assert event.end >= event.start > 0
        assert 0 <= event.self_time <= event.duration
        for child in event.children:
            assert event.start <= child.start <= child.end <= event.end


def test_memory_of_an_event() -> None:
    with profile() as prof:
        x = fe.zeros(1000, 100)
        x.add_(1)
    (zeros,) = named(prof, "zeros")
    assert 400_000 <= zeros.self_memory < 600_000
    (add,) = named(prof, "add_")  # in place
    assert add.memory == 0


def test_compositions_contain_their_parts() -> None:
    with profile() as prof:
        fe.addmm(fe.ones(2, 5), fe.ones(2, 3), fe.ones(3, 5))
    (whole,) = named(prof, "addmm")
    (part,) = named(prof, "matmul")
    assert part.parent is whole
    assert whole.macs == 0 and part.macs == 2 * 3 * 5
    (row,) = [row for row in prof.key_averages() if row.key == "addmm"]
    assert row.macs == 30


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda: fe.ones(7, 3) @ fe.ones(3, 5), 7 * 3 * 5),
        (lambda: fe.ones(4, 7, 3) @ fe.ones(3, 5), 4 * 7 * 3 * 5),
        (lambda: fe.ones(3) @ fe.ones(3, 5), 3 * 5),
        (lambda: fe.ones(2, 7, 3) @ fe.ones(3), 2 * 7 * 3),
        (lambda: fe.ones(3) @ fe.ones(3), 3),
        (lambda: fe.ones(0, 3) @ fe.ones(3, 5), 0),
        (lambda: fe.einsum("bij,bkj->bik", fe.ones(2, 3, 4), fe.ones(2, 5, 4)), 120),
        (lambda: F.linear(fe.ones(2, 6, 3), fe.ones(5, 3)), 2 * 6 * 3 * 5),
        (
            lambda: F.conv2d(fe.ones(2, 4, 9, 9), fe.ones(6, 2, 3, 3), groups=2),
            2 * 6 * 7 * 7 * 2 * 9,
        ),
        (lambda: F.conv1d(fe.ones(2, 4, 9), fe.ones(6, 4, 3)), 2 * 6 * 7 * 4 * 3),
        (
            # Every element of the input goes into 5 x 3 x 3 products.
            lambda: F.conv_transpose2d(fe.ones(2, 4, 6, 6), fe.ones(4, 5, 3, 3)),
            2 * 4 * 36 * 5 * 9,
        ),
        (
            lambda: F.scaled_dot_product_attention(
                fe.ones(2, 3, 7, 8), fe.ones(2, 3, 5, 8), fe.ones(2, 3, 5, 4)
            ),
            2 * 3 * 7 * 5 * (8 + 4),
        ),
        (lambda: nn.LSTM(3, 5)(fe.ones(7, 2, 3)), 7 * 2 * 4 * 5 * (3 + 5)),
        (lambda: fe.relu(fe.ones(9)), 0),
    ],
)
def test_macs(compute, expected: int) -> None:
    with fe.no_grad(), profile() as prof:
        compute()
    assert sum(event.macs for event in prof.events()) == expected


def test_macs_of_gradients() -> None:
    x, w = fe.ones(2, 3, 8, 8), fe.ones(4, 3, 3, 3)
    x.requires_grad_()
    w.requires_grad_()
    with profile() as prof:
        F.conv2d(x, w).sum().backward()
    once = 2 * 4 * 36 * 3 * 9
    assert {e.name: e.macs for e in prof.events() if e.macs} == {
        "conv2d": once,
        "conv2d_dx": once,
        "conv2d_dw": once,
    }


def test_every_thread_is_recorded() -> None:
    def work() -> None:
        fe.ones(3).exp()

    with profile() as prof:
        fe.ones(3).log()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    (log,), (exp,) = named(prof, "log"), named(prof, "exp")
    assert (log.thread, exp.thread) == (0, 1)


def test_threads_keep_their_nesting() -> None:
    def work(name: str) -> None:
        with record_function(name):
            for _ in range(200):
                fe.ones(64, 64).exp()

    with profile() as prof:
        threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for i in range(4):
        (span,) = named(prof, f"w{i}")
        assert [e.name for e in span.children] == ["ones", "exp"] * 200
        assert {e.thread for e in span.children} == {span.thread}


def test_spans() -> None:
    @record_function("double")
    def double(x: fe.Tensor) -> fe.Tensor:
        return x * 2

    assert double(fe.ones(1)).item() == 2.0  # not recorded
    with profile() as prof, record_function("outer"):
        double(fe.ones(1))
        time.sleep(0.02)
    (outer,), (inner,) = named(prof, "outer"), named(prof, "double")
    assert inner.parent is outer and inner.kind == "user"
    assert outer.duration >= 20_000_000
    assert outer.self_time < outer.duration


def test_errors_end_their_events() -> None:
    with profile() as prof:
        with pytest.raises(fe.ShapeError):
            fe.ones(2, 3) @ fe.ones(2, 3)
        fe.ones(3).exp()
    (failed,) = named(prof, "matmul")
    assert failed.outputs == ()
    (after,) = named(prof, "exp")
    assert after.parent is None


def test_one_profile_at_a_time() -> None:
    with profile():
        fe.ones(1)
        with (
            pytest.raises(RuntimeError, match="a profile is being recorded already"),
            profile(),
        ):
            pass
    with profile() as prof:  # the failed one left nothing behind
        fe.ones(1)
    assert len(prof.events()) == 1


def test_nothing_is_recorded_outside() -> None:
    with profile() as prof:
        pass
    fe.ones(3)
    assert prof.events() == []
    assert prof.table().endswith("total 0 ns: ")


def test_averages_and_table() -> None:
    with profile() as prof:
        for n in (3, 3, 4):
            fe.ones(n).exp()
    rows = {row.key: row for row in prof.key_averages()}
    assert rows["exp"].count == rows["ones"].count == 3
    assert rows["exp"].cpu_time * 3 == pytest.approx(rows["exp"].cpu_time_total)
    by_shape = {row.key: row.count for row in prof.key_averages(True)}
    assert by_shape == {"ones": 3, "exp [3]": 2, "exp [4]": 1}

    lines = prof.table(sort_by="count", rows=1).splitlines()
    assert lines[0].split()[:3] == ["name", "self", "self"]
    assert len(lines) == 5 and lines[3] == "... and 1 more"
    assert lines[4].startswith("total ") and "forward" in lines[4]
    with pytest.raises(ValueError, match="sort_by must be one of"):
        prof.table(sort_by="name")


def test_recursion_is_counted_once() -> None:
    def descend(depth: int) -> None:
        with record_function("level"):
            if depth:
                descend(depth - 1)
            time.sleep(0.005)

    with profile() as prof:
        descend(2)
    (row,) = prof.key_averages()
    assert row.count == 3
    (outer,) = [event for event in prof.events() if event.parent is None]
    assert row.cpu_time_total == pytest.approx(outer.duration / 1e3)


def test_schedule_and_steps() -> None:
    seen: list[list[str]] = []

    def ready(prof: profile) -> None:
        names = [e.name for e in prof.events() if e.kind == "user"]
        seen.append(names)

    plan = schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
    with profile(schedule=plan, on_trace_ready=ready) as prof:
        for _ in range(20):
            fe.ones(2)
            prof.step()
    assert seen == [
        ["ProfilerStep#3", "ProfilerStep#4"],
        ["ProfilerStep#7", "ProfilerStep#8"],
    ]
    assert plan(0) is ProfilerAction.NONE and plan(2) is ProfilerAction.WARMUP
    with pytest.raises(ValueError, match="active at least 1"):
        schedule(wait=0, warmup=0, active=0)


def test_a_run_that_ends_early_is_handed_over() -> None:
    seen = []
    plan = schedule(wait=0, warmup=0, active=5)
    with profile(schedule=plan, on_trace_ready=seen.append) as prof:
        fe.ones(2)
        prof.step()
    assert seen == [prof]
    assert [e.name for e in prof.events()] == [
        "ProfilerStep#0",
        "ones",
        "ProfilerStep#1",
    ]


def test_chrome_trace(tmp_path) -> None:
    x = fe.ones(4, 4, requires_grad=True)
    with profile() as prof, record_function("step"):
        (x @ x).sum().backward()
    path = tmp_path / "trace.json"
    prof.export_chrome_trace(path)
    trace = json.loads(path.read_text())
    spans = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(spans) == len(prof.events())
    assert spans[0]["name"] == "step" and spans[0]["ts"] == 0
    for span in spans:
        assert {"name", "cat", "ph", "pid", "tid", "ts", "dur"} <= span.keys()
        assert span["dur"] >= 0
    (product,) = [s for s in spans if s["name"] == "matmul" and s["cat"] == "op"][:1]
    assert product["args"]["inputs"] == ["float32[4, 4]"] * 2
    # What Perfetto nests by: a child lies within its parent.
    for span, event in zip(spans, prof.events()):
        if event.parent is not None:
            parent = spans[prof.events().index(event.parent)]
            assert parent["ts"] <= span["ts"] + 1e-6
            assert span["ts"] + span["dur"] <= parent["ts"] + parent["dur"] + 1e-6
    counters = [e for e in trace["traceEvents"] if e["ph"] == "C"]
    assert all(c["args"]["bytes"] >= 0 for c in counters)
    assert [c["ts"] for c in counters] == sorted(c["ts"] for c in counters)
    names = [e["args"]["name"] for e in trace["traceEvents"] if e["ph"] == "M"]
    assert names == ["ferrule", "thread 0"]


def test_results_are_the_same() -> None:
    fe.manual_seed(0)
    layer, x = nn.LSTM(3, 4), fe.rand(5, 2, 3)
    plain = layer(x)[0]
    with profile():
        recorded = layer(x)[0]
    np.testing.assert_array_equal(plain.detach().numpy(), recorded.detach().numpy())
