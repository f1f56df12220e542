"""Tiles: sub-blocks transposed into lanes, as all scale searches start from them.

A tile (see ``lanes``) begins with three planes of SIZE rows: values, weights, and one for the search. Rows
of per-lane state follow from ``STATE`` on; the first of them is the spread that weights are made with.
Sub-blocks of 16 values use half of each plane. Their size is an argument of all kernels here, and a constant
wherever they are called: LLVM makes a version of its own for each, and would not vectorize a general one.

With an importance matrix a value's weight is importance × √(spread + x²), from ggml's
``quantize_row_*_impl``; the spread is the mean square of a super-block or a row, or twice that.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from .lanes import CHUNK, LANES

__all__ = [
    "PART",
    "SIZE",
    "STATE",
    "THIRD",
    "WEIGHT",
    "X",
    "load",
    "load_weights",
    "put_spreads",
    "spread_of_blocks",
    "spread_of_rows",
    "weigh",
]

SIZE: Final = 32
"""Values of the largest sub-blocks."""

X: Final = 0
WEIGHT: Final = X + SIZE * LANES
THIRD: Final = WEIGHT + SIZE * LANES
_SPREAD: Final = THIRD + SIZE * LANES
STATE: Final = _SPREAD + LANES
"""Where a search keeps what it knows of each lane."""

PART: Final = CHUNK * LANES
"""Floats of a plane that are gone through at a time."""

_ZERO = np.float32(0)


@kernel
def load(values, first, count, size, s):
    """Transpose ``count`` blocks from ``first`` on into the plane of values; unused lanes are zero."""
    _transpose(values, first, count, size, values.shape[0], X, s)


@kernel
def load_weights(weights, first, count, size, s):
    """The same for the importances of these blocks: block b takes row b mod (blocks of one row)."""
    _transpose(weights, first, count, size, weights.shape[0], WEIGHT, s)


@kernel
def _transpose(source, first, count, size, rows, plane, s):
    per_block = source.shape[1] // size
    for b in range(count):
        row = (first + b) % rows
        for sub in range(per_block):
            lane = plane + b * per_block + sub
            for i in range(size):
                s[lane + i * LANES] = source[row, sub * size + i]
    for i in range(size):
        for j in range(count * per_block, LANES):
            s[plane + i * LANES + j] = _ZERO


@kernel
def spread_of_blocks(values, first, count, size, times, over, sums, s):
    """Each lane's spread: the sum of its block's squares, ``times`` one number, ``over`` another (float32).

    The sums of all blocks grow side by side, as each is one long chain of additions. ``sums`` is scratch
    space: float32, one for each block of a tile.
    """
    elements = values.shape[1]
    per_block = elements // size
    for b in range(count):
        sums[b] = _ZERO
    for i in range(elements):
        for b in range(count):
            sums[b] += values[first + b, i] * values[first + b, i]
    for b in range(count):
        spread = times * sums[b] / over
        for sub in range(per_block):
            s[_SPREAD + b * per_block + sub] = spread


@kernel
def spread_of_rows(values, blocks_of_row, spreads):
    """The mean square of every row, where a row is so many blocks.

    Four sums grow side by side, as each is one long chain of additions; rows are few blocks apart or many,
    so the sums are variables: in an array they would be stored and loaded again for every value.
    """
    elements = values.shape[1]
    rows = values.shape[0] // blocks_of_row
    count = np.float32(elements * blocks_of_row)
    for first in range(0, rows, 4):
        r0, r1, r2, r3 = first, min(first + 1, rows - 1), min(first + 2, rows - 1), min(first + 3, rows - 1)
        s0 = s1 = s2 = s3 = _ZERO
        for block in range(blocks_of_row):
            for i in range(elements):
                x0 = values[r0 * blocks_of_row + block, i]
                x1 = values[r1 * blocks_of_row + block, i]
                x2 = values[r2 * blocks_of_row + block, i]
                x3 = values[r3 * blocks_of_row + block, i]
                s0 += x0 * x0
                s1 += x1 * x1
                s2 += x2 * x2
                s3 += x3 * x3
        spreads[r3] = s3 / count
        spreads[r2] = s2 / count
        spreads[r1] = s1 / count
        spreads[r0] = s0 / count


@kernel
def put_spreads(spreads, blocks_of_row, first, count, s):
    """Each lane's spread where a block is one lane: its row's."""
    for b in range(count):
        s[_SPREAD + b] = spreads[(first + b) // blocks_of_row]


@kernel
def weigh(size, s):
    """Turn importances into weights."""
    for part in range(0, size * LANES, PART):
        for j in range(LANES):
            spread = s[_SPREAD + j]
            for k in range(0, PART, LANES):
                x = s[X + part + k + j]
                s[WEIGHT + part + k + j] = s[WEIGHT + part + k + j] * np.sqrt(spread + x * x)
