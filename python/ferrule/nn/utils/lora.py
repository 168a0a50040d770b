"""Low-rank adapters: fine-tuning that trains, and keeps, a small part of the numbers.

A linear layer with weight W becomes W x + scaling * B A x. W stays as it was shipped; A
and B, of a low rank, are trained. In an exported file W is never written, and so stays
shared between all who use the file.
"""

from __future__ import annotations

import re
from math import sqrt

from ..._ferrule import Tensor, ops
from .. import init
from ..module import Module
from ..modules.attention import MultiheadAttention
from ..modules.dropout import Dropout
from ..modules.linear import Linear
from ..parameter import Parameter

__all__ = ["LoRALinear", "add_lora", "lora_state_dict", "merge_lora"]


class LoRALinear(Linear):
    """A linear layer with a low-rank adapter: y = x W^T + b + scaling * x A^T B^T.

    At first B is zero, so that nothing changes. It takes over the parameters of the
    layer, under the same names, and freezes them.

    Args:
        linear: the layer.
        rank: rows of A and columns of B.
        alpha: `scaling` is alpha / rank.
        dropout: of the adapter's input, in training.

    Attributes:
        lora_A: (rank, in_features), drawn as the weight of a `Linear`.
        lora_B: (out_features, rank), zeros.

    Raises:
        ValueError: `rank` is less than 1.

    Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.Linear(8, 4)
        >>> adapted = fe.nn.utils.lora.LoRALinear(layer, rank=2, alpha=4)
        >>> x = fe.rand(3, 8)
        >>> adapted(x).tolist() == layer(x).tolist()
        True
        >>> [name for name, p in adapted.named_parameters() if p.requires_grad]
        ['lora_A', 'lora_B']
    """

    def __init__(
        self, linear: Linear, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0
    ) -> None:
        if rank < 1:
            raise ValueError(f"[LoRALinear] rank must be at least 1, got {rank}")
        Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight = linear.weight
        self.register_parameter("bias", linear.bias)
        self.requires_grad_(False)
        like = linear.weight.detach()
        self.rank, self.scaling = rank, alpha / rank
        self.dropout = Dropout(dropout)
        self.lora_A = Parameter(like.new_zeros(rank, self.in_features))
        self.lora_B = Parameter(like.new_zeros(self.out_features, rank))
        init.kaiming_uniform_(self.lora_A, a=sqrt(5.0))
        self.training = linear.training

    def forward(self, input: Tensor) -> Tensor:
        low = ops.linear(self.dropout(input), self.lora_A)
        return super().forward(input) + ops.linear(low, self.lora_B) * self.scaling

    def merged(self) -> Linear:
        """A plain layer that computes the same, up to rounding."""
        weight = self.weight.detach()
        low = self.lora_B.detach() @ self.lora_A.detach()
        plain = Linear(
            self.in_features,
            self.out_features,
            self.bias is not None,
            weight.device,
            weight.dtype,
        )
        plain.weight = Parameter(weight + low * self.scaling)
        if self.bias is not None:
            plain.bias = Parameter(self.bias.detach().clone())
        return plain.train(self.training)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, rank={self.rank}, scaling={self.scaling:g}"


def _places(model: Module) -> list[tuple[Module, str, str, Module]]:
    """Parent, name there, path and module of every submodule, wherever it is used."""
    modules = dict(model.named_modules(remove_duplicate=False))
    return [
        (modules[path.rpartition(".")[0]], path.rpartition(".")[2], path, module)
        for path, module in modules.items()
        if path
    ]


def add_lora(
    model: Module,
    rank: int = 8,
    alpha: float = 16.0,
    dropout: float = 0.0,
    *,
    where: str = "",
) -> list[Parameter]:
    """Freezes a model, and gives its linear layers adapters, in place.

    Those in a `MultiheadAttention` are left out: it uses their weights itself.

    Args:
        model: what to adapt.
        rank, alpha, dropout: as of `LoRALinear`.
        where: a regular expression; only layers in whose path it is found.

    Returns:
        The parameters to train.

    Raises:
        ValueError: there is no such layer.

    Example:
        >>> import ferrule as fe
        >>> model = fe.models.GPT(65, 16, layers=2, width=8, heads=2)
        >>> trained = fe.nn.utils.lora.add_lora(model, rank=2, where="qkv")
        >>> optimizer = fe.optim.AdamW(trained, lr=1e-3)
        >>> len(trained), sum(p.numel() for p in trained)
        (4, 128)
    """
    chosen = [
        (parent, name, child)
        for parent, name, path, child in _places(model)
        if type(child) is Linear
        and not isinstance(parent, MultiheadAttention)
        and re.search(where, path)
    ]
    if not chosen:
        raise ValueError(
            f"[add_lora] the model has no linear layer whose path has {where!r} in it"
        )
    model.requires_grad_(False)
    adapters: dict[int, LoRALinear] = {}  # a layer in two places has one adapter
    for parent, name, child in chosen:
        if id(child) not in adapters:
            adapters[id(child)] = LoRALinear(child, rank, alpha, dropout)
        setattr(parent, name, adapters[id(child)])
    return [p for a in adapters.values() for p in (a.lora_A, a.lora_B)]


def merge_lora(model: Module) -> None:
    """Puts plain layers in the place of adapted ones, which compute the same.

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.Sequential(fe.nn.Linear(8, 4))
        >>> parameters = fe.nn.utils.lora.add_lora(model, rank=2)
        >>> fe.nn.utils.lora.merge_lora(model)
        >>> model
        Sequential(
          (0): Linear(in_features=8, out_features=4, bias=True)
        )
    """
    plain: dict[int, Linear] = {}
    for parent, name, _, child in _places(model):
        if isinstance(child, LoRALinear):
            if id(child) not in plain:
                plain[id(child)] = child.merged()
            setattr(parent, name, plain[id(child)])


def lora_state_dict(model: Module) -> dict[str, Tensor]:
    """The adapters alone, by name: what one user's fine-tuning consists of.

    `model.load_state_dict(adapters, strict=False)` takes them over.

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.Sequential(fe.nn.Linear(8, 4))
        >>> parameters = fe.nn.utils.lora.add_lora(model, rank=2)
        >>> list(fe.nn.utils.lora.lora_state_dict(model))
        ['0.lora_A', '0.lora_B']
    """
    return {
        name: value
        for name, value in model.state_dict().items()
        if name.rpartition(".")[2] in ("lora_A", "lora_B")
    }
