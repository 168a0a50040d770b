"""Models that write, as several entry points of one file: read, go on by a step, train.

What the file gives is what eager gives, bit by bit, and so it is after a step of
training, from Python and by the native tool. (They have learnt nothing yet.)
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ferrule as fe
from ferrule import models
from ferrule.nn import functional as F
from test_architectures import TOOL, run_in_cpp

WORDS = 20
START, END = 1, 2


def tokens(*shape: int) -> fe.Tensor:
    return fe.randint(3, WORDS, shape)


def loss_of_words(logits: fe.Tensor, target: fe.Tensor) -> fe.Tensor:
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def train(model: fe.nn.Module, optimizer: Any, *batch: fe.Tensor) -> fe.Tensor:
    *inputs, target = batch
    model.train()
    optimizer.zero_grad()
    loss = loss_of_words(model(*inputs), target)
    loss.backward()
    optimizer.step()
    model.eval()
    return loss


def train_in_cpp(path: Path, new: Path, batch: dict[str, fe.Tensor]) -> None:
    """One step, by the tool."""
    command = [str(TOOL), "train", str(path), "--output", str(new)]
    for name, value in batch.items():
        np.save(path.parent / f"{name}.npy", value.numpy())
        command += ["--input", f"{name}={path.parent / name}.npy"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def run_entry(
    path: Path, entry: str, inputs: dict[str, fe.Tensor], expected: Any
) -> None:
    results = [expected] if isinstance(expected, fe.Tensor) else list(expected)
    run_in_cpp(path, inputs, results, "default", entry)


# --- a language model with a cache ------------------------------------------


def prefill(model: models.GPT, text: fe.Tensor) -> tuple[fe.Tensor, fe.Tensor]:
    """Logits of the token after the prompt, and the cache."""
    return model.decode(text, model.empty_cache(text.shape[0]))


def export_gpt(path: Path) -> tuple[models.GPT, Any, fe.Program]:
    fe.manual_seed(0)
    model = models.GPT(WORDS, 24, layers=2, width=16, heads=2)
    optimizer = fe.optim.AdamW(model.parameters(), lr=0.01)
    prompt = tokens(2, 5)
    batch, length = fe.Dim("batch"), fe.Dim("length", max=24)
    fe.export(
        {
            "forward": model,
            "prefill": lambda text: prefill(model, text),
            "step": model.decode,
        },
        {
            "forward": (prompt,),
            "prefill": (prompt,),
            "step": (prompt[:, :1], fe.randn(2, 2, 2, 2, 5, 8)),
        },
        dynamic_shapes={
            "forward": {name: {0: batch, 1: length} for name in ("tokens", "target")},
            "prefill": ({0: batch, 1: length},),
            "step": ({0: batch}, {2: batch, 4: fe.Dim("past", max=23)}),
        },
        train=(loss_of_words, optimizer),
        targets=(fe.roll(prompt, -1, 1),),
        path=path,
    )
    return model.eval(), optimizer, fe.load_program(path)


def continued(
    model: models.GPT, program: fe.Program, text: fe.Tensor, count: int
) -> list[Any]:
    """Eager and the file write on, side by side; what each was given and gave."""
    calls: list[Any] = []
    logits, cache = prefill(model, text)
    found = program.run("prefill", text)
    calls.append(("prefill", {"text": text}, (logits, cache)))
    for _ in range(count):
        assert fe.equal(found[0], logits)
        token = logits.argmax(-1, keepdim=True)
        text = fe.cat((text, token), 1)
        logits, new = model.decode(token, cache)
        found = program.run("step", token, cache)
        assert fe.equal(found[1], new)
        calls.append(("step", {"tokens": token, "cache": cache}, (logits, new)))
        cache = fe.cat((cache, new), 4)
    # The cache saves work and changes nothing but rounding.
    whole = model(text)[:, -1]
    np.testing.assert_allclose(logits.numpy(), whole.numpy(), rtol=1e-4, atol=1e-5)
    return calls


@pytest.mark.parametrize("batch", [1, 3])
def test_a_language_model_in_one_file(batch: int, tmp_path: Path) -> None:
    model, optimizer, program = export_gpt(tmp_path / "gpt.fer")
    assert program.signatures == ["forward", "prefill", "step", "train_step"]
    text, target = tokens(batch, 6), tokens(batch, 6)
    with fe.no_grad():
        before = continued(model, program, text, 4)
    loss = train(model, optimizer, text, target)
    assert fe.equal(program.run("train_step", text, target)[0], loss.detach())
    with fe.no_grad():
        after = continued(model, program, text, 4)
    assert not fe.equal(before[0][2][0], after[0][2][0])

    for call in (before[0], before[-1]):
        run_entry(tmp_path / "gpt.fer", *call)
    trained = tmp_path / "trained.fer"
    train_in_cpp(tmp_path / "gpt.fer", trained, {"tokens": text, "target": target})
    for call in (after[0], after[-1]):
        run_entry(trained, *call)


# --- a translator -----------------------------------------------------------


def export_translator(path: Path) -> tuple[models.Translator, Any, fe.Program]:
    fe.manual_seed(1)
    model = models.Translator(WORDS, WORDS, width=12)
    optimizer = fe.optim.Adam(model.parameters(), lr=0.01)
    greedy = models.GreedyTranslator(model, start=START, end=END, max_length=7)
    source, target = tokens(2, 5), tokens(2, 4)
    batch, length, steps = (fe.Dim(n, max=32) for n in ("batch", "length", "steps"))
    memory, state = model.encode(source)
    fe.export(
        {
            "forward": model,
            "encode": model.encode,
            "step": model.step,
            "translate": greedy.forward,
        },
        {
            "forward": (source, target),
            "encode": (source,),
            "step": (target[:, 0], state.detach(), memory.detach()),
            "translate": (source,),
        },
        dynamic_shapes={
            "forward": {
                "source": {0: batch, 1: length},
                "target": {0: batch, 1: steps},
                "target1": {0: batch, 1: steps},
            },
            "encode": ({0: batch, 1: length},),
            "step": ({0: batch}, {0: batch}, {0: batch, 1: length}),
            "translate": ({0: batch, 1: length},),
        },
        train=(loss_of_words, optimizer),
        targets=(target,),
        path=path,
    )
    return model.eval(), optimizer, fe.load_program(path)


def by_steps(program: fe.Program, source: fe.Tensor) -> fe.Tensor:
    """The caller's own loop over the entry points, to length 7."""
    memory, state = program.run("encode", source)
    token = fe.full((source.shape[0],), START)
    done, written = token == END, []
    for _ in range(7):
        logits, state = program.run("step", token, state, memory)
        token = fe.where(done, END, logits.argmax(-1))
        done = done | (token == END)
        written.append(token)
    return fe.stack(written, 1)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_translator_in_one_file(batch: int, tmp_path: Path) -> None:
    model, optimizer, program = export_translator(tmp_path / "model.fer")
    assert program.signatures[:4] == ["forward", "encode", "step", "translate"]
    greedy = models.GreedyTranslator(model, start=START, end=END, max_length=7).eval()
    source, target, nexts = tokens(batch, 6), tokens(batch, 3), tokens(batch, 3)

    def check(path: Path) -> fe.Tensor:
        with fe.no_grad():
            wanted = greedy(source)
            read = model.encode(source)
        assert fe.equal(program.run("translate", source)[0], wanted)
        assert fe.equal(by_steps(program, source), wanted)
        run_entry(path, "translate", {"source": source}, wanted)
        run_entry(path, "encode", {"source": source}, read)
        return read[0]

    before = check(tmp_path / "model.fer")
    loss = train(model, optimizer, source, target, nexts)
    found = program.run("train_step", source, target, nexts)
    assert fe.equal(found[0], loss.detach())
    # In a graph what the steps of a scan add to the gradient of what they all see is
    # summed step by step, in eager use by use: the same but for rounding.
    for name, p in model.named_parameters():
        value = program.state_dict()[f"forward.{name}"]
        np.testing.assert_allclose(p.detach().numpy(), value.numpy(), atol=1e-5)
        with fe.no_grad():
            p.copy_(value)
    given = {"source": source, "target": target, "target1": nexts}
    train_in_cpp(tmp_path / "model.fer", tmp_path / "trained.fer", given)
    assert not fe.equal(check(tmp_path / "trained.fer"), before)
