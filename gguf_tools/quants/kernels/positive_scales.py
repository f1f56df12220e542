"""Rounding positive numbers to integers times one factor: scales and mins of super-blocks, and magnitudes.

With an importance matrix a super-block's scales (and likewise its mins) become integers 0..n times one
factor; so do the magnitudes of IQ2_XXS's sub-blocks, whose factor is where their search starts. From ggml's
``make_qp_quants``: nine factors around (the largest number) / n are tried, the one with the smallest
weighted error wins, and then each integer in turn moves to where the others' best factor would have it, if
that is better, five times over.

Every lane of a tile is the scales of one super-block or its mins, half of the lanes each, or one sub-block.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from .lanes import LANES, MAGIC
from .scale_min import LOW, SCALE, SUM_W

__all__ = ["BATCH", "FACTOR", "FIT_SCRATCH", "fit", "fit_scales", "fitted", "put_numbers"]

BATCH: Final = LANES // 2
"""Super-blocks in a tile."""

_COUNT: Final = 32  # numbers, at most
_X = 0
_WEIGHT = _X + _COUNT * LANES
_LEVEL = _WEIGHT + _COUNT * LANES
_LARGEST = _LEVEL + _COUNT * LANES
_STEP = _LARGEST + 1 * LANES
_BEST = _LARGEST + 2 * LANES
_ERROR = _LARGEST + 3 * LANES
_SUM_XL = _LARGEST + 4 * LANES
_SUM_L2 = _LARGEST + 5 * LANES
FACTOR: Final = _LARGEST + 6 * LANES
"""Each lane's factor."""
FIT_SCRATCH: Final = _LARGEST + 7 * LANES
"""Floats of a tile's array."""

_ZERO = np.float32(0)
_ONE = np.float32(1)
_TINY = np.float32(1e-15)  # ggml's GROUP_MAX_EPS: smaller counts as zero
_TENTH = np.float32(0.1)
_PASSES: Final = 5
_MANTISSA = np.int32(0x007F_FFFF)
_HALF_RANGE = np.int32(0x0040_0000)
_BYTE = np.int32(255)


@kernel
def fit_scales(found, blocks, sub_blocks, top, s):
    """Fit scales and mins of ``blocks`` super-blocks; ``fitted`` reads the outcome from the tile.

    ``found`` (see ``scale_min.collect``) has the sub-blocks of all of them in order; ``top`` is the largest
    integer, as float32.
    """
    for i in range(sub_blocks):
        for b in range(BATCH):
            column = b * sub_blocks + i
            used = b < blocks
            s[_X + i * LANES + b] = found[SCALE, column] if used else _ZERO
            s[_X + i * LANES + BATCH + b] = -found[LOW, column] if used else _ZERO
            s[_WEIGHT + i * LANES + b] = found[SUM_W, column] if used else _ZERO
            s[_WEIGHT + i * LANES + BATCH + b] = found[SUM_W, column] if used else _ZERO
    fit(sub_blocks, top, s)


@kernel
def put_numbers(count, lane, numbers, weights, values, s):
    """Fill a lane: its numbers start at ``values[numbers]``, their weights at ``values[weights]``."""
    for i in range(count):
        s[_X + i * LANES + lane] = values[numbers + i]
        s[_WEIGHT + i * LANES + lane] = values[weights + i]


@kernel
def fit(count, top, s):
    """Fit the factor and the integers of every lane, with ``count`` numbers and integers up to ``top``."""
    _choose_step(count, top, s)
    _choose_levels(count, top, s)
    for _ in range(_PASSES):
        _refine(count, top, s)
    for j in range(LANES):
        sum_l2 = s[_SUM_L2 + j]
        factor = s[_SUM_XL + j] / sum_l2 if sum_l2 > _ZERO else _ZERO
        empty = s[_LARGEST + j] < _TINY
        s[FACTOR + j] = _ZERO if empty else factor
        for i in range(count):
            s[_LEVEL + i * LANES + j] = _ZERO if empty else s[_LEVEL + i * LANES + j]


@kernel
def fitted(b, mins, levels, s):
    """Super-block b's scales, or mins: the integers go to ``levels``, their factor is returned."""
    lane = BATCH + b if mins else b
    for i in range(levels.size):
        levels[i] = np.int64(s[_LEVEL + i * LANES + lane])
    return s[FACTOR + lane]


@kernel
def _nearest(value):
    """ggml's ``nearest_int`` as int32, for any bits."""
    return np.int32(np.float32(value + MAGIC).view(np.int32) & _MANTISSA) - _HALF_RANGE


@kernel
def _limited(value, top):
    """The nearest integer, at most ``top``, as float32. Below zero there is no limit, as in the reference."""
    l = np.float32(_nearest(value))  # noqa: E741
    return l if l < top else top


@kernel
def _as_byte(level):
    """What is left of an integer in C's uint8."""
    return np.float32(np.int32(level) & _BYTE)


@kernel
def _choose_step(count, top, s):
    for j in range(LANES):
        largest = _ZERO
        for i in range(count):
            x = s[_X + i * LANES + j]
            largest = largest if largest > x else x
        s[_LARGEST + j] = largest
        s[_STEP + j] = top / largest
        s[_BEST + j] = _ZERO
    for i in range(count):
        for j in range(LANES):
            x = s[_X + i * LANES + j]
            step = s[_STEP + j]
            difference = x - (_ONE / step) * np.float32(_nearest(step * x) & _BYTE)
            s[_BEST + j] += s[_WEIGHT + i * LANES + j] * difference * difference
    for tenths in range(-4, 5):
        if tenths == 0:
            continue
        factor = _TENTH * np.float32(tenths) + top
        for j in range(LANES):
            s[_ERROR + j] = _ZERO
        for i in range(count):
            for j in range(LANES):
                x = s[_X + i * LANES + j]
                step = factor / s[_LARGEST + j]
                difference = x - (_ONE / step) * _limited(step * x, top)
                s[_ERROR + j] += s[_WEIGHT + i * LANES + j] * difference * difference
        for j in range(LANES):
            if s[_ERROR + j] < s[_BEST + j]:
                s[_BEST + j] = s[_ERROR + j]
                s[_STEP + j] = factor / s[_LARGEST + j]


@kernel
def _choose_levels(count, top, s):
    for j in range(LANES):
        s[_SUM_XL + j] = _ZERO
        s[_SUM_L2 + j] = _ZERO
    for i in range(count):
        for j in range(LANES):
            x = s[_X + i * LANES + j]
            weight = s[_WEIGHT + i * LANES + j]
            l = _limited(s[_STEP + j] * x, top)  # noqa: E741
            s[_LEVEL + i * LANES + j] = _as_byte(l)
            s[_SUM_XL + j] += weight * x * l
            s[_SUM_L2 + j] += weight * l * l


@kernel
def _refine(count, top, s):
    """Move each integer to where the best factor of the others has it, if that is better.

    The reference ends after a pass without change. Another pass would change nothing either, so lanes that
    are done may go along.
    """
    for i in range(count):
        for j in range(LANES):
            x = s[_X + i * LANES + j]
            weight = s[_WEIGHT + i * LANES + j]
            before = s[_LEVEL + i * LANES + j]
            sum_xl = s[_SUM_XL + j]
            sum_l2 = s[_SUM_L2 + j]
            others_xl = sum_xl - weight * x * before
            others_l2 = sum_l2 - weight * before * before
            l = _limited(x * others_l2 / others_xl, top)  # noqa: E741
            new_xl = others_xl + weight * x * l
            new_l2 = others_l2 + weight * l * l
            better = (others_xl > _ZERO) & (others_l2 > _ZERO) & (l != before)
            better &= new_xl * new_xl * sum_l2 > sum_xl * sum_xl * new_l2
            s[_LEVEL + i * LANES + j] = _as_byte(l) if better else before
            s[_SUM_XL + j] = new_xl if better else sum_xl
            s[_SUM_L2 + j] = new_l2 if better else sum_l2
