"""The one question every part of a conversion answers: "give me rows a..b".

A *row* is what the codecs work on: the values along a tensor's last (fastest) dimension, in numpy's
order of dimensions. A tensor of shape ``(64, 32, 128)`` has 2048 rows of 128; one of shape ``(128,)``
has one row; a scalar ``()`` has one row of one.

Readers, decoders and transforms are all sources, and a transform is a source wrapped around others,
so that a pipeline never holds more than the rows in flight.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from .spec import GGMLType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "NO_FACTORS",
    "ArraySource",
    "ComputedSource",
    "Factors",
    "SelfContained",
    "Source",
    "row_count",
    "row_length",
]

Factors = Mapping[str, tuple[float, ...]]
"""What a tensor's stored form is to be multiplied with, and GGUF has in tensors of their own beside it: by
ending of their names (``.scale``, ``.input_scale``), one for the tensor or one for each expert."""

NO_FACTORS: Final[Factors] = MappingProxyType({})


@runtime_checkable
class Source(Protocol):
    """Rows of a tensor, on demand. Implementations are immutable and safe to call from many threads."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Dimensions in numpy's order (slowest first)."""

    @property
    def storage(self) -> GGMLType | None:
        """The type whose bytes ``raw`` returns, or None where rows exist only as float32."""

    @property
    def factors(self) -> Factors:
        """What goes into tensors of its own beside this one; see `Factors`.

        ``rows`` includes them; ``raw`` cannot, so that whoever stores ``raw`` has to store them as well.
        """

    @property
    def weight_only(self) -> bool:
        """Whether the tensor was made for inputs of more bits than its own 4."""

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows ``start`` to ``stop`` as C-contiguous float32 of shape (stop − start, row length).

        The caller must not write into the result: it may be a view of what others read, too.
        """

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        """The same rows as stored: uint8 of shape (stop − start, row bytes), little endian.

        Only where ``storage`` is not None. This is how a tensor whose type does not change keeps its
        very bytes, NaN payloads and integers included.
        """


def row_length(shape: tuple[int, ...]) -> int:
    """Values in one row of a tensor of this shape."""
    return shape[-1] if shape else 1


def row_count(shape: tuple[int, ...]) -> int:
    """Rows of a tensor of this shape."""
    return prod(shape[:-1])


class SelfContained:
    """What a `Source` has where nothing but its rows is to be known: no factors, and nothing about inputs."""

    __slots__ = ()

    factors: Factors = NO_FACTORS
    weight_only: bool = False


class ComputedSource(SelfContained):
    """What a `Source` of computed rows has in common with others: only float32 exists of them."""

    @property
    def storage(self) -> GGMLType | None:
        return None

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        raise TypeError("computed rows have no stored form")


class ArraySource(SelfContained):
    """A source over an array in memory: tests, small computed tensors such as RoPE factors."""

    def __init__(self, array: NDArray[np.float32]) -> None:
        import numpy as np

        self._array = np.ascontiguousarray(array, dtype=np.float32)
        self._array.setflags(write=False)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def storage(self) -> GGMLType | None:
        return GGMLType.F32

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return self._array.reshape(row_count(self.shape), row_length(self.shape))[start:stop]

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        import numpy as np

        return self.rows(start, stop).view(np.uint8)
