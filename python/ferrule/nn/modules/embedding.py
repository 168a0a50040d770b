"""`Embedding`: a table of vectors."""

from __future__ import annotations

from ..._ferrule import Device, DType, ShapeError, Tensor, no_grad, ops
from .. import init
from ..module import Module
from ..parameter import Parameter

__all__ = ["Embedding"]


class Embedding(Module):
    """Looks up rows of a trained table by integer indices.

    Input: integers of any shape (...); output (..., embedding_dim). `weight`
    is (num_embeddings, embedding_dim), drawn from N(0, 1).

    Args:
        num_embeddings: number of rows.
        embedding_dim: size of a row.
        padding_idx: this row starts as zeros and is not trained.
        device: where the table is made.
        dtype: dtype of the table.

    Raises:
        ValueError: `padding_idx` is no row.
        IndexOutOfRange: (in the call) an index is no row.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Embedding(10, 3)(fe.tensor([[1, 2, 4, 5]])).shape
        (1, 4, 3)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(
                    f"[Embedding] padding_idx {padding_idx} is out of range for "
                    f"{num_embeddings} rows"
                )
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        shape = (num_embeddings, embedding_dim)
        self.weight = Parameter(ops.empty(shape, dtype=dtype, device=device))
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """Makes a layer of a given table, which it shares memory with.

        Args:
            embeddings: shape (num_embeddings, embedding_dim).
            freeze: True does not train it.
            padding_idx: this row is not trained; it keeps its values.

        Raises:
            ShapeError: not two dimensions.
        """
        if embeddings.ndim != 2:
            raise ShapeError(
                f"[Embedding] the table must have 2 dimensions, got shape "
                f"{embeddings.shape}"
            )
        layer = cls(0, embeddings.shape[1])
        layer.num_embeddings = embeddings.shape[0]
        layer.padding_idx = padding_idx
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def reset_parameters(self) -> None:
        """Draws a new table."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].zero_()

    def forward(self, input: Tensor) -> Tensor:
        return ops.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        return text
