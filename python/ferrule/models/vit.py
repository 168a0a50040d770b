"""Vision transformer. Parameters are named as in torchvision, whose weights fit."""

from __future__ import annotations

from collections import OrderedDict
from math import sqrt

from .. import Tensor, cat, nn, zeros

__all__ = ["VisionTransformer", "vit_b_16"]


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int, mlp_width: int, dropout: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(
            width, heads, dropout=dropout, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp_width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        y, _ = self.self_attention(y, y, y, need_weights=False)
        x = x + self.dropout(y)
        z: Tensor = self.mlp(self.ln_2(x))
        return x + z


class _Encoder(nn.Module):
    def __init__(self, length: int, layers: list[nn.Module], width: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(zeros(1, length, width))
        nn.init.normal_(self.pos_embedding, std=0.02)
        self.layers = nn.Sequential(
            OrderedDict((f"encoder_layer_{i}", layer) for i, layer in enumerate(layers))
        )
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.ln(self.layers(x + self.pos_embedding))


class VisionTransformer(nn.Module):
    """A transformer over the patches of an image; see `vit_b_16`.

    Args:
        image_size, patch_size: sides of the image and of a patch.
        num_layers, num_heads, hidden_dim, mlp_dim: of the encoder.
        dropout: in training.
        num_classes: width of the last layer.

    Shapes:
        (batch, 3, image_size, image_size) to logits (batch, num_classes).

    Raises:
        ValueError: the image is not a whole number of patches.
    """

    def __init__(
        self,
        image_size: int = 224,
        patch_size: int = 16,
        num_layers: int = 12,
        num_heads: int = 12,
        hidden_dim: int = 768,
        mlp_dim: int = 3072,
        dropout: float = 0.0,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(
                f"[VisionTransformer] image_size {image_size} is not a multiple of "
                f"patch_size {patch_size}"
            )
        self.conv_proj = nn.Conv2d(3, hidden_dim, patch_size, patch_size)
        nn.init.normal_(
            self.conv_proj.weight, std=sqrt(1 / (3 * patch_size * patch_size))
        )
        self.class_token = nn.Parameter(zeros(1, 1, hidden_dim))
        self.encoder = _Encoder(
            (image_size // patch_size) ** 2 + 1,
            [
                _Layer(hidden_dim, num_heads, mlp_dim, dropout)
                for _ in range(num_layers)
            ],
            hidden_dim,
        )
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(hidden_dim, num_classes)))

    def forward(self, x: Tensor) -> Tensor:
        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        token = self.class_token.expand(x.shape[0], -1, -1)
        scores: Tensor = self.heads(self.encoder(cat((token, patches), 1))[:, 0])
        return scores


def vit_b_16(num_classes: int = 1000, image_size: int = 224) -> VisionTransformer:
    """The base model with patches of 16x16: 86.6 million parameters.

    Args:
        num_classes: width of the last layer.
        image_size: a multiple of 16.

    Example:
        >>> import ferrule as fe
        >>> model = fe.models.VisionTransformer(
        ...     32, 8, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32,
        ...     num_classes=10,
        ... ).eval()
        >>> model(fe.zeros(2, 3, 32, 32)).shape
        (2, 10)

    Source: Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image
    Recognition at Scale", 2020.
    """
    return VisionTransformer(image_size, num_classes=num_classes)
