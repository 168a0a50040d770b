"""MobileNetV2. Parameters are named as in torchvision, whose weights fit."""

from __future__ import annotations

from .. import Tensor, nn

__all__ = ["InvertedResidual", "MobileNetV2", "mobilenet_v2"]

# Of each stage: expansion, channels, blocks, stride of the first block.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _channels(wanted: float) -> int:
    """The nearest multiple of 8 that is not more than a tenth smaller."""
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest


def _unit(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    """Convolution, batch norm, activation."""
    return nn.Sequential(
        nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        ),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    """Widens, filters each channel for itself, narrows; adds the input if it fits."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers = [_unit(inputs, hidden, 1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *layers,
            _unit(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.adds else y


class MobileNetV2(nn.Module):
    """A network for images on phones; see `mobilenet_v2`.

    Args:
        num_classes: width of the last layer.
        width_mult: how many times as many channels as in the paper.
        dropout: before the last layer.

    Shapes:
        (batch, 3, height, width) to logits (batch, num_classes).
    """

    def __init__(
        self, num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2
    ) -> None:
        super().__init__()
        inputs = _channels(32 * width_mult)
        last = _channels(1280 * max(1.0, width_mult))
        features = [_unit(3, inputs, 3, 2)]
        for expansion, channels, blocks, stride in _STAGES:
            outputs = _channels(channels * width_mult)
            for k in range(blocks):
                features.append(
                    InvertedResidual(inputs, outputs, 1 if k else stride, expansion)
                )
                inputs = outputs
        self.features = nn.Sequential(*features, _unit(inputs, last, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(last, num_classes)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.pool(self.features(x)).flatten(1))
        return scores


def mobilenet_v2(num_classes: int = 1000, width_mult: float = 1.0) -> MobileNetV2:
    """MobileNetV2: 3.5 million parameters.

    Args:
        num_classes: width of the last layer.
        width_mult: how many times as many channels as in the paper.

    Example:
        >>> import ferrule as fe
        >>> model = fe.models.mobilenet_v2(10, width_mult=0.25).eval()
        >>> model(fe.zeros(2, 3, 64, 64)).shape
        (2, 10)

    Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
    2018.
    """
    return MobileNetV2(num_classes, width_mult)
