"""Low-rank pairs as row sources: what a transform does to B · A is done to B and to A.

Transforms are given the product, a source like any other, and wrap views around it. Those that only move
rows mean the rows of B, those that move columns the columns of A, and a transposition swaps the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import ArchitectureError
from ..source import ComputedSource, Source, row_count
from .views import ColumnPermutation, Concat, Reshaped, RowPermutation, RowSlice, Transposed

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["LowRank", "factored", "transposed"]

_TILE: Final = 1 << 15
"""Values of a product that are added to at a time: they and their next terms stay in a core's L2."""


class LowRank(ComputedSource):
    """The product of two small matrices, a `Source` of shape (…, rows, columns).

    Attributes:
        a: (…, rank, columns).
        b: (…, rows, rank).
    """

    def __init__(self, a: Source, b: Source) -> None:
        self.a, self.b = a, b

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.b.shape[:-1], self.a.shape[-1])

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows of the product, computed in float32; for two dimensions only."""
        return _product(self.b.rows(start, stop), self.a.rows(0, row_count(self.a.shape)))


def _product(b: NDArray[np.float32], a: NDArray[np.float32]) -> NDArray[np.float32]:
    """B · A with the terms of each sum added one by one, in order.

    How a BLAS adds them depends on the processor and on the size of the matrices, and the bytes of an output
    must depend on neither.
    """
    out = np.zeros((b.shape[0], a.shape[1]), np.float32)
    step = max(1, _TILE // max(1, a.shape[1]))
    term = np.empty((step, a.shape[1]), np.float32)
    for at in range(0, b.shape[0], step):
        part = out[at : at + step]
        for k in range(a.shape[0]):
            part += np.multiply(b[at : at + step, k, None], a[k], out=term[: part.shape[0]])
    return out


def transposed(source: Source) -> Source:
    """The source with rows and columns swapped; twice is not at all."""
    return source.base if isinstance(source, Transposed) else Transposed(source)


def factored(source: Source) -> LowRank:
    """A source that transforms wrapped around low-rank pairs, as one pair.

    Raises:
        ArchitectureError: something was done to the values that cannot be done to the factors.
    """
    match source:
        case LowRank():
            return source
        case Transposed():
            pair = _flat(source.base)
            return LowRank(transposed(pair.b), transposed(pair.a))
        case ColumnPermutation():
            pair = _flat(source.base)
            return LowRank(ColumnPermutation(pair.a, source.order), pair.b)
        case RowSlice():
            pair = _flat(source.base)
            return LowRank(pair.a, RowSlice(pair.b, source.first, _narrow(source, pair)))
        case RowPermutation():
            pair = _flat(source.base)
            return LowRank(pair.a, RowPermutation(pair.b, source.place, _narrow(source, pair)))
        case Concat(parts=parts) if len(source.shape) == 3 and len(parts) == source.shape[0]:
            return _stacked([_flat(part) for part in parts])
    if isinstance(source, Reshaped) and source.shape[-1:] == source.base.shape[-1:]:
        pair = _flat(source.base)
        rank, columns = pair.a.shape
        ones = (1,) * (len(source.shape) - 2)
        return LowRank(Reshaped(pair.a, (*ones, rank, columns)), Reshaped(pair.b, _narrow(source, pair)))
    raise ArchitectureError(
        "what the conversion does to this tensor cannot be done to the factors of an adapter; "
        "merge the adapter into its base model instead"
    )


def _flat(source: Source) -> LowRank:
    """The pair under a view, which must be one of two matrices."""
    pair = factored(source)
    if len(pair.a.shape) != 2 or len(pair.b.shape) != 2:
        raise ArchitectureError(
            "what the conversion does to stacked tensors cannot be done to the factors of an adapter",
            found=pair.shape,
        )
    return pair


def _narrow(view: Source, pair: LowRank) -> tuple[int, ...]:
    """The shape of B under a view that only moves rows."""
    return (*view.shape[:-1], pair.b.shape[-1])


def _stacked(pairs: list[LowRank]) -> LowRank:
    """Pairs of equal shape, such as those of experts, as one pair with a dimension for them."""
    ranks = {pair.a.shape[0] for pair in pairs}
    if len(ranks) != 1:
        raise ArchitectureError("tensors that are stacked differ in rank", found=sorted(ranks))
    a, b = [pair.a for pair in pairs], [pair.b for pair in pairs]
    return LowRank(Concat(a, (len(a), *a[0].shape)), Concat(b, (len(b), *b[0].shape)))
