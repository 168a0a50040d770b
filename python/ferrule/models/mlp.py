"""Linear layers, one after another."""

from __future__ import annotations

from .. import Tensor, nn

__all__ = ["MLP"]


class MLP(nn.Module):
    """A multilayer perceptron: linear layers with ReLU between them.

    Args:
        inputs: numbers of an example.
        hidden: widths of the layers in between.
        num_classes: width of the last layer.

    Shapes:
        (batch, ...), flattened to (batch, inputs), to logits (batch, num_classes).

    Example:
        >>> import ferrule as fe
        >>> fe.models.MLP()(fe.zeros(2, 1, 28, 28)).shape
        (2, 10)
    """

    def __init__(
        self,
        inputs: int = 784,
        hidden: tuple[int, ...] = (256, 128),
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.layers(x)
        return scores
