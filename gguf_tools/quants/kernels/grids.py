"""Grids: the points that groups of 8 or 4 values of the IQ1, IQ2 and IQ3 types are limited to.

A level (0 to 2 in groups of 8, 0 to 7 in groups of 4) stands for a small number. A grid lists the groups of
levels that a block can store, by their place in the list; all other groups have to move to one of these.

``data/grids.bin`` holds the levels of all grids: a little-endian uint16 for each point, in the order of
``GRIDS``, with level i of a group of 8 in bits 2i and 2i + 1, of a group of 4 in bits 3i to 3i + 2. They are
the tables of ggml's ``ggml-common.h`` (b11434; MIT License, the ggml authors): ``iq2xxs_grid``,
``iq2xs_grid``, ``iq2s_grid``, ``iq1s_grid``, ``iq3xxs_grid`` and ``iq3s_grid``. A test compares them with
what the ``gguf`` package has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

_Array = TypeVar("_Array", bound=NDArray[Any])

__all__ = ["GRIDS", "Grid", "Neighbours", "grid", "levels", "neighbours", "point_indices"]


@dataclass(frozen=True, slots=True)
class Grid:
    """What a grid is.

    Attributes:
        points: how many.
        elements: in a group.
        values: what the levels stand for when blocks are decoded.
        distances: groups off the grid may move to all points at their so many smallest distances.
    """

    points: int
    elements: int
    values: tuple[int, ...]
    distances: int


_THREE = (8, 25, 43)

GRIDS: Final[dict[str, Grid]] = {
    "iq2_xxs": Grid(256, 8, _THREE, 2),
    "iq2_xs": Grid(512, 8, _THREE, 2),
    "iq2_s": Grid(1024, 8, _THREE, 1),
    "iq1_s": Grid(2048, 8, (-1, 0, 1), 3),
    "iq3_xxs": Grid(256, 4, (4, 12, 20, 28, 36, 44, 52, 62), 2),
    "iq3_s": Grid(512, 4, (1, 3, 5, 7, 9, 11, 13, 15), 3),
}
"""By the type they were made for; IQ1_M shares IQ1_S's."""

_BITS: Final = {8: 2, 4: 3}  # of a level in the file, by elements of a group
_ROWS: Final = 1024  # groups whose distances are looked at together: a few MB


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Which points a group of levels may move to, as in ggml's ``iq2xs_init_impl`` and ``iq3xs_init_impl``.

    Attributes:
        places: int32 by index of a group (see ``point_indices``): the place of the group in the grid, or
            where it is not there, −1 − the offset of its list.
        lists: uint16, read-only. A list is a count, then that many places in the grid, nearest first (by the
            sum of squared differences of levels), and those at equal distances ascending.
    """

    places: NDArray[np.int32]
    lists: NDArray[np.uint16]


@cache
def levels(name: str) -> NDArray[np.int8]:
    """The levels of a grid's points, of shape (points, elements); read-only."""
    start = 0
    for other, spec in GRIDS.items():
        if other == name:
            break
        start += spec.points
    spec = GRIDS[name]
    stored = np.fromfile(Path(__file__).parent / "data" / "grids.bin", "<u2", spec.points, offset=2 * start)
    bits = _BITS[spec.elements]
    fields = stored[:, None] >> (bits * np.arange(spec.elements, dtype=np.uint16)) & ((1 << bits) - 1)
    return _frozen(fields.astype(np.int8))


@cache
def grid(name: str) -> NDArray[np.int8]:
    """What a grid's points decode to, of shape (points, elements); read-only."""
    return _frozen(np.array(GRIDS[name].values, np.int8)[levels(name)])


def point_indices(name: str, groups: NDArray[np.int8]) -> NDArray[np.int64]:
    """One number for each group of levels: level i times n to the power of i, where n levels exist."""
    spec = GRIDS[name]
    return groups @ len(spec.values) ** np.arange(spec.elements, dtype=np.int64)


@cache
def neighbours(name: str) -> Neighbours:
    """The lists of a grid's neighbours, made when first asked for: 10 to 150 ms."""
    spec = GRIDS[name]
    points = levels(name)
    count = len(spec.values)
    places = np.full(count**spec.elements, -1, np.int32)
    places[point_indices(name, points)] = np.arange(spec.points)
    outside = np.flatnonzero(places < 0)
    parts = [_lists(spec, points, outside[at : at + _ROWS]) for at in range(0, outside.size, _ROWS)]
    lengths = np.concatenate([part[0] for part in parts])
    offsets = np.cumsum(lengths + 1) - (lengths + 1)
    places[outside] = -1 - offsets
    lists = np.empty(lengths.sum() + lengths.size, np.uint16)
    is_length = np.zeros(lists.size, np.bool_)
    is_length[offsets] = True
    lists[is_length] = lengths
    lists[~is_length] = np.concatenate([part[1] for part in parts])
    return Neighbours(_frozen(places), _frozen(lists))


def _lists(
    spec: Grid, points: NDArray[np.int8], indices: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lengths of the lists of some groups, and the lists one after another."""
    count = len(spec.values)
    groups = indices[:, None] // count ** np.arange(spec.elements) % count
    # |g − p|² from one matrix product; all terms are small integers, so float32 is exact
    p, g = points.astype(np.float32), groups.astype(np.float32)
    distances = ((g * g).sum(1)[:, None] + (p * p).sum(1) - 2 * (g @ p.T)).astype(np.uint8)
    limit = distances.min(1, keepdims=True)
    for _ in range(spec.distances - 1):
        farther = np.where(distances > limit, distances, np.uint8(255))
        limit = farther.min(1, keepdims=True)
    row, place = np.nonzero(distances <= limit)
    order = np.argsort(row * 256 + distances[row, place], kind="stable")
    return np.bincount(row, minlength=indices.size), place[order]


def _frozen(array: _Array) -> _Array:
    array.flags.writeable = False
    return array
