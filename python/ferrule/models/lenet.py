"""LeNet-5, the first convolutional network in wide use."""

from __future__ import annotations

from .. import Tensor, nn

__all__ = ["LeNet"]


class LeNet(nn.Module):
    """LeNet-5 with ReLU and max pooling, as it is trained today.

    Args:
        in_channels: 1 for grey images, 3 for colour.
        num_classes: width of the last layer.

    Shapes:
        (batch, in_channels, 28, 28) to logits (batch, num_classes).

    Example:
        >>> import ferrule as fe
        >>> fe.models.LeNet()(fe.zeros(2, 1, 28, 28)).shape
        (2, 10)

    Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition",
    1998.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.features(x))
        return scores
