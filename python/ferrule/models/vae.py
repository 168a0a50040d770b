"""A variational autoencoder."""

from __future__ import annotations

from .. import Tensor, nn, randn_like
from ..nn import functional as F

__all__ = ["VAE"]


class VAE(nn.Module):
    """Describes images by a few numbers, drawn at random, and draws them again.

    Each image becomes a normal distribution, from which its code is drawn, in
    evaluation as in training; the decoder gives the logit of each pixel's brightness.

    Args:
        inputs: pixels of an image, in 0..1.
        hidden: width of the layers in between.
        latent: numbers of a code.

    Shapes:
        (batch, ...), flattened to (batch, inputs), to logits (batch, inputs), and mean
        and logarithm of the variance of codes, (batch, latent) each.

    Example:
        >>> import ferrule as fe
        >>> logits, mean, log_var = fe.models.VAE(64, 32, 4)(fe.rand(2, 8, 8))
        >>> logits.shape, mean.shape
        ((2, 64), (2, 4))

    Source: Kingma and Welling, "Auto-Encoding Variational Bayes", 2013.
    """

    def __init__(self, inputs: int = 784, hidden: int = 400, latent: int = 20) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, latent)
        self.log_var = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, inputs)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.encoder(x)
        mean, log_var = self.mean(found), self.log_var(found)
        code = mean + (0.5 * log_var).exp() * randn_like(mean)
        return self.decoder(code), mean, log_var

    @staticmethod
    def loss(found: tuple[Tensor, Tensor, Tensor], x: Tensor) -> Tensor:
        """The negative bound of the likelihood, in nats an image.

        Args:
            found: what the model returned for `x`.
            x: the images.
        """
        logits, mean, log_var = found
        error = F.binary_cross_entropy_with_logits(
            logits, x.flatten(1), reduction="sum"
        )
        distance = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum()
        return (error + distance) / x.shape[0]
