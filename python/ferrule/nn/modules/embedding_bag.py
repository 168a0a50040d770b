"""`EmbeddingBag`: sums of rows of a table."""

from __future__ import annotations

from ..._ferrule import Device, DType, InvalidValue, ShapeError, Tensor, no_grad, ops
from .. import init
from .._embedding import embedding_bag
from ..module import Module
from ..parameter import Parameter

__all__ = ["EmbeddingBag"]


class EmbeddingBag(Module):
    """Sum, mean or maximum of the rows of a trained table that make a bag.

    See `functional.embedding_bag`, whose arguments `input`, `offsets` and
    `per_sample_weights` a call takes. `weight` is (num_embeddings, embedding_dim),
    drawn from N(0, 1).

    Args:
        num_embeddings: number of rows.
        embedding_dim: size of a row.
        max_norm: rows that are used and longer are made that long, in place.
        norm_type: order of that norm.
        scale_grad_by_freq: divides the gradient of a row by how often it is used.
        mode: "sum", "mean" or "max".
        sparse: accepted; the gradient is dense.
        include_last_offset: offsets end with the end of the last bag.
        padding_idx: this row starts as zeros and counts for nothing.
        device: where the table is made.
        dtype: dtype of the table.

    Raises:
        InvalidValue: `padding_idx` is no row.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.EmbeddingBag(10, 3)(fe.tensor([[1, 2], [4, 5]])).shape
        (2, 3)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise InvalidValue(
                    f"[EmbeddingBag] padding_idx {padding_idx} is out of range for "
                    f"{num_embeddings} rows"
                )
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset
        self.padding_idx = padding_idx
        shape = (num_embeddings, embedding_dim)
        if _weight is None:
            self.weight = Parameter(ops.empty(shape, dtype=dtype, device=device))
            self.reset_parameters()
        elif _weight.shape == shape:
            self.weight = Parameter(_weight)
        else:
            raise ShapeError(
                f"[EmbeddingBag] the table must have shape {shape}, got {_weight.shape}"
            )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """Makes a layer of a given table, which it shares memory with.

        Args:
            embeddings: shape (num_embeddings, embedding_dim).
            freeze: True does not train it.
            max_norm: as for the class, and so are the other arguments.
            norm_type: likewise.
            scale_grad_by_freq: likewise.
            mode: likewise.
            sparse: likewise.
            include_last_offset: likewise.
            padding_idx: likewise; the row keeps its values.

        Raises:
            ShapeError: not two dimensions.
        """
        if embeddings.ndim != 2:
            raise ShapeError(
                f"[EmbeddingBag] the table must have 2 dimensions, got shape "
                f"{embeddings.shape}"
            )
        count, width = embeddings.shape
        layer = cls(
            count,
            width,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            embeddings,
            include_last_offset,
            padding_idx,
        )
        layer.weight.requires_grad_(not freeze)
        return layer

    def reset_parameters(self) -> None:
        """Draws a new table."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight.select(0, self.padding_idx).zero_()

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        return embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        text += f", mode={self.mode!r}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        return text
