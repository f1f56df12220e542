"""Matrices stored the other way round: what a conversion wants as rows, the file has as columns.

Some columns are short runs in every row of the file. So a wide band of them is read at once, turned while it
is in the cache of the processor, and kept for the chunks that follow.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np

from ..reader import SafetensorsTensor
from .components import DequantizedSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TILE", "Band", "BandCache", "Turned", "tiled_words", "turned_floats", "turned_words"]

_Value = TypeVar("_Value")

TILE: Final = 16
"""Words on a side of what is turned at once, as in `gguf_tools.compute.simd_transpose`."""

_STRIP: Final = 1 << 20
"""Bytes read before they are turned: they are still in the cache then."""

_SIZE: Final = 16 << 20
"""Bytes of a band where its width may be chosen."""

_NARROWEST: Final = 2048
_WIDEST: Final = 16384
"""Bytes of each of the file's rows in a band; widths are multiples of the narrowest."""


class BandCache:
    """The last things made, up to so many bytes. What two threads want at the same time is made once."""

    SIZE: Final = 24 << 20

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[str, object], _Place] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, object], make: Callable[[], _Value]) -> _Value:
        """What ``make`` made for this key, or makes now; if it raises, it is called again the next time.

        Args:
            key: a tensor's name, and what of it.
            make: makes something that may have ``nbytes``.
        """
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
        with place.lock:
            if not place.made:
                place.value, place.made = make(), True
                self._shrink()
            value: _Value = place.value
            return value

    def _shrink(self) -> None:
        with self._lock:
            total = sum(place.size for place in self._places.values())
            while total > self.SIZE and len(self._places) > 1:
                _, oldest = self._places.popitem(last=False)
                total -= oldest.size


class _Place:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: Any = None
        self.made = False

    @property
    def size(self) -> int:
        return getattr(self.value, "nbytes", 0)


class Band(NamedTuple):
    """Some columns of the file as rows.

    Attributes:
        words: the packed integers: uint32 (columns of words, rows of the file), or as of `tiled_words`.
        zeros: float32 (rows, groups), or (tiles, groups, 16).
        scales: as ``zeros``, and checked.
    """

    words: NDArray[np.uint32]
    zeros: NDArray[np.float32]
    scales: NDArray[np.float32]

    @property
    def nbytes(self) -> int:
        return self.words.nbytes + self.zeros.nbytes + self.scales.nbytes


class Turned(DequantizedSource, ABC):
    """A matrix of which a checkpoint has the words turned. Subclasses say how a band is read and decoded.

    Args:
        name: of the tensor.
        shape: of the matrix, (rows, columns).
        weight: its words, int32 (a fraction of the columns, a fraction of the rows).
        kept: where bands are kept, one for all matrices of a checkpoint.
    """

    def __init__(self, name: str, shape: tuple[int, int], weight: SafetensorsTensor, kept: BandCache) -> None:
        super().__init__(name, shape)
        self._weight, self._kept = weight, kept
        height, width = weight.shape
        each = min(max(_SIZE // max(height, 1) // _NARROWEST, 1) * _NARROWEST, _WIDEST)
        self._step = max(each // 4 * shape[0] // max(width, 1), 1)

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        out = np.empty((stop - start, self._shape[1]), np.float32)
        together = self._together()
        for band, rows, place in self._banded(start, stop):
            first, last = rows.start // together * together, -(-rows.stop // together) * together
            is_whole = (first, last) == (rows.start, rows.stop)
            made = out[place] if is_whole else np.empty((last - first, out.shape[1]), np.float32)
            self._decode(band, first, last, made)
            if not is_whole:
                out[place] = made[rows.start - first : rows.stop - first]
        return out

    def _together(self) -> int:
        """How many rows are decoded together; a band has whole multiples of it."""
        return 1

    @abstractmethod
    def _read(self, start: int, stop: int) -> Band:
        """Rows ``start`` to ``stop``; both are multiples of 32, or ``stop`` is the end."""

    @abstractmethod
    def _decode(self, band: Band, start: int, stop: int, out: NDArray[np.float32]) -> None:
        """Rows of a band, counted from its first one; both are multiples of what is decoded together."""

    def _banded(self, start: int, stop: int) -> Iterator[tuple[Band, slice, slice]]:
        """The bands that have these rows: each, which of its rows, and where they are among those wanted."""
        cuts = range(start // self._step * self._step + self._step, stop, self._step)
        for first, last in pairwise([start, *cuts, stop]):
            if first < last:
                origin = first // self._step * self._step
                rows = slice(first - origin, last - origin)
                yield self._band(origin), rows, slice(first - start, last - start)

    def _band(self, origin: int) -> Band:
        stop = min(origin + self._step, self._shape[0])
        return self._kept.get((self.name, origin), lambda: self._read(origin, stop))


def turned_words(tensor: SafetensorsTensor, start: int, stop: int) -> NDArray[np.uint32]:
    """Columns of a matrix of 32-bit words as rows: uint32 (stop − start, rows of the matrix).

    Raises:
        CheckpointError: the file cannot be read any more.
    """
    from . import kernels

    out = np.empty((stop - start, tensor.shape[0]), np.uint32)
    for first, words in _strips(tensor, start, stop):
        kernels.turn(words, out, first)
    return out


def tiled_words(tensor: SafetensorsTensor, start: int, stop: int) -> NDArray[np.uint32]:
    """The same columns, not turned but in tiles of 16, as many as there are: uint32 (tiles, rows, 16).

    Raises:
        CheckpointError: the file cannot be read any more.
    """
    out = np.empty(((stop - start) // TILE, tensor.shape[0], TILE), np.uint32)
    for first, words in _strips(tensor, start, stop):
        tiles = words.reshape(len(words), len(out), TILE)
        out[:, first : first + len(words)] = tiles.transpose(1, 0, 2)
    return out


def _strips(tensor: SafetensorsTensor, start: int, stop: int) -> Iterator[tuple[int, NDArray[np.uint32]]]:
    """Columns of a matrix, some rows after the other: the first row, and uint32 (rows, stop − start)."""
    height = tensor.shape[0]
    strip = max(_STRIP // max(4 * (stop - start), 1) // TILE, 1) * TILE
    for first in range(0, height, strip):
        yield first, tensor.band(4 * start, 4 * stop, first, min(first + strip, height)).view("<u4")


def turned_floats(tensor: SafetensorsTensor, start: int, stop: int) -> NDArray[np.float32]:
    """Columns of a small matrix of any float as rows: float32 (stop − start, rows of the matrix).

    Raises:
        CheckpointError: the file cannot be read any more.
        UnsupportedError: its values cannot be read.
    """
    height, width = tensor.shape
    size = tensor.nbytes // (height * width) if tensor.nbytes else 1
    values = tensor.decoded(tensor.band(start * size, stop * size).reshape(-1))
    return np.ascontiguousarray(values.reshape(height, stop - start).T)
