"""Autocast: what is cast where, gradients, the cache of parameters, capture."""

from __future__ import annotations

import doctest
import gc
import subprocess
import sys
import threading
from importlib import import_module

import numpy as np
import pytest

import ferrule as fe
from ferrule import _ferrule, nn
from ferrule.nn import functional as F
from ferrule.utils.checkpoint import checkpoint
from op_cases import TABLE, Case, cases, tensors_of

# What PyTorch casts on the CPU, and how, as far as it exists here; and all matrix
# decompositions, of which it casts most.
POLICIES = {
    "lower": """
        addbmm addmm attention baddbmm bmm conv1d conv2d conv3d conv_transpose1d
        conv_transpose2d conv_transpose3d linalg_vecdot linear matmul mm prelu
        scaled_dot_product_attention
    """,
    "f32": """
        adaptive_avg_pool3d adaptive_max_pool3d avg_pool3d binary_cross_entropy
        binary_cross_entropy_with_logits cdist cholesky cholesky_inverse cholesky_solve
        cosine_embedding_loss cross_entropy ctc_loss det fft_c2c fft_c2r fft_fft
        fft_fft2 fft_fftn fft_hfft fft_hfft2 fft_hfftn fft_ifft fft_ifft2 fft_ifftn
        fft_ihfft fft_ihfft2 fft_ihfftn fft_irfft fft_irfft2 fft_irfftn fft_r2c fft_rfft
        fft_rfft2 fft_rfftn fractional_max_pool2d fractional_max_pool3d grid_sample
        hinge_embedding_loss huber_loss inverse kl_div l1_loss least_squares
        linalg_cholesky_ex
        linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh linalg_householder_product
        linalg_inv_ex linalg_lu linalg_lu_factor linalg_lu_factor_ex linalg_lu_solve
        linalg_pinv linalg_qr linalg_solve linalg_solve_ex linalg_solve_triangular
        linalg_svd linalg_svdvals logdet lu_solve lu_unpack margin_ranking_loss
        matrix_exp max_pool3d max_pool3d_with_indices max_unpool1d max_unpool2d
        max_unpool3d mse_loss multi_margin_loss multilabel_margin_loss nanquantile
        nll_loss pinverse poisson_nll_loss polar prod qr quantile recurrence slogdet
        smooth_l1_loss soft_margin_loss solve_matrices stft svd trace triangular_solve
        triplet_margin_loss view_as_complex
    """,
    "widest": "index_copy index_put scatter_add",
    # Products of vectors, which PyTorch's CPU computes as they are.
    "keep": "addmv addr bilinear dot mv vdot",
}
PURE = [op for op in TABLE if not TABLE[op]["random"] and not TABLE[op]["mutates"]]
POLICY = {op: policy for policy, names in POLICIES.items() for op in names.split()}


def autocast(dtype: fe.dtype | None = None, **options) -> fe.autocast:
    return fe.autocast("cpu", dtype, **options)


# --- which operands are cast


@pytest.mark.parametrize("policy", POLICIES)
def test_policy_of_every_op(policy: str) -> None:
    there = {op for op in TABLE if TABLE[op]["autocast"] == policy}
    assert there == {op for op in POLICY if POLICY[op] == policy}


def with_floats(case: Case, dtypes: list[fe.dtype]) -> list[fe.Tensor]:
    """The arrays of a case, floats in one dtype after another."""
    count = 0
    made = []
    for a in case.arrays():
        t = fe.tensor(a)
        if t.is_floating_point():
            t = t.to(dtypes[count % len(dtypes)])
            count += 1
        made.append(t)
    return made


def cast(tensors: list[fe.Tensor], dtype: fe.dtype) -> list[fe.Tensor]:
    return [t.to(dtype) if t.is_floating_point() else t for t in tensors]


def same(a: object, b: object) -> bool:
    return all(
        _ferrule.same_bits(x.contiguous(), y.contiguous())
        for x, y in zip(tensors_of(a), tensors_of(b), strict=True)
    )


MIXED = [fe.float32, fe.bfloat16, fe.float16]


@pytest.mark.parametrize("op", sorted(POLICY.keys() & PURE))
def test_operands_are_cast(op: str) -> None:
    lowered = {fe.bfloat16: fe.bfloat16, fe.float16: fe.float16, None: fe.bfloat16}
    for case in cases(op):
        given = with_floats(case, MIXED)
        for chosen, lower in lowered.items():
            if POLICY[op] == "keep":
                given = cast(given, fe.float32)
            wanted = {"lower": lower}.get(POLICY[op], fe.float32)
            if POLICY[op] == "widest" and not any(t.dtype is fe.float32 for t in given):
                continue
            with autocast(chosen):
                result = case.call(arrays=given)
            assert same(result, case.call(arrays=cast(given, wanted))), str(case)


@pytest.mark.parametrize("op", sorted(PURE))
def test_float64_is_left_alone(op: str) -> None:
    for case in cases(op):
        plain = case.call(fe.float64)
        with autocast():
            result = case.call(fe.float64)
        assert same(result, plain), str(case)


def test_others_compute_in_what_they_are_given() -> None:
    x = fe.randn((4, 6))
    norm = nn.BatchNorm1d(6)
    with autocast():
        h = x @ x.T
        assert h.dtype is fe.bfloat16
        assert fe.exp(h).dtype is fe.bfloat16
        assert fe.softmax(h, -1).dtype is fe.bfloat16
        assert (h + x[:, :4]).dtype is fe.float32
        assert fe.cat([h, x[:, :4]]).dtype is fe.float32
        assert fe.where(h > 0, h, x[:, :4]).dtype is fe.float32
        assert norm(x.bfloat16()).dtype is fe.bfloat16
        assert fe.einsum("ij,kj->ik", x, x).dtype is fe.bfloat16
        assert F.cross_entropy(h, fe.arange(4)).dtype is fe.float32
    assert norm.running_mean.dtype is fe.float32
    assert norm.running_mean.abs().sum().item() > 0


def test_parts_of_a_cast_op_are_not_cast() -> None:
    """cdist computes products in float32, einsum is nothing but its parts."""
    x = fe.randn((40, 8))
    with autocast():
        distances = fe.cdist(x, x[:30])
        product = fe.einsum("ij,kj->ik", x, x)
    assert same(distances, fe.cdist(x, x[:30]))
    assert same(product, fe.einsum("ij,kj->ik", x.bfloat16(), x.bfloat16()))


def test_in_place_forms_are_not_cast() -> None:
    x, a, b = fe.zeros((2, 4)), fe.randn((2, 3)), fe.randn((3, 4))
    with autocast():
        x.addmm_(a, b)
    assert x.dtype is fe.float32
    assert same(x, fe.addmm(fe.zeros((2, 4)), a, b))


# --- regions


def product() -> fe.dtype:
    x = fe.ones((2, 2))
    return (x @ x).dtype


def test_regions_nest() -> None:
    assert not fe.is_autocast_enabled()
    with autocast():
        assert product() is fe.bfloat16
        with autocast(fe.float16):
            assert product() is fe.float16
            assert fe.get_autocast_dtype("cpu") is fe.float16
            with autocast(enabled=False):
                assert product() is fe.float32
                assert not fe.is_autocast_enabled("cpu")
            assert product() is fe.float16
        assert product() is fe.bfloat16
        assert fe.is_autocast_enabled("cpu")
    assert product() is fe.float32
    assert fe.get_autocast_dtype("cpu") is fe.bfloat16


def test_a_region_ends_with_an_exception() -> None:
    with pytest.raises(KeyError), autocast():
        raise KeyError
    assert not fe.is_autocast_enabled()
    assert product() is fe.float32


def test_one_context_may_be_entered_again() -> None:
    context = autocast()
    with context, autocast(enabled=False):
        with context:
            assert product() is fe.bfloat16
        assert product() is fe.float32
    assert product() is fe.float32


def test_decorator() -> None:
    @fe.autocast("cpu")
    def f():
        return product()

    @fe.autocast("cpu", enabled=False)
    def g():
        return product()

    @fe.autocast("cpu")
    def steps():
        yield product()
        yield product()

    assert f() is fe.bfloat16
    with autocast():
        assert g() is fe.float32
    seen = []
    for dtype in steps():
        seen += [dtype, product()]
    assert seen == [fe.bfloat16, fe.float32] * 2
    with pytest.raises(TypeError, match="decorates functions, got int"):
        fe.autocast("cpu")(3)  # type: ignore[type-var]


def test_the_state_belongs_to_the_thread() -> None:
    seen = []
    with autocast():
        thread = threading.Thread(target=lambda: seen.append(product()))
        thread.start()
        thread.join()
    assert seen == [fe.float32]


def test_setting_the_state() -> None:
    fe.set_autocast_dtype("cpu", fe.float16)
    fe.set_autocast_enabled("cpu", True)
    try:
        assert product() is fe.float16
        with fe.autocast("cpu"):
            assert product() is fe.float16
    finally:
        fe.set_autocast_enabled("cpu", False)
        fe.set_autocast_dtype("cpu", fe.bfloat16)
        fe.clear_autocast_cache()


def test_messages() -> None:
    assert fe.amp.is_autocast_available("cpu")
    assert not fe.amp.is_autocast_available("tpu")
    with pytest.raises(fe.DeviceError, match="no device 'tpu'; present: cpu"):
        fe.autocast("tpu")
    with pytest.raises(fe.DeviceError, match="kind of device.*got 'graph'"):
        fe.set_autocast_enabled("graph", True)
    with pytest.raises(ValueError, match="device_type must be a str"):
        fe.autocast(fe.float16)  # type: ignore[arg-type]
    with pytest.raises(fe.DTypeError, match="bfloat16 or float16, got float32"):
        fe.set_autocast_dtype("cpu", fe.float32)
    with pytest.warns(fe.FerruleWarning, match="got float32; autocast is off"):
        region = fe.autocast("cpu", fe.float32)
    with region:
        assert product() is fe.float32


@pytest.mark.skipif(fe.amp.is_autocast_available("cuda"), reason="has CUDA")
def test_cuda_where_there_is_none() -> None:
    with pytest.warns(fe.FerruleWarning, match="no device 'cuda'; autocast is off"):
        region = fe.autocast("cuda")
    with region, fe.autocast("cuda", enabled=False):
        assert product() is fe.float32


def test_exit_of_a_process_within_a_region() -> None:
    program = """if True:
        import threading
        import ferrule as fe
        layer = fe.nn.Linear(3, 3)
        def run():
            fe.set_autocast_enabled("cpu", True)
            assert layer(fe.ones(2, 3)).dtype is fe.bfloat16
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        run()
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


# --- gradients


def layer_norm_net() -> nn.Module:
    fe.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3, bias=False)
    )


def test_gradients_are_those_of_written_casts() -> None:
    x, y = fe.randn((5, 6)), fe.tensor([0, 1, 2, 0, 1])
    auto, manual = layer_norm_net(), layer_norm_net()
    with autocast():
        loss = F.cross_entropy(auto(x), y)
    loss.backward()

    h = F.linear(x.bfloat16(), manual[0].weight.bfloat16(), manual[0].bias.bfloat16())
    h = manual[2](manual[1](h))
    F.cross_entropy(F.linear(h, manual[3].weight.bfloat16()).float(), y).backward()
    for p, q in zip(auto.parameters(), manual.parameters(), strict=True):
        assert p.dtype is fe.float32
        assert p.grad.dtype is fe.float32
        assert same(p.grad, q.grad)


def test_backward_inside_of_a_region_computes_the_same() -> None:
    x, y = fe.randn((5, 6)), fe.tensor([0, 1, 2, 0, 1])
    grads = []
    for inside in (True, False):
        model = layer_norm_net()
        with autocast():
            loss = F.cross_entropy(model(x), y)
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        grads.append([p.grad for p in model.parameters()])
    assert all(same(a, b) for a, b in zip(*grads, strict=True))


def test_gradient_of_the_gradient() -> None:
    w = fe.randn((4, 4)).requires_grad_()
    x = fe.randn((3, 4))
    with autocast():
        loss = (F.linear(x, w) ** 2).sum()
    (g,) = fe.autograd.grad(loss, w, create_graph=True)
    assert g.dtype is fe.float32
    (h,) = fe.autograd.grad((g * g).sum(), w)
    assert h.dtype is fe.float32
    exact = 8 * (x.T @ x) @ (x.T @ x) @ w.detach().T
    assert np.allclose(h.numpy(), exact.T.numpy(), rtol=0.1, atol=1.0)


# --- parameters that are cast once


def allocated_by(run) -> int:
    gc.collect()
    before = fe.memory_stats()["allocated"]
    kept = run()
    grown = fe.memory_stats()["allocated"] - before
    del kept
    return grown


def test_a_parameter_is_cast_once_in_a_region() -> None:
    w = fe.zeros((1024, 1024)).requires_grad_()
    x = fe.zeros((1, 1024)).requires_grad_()

    def run(**options):
        with autocast(**options):
            ys = [F.linear(x, w) for _ in range(5)]
            with autocast():
                ys.append(F.linear(x, w))
        return ys

    half = w.nbytes // 2
    assert half <= allocated_by(run) < 1.5 * half
    assert allocated_by(lambda: run(cache_enabled=False)) > 5 * half
    # Nothing is kept after the region.
    assert allocated_by(lambda: [y.sum().item() for y in run()]) < half


def test_a_parameter_that_was_written_is_cast_again() -> None:
    w, x = fe.ones((2, 2)).requires_grad_(), fe.ones((1, 2))
    with autocast():
        first = F.linear(x, w)
        with fe.no_grad():
            w.mul_(3.0)
        second = F.linear(x, w)
    assert first.tolist() == [[2.0, 2.0]]
    assert second.tolist() == [[6.0, 6.0]]


def test_a_cast_without_history_is_not_used_where_gradients_are_recorded() -> None:
    w, x = fe.ones((2, 2)).requires_grad_(), fe.ones((1, 2))
    with autocast():
        with fe.no_grad():
            F.linear(x, w)
        with fe.inference_mode():
            F.linear(x, w)
        y = F.linear(x, w)
        with fe.inference_mode():
            F.linear(x, w)
        with fe.no_grad():
            assert not F.linear(x, w).requires_grad
        z = F.linear(x, w)
    (y.sum() + z.sum()).backward()
    assert w.grad.tolist() == [[2.0, 2.0]] * 2


def test_backward_passes_share_a_cast() -> None:
    """Each frees its graph, of which the cast of the parameter is a part."""
    w, x = fe.ones((2, 2)).requires_grad_(), fe.ones((1, 2))
    with autocast():
        losses = [F.linear(x, w).sum() for _ in range(3)]
        for loss in losses:
            loss.backward()
        F.linear(x, w).sum().backward()
    assert w.grad.tolist() == [[4.0, 4.0]] * 2


def test_a_long_region_keeps_no_forgotten_leaves() -> None:
    x = fe.ones((1, 4096))
    with autocast():

        def run():
            for _ in range(1000):
                F.linear(x, fe.zeros((4, 4096)).requires_grad_())

        assert allocated_by(run) < 300 * 6 * 4 * 4096


def test_cache_settings() -> None:
    assert fe.is_autocast_cache_enabled()
    with autocast(cache_enabled=False):
        assert not fe.is_autocast_cache_enabled()
        with autocast():
            assert not fe.is_autocast_cache_enabled()
    assert fe.is_autocast_cache_enabled()
    assert fe.autocast_increment_nesting() == 1
    assert fe.autocast_decrement_nesting() == 0


# --- functions with own gradients


class Scale(fe.autograd.Function):
    @staticmethod
    @fe.amp.custom_fwd(device_type="cpu")
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        Scale.seen = [fe.is_autocast_enabled("cpu"), x.dtype]
        return x @ w

    @staticmethod
    @fe.amp.custom_bwd(device_type="cpu")
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        Scale.seen += [fe.is_autocast_enabled("cpu"), fe.get_autocast_dtype("cpu")]
        return grad @ w.T, x.T @ grad


class Exact(fe.autograd.Function):
    @staticmethod
    @fe.amp.custom_fwd(device_type="cpu", cast_inputs=fe.float32)
    def forward(ctx, x, w, more):
        Exact.seen = [fe.is_autocast_enabled("cpu"), x.dtype, w.dtype]
        Exact.seen += [more["t"][0].dtype, more["i"].dtype, more["name"]]
        return x @ w

    @staticmethod
    @fe.amp.custom_bwd(device_type="cpu")
    def backward(ctx, grad):
        Exact.seen.append(fe.is_autocast_enabled("cpu"))
        return grad, grad, None


def test_custom_function() -> None:
    x = fe.ones((2, 2)).requires_grad_()
    w = fe.ones((2, 2)).requires_grad_()
    with autocast(fe.float16):
        y = Scale.apply(x, w)
    assert y.dtype is fe.float16
    y.sum().backward()
    assert Scale.seen == [True, fe.float32, True, fe.float16]
    assert x.grad.dtype is fe.float32
    Scale.apply(x, w).sum().backward()
    assert Scale.seen[0] is False
    assert Scale.seen[2] is False


def test_custom_function_with_cast_inputs() -> None:
    x = fe.ones((2, 2), dtype=fe.bfloat16).requires_grad_()
    w = fe.ones((2, 2)).requires_grad_()
    more = {"t": [fe.ones(1).bfloat16()], "i": fe.arange(2), "name": "n"}
    with autocast():
        y = Exact.apply(x, w, more)
        assert y.dtype is fe.float32
        y.sum().backward()
    f32 = fe.float32
    assert Exact.seen == [False, f32, f32, f32, fe.int64, "n", False]
    Exact.apply(x.float(), w, more)
    assert Exact.seen[3] is fe.bfloat16
    with pytest.raises(ValueError, match="device_type must be a str"):
        fe.amp.custom_fwd(device_type=3)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="must be decorated with custom_fwd"):
        fe.amp.custom_bwd(lambda ctx, g: g, device_type="cpu")(object(), 1)


# --- checkpointing


def test_checkpoint_computes_again_under_the_same_autocast() -> None:
    x, y = fe.randn((5, 6)), fe.tensor([0, 1, 2, 0, 1])
    grads = []
    for through in (lambda m, t: m(t), checkpoint):
        model = layer_norm_net()
        with autocast():
            loss = F.cross_entropy(through(model, x), y)
        loss.backward()
        grads.append([p.grad for p in model.parameters()])
    assert all(same(a, b) for a, b in zip(*grads, strict=True))


# --- capture


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(64, 5)
        self.again = nn.Linear(5, 5)

    @fe.autocast("cpu")
    def forward(self, x: fe.Tensor) -> fe.Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        x = self.again(self.head(x.flatten(1)))
        return self.again(x)


@fe.autocast("cpu")
def loss_of(output: fe.Tensor, target: fe.Tensor) -> fe.Tensor:
    return F.cross_entropy(output, target)


def test_export_has_the_casts_in_it(tmp_path) -> None:
    rng = np.random.default_rng(0)
    x = fe.tensor(rng.standard_normal((6, 1, 8, 8)).astype(np.float32))
    y = fe.tensor(rng.integers(0, 5, 6))
    fe.manual_seed(1)
    model = ConvNet()
    optimizer = fe.optim.AdamW(model.parameters(), lr=1e-2)
    program = fe.export(
        model,
        (x,),
        dynamic_shapes={"x": {0: fe.Dim("batch", min=1, max=64)}},
        train=(loss_of, optimizer),
        targets=(y,),
    )
    program.save(tmp_path / "net.fer")
    loaded = fe.load_program(tmp_path / "net.fer")
    output = loaded(x)
    assert output.dtype is fe.bfloat16
    model.eval()
    assert same(output, model(x))
    model.train()
    for _ in range(5):
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        assert loaded.run("train_step", x, y)[0].item() == loss.item()
    state = loaded.state_dict()
    for name, value in model.state_dict().items():
        assert same(state[f"model.{name}"], value.detach()), name


def test_export_inside_of_a_region() -> None:
    model, x = layer_norm_net(), fe.randn((5, 6))
    with autocast():
        program = fe.export(model, (x,))
        y = model(x)
    assert program(x).dtype is fe.bfloat16
    assert same(program(x), y)


# --- the examples of docstrings


@pytest.mark.parametrize("module", ["autocast_mode", "grad_scaler"])
def test_docstrings(module: str) -> None:
    failed, tried = doctest.testmod(import_module(f"ferrule.amp.{module}"))
    assert tried > 5
    assert failed == 0


# --- training


def digits() -> tuple[fe.Tensor, fe.Tensor]:
    """Images of bars, which stand or lie: the class says which, and where."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 8, 256)
    x = rng.standard_normal((256, 1, 8, 8)).astype(np.float32) * 0.3
    for image, label in zip(x, y, strict=True):
        at = 2 * (label % 4)
        image[0, at : at + 2] += label < 4
        image[0, :, at : at + 2] += label >= 4
    return fe.tensor(x), fe.tensor(y)


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 16)
        self.place = nn.Parameter(fe.randn((8, 16)) * 0.1)
        self.block = nn.TransformerEncoderLayer(
            16, 2, 32, dropout=0.0, batch_first=True
        )
        self.head = nn.Linear(16, 8)

    def forward(self, x: fe.Tensor) -> fe.Tensor:
        x = self.block(self.embed(x.squeeze(1)) + self.place)
        return self.head(x.mean(1))


def convolving() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 8),
    )


@pytest.mark.parametrize("make", [convolving, Attending])
def test_training_converges_as_in_float32(make) -> None:
    x, y = digits()
    final = {}
    for dtype in (None, fe.bfloat16, fe.float16):
        fe.manual_seed(5)
        model = make()
        optimizer = fe.optim.AdamW(model.parameters(), lr=1e-2)
        scaler = fe.amp.GradScaler(enabled=dtype is fe.float16)
        losses = []
        for step in range(60):
            part = slice(step % 4 * 64, (step % 4 + 1) * 64)
            optimizer.zero_grad()
            with autocast(dtype, enabled=dtype is not None):
                loss = F.cross_entropy(model(x[part]), y[part])
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.item())
        assert all(p.grad.dtype is fe.float32 for p in model.parameters())
        final[dtype] = np.mean(losses[-8:])
    assert final[None] < 0.1
    assert final[fe.bfloat16] < final[None] + 0.05
    assert final[fe.float16] < final[None] + 0.05


@pytest.mark.parametrize("make", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers(make) -> None:
    """Products of the input in bfloat16, what runs from step to step in float32."""
    fe.manual_seed(2)
    layer, x = make(6, 4, num_layers=2, bidirectional=True), fe.randn((5, 3, 6))
    exact = layer(x)[0]
    with autocast():
        output = layer(x)[0]
    assert output.dtype is fe.float32
    assert fe.allclose(output, exact, atol=0.02)
    assert not same(output, exact)
    output.sum().backward()
    assert all(p.grad.dtype is fe.float32 for p in layer.parameters())
