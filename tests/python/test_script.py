"""@fe.script: decisions by tensors in Python source, captured and eager alike."""

from __future__ import annotations

import functools

import pytest

import ferrule as fe
from ferrule import _ferrule, nn


def same(a: fe.Tensor, b: fe.Tensor) -> bool:
    return _ferrule.same_bits(a.detach(), b.detach())


@fe.script
def branches(x):
    if x.sum() > 1 and not (x < 0).any():
        y = x * 2
        scale = 1.0
    elif x.sum() < -1 or x.max() > 5:
        y = -x
        scale = 2.0
    else:
        y = x
        scale = 3.0
        unused = x.exp()  # noqa: F841
    return y * scale


@fe.script
def early_returns(x):
    """Some paths return."""
    if x.sum() > 1:
        if x.max() > 5:
            return x * 10
        x = x + 1
    else:
        return -x
    if -1 < x.min() < 1:
        return x / 2
    return x


@fe.script
def counting(x):
    n, total = 0, x * 0
    while n < 6 and total.sum() < 10:
        n += 1
        if total.max() > 2:
            continue
        total += x.abs() + 0.5
        if total.sum() > 8:
            break
    return total, n * 1


@fe.script
def forever(x):
    while True:
        x = x * 2
        if x.abs().sum() > 50 or x.abs().sum() == 0:
            break
    return x


@fe.script
def rows(x):
    best = x[0] * 0
    for row in x.reshape(-1, 1):
        if row.sum() < 0:
            continue
        temporary = row * 2
        best = best + temporary.sum()
        if best > 6:
            break
    return best


@fe.script
def ranges(x):
    y = x * 1
    for i in range((x.sum() + 5).to(fe.int64)):
        if i % 2 == 0:
            y = y + i
    for i in range(2, (x.max() + 9).to(fe.int64), 3):
        y = y - i
    for i in range(3):
        y[i] += y[i] * i
        if y.sum() > 10:
            y[i : i + 1] = 0.0
    return y


@fe.script
def unrolled(x):
    for layer in (fe.relu, fe.neg, fe.exp):
        if layer is fe.neg:
            continue
        x = layer(x)
        if x.sum() > 10:
            break
    else_value = x + 1 if x.min() > 1 else x - 1
    assert len(x.shape) == 1
    return else_value


@fe.script
def python_only(x, flag=True, names=("a", "b")):
    """Nothing here depends on a tensor."""
    found = {}
    for name in names:
        if flag and name == "a":
            found[name] = x
    for name in names:
        if name == "b":
            return x + len(found)
    return x


@fe.script
def operands(x):
    """`and` and `or` give an operand; the second is computed only if it is asked."""
    i = 0
    while i < x.abs().sum() and i < 3 and x[i] >= 0:
        i = i + 1
    if x.sum() > 1 and x.max():
        x = x * 2
    return (x.sum() or x.max() - 7.0) + i, x.sum() and x.min()


@fe.script
def nested_loops(x):
    """Each inner loop begins with a flag of its own."""
    total = x.sum() * 0
    for row in x:
        for other in x:
            if other > row:
                break
            total = total + other
        if total > 5:
            break
        total = total + 1
    return total


@fe.script
def binding_tests(x):
    while (total := x.sum()) > 1:
        if x.max() > 8:
            x = x - 7
            continue
        x = x / 2
    if (most := x.max()) > 0 and most < 0.3:
        x = x * most
    return x, total


@fe.script
def matched(x):
    match x.ndim:
        case 1 as n:
            if x.sum() > 1:
                x = x * 2
            x = x - n
        case _:
            x = -x
    return x


@fe.script
def countdown(x, steps=3):
    """Python ends the recursion."""
    if steps == 0:
        return x
    if x.sum() > 1:
        x = x / 2
    return countdown(x + 0.5, steps - 1)


@fe.script
def own_lists(x):
    """A list that is made on a way may change there."""
    parts = []
    for i in range(3):
        parts.append(x * i)
    if x.sum() > 1:
        more = [x]
        more.append(x * 3)
        more[0] = x * 2
        more += [x]
        x = fe.stack(more).sum(0)
    return fe.stack(parts).sum() + x


INPUTS = [
    [0.25, 0.5, 0.75],
    [0.1, 0.1, 0.2],
    [-3.0, 1.0, 0.5],
    [9.0, -0.5, 2.0],
    [0.0, 0.0, 0.0],
    [3.0, 3.0, 3.0],
]
FUNCTIONS = [
    branches,
    early_returns,
    counting,
    forever,
    rows,
    ranges,
    unrolled,
    python_only,
    operands,
    nested_loops,
    binding_tests,
    matched,
    countdown,
    own_lists,
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("example", [0, 2])
def test_captured_and_eager_give_the_same(function, example: int) -> None:
    program = fe.trace(function, fe.tensor(INPUTS[example]))
    taken = set()
    for values in INPUTS:
        want = function(fe.tensor(values))
        got = program(fe.tensor(values))
        want = want if isinstance(want, tuple) else (want,)
        got = got if isinstance(got, tuple) else (got,)
        for a, b in zip(want, got, strict=True):
            assert same(fe.as_tensor(a), b), values
        taken.add(str(want[0].tolist()))
    assert len(taken) > 2  # not one path alone


class Decoder(nn.Module):
    """Greedy decoding: a method, a closure of a module, writes into elements."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 7)

    @fe.script
    def forward(self, start):
        tokens = fe.zeros_like(start).repeat(5)
        token = start
        length = 0
        for i in range(start.shape[0] * 5):
            token = self.table(token).argmax(-1)
            tokens[i] = token[0]
            length = i + 1
            if token[0] == 0:
                break
        return tokens, length


def test_greedy_decoding() -> None:
    lengths = set()
    for seed in range(4):
        fe.manual_seed(seed)
        model = Decoder()
        program = fe.export(model, (fe.tensor([3]),))
        for start in range(7):
            tokens, length = program(fe.tensor([start]))
            want, steps = model(fe.tensor([start]))
            assert same(tokens, want) and length.item() == int(steps)
            lengths.add(int(steps))
    assert len(lengths) > 1


def test_loops_over_free_sizes() -> None:
    @fe.script
    def f(x):
        total = fe.zeros(2)
        for row in x:
            total = total * 0.5 + row
        for i in range(x.shape[0]):
            total = total + i
        return total

    program = fe.trace(f, fe.rand(3, 2), dynamic_shapes=({0: "n"},))
    for n in (1, 4, 9):
        x = fe.rand(n, 2)
        assert same(program(x), f(x))


def test_gradients_of_branches_and_loops() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        @fe.script
        def forward(self, x):
            h = fe.zeros(2)
            for row in x:
                h = self.linear(h + row).tanh()
                if h.sum() > 0.5:
                    h = h * 0.5
            return h if h.max() > 0 else -h

    fe.manual_seed(0)
    model = Model()
    optimizer = fe.optim.SGD(model.parameters(), lr=0.1)
    x, y = fe.rand(4, 2), fe.rand(2)
    program = fe.export(
        model, (x,), train=(nn.functional.mse_loss, optimizer), targets=(y,)
    )
    for _ in range(5):
        (loss,) = program.run("train_step", x, y)
        optimizer.zero_grad()
        want = nn.functional.mse_loss(model(x), y)
        want.backward()
        optimizer.step()
        assert same(loss, want)
    weight = program.state_dict()["model.linear.weight"]
    assert same(weight, model.linear.weight)


# --- what is refused --------------------------------------------------------


@fe.script
def one_way(x):
    if x.sum() > 0:
        y = x
    return y


@fe.script
def first_in_loop(x):
    for row in x:
        last = row
    return last


@fe.script
def other_dtypes(x):
    if x.sum() > 0:  # noqa: SIM108
        y = x
    else:
        y = x > 0
    return y


@fe.script
def changes_dtype(x):
    n = 0
    for row in x:
        n = n + row
    return n


@fe.script
def returns_in_loop(x):
    for row in x:
        if row > 0:
            return row
    return x


@fe.script
def loop_else(x):
    while x.sum() > 0:
        x = x - 1
    else:
        x = x + 1
    return x


@fe.script
def asserts(x):
    assert x.sum() > 0
    return x


@fe.script
def jumps_out_of_with(x):
    with fe.no_grad():
        if x.sum() > 0:
            return x
    return -x


@fe.script
def falls_through(x):
    if x.sum() > 0:
        return x


@fe.script
def tensor_step(x):
    y = x * 0
    for _ in range(0, 9, x.sum().to(fe.int64) + 1):
        y = y + 1
    return y


@fe.script
def appends(x):
    found = []
    for row in x:
        found.append(row)
    return fe.stack(found)


@fe.script
def updates(x):
    found = {"x": x}
    if x.sum() > 9:
        found.update(y=x)
    return x * len(found)


@fe.script
def deletes(x):
    found = {"x": x, "y": x}
    if x.sum() > 9:
        del found["y"]
    return x * len(found)


@fe.script
def puts(x):
    found = [0.0]
    if x.sum() > 9:
        found[0] = 1.0
    return x * found[0]


@fe.script
def extends(x):
    found = [x]
    if x.sum() > 9:
        found += [x]
    return x * len(found)


class Counter:
    n = 1


@fe.script
def sets_attribute(x):
    counter = Counter()
    if x.sum() > 9:
        counter.n += 1
    return x * counter.n


@fe.script
def mixed_operands(x):
    return (x.sum() > 9 and x.max()) * x


REFUSED = [
    (appends, 2, "'found.append' changes an object (list) that was made before"),
    (updates, 2, "'found.update' changes an object (dict)"),
    (deletes, 2, "'found['y']' changes an object (dict)"),
    (puts, 2, "'found[...]' changes an object (list)"),
    (extends, 2, "'found' changes an object (list)"),
    (sets_attribute, 2, "'counter.n' changes an object (Counter)"),
    (mixed_operands, 0, "float32 if true and bool if not"),
    (one_way, 1, "'y' has a value on one way only"),
    (first_in_loop, 1, "'last' gets its first value inside of a loop"),
    (other_dtypes, 1, "result y is float32 if true and bool if not"),
    (changes_dtype, 2, "carry.n is int64 before a step and float32 after"),
    (returns_in_loop, 1, "return inside of a loop cannot depend on a tensor"),
    (loop_else, 1, "a loop with an else cannot depend on a tensor"),
    (asserts, 1, "an assert of a tensor's value cannot be captured"),
    (jumps_out_of_with, 2, "jump out of with or try cannot depend"),
    (falls_through, 1, "different structures"),
    (tensor_step, 2, "step of a range must be a number"),
]


@pytest.mark.parametrize(("function", "line", "text"), REFUSED)
def test_what_cannot_be_captured_names_line_and_reason(function, line, text) -> None:
    function(fe.ones(3))  # eager runs it
    with pytest.raises((fe.FerruleError, TypeError)) as error:
        fe.trace(function, fe.ones(3))
    first = function.__wrapped__.__code__.co_firstlineno + 1  # below the decorator
    lines = [f"[script] {__file__}:{n}: " for n in (first + line, first + line + 1)]
    message = str(error.value)
    assert text in message
    assert any(at in message for at in lines), message


def test_sources_that_cannot_be_rewritten() -> None:
    total = 0

    @fe.script
    def counts(x):
        nonlocal total
        total += 1
        return x

    assert same(counts(fe.ones(2)), fe.ones(2)) and total == 1
    with pytest.raises(SyntaxError, match=r"test_script.py:\d+: 'nonlocal'"):
        fe.trace(counts, fe.ones(2))
    space: dict[str, object] = {}
    exec("def made(x): return x", {}, space)
    with pytest.raises(SyntaxError, match="cannot be read"):
        fe.trace(fe.script(space["made"]), fe.ones(2))


def test_a_scripted_function_keeps_name_defaults_and_closure() -> None:
    offset = fe.tensor([1.0])

    @fe.script
    def f(x, scale: float = 2.0, *, shift=offset):
        """Its text."""
        return x * scale + shift if x.sum() > 0 else x - offset

    assert f.__name__ == "f" and f.__doc__ == "Its text."
    x = fe.tensor([3.0])
    assert same(fe.trace(f, x)(x), f(x))
    assert same(fe.trace(f, x, 4.0)(x), f(x, 4.0))


class Scaled(nn.Module):
    def forward(self, x):
        return x * 2


class Private(Scaled):
    def __init__(self) -> None:
        super().__init__()
        self.__scale = 3.0

    @fe.script
    def forward(self, x):
        """Private names and super() on a way, as in the method itself."""
        if x.sum() > 1:
            x = super().forward(x) * self.__scale
        return x


def test_private_names_and_super_in_a_branch() -> None:
    model = Private()
    program = fe.export(model, (fe.tensor([3.0]),))
    for values in ([3.0], [0.5]):
        assert same(program(fe.tensor(values)), model(fe.tensor(values)))


def test_an_augmented_element_is_written_in_place_once() -> None:
    calls, keys = [], []

    @fe.script
    def f(x):
        calls.append(0)
        parts = [x * 1]
        first = parts[0]
        parts[keys.append(0) or 0] += 1
        return first

    x = fe.tensor([1.0, 2.0])
    assert same(fe.trace(f, x, check=False)(x), x + 1)
    assert len(keys) == len(calls)


def test_what_is_decorated_is_a_function() -> None:
    model = Scaled()
    x = fe.ones(2)
    assert same(fe.trace(fe.script(model.forward), x)(x), x * 2)
    assert fe.script(matched) is matched
    for wrong in (model, len, staticmethod(rows)):
        with pytest.raises(TypeError, match=r"^\[script\] a .* cannot be scripted"):
            fe.script(wrong)
    with pytest.raises(TypeError, match="must be the innermost decorator"):
        fe.script(functools.wraps(rows.__wrapped__)(lambda x: x))
