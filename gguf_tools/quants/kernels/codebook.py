"""The sixteen values of IQ4_NL and IQ4_XS, and the search for a sub-block's scale with them.

A level is an index into VALUES, which are closer together around zero, and x ≈ scale × VALUES[level]. The
search tries 16 steps around −127 / (the value of largest magnitude): for each every x becomes the nearest
value, the scale follows by weighted least squares, and the one that explains most of them wins. From ggml's
``quantize_row_iq4_nl_impl`` and ``kvalues_iq4nl``.

Which value is nearest is 15 comparisons: in lanes that is faster than any search. Every lane of a tile (see
``tiles``) is one sub-block; all arithmetic is float32 in the reference's order.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from .lanes import LANES
from .tiles import PART, SIZE, STATE, WEIGHT, X

__all__ = ["SCALE", "SCRATCH", "VALUES", "levels", "search", "weigh_by_square"]

VALUES: Final = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], dtype=np.float32
)

_LIMITS: Final = (VALUES[:-1] + VALUES[1:]) / np.float32(2)
"""From here on the next value is taken. The reference compares distances, both of which float32 holds exactly
where they are close: it decides the same."""

V0, V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12, V13, V14, V15 = VALUES
T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14 = _LIMITS

# Rows of per-lane state.
SCALE: Final = STATE
_LARGEST = STATE + 1 * LANES  # the value of largest magnitude, the first of several
_STEP = STATE + 2 * LANES
_BEST = STATE + 3 * LANES
_SUM_XQ = STATE + 4 * LANES  # of weight × value × x
_SUM_Q2 = STATE + 5 * LANES  # of weight × value²
SCRATCH: Final = STATE + 6 * LANES
"""Floats of a tile's array."""

_ZERO = np.float32(0)
_ONE = np.float32(1)
_INFINITY = np.float32(np.inf)
_TINY = np.float32(1e-15)  # ggml's GROUP_MAX_EPS: smaller counts as zero
_TRIES: Final = 7


@kernel
def weigh_by_square(s):
    """Weights without an importance matrix: x²."""
    for k in range(SIZE * LANES):
        s[WEIGHT + k] = s[X + k] * s[X + k]


@kernel
def search(s):
    """Leave each lane's scale in the tile."""
    for j in range(LANES):
        s[_LARGEST + j] = _ZERO
    for part in range(0, SIZE * LANES, PART):
        for j in range(LANES):
            largest = s[_LARGEST + j]
            for k in range(0, PART, LANES):
                x = s[X + part + k + j]
                largest = x if abs(x) > abs(largest) else largest
            s[_LARGEST + j] = largest
    for j in range(LANES):
        s[_STEP + j] = _ONE / (-s[_LARGEST + j] / V0)
    _sum(s)
    for j in range(LANES):
        sum_xq = s[_SUM_XQ + j]
        sum_q2 = s[_SUM_Q2 + j]
        scale = sum_xq / sum_q2
        scale = scale if sum_q2 > _ZERO else _ZERO
        empty = abs(s[_LARGEST + j]) < _TINY
        s[SCALE + j] = _ZERO if empty else scale
        s[_BEST + j] = _INFINITY if empty else scale * sum_xq
    for attempt in range(-_TRIES, _TRIES + 1):
        factor = np.float32(attempt) + V0
        for j in range(LANES):
            s[_STEP + j] = factor / s[_LARGEST + j]
        _sum(s)
        for j in range(LANES):
            sum_xq = s[_SUM_XQ + j]
            sum_q2 = s[_SUM_Q2 + j]
            scale = sum_xq / sum_q2
            if (sum_q2 > _ZERO) & (sum_xq * sum_xq > s[_BEST + j] * sum_q2):
                s[SCALE + j] = scale
                s[_BEST + j] = scale * sum_xq


@kernel
def _sum(s):
    """The sums that least squares needs of the values a step leads to."""
    for j in range(LANES):
        s[_SUM_XQ + j] = _ZERO
        s[_SUM_Q2 + j] = _ZERO
    for part in range(0, SIZE * LANES, PART):
        for j in range(LANES):
            step = s[_STEP + j]
            sum_xq = s[_SUM_XQ + j]
            sum_q2 = s[_SUM_Q2 + j]
            for k in range(0, PART, LANES):
                x = s[X + part + k + j]
                q = _nearest_value(step * x)
                weighted = s[WEIGHT + part + k + j] * q
                sum_xq += weighted * x
                sum_q2 += weighted * q
            s[_SUM_XQ + j] = sum_xq
            s[_SUM_Q2 + j] = sum_q2


@kernel
def _nearest_value(x):
    """The value nearest to x, of two the larger; NaN becomes the last, as in the reference."""
    q = V0 if x < T0 else V1
    q = q if x < T1 else V2
    q = q if x < T2 else V3
    q = q if x < T3 else V4
    q = q if x < T4 else V5
    q = q if x < T5 else V6
    q = q if x < T6 else V7
    q = q if x < T7 else V8
    q = q if x < T8 else V9
    q = q if x < T9 else V10
    q = q if x < T10 else V11
    q = q if x < T11 else V12
    q = q if x < T12 else V13
    q = q if x < T13 else V14
    return q if x < T14 else V15


@kernel
def levels(values, b, start, step, chosen):
    """The level of each of SIZE values of block b, times ``step``, into ``chosen`` from ``start`` on."""
    for i in range(start, start + SIZE):
        x = step * values[b, i]
        level = np.int32(15)
        level -= np.int32(x < T0) + np.int32(x < T1) + np.int32(x < T2)
        level -= np.int32(x < T3) + np.int32(x < T4) + np.int32(x < T5)
        level -= np.int32(x < T6) + np.int32(x < T7) + np.int32(x < T8)
        level -= np.int32(x < T9) + np.int32(x < T10) + np.int32(x < T11)
        level -= np.int32(x < T12) + np.int32(x < T13) + np.int32(x < T14)
        chosen[i] = np.uint8(level)
