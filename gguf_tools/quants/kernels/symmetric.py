"""The search for a sub-block's one scale, as Q3_K and Q6_K share it, and Q4_0 and Q5_0 with weights.

Levels are −n..n−1 and x ≈ scale × level. A search tries 19 steps around −n / (the value of largest
magnitude): for each the levels are fixed, the scale follows by weighted least squares, and the one that
explains most of the values wins. Steps do not depend on one another. From ggml's ``make_qx_quants``.

Every lane of a tile (see ``tiles``) is one sub-block; all arithmetic is float32 in the reference's order.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...compute.jit import kernel
from .lanes import LANES, MAGIC, level
from .tiles import PART, SIZE, STATE, THIRD, WEIGHT, X, load, load_weights, put_spreads, weigh

__all__ = [
    "EMPTY",
    "FOUND",
    "SCALE",
    "SCRATCH",
    "STEP",
    "collect",
    "levels_found",
    "search",
    "search_rows",
    "step_factors",
    "weigh_by_square",
]

_PRODUCT = THIRD  # weight × x

# Rows of per-lane state. The first three are the outcome.
SCALE: Final = STATE
STEP: Final = STATE + 1 * LANES
"""Levels per unit of x, which the levels of the search are made with."""
EMPTY: Final = STATE + 2 * LANES
"""1 where all values count as zero, 0 elsewhere."""

_LARGEST = STATE + 3 * LANES  # the value of largest magnitude, the first of several
_TRY_STEP = STATE + 4 * LANES
_BEST = STATE + 5 * LANES
_SUM_XL = STATE + 6 * LANES  # of weight × x × level
_SUM_L2 = STATE + 7 * LANES  # of weight × level²
SCRATCH: Final = STATE + 8 * LANES
"""Floats of a tile's array."""

FOUND: Final = 3
"""Rows of an outcome: scale, step, empty."""

_ZERO = np.float32(0)
_ONE = np.float32(1)
_HALF_STEP = np.float32(0.45)  # less than a half, but more than factors are beyond a level that is rounded to
_INFINITY = np.float32(np.inf)
_TINY = np.float32(1e-15)  # ggml's GROUP_MAX_EPS: smaller counts as zero


def step_factors(levels: int) -> NDArray[np.float32]:
    """What is divided by the value of largest magnitude, for each step: −(levels + 0, −0.9, … 0.9)."""
    tenths = np.array([0, *range(-9, 0), *range(1, 10)], dtype=np.float32)
    return -(np.float32(levels) + np.float32(0.1) * tenths)


@kernel
def weigh_by_square(size, s):
    """Weights without an importance matrix: x²."""
    for k in range(size * LANES):
        s[WEIGHT + k] = s[X + k] * s[X + k]


@kernel
def search(size, factors, low, high, finite, s):
    """Leave each lane's scale, and the step its levels are made with, in the tile.

    ``low`` and ``high`` are MAGIC + the least and the largest level; ``finite`` says that all values are.
    """
    _start(size, s)
    for t in range(factors.size):
        factor = factors[t]
        for j in range(LANES):
            s[_TRY_STEP + j] = factor / s[_LARGEST + j]
            s[_SUM_XL + j] = _ZERO
            s[_SUM_L2 + j] = _ZERO
        if finite:
            _sum_finite(size, factor, np.float32(low - MAGIC), np.float32(high - MAGIC), s)
        else:
            _sum(size, low, high, s)
        if t == 0:
            for j in range(LANES):
                sum_xl = s[_SUM_XL + j]
                sum_l2 = s[_SUM_L2 + j]
                scale = sum_xl / sum_l2
                scale = scale if sum_l2 != _ZERO else _ZERO
                empty = abs(s[_LARGEST + j]) < _TINY
                s[SCALE + j] = _ZERO if empty else scale
                s[STEP + j] = s[_TRY_STEP + j]
                s[EMPTY + j] = _ONE if empty else _ZERO
                s[_BEST + j] = _INFINITY if empty else scale * sum_xl
        else:
            for j in range(LANES):
                sum_xl = s[_SUM_XL + j]
                sum_l2 = s[_SUM_L2 + j]
                scale = sum_xl / sum_l2
                if (sum_l2 > _ZERO) & (sum_xl * sum_xl > s[_BEST + j] * sum_l2):
                    s[SCALE + j] = scale
                    s[STEP + j] = s[_TRY_STEP + j]
                    s[_BEST + j] = scale * sum_xl


@kernel
def _start(size, s):
    for j in range(LANES):
        s[_LARGEST + j] = _ZERO
    for part in range(0, size * LANES, PART):
        for j in range(LANES):
            largest = s[_LARGEST + j]
            for k in range(0, PART, LANES):
                x = s[X + part + k + j]
                s[_PRODUCT + part + k + j] = s[WEIGHT + part + k + j] * x
                largest = x if abs(x) > abs(largest) else largest
            s[_LARGEST + j] = largest


@kernel
def _sum(size, low, high, s):
    """The sums that least squares needs of the levels of a step."""
    for part in range(0, size * LANES, PART):
        for j in range(LANES):
            step = s[_TRY_STEP + j]
            sum_xl = s[_SUM_XL + j]
            sum_l2 = s[_SUM_L2 + j]
            for k in range(0, PART, LANES):
                l = level(step * s[X + part + k + j], low, high) - MAGIC  # noqa: E741
                sum_xl += s[_PRODUCT + part + k + j] * l
                sum_l2 += s[WEIGHT + part + k + j] * l * l
            s[_SUM_XL + j] = sum_xl
            s[_SUM_L2 + j] = sum_l2


@kernel
def _sum_finite(size, factor, least, most, s):
    """The same with fewer operations, where values are finite and lanes that are empty do not matter.

    |step × x| is then at most |factor|, but for the last bits. So it may be limited before it is rounded,
    rounding need not care for other exponents, and limits that a factor does not reach can be left out.
    """
    if -factor > _HALF_STEP - least:
        _sum_limited(size, True, True, least, most, s)
    elif -factor > _HALF_STEP + most:
        _sum_limited(size, False, True, least, most, s)
    else:
        _sum_limited(size, False, False, least, most, s)


@kernel
def _sum_limited(size, limit_low, limit_high, least, most, s):
    for part in range(0, size * LANES, PART):
        for j in range(LANES):
            step = s[_TRY_STEP + j]
            sum_xl = s[_SUM_XL + j]
            sum_l2 = s[_SUM_L2 + j]
            for k in range(0, PART, LANES):
                l = step * s[X + part + k + j]  # noqa: E741
                if limit_low:
                    l = least if l < least else l  # noqa: E741
                if limit_high:
                    l = most if l > most else l  # noqa: E741
                l = np.rint(l)  # noqa: E741
                sum_xl += s[_PRODUCT + part + k + j] * l
                sum_l2 += s[WEIGHT + part + k + j] * l * l
            s[_SUM_XL + j] = sum_xl
            s[_SUM_L2 + j] = sum_l2


@kernel
def collect(count, found, at, s):
    """Copy the outcome of the first ``count`` lanes to columns ``at`` and on of ``found``, (FOUND, …)."""
    for row in range(FOUND):
        for j in range(count):
            found[row, at + j] = s[STATE + row * LANES + j]


@kernel
def search_rows(values, weights, first, count, spreads, factors, low, high, s):
    """Search for the scales of blocks of one sub-block, with importances and rows' ``spreads``."""
    size = SIZE
    load(values, first, count, size, s)
    load_weights(weights, first, count, size, s)
    put_spreads(spreads, weights.shape[0], first, count, s)
    weigh(size, s)
    search(size, factors, low, high, True, s)


@kernel
def levels_found(values, b, lane, low, high, s, chosen):
    """The levels of the search for block b in lane ``lane``, counted from the least, into ``chosen``."""
    step = s[STEP + lane]
    empty = s[EMPTY + lane] != _ZERO
    for i in range(chosen.size):
        found = np.uint8(level(step * values[b, i], low, high) - low)
        chosen[i] = np.uint8(0) if empty else found
