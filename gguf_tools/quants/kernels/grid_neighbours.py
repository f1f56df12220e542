"""A grid's points as kernels need them, and the search for the nearest of a group's neighbours.

A group of levels that is not on its grid moves to the one of its neighbours there (see ``grids``) with the
least Σ root × (scale × q − x)², the first of several in its list. Kernels have the distances of every value
to every level it may move to before they start, so that a neighbour's is the sum of 8 or 4 of them, added up
in the reference's order. There are two ways to go through a list:

- for one scale, entries are lanes. Which of its distances a value takes is a select on a bit of each code;
  distance and place in the list make one integer, whose minimum is the first of the least.
- for many scales that round a group to the same levels, so that it has the same neighbours, scales are
  lanes: an entry costs one addition for each value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...compute.jit import inlined, kernel
from .grids import GRIDS, levels, neighbours
from .signs import MAGNITUDE_FLOATS, ROOT, X

__all__ = [
    "ENTRY",
    "ONE_SCALE",
    "POINT_FLOATS",
    "SCALE",
    "STEPS",
    "WINDOW",
    "Tables",
    "nearest_of_eight",
    "nearest_of_eight_at_steps",
    "nearest_of_four",
    "nearest_of_four_at_steps",
    "points",
    "put_distances",
    "put_distances_at_steps",
]

Tables = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint32], NDArray[np.int32]]

STEPS: Final = 32
"""Scales that distances are kept for."""

WINDOW: Final = 16
"""Of them are looked at together. LLVM unrolls shorter loops, and then does not vectorize them."""

_CHUNK: Final = 16
"""Entries of a list are looked at together for one scale."""

# Where things are in the floats of a search.
SCALE: Final = MAGNITUDE_FLOATS
"""The scale of each step."""
_DISTANCE = SCALE + STEPS  # rows of steps: 4 value + level for a group of 8, 8 value + level for one of 4
_ROWS: Final = 34  # the last are free: only with a gap LLVM sees that writes do not hit what is read
_LEAST = _DISTANCE + _ROWS * STEPS  # distance at each step of a window
ENTRY: Final = _LEAST + WINDOW
"""The number in its list of the nearest neighbour at each step of a window, as float32."""
ONE_SCALE: Final = ENTRY + WINDOW
"""For a single scale: the three distances of each value of a group of 8."""
POINT_FLOATS: Final = ONE_SCALE + 24

_ZERO = np.float32(0)
_ONE = np.float32(1)
_INFINITE = np.float32(np.inf)
_WITHOUT_SIGN = np.int32(0x7FFF_FFFF)
_FARTHEST = np.int64(0x7FFF_FFFF_FFFF_FFFF)
_NUMBER = np.int64(0xFFFF_FFFF)
_16 = np.uint32(16)
_32 = np.int64(32)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """A grid as kernels need it. A code has level i in bits 2i and 2i + 1 (groups of 8) or 3i to 3i + 2.

    Attributes:
        index: int32 by number of a group of levels (see ``grids.point_indices``): the place of the group in
            the grid, or where it is not there, −1 − the number of its list.
        spans: int32 by number of a list: where it starts, and how many neighbours it has.
        lists: uint32: a neighbour's code, and its place in the grid from bit 16 on. Lists are filled up with
            their first entry to a multiple of so many as are looked at together: it is nearer to nothing
            than itself.
        codes: int32 by place.
    """

    index: NDArray[np.int32]
    spans: NDArray[np.int32]
    lists: NDArray[np.uint32]
    codes: NDArray[np.int32]

    def tables(self) -> Tables:
        """The attributes, for kernels."""
        return self.index, self.spans, self.lists, self.codes


@cache
def points(name: str) -> Points:
    """The points of a grid."""
    spec, found = GRIDS[name], neighbours(name)
    bits = 2 if spec.elements == 8 else 3
    codes = (levels(name).astype(np.int32) << bits * np.arange(spec.elements)).sum(1, dtype=np.int32)
    outside = np.flatnonzero(found.places < 0)
    starts = -1 - found.places[outside]
    counts = found.lists[starts].astype(np.int64)
    padded = -(-counts // _CHUNK) * _CHUNK
    offsets = np.cumsum(padded) - padded
    # entry i of a list, or where there are fewer, the first one again
    of_list = np.repeat(np.arange(outside.size), padded)
    entry = np.arange(padded.sum()) - offsets[of_list]
    places = found.lists[starts[of_list] + 1 + np.where(entry < counts[of_list], entry, 0)]
    index = found.places.copy()
    index[outside] = -1 - np.arange(outside.size)
    lists = codes[places].astype(np.uint32) | places.astype(np.uint32) << np.uint32(16)
    return Points(index, np.stack([offsets, counts], 1).astype(np.int32), lists, codes)


# One scale


@inlined
def put_distances(start, scale, s):
    """The distances of a group of 8 that starts at element ``start``, for a single scale."""
    for i in range(8):
        x = s[X + start + i]
        root = s[ROOT + start + i]
        for n in range(3):
            difference = scale * np.float32(2 * n + 1) - x
            s[ONE_SCALE + 3 * i + n] = root * difference * difference


@inlined
def _key(distance, n):
    """A number that is less for the nearer of two neighbours, or the first: the distance, then the place.

    A NaN, of an infinite distance whose weight is 0, is farther than anything: which sign it has is the
    processor's choice.
    """
    bits = np.int32(np.float32(distance).view(np.int32) & _WITHOUT_SIGN)
    return np.int64(np.int64(bits) << _32) | np.int64(n)


@inlined
def nearest_of_eight(at, count, lists, d, s):
    """The place of the nearest of ``count`` neighbours, whose list starts at ``at``: the first of several.

    Values have three distances each, one for every level, from ``s[d]`` on. Which of them is a neighbour's
    are two bits of its code.
    """
    best = _FARTHEST
    for n in range(at, at + (count + _CHUNK - 1) // _CHUNK * _CHUNK):
        code = np.int32(lists[np.uint64(n)])
        distance = _pick(code, 0, s[d], s[d + 1], s[d + 2])
        distance += _pick(code, 2, s[d + 3], s[d + 4], s[d + 5])
        distance += _pick(code, 4, s[d + 6], s[d + 7], s[d + 8])
        distance += _pick(code, 6, s[d + 9], s[d + 10], s[d + 11])
        distance += _pick(code, 8, s[d + 12], s[d + 13], s[d + 14])
        distance += _pick(code, 10, s[d + 15], s[d + 16], s[d + 17])
        distance += _pick(code, 12, s[d + 18], s[d + 19], s[d + 20])
        distance += _pick(code, 14, s[d + 21], s[d + 22], s[d + 23])
        best = min(best, _key(distance, n))
    return np.int32(lists[best & _NUMBER] >> _16)


@kernel
def _pick(code, bit, a, b, c):
    picked = b if code & np.int32(1 << bit) else a
    return c if code & np.int32(2 << bit) else picked


@inlined
def nearest_of_four(start, scale, at, count, lists, s):
    """The same for the group of 4 that starts at element ``start``, for a single scale."""
    x0, x1, x2, x3 = s[X + start], s[X + start + 1], s[X + start + 2], s[X + start + 3]
    w0, w1, w2, w3 = s[ROOT + start], s[ROOT + start + 1], s[ROOT + start + 2], s[ROOT + start + 3]
    best = _FARTHEST
    for n in range(at, at + (count + _CHUNK - 1) // _CHUNK * _CHUNK):
        code = np.int32(lists[np.uint64(n)])
        distance = _distance(code, 0, x0, w0, scale)
        distance += _distance(code, 3, x1, w1, scale)
        distance += _distance(code, 6, x2, w2, scale)
        distance += _distance(code, 9, x3, w3, scale)
        best = min(best, _key(distance, n))
    return np.int32(lists[best & _NUMBER] >> _16)


@kernel
def _distance(code, bit, x, root, scale):
    q = np.float32(np.int32(np.int32(code >> np.int32(bit)) & np.int32(7)) * 2 + 1)
    difference = scale * q - x
    return root * difference * difference


# Many scales


@inlined
def put_distances_at_steps(start, elements, s):
    """The distances of the group that starts at element ``start``, for every step's scale."""
    for i in range(elements):
        x = s[X + start + i]
        root = s[ROOT + start + i]
        if elements == 8:
            row = _DISTANCE + ((i << 7) & 0x380)
            for t in range(STEPS):
                scale = s[SCALE + t]
                for n in range(3):
                    difference = scale * np.float32(2 * n + 1) - x
                    s[row + n * STEPS + t] = root * difference * difference
        else:
            row = _DISTANCE + ((i << 8) & 0x300)
            for t in range(STEPS):
                scale = s[SCALE + t]
                for n in range(8):
                    difference = scale * np.float32(2 * n + 1) - x
                    s[row + n * STEPS + t] = root * difference * difference


@inlined
def _start(s):
    for j in range(WINDOW):
        s[_LEAST + j] = _INFINITE
        s[ENTRY + j] = _ZERO


@inlined
def nearest_of_eight_at_steps(window, at, count, lists, s):
    """The nearest of ``count`` neighbours, whose list starts at ``at``, for the scales of a window of steps.

    ``window`` is its first step. Masks tell LLVM which part of the array is read.
    """
    _start(s)
    first = _DISTANCE + (window & 31)
    entry = _ZERO
    for n in range(at, at + count):
        code = np.int64(lists[np.uint64(n)])
        r0 = first + ((code << 5) & 0x60)
        r1 = first + ((code << 3) & 0x60) + 0x80
        r2 = first + ((code << 1) & 0x60) + 0x100
        r3 = first + ((code >> 1) & 0x60) + 0x180
        r4 = first + ((code >> 3) & 0x60) + 0x200
        r5 = first + ((code >> 5) & 0x60) + 0x280
        r6 = first + ((code >> 7) & 0x60) + 0x300
        r7 = first + ((code >> 9) & 0x60) + 0x380
        for j in range(WINDOW):
            distance = s[r0 + j] + s[r1 + j] + s[r2 + j] + s[r3 + j]
            distance = distance + s[r4 + j] + s[r5 + j] + s[r6 + j] + s[r7 + j]
            least = s[_LEAST + j]
            s[ENTRY + j] = entry if distance < least else s[ENTRY + j]
            s[_LEAST + j] = distance if distance < least else least
        entry += _ONE


@inlined
def nearest_of_four_at_steps(window, at, count, lists, s):
    """The same for groups of 4, two entries at a time: LLVM unrolls the loop over steps if it is short."""
    _start(s)
    first = _DISTANCE + (window & 31)
    entry = _ZERO
    for n in range(at, at + count, 2):
        code = np.int64(lists[np.uint64(n)])
        q0 = first + ((code << 5) & 0xE0)
        q1 = first + ((code << 2) & 0xE0) + 0x100
        q2 = first + ((code >> 1) & 0xE0) + 0x200
        q3 = first + ((code >> 4) & 0xE0) + 0x300
        code = np.int64(lists[np.uint64(n + 1)])
        r0 = first + ((code << 5) & 0xE0)
        r1 = first + ((code << 2) & 0xE0) + 0x100
        r2 = first + ((code >> 1) & 0xE0) + 0x200
        r3 = first + ((code >> 4) & 0xE0) + 0x300
        after = entry + _ONE
        for j in range(WINDOW):
            distance = s[q0 + j] + s[q1 + j] + s[q2 + j] + s[q3 + j]
            least = s[_LEAST + j]
            nearest = entry if distance < least else s[ENTRY + j]
            least = distance if distance < least else least
            distance = s[r0 + j] + s[r1 + j] + s[r2 + j] + s[r3 + j]
            s[ENTRY + j] = after if distance < least else nearest
            s[_LEAST + j] = distance if distance < least else least
        entry = after + _ONE
