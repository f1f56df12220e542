"""Row sources wrapped around other row sources: the moving parts of the transforms.

All of them work on the first dimension of a tensor and keep the bytes of every row, except `Elementwise`,
which computes. A one-dimensional tensor has a single row, so `by_rows` first presents it as a column of
one-value rows and `like` turns the result back; everything between only thinks of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..source import NO_FACTORS, Factors, SelfContained, Source, row_count, row_length
from ..spec import BLOCK_SIZES, GGMLType, row_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Column",
    "ColumnPermutation",
    "Concat",
    "Elementwise",
    "Reshaped",
    "Row",
    "RowPermutation",
    "RowSlice",
    "Transposed",
    "Zeros",
    "by_rows",
    "like",
]

Rows = Callable[[int, int], "NDArray[np.generic]"]


class _View(SelfContained):
    """Base: a shape of its own, the storage of what is underneath, and the factors that go with it."""

    def __init__(
        self, shape: tuple[int, ...], storage: GGMLType | None, factors: Factors = NO_FACTORS
    ) -> None:
        self._shape = shape
        self._storage = storage
        self.factors = NO_FACTORS if storage is None else factors

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def storage(self) -> GGMLType | None:
        return self._storage


class RowSlice(_View):
    """``shape`` worth of rows of ``base``, from row ``first`` on."""

    def __init__(self, base: Source, first: int, shape: tuple[int, ...]) -> None:
        factors = base.factors
        apart = any(len(values) > 1 for values in factors.values())  # which experts', nobody knows here
        super().__init__(shape, None if apart else base.storage, factors)
        self.base, self.first = base, first

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.base.rows(self.first + start, self.first + stop)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        return self.base.raw(self.first + start, self.first + stop)


class Concat(_View):
    """The rows of several sources of equal row length, one source after the other.

    Where the parts have factors, they keep their stored form if those are the same, or the parts are experts
    of which each has its own.
    """

    def __init__(self, parts: Sequence[Source], shape: tuple[int, ...]) -> None:
        storages = {part.storage for part in parts}
        factors = _joined_factors(parts, experts=len(shape) == 3 and shape[0] == len(parts))
        known = len(storages) == 1 and factors is not None
        super().__init__(shape, storages.pop() if known else None, factors or NO_FACTORS)
        self.parts = list(parts)
        self._starts = np.cumsum([0, *(row_count(part.shape) for part in parts)]).tolist()

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        pieces = [part.rows(a, b) for part, a, b in self._pieces(start, stop)]
        empty = np.empty((0, row_length(self.shape)), np.float32)
        return pieces[0] if len(pieces) == 1 else np.concatenate([empty, *pieces])

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        pieces = [part.raw(a, b) for part, a, b in self._pieces(start, stop)]
        return pieces[0] if len(pieces) == 1 else np.concatenate([self.parts[0].raw(0, 0), *pieces])

    def _pieces(self, start: int, stop: int) -> list[tuple[Source, int, int]]:
        first = int(np.searchsorted(self._starts, start, "right")) - 1
        pieces = []
        for part, begin, end in zip(
            self.parts[first:], self._starts[first:-1], self._starts[first + 1 :], strict=True
        ):
            if begin >= stop:
                break
            a, b = max(start, begin) - begin, min(stop, end) - begin
            if a < b:
                pieces.append((part, a, b))
        return pieces


def _joined_factors(parts: Sequence[Source], *, experts: bool) -> Factors | None:
    """The factors of sources that become one; None where they cannot be those of one."""
    found = [part.factors for part in parts]
    if not experts or any(len(values) != 1 for factors in found for values in factors.values()):
        return found[0] if found and all(factors == found[0] for factors in found) else None
    endings = dict.fromkeys(ending for factors in found for ending in factors)
    return {ending: tuple(factors.get(ending, (1.0,))[0] for factors in found) for ending in endings}


class RowPermutation(_View):
    """Rows of ``base`` in another order: row r is ``base``'s row ``place(r)``.

    ``place`` maps an int64 array of wanted rows to the rows they come from. Rows that stand side by side
    underneath, or next but one, are read together, so a permutation that keeps long runs stays cheap, and
    so does every second row. ``shape`` is the base's where it is not given.
    """

    _STEP = 2
    """The distance of rows that are read together: one row read in vain is cheaper than a call for each."""

    def __init__(
        self,
        base: Source,
        place: Callable[[NDArray[np.int64]], NDArray[np.int64]],
        shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(base.shape if shape is None else shape, base.storage, base.factors)
        self.base, self.place = base, place

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        out = np.empty((stop - start, row_length(self.shape)), np.float32)
        for where, a, b, taken in self._runs(start, stop):
            out[where] = self.base.rows(a, b)[taken]
        return out

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        if self.storage is None:
            raise TypeError("this source has no stored form")
        out = np.empty((stop - start, row_bytes(self.storage, row_length(self.shape))), np.uint8)
        for where, a, b, taken in self._runs(start, stop):
            out[where] = self.base.raw(a, b)[taken]
        return out

    def _runs(self, start: int, stop: int) -> list[tuple[NDArray[np.int64], int, int, NDArray[np.int64]]]:
        """For each run of rows underneath: where they go, its start and stop, and which of it are wanted."""
        if start >= stop:
            return []
        places = self.place(np.arange(start, stop, dtype=np.int64))
        order = np.argsort(places, kind="stable")
        runs = []
        for where in np.split(order, np.flatnonzero(np.diff(places[order]) > self._STEP) + 1):
            taken = places[where]
            first = int(taken[0])
            runs.append((where, first, int(taken[-1]) + 1, taken - first))
        return runs


class Reshaped(_View):
    """The same values under another shape, whose last dimension divides the base's or is a multiple of it.

    Types with blocks keep their stored form only where rows stay what they are.
    """

    def __init__(self, base: Source, shape: tuple[int, ...]) -> None:
        storage = base.storage
        if storage is not None and row_length(shape) != row_length(base.shape):
            storage = storage if BLOCK_SIZES[storage].elements == 1 else None
        super().__init__(shape, storage, base.factors)
        self.base = base

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        length = row_length(self.shape)
        first, last, skip = self._around(start, stop)
        values = self.base.rows(first, last).reshape(-1)[skip : skip + (stop - start) * length]
        return values.reshape(stop - start, length)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        if self.storage is None:
            raise TypeError("this source has no stored form")
        if row_length(self.shape) == row_length(self.base.shape):
            return self.base.raw(start, stop)
        size = BLOCK_SIZES[self.storage].bytes
        length = row_length(self.shape)
        first, last, skip = self._around(start, stop)
        data = self.base.raw(first, last).reshape(-1)[skip * size : (skip + (stop - start) * length) * size]
        return data.reshape(stop - start, length * size)

    def _around(self, start: int, stop: int) -> tuple[int, int, int]:
        """The base's rows that hold ours, and how many values of the first come before them."""
        ours, theirs = row_length(self.shape), row_length(self.base.shape)
        first = start * ours // theirs
        return first, -(-stop * ours // theirs), start * ours - first * theirs


class Transposed(_View):
    """A stack of matrices, each with rows and columns swapped: (…, a, b) → (…, b, a).

    A few columns are read at a time, from slabs of rows, so that no matrix is held whole.
    """

    _SLAB = 1 << 22  # values

    def __init__(self, base: Source) -> None:
        *outer, self._a, self._b = base.shape
        whole = base.storage is None or BLOCK_SIZES[base.storage].elements > 1
        super().__init__((*outer, self._b, self._a), None if whole else base.storage)
        self.base = base

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        out = np.empty((stop - start, self._a), np.float32)
        self._fill(out, start, stop, self.base.rows, 1)
        return out

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        if self.storage is None:
            raise TypeError("this source has no stored form")
        size = BLOCK_SIZES[self.storage].bytes
        out = np.empty((stop - start, self._a, size), np.uint8)
        self._fill(out, start, stop, self.base.raw, size)
        return out.reshape(stop - start, self._a * size)

    def _fill(
        self,
        out: NDArray[Any],
        start: int,
        stop: int,
        read: Callable[[int, int], NDArray[Any]],
        size: int,
    ) -> None:
        step = max(1, self._SLAB // self._b)
        for matrix in range(start // self._b, -(-stop // self._b)):
            at = matrix * self._b
            low, high = max(start, at), min(stop, at + self._b)
            for first in range(0, self._a, step):
                last = min(first + step, self._a)
                slab = read(matrix * self._a + first, matrix * self._a + last)
                slab = slab if out.ndim == 2 else slab.reshape(last - first, self._b, size)
                out[low - start : high - start, first:last] = slab[:, low - at : high - at].swapaxes(0, 1)


class Zeros(_View):
    """Nothing but zeros, which are zero bytes in every type without blocks."""

    def __init__(self, shape: tuple[int, ...], storage: GGMLType | None) -> None:
        whole = storage is None or BLOCK_SIZES[storage].elements > 1
        super().__init__(shape, None if whole else storage)

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.zeros((stop - start, row_length(self.shape)), np.float32)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        if self.storage is None:
            raise TypeError("this source has no stored form")
        return np.zeros((stop - start, row_bytes(self.storage, row_length(self.shape))), np.uint8)


class ColumnPermutation(_View):
    """The values of every row in another order: value c is ``base``'s value ``order[c]``.

    Types with blocks lose their stored form.
    """

    def __init__(self, base: Source, order: NDArray[np.int64]) -> None:
        whole = base.storage is None or BLOCK_SIZES[base.storage].elements > 1
        super().__init__(base.shape, None if whole else base.storage)
        self.base, self.order = base, order

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.base.rows(start, stop).take(self.order, axis=1)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        if self.storage is None:
            raise TypeError("this source has no stored form")
        count, size = len(self.order), BLOCK_SIZES[self.storage].bytes
        values = self.base.raw(start, stop).reshape(stop - start, count, size)
        return values.take(self.order, axis=1).reshape(stop - start, count * size)


class Elementwise(_View):
    """Values computed from those of ``base``, row by row; only float32 exists of them.

    ``function`` gets the rows as `Source.rows` gives them and the type they are stored as.
    """

    def __init__(
        self, base: Source, function: Callable[[NDArray[np.float32], GGMLType | None], NDArray[np.float32]]
    ) -> None:
        super().__init__(base.shape, None)
        self.base, self._function = base, function

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return self._function(self.base.rows(start, stop), self.base.storage)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        raise TypeError("computed rows have no stored form")


class Column(_View):
    """A tensor of shape (n,) as n rows of one value each. Types with blocks lose their stored form."""

    def __init__(self, base: Source) -> None:
        whole = base.storage is None or BLOCK_SIZES[base.storage].elements > 1
        super().__init__((prod(base.shape), 1), None if whole else base.storage)
        self.base = base

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.base.rows(0, 1)[0, start:stop, None])

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        if self.storage is None:
            raise TypeError("this source has no stored form")
        return self.base.raw(0, 1).reshape(-1, BLOCK_SIZES[self.storage].bytes)[start:stop]


class Row(_View):
    """Inverse of `Column`: n rows of one value as one row of n."""

    def __init__(self, base: Source) -> None:
        super().__init__((row_count(base.shape),), base.storage)
        self.base = base

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.base.rows(0, self.shape[0]).reshape(1, -1)[start:stop]

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        return self.base.raw(0, self.shape[0]).reshape(1, -1)[start:stop]


def by_rows(source: Source) -> Source:
    """The source with its first dimension counted in rows: itself, or `Column` when one-dimensional."""
    return Column(source) if len(source.shape) == 1 else source


def like(source: Source, original: Source) -> Source:
    """Undo `by_rows`: one-dimensional again when ``original`` was."""
    return Row(source) if len(original.shape) == 1 else source
