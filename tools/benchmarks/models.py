"""Small models, written once: both libraries have the same `nn`."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def mlp(nn: Any) -> Any:
    """784-256-128-10."""
    return nn.Sequential(
        nn.Linear(784, 256),
        nn.ReLU(),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def lenet(nn: Any) -> Any:
    """LeNet-5 with ReLU and max pooling, for images of 1x28x28."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def resnet18(nn: Any, classes: int = 10) -> Any:
    """He et al., "Deep Residual Learning for Image Recognition", for 3x32x32."""

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.shortcut = nn.Identity()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                    nn.BatchNorm2d(outputs),
                )

        def forward(self, x: Any) -> Any:
            y = self.bn1(self.conv1(x)).relu()
            return (self.bn2(self.conv2(y)) + self.shortcut(x)).relu()

    blocks = []
    inputs = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, classes),
    )


def resnet50(nn: Any, classes: int = 1000) -> Any:
    """He et al., "Deep Residual Learning for Image Recognition", for 3x224x224.

    The stride is in the 3x3 convolution, as is usual today.
    """

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, inputs: int, width: int, stride: int) -> None:
            super().__init__()
            outputs = 4 * width
            self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)
            self.shortcut = nn.Identity()
            if stride != 1 or inputs != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                    nn.BatchNorm2d(outputs),
                )

        def forward(self, x: Any) -> Any:
            y = self.bn1(self.conv1(x)).relu()
            y = self.bn2(self.conv2(y)).relu()
            return (self.bn3(self.conv3(y)) + self.shortcut(x)).relu()

    blocks = []
    inputs = 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for k in range(count):
            blocks.append(Block(inputs, width, stride if k == 0 else 1))
            inputs = 4 * width
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(inputs, classes),
    )


def mobilenet_v2(nn: Any, classes: int = 1000) -> Any:
    """Sandler et al., "MobileNetV2", for images of 3x224x224."""

    class Clip(nn.Module):  # type: ignore[name-defined, misc]
        def forward(self, x: Any) -> Any:
            return x.clamp(0.0, 6.0)

    def unit(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> list:
        conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        return [conv, nn.BatchNorm2d(outputs), Clip()]

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, inputs: int, outputs: int, stride: int, wider: int) -> None:
            super().__init__()
            hidden = inputs * wider
            layers = unit(inputs, hidden, 1, 1, 1) if wider > 1 else []
            layers += unit(hidden, hidden, 3, stride, hidden)
            layers += unit(hidden, outputs, 1, 1, 1)[:2]
            self.layers = nn.Sequential(*layers)
            self.adds = stride == 1 and inputs == outputs

        def forward(self, x: Any) -> Any:
            y = self.layers(x)
            return x + y if self.adds else y

    blocks = []
    inputs = 32
    for wider, outputs, count, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for k in range(count):
            blocks.append(Block(inputs, outputs, stride if k == 0 else 1, wider))
            inputs = outputs
    return nn.Sequential(
        *unit(3, 32, 3, 2, 1),
        *blocks,
        *unit(320, 1280, 1, 1, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(1280, classes),
    )


def char_gpt(nn: Any, vocabulary: int = 65, width: int = 128, block: int = 128) -> Any:
    """Four layers, four heads: a decoder of characters. Input: batch x block."""
    heads = 4

    class Attention(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            batch, length, _ = x.shape
            parts = self.qkv(x).reshape(batch, length, 3, heads, width // heads)
            q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(y.transpose(1, 2).reshape(batch, length, width))

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(width)
            self.attention = Attention()
            self.norm2 = nn.LayerNorm(width)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class Model(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(vocabulary, width)
            self.place = nn.Embedding(block, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(4)])
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, vocabulary)

        def forward(self, tokens: Any) -> Any:
            x = self.token(tokens) + self.place.weight[: tokens.shape[1]]
            y = self.head(self.norm(self.blocks(x)))
            return y.reshape(-1, vocabulary)

    return Model()


def bert(nn: Any, layers: int = 12, width: int = 768, heads: int = 12) -> Any:
    """The encoder of Devlin et al., "BERT", base. Input: batch x length x width."""

    class Layer(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.q = nn.Linear(width, width)
            self.k = nn.Linear(width, width)
            self.v = nn.Linear(width, width)
            self.out = nn.Linear(width, width)
            self.norm1 = nn.LayerNorm(width)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )
            self.norm2 = nn.LayerNorm(width)

        def forward(self, x: Any) -> Any:
            batch, length, _ = x.shape

            def split(y: Any) -> Any:
                return y.reshape(batch, length, heads, width // heads).transpose(1, 2)

            y = nn.functional.scaled_dot_product_attention(
                split(self.q(x)), split(self.k(x)), split(self.v(x))
            )
            y = self.out(y.transpose(1, 2).reshape(batch, length, width))
            x = self.norm1(x + y)
            return self.norm2(x + self.mlp(x))

    return nn.Sequential(*[Layer() for _ in range(layers)])


def gpt_step(
    nn: Any,
    layers: int = 12,
    width: int = 768,
    heads: int = 12,
    vocabulary: int = 50257,
) -> Any:
    """One token of a decoder as large as GPT-2 small, with a cache.

    Inputs: the embedded token, batch x 1 x width; keys and values of the tokens before
    it, layers x 2 x batch x heads x length x (width / heads). Results: the logits and
    the token's own keys and values.
    """

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(width)
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
            self.norm2 = nn.LayerNorm(width)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x: Any, keys: Any, values: Any, cat: Any) -> Any:
            batch = x.shape[0]
            parts = self.qkv(self.norm1(x)).reshape(batch, 1, 3, heads, width // heads)
            q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
            y = nn.functional.scaled_dot_product_attention(
                q, cat([keys, k], 2), cat([values, v], 2)
            )
            x = x + self.out(y.transpose(1, 2).reshape(batch, 1, width))
            return x + self.mlp(self.norm2(x)), k, v

    class Model(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, vocabulary, bias=False)

        def forward(self, x: Any, cache: Any) -> Any:
            lib = import_module(type(x).__module__.split(".")[0])
            new = []
            for i, block in enumerate(self.blocks):
                x, k, v = block(x, cache[i, 0], cache[i, 1], lib.cat)
                new += [k, v]
            return self.head(self.norm(x)), lib.stack(new)

    return Model()


def lstm(nn: Any, vocabulary: int = 65, width: int = 256) -> Any:
    """Two layers over characters. Input: batch x length."""

    class Model(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(vocabulary, width)
            self.cells = nn.LSTM(width, width, num_layers=2, batch_first=True)
            self.head = nn.Linear(width, vocabulary)

        def forward(self, tokens: Any) -> Any:
            y, _ = self.cells(self.token(tokens))
            return self.head(y).reshape(-1, vocabulary)

    return Model()
