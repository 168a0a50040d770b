"""A loader goes on where its state was saved; so does training after kill -9."""

import os
import random
import signal
import subprocess
import sys
import textwrap

import pytest

import ferrule as fe
from data_cases import Count, GlobalNoise, Noise, NoisyCount, Squares, rows, values
from ferrule.utils import data


def loaders():
    """How each loader is made, by name."""
    return {
        "arrays": lambda **o: data.DataLoader(rows(20), 3, shuffle=True, **o),
        "samples": lambda **o: data.DataLoader(Noise(20), 3, shuffle=True, **o),
        "global": lambda **o: data.DataLoader(GlobalNoise(20), 3, **o),
        "single": lambda **o: data.DataLoader(Squares(9), None, shuffle=True, **o),
        "stream": lambda **o: data.DataLoader(NoisyCount(20), 3, **o),
        "seed": lambda **o: data.DataLoader(Noise(20), 3, shuffle=True, seed=4, **o),
        "generator": lambda **o: data.DataLoader(
            Noise(20), 3, shuffle=True, generator=fe.Generator().manual_seed(1), **o
        ),
        "sampler": lambda **o: data.DataLoader(
            Squares(9),
            2,
            sampler=data.WeightedRandomSampler(
                [1.0] * 9, 11, generator=fe.Generator().manual_seed(2)
            ),
            **o,
        ),
        "distributed": lambda **o: data.DataLoader(
            Squares(20), 3, sampler=data.DistributedSampler(range(20), 2, 1), **o
        ),
        "batches": lambda **o: data.DataLoader(
            Squares(6), batch_sampler=[[0], [1, 2], [3, 4, 5]], **o
        ),
    }


def run(loader, stop=None):
    """Three epochs, each batch with a number drawn beside it; or until `stop`."""
    seen = []
    for epoch in range(3):
        if isinstance(loader.sampler, data.DistributedSampler):
            loader.sampler.set_epoch(epoch)
        for batch in loader:
            seen.append((values(batch), fe.rand(1).item()))
            if len(seen) == stop:
                return seen, loader.state_dict(), fe.get_rng_state(), epoch
    return seen


@pytest.mark.parametrize("name", loaders())
@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 0), (0, 2), (2, 3)])
def test_the_rest_is_the_same(name, before, after, tmp_path):
    make = loaders()[name]
    fe.manual_seed(7)
    want = run(make())
    each = len(want) // 3
    for stop in (1, each - 1, each, each + 1):
        fe.manual_seed(7)
        seen, state, rng, epoch = run(make(num_workers=before), stop)
        assert seen == want[:stop]
        fe.save({"loader": state, "rng": rng}, tmp_path / "state.safetensors")
        fe.manual_seed(99)
        fe.rand(5)
        loader = make(num_workers=after)
        saved = fe.load(tmp_path / "state.safetensors")
        loader.load_state_dict(saved["loader"])
        fe.set_rng_state(saved["rng"])
        rest = []
        for k in range(epoch, 3):
            if k > epoch and isinstance(loader.sampler, data.DistributedSampler):
                loader.sampler.set_epoch(k)
            rest += [(values(batch), fe.rand(1).item()) for batch in loader]
        assert rest == want[stop:]


def test_state_between_epochs_and_of_a_state():
    fe.manual_seed(1)
    loader = data.DataLoader(Noise(6), 2, shuffle=True, seed=3)
    first = values(list(loader))
    state = loader.state_dict()
    second = values(list(loader))
    again = data.DataLoader(Noise(6), 2, shuffle=True, seed=3)
    again.load_state_dict(state)
    assert values(list(again)) == second != first
    iterator = iter(loader)
    next(iterator)
    again.load_state_dict(loader.state_dict())
    # A state that was loaded and not used yet is given on.
    other = data.DataLoader(Noise(6), 2, shuffle=True, seed=3)
    other.load_state_dict(again.state_dict())
    assert values(list(other)) == values(list(iterator))
    with pytest.raises(ValueError, match="no state of a DataLoader: KeyError"):
        loader.load_state_dict({"model": 1})


def test_what_is_skipped_is_not_read():
    read = []

    class Recorded(Squares):
        def __getitem__(self, index):
            read.append(index)
            return index

    loader = data.DataLoader(Recorded(10), 2)
    iterator = iter(loader)
    next(iterator), next(iterator)
    again = data.DataLoader(Recorded(10), 2)
    again.load_state_dict(loader.state_dict())
    read.clear()
    assert [x.tolist() for x in again] == [[4, 5], [6, 7], [8, 9]]
    assert read == [4, 5, 6, 7, 8, 9]
    assert len(again) == 5
    stream = data.DataLoader(Count(3))
    next(iter(stream))
    again = data.DataLoader(Count(3))
    again.load_state_dict(stream.state_dict())
    assert [x.item() for x in again] == [1, 2]


TRAINING = """
    import os, sys
    import ferrule as fe
    from ferrule import nn
    from ferrule.utils import data

    checkpoint, curve, workers = sys.argv[1:]

    class Noisy(data.Dataset):
        def __len__(self):
            return 96
        def __getitem__(self, index):
            x = fe.full((8,), index / 96) + 0.1 * fe.randn(8)
            return x, fe.tensor([index / 48 - 1])

    fe.manual_seed(5)
    model = nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(16, 1),
    )
    optimizer = fe.optim.AdamW(model.parameters(), 1e-2)
    loader = data.DataLoader(Noisy(), 4, shuffle=True, num_workers=int(workers))
    parts = {"model": model, "optimizer": optimizer, "loader": loader}
    epoch = step = 0
    if os.path.exists(checkpoint):
        state = fe.load(checkpoint)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        fe.set_rng_state(state["rng"])
        epoch, step = state["epoch"], state["step"]
    for epoch in range(epoch, 3):
        for x, y in loader:
            loss = nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            with open(curve, "a") as file:
                file.write(f"{step} {loss.item().hex()}\\n")
            state = {name: part.state_dict() for name, part in parts.items()}
            state |= {"rng": fe.get_rng_state(), "epoch": epoch, "step": step}
            fe.save(state, checkpoint)
            print(step, flush=True)
"""


def train(folder, workers):
    """A training run that goes on from its checkpoint, if there is one."""
    files = [str(folder / "checkpoint.safetensors"), str(folder / "curve")]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(TRAINING), *files, str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def losses(folder):
    """The loss of every step; a step that was done again must give the same."""
    found = {}
    for line in (folder / "curve").read_text().splitlines():
        step, loss = line.split()
        assert found.setdefault(int(step), loss) == loss
    return found


def test_training_that_was_killed_goes_on_bit_for_bit(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir(), killed.mkdir()
    process = train(whole, 0)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    want = losses(whole)
    assert list(want) == list(range(1, 73))
    # Killed wherever it is: in a step, or while it writes the checkpoint.
    for stop in sorted(random.sample(range(3, 70), 3)):
        process = train(killed, 2)
        for line in process.stdout:
            if int(line) >= stop:
                break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
    process = train(killed, 1)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert losses(killed) == want
