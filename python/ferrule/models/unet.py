"""U-Net: a class for each pixel of an image."""

from __future__ import annotations

from itertools import pairwise

from .. import Tensor, cat, nn

__all__ = ["UNet"]


def _twice(inputs: int, outputs: int) -> nn.Module:
    """Two 3x3 convolutions with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """U-Net, with padding, so that the result is as large as the image.

    The image is halved `depth` times and brought back to its size; each size on the
    way up also sees what was found on the way down.

    Args:
        in_channels: of the image.
        num_classes: of a pixel.
        width: channels at full size; each half size has twice as many.
        depth: how often sizes are halved; height and width are multiples of
            2 ** depth.

    Shapes:
        (batch, in_channels, height, width) to logits
        (batch, num_classes, height, width).

    Example:
        >>> import ferrule as fe
        >>> model = fe.models.UNet(1, 2, width=4, depth=2).eval()
        >>> model(fe.zeros(1, 1, 16, 24)).shape
        (1, 2, 16, 24)

    Source: Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image
    Segmentation", 2015; with batch norm.
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 2,
        width: int = 64,
        depth: int = 4,
    ) -> None:
        super().__init__()
        widths = [width << k for k in range(depth + 1)]
        self.first = _twice(in_channels, width)
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(_twice(a, b) for a, b in pairwise(widths))
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1])
        )
        self.up = nn.ModuleList(_twice(2 * w, w) for w in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        found = [self.first(x)]
        for layers in self.down:
            found.append(layers(self.pool(found[-1])))
        x = found.pop()
        for grow, layers in zip(self.grow, self.up, strict=True):
            x = layers(cat((found.pop(), grow(x)), 1))
        return self.head(x)
