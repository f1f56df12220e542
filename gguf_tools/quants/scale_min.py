"""The search for a sub-block's scale and min, as Q4_K and Q5_K share it.

A sub-block of 32 values becomes levels 0..n with x ≈ scale × level + low, where low ≤ 0 (blocks store
min = −low). From ggml's ``make_qkx2_quants``, ``quantize_row_q4_K_ref`` and ``get_scale_min_k4``: starting
from the range of the values, a number of slightly larger and smaller steps is tried; for each the levels
are fixed, scale and low follow by weighted least squares, and the pair with the smallest weighted squared
error wins. A winner's low is also what the next step measures from. Weights are root mean square + |x|.

Every lane of a tile (see ``lanes``) is one sub-block; all arithmetic is float32 in the reference's order.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .half import half_to_single, single_to_half
from .jit import kernel
from .lanes import CHUNK, LANES, MAGIC, level, nearest

__all__ = ["SCRATCH", "SUB_BLOCKS", "TILE", "choose_levels", "load_tile", "search", "step_factors", "unpack"]

SIZE: Final = 32
SUB_BLOCKS: Final = 8
TILE: Final = LANES // SUB_BLOCKS
"""Super-blocks in a tile."""

# Where things are in a tile: three planes of SIZE rows, then one row of each state.
_X = 0
_WEIGHT = _X + SIZE * LANES
_LEVEL = _WEIGHT + SIZE * LANES
_STATE = _LEVEL + SIZE * LANES
_SUM_W = _STATE
_SUM_X = _STATE + 1 * LANES  # of weight × x
_LOW = _STATE + 2 * LANES  # the best low so far, which the next step is measured from
_HIGH = _STATE + 3 * LANES
_SCALE = _STATE + 4 * LANES
_BEST = _STATE + 5 * LANES  # the least error so far
_STEP = _STATE + 6 * LANES  # levels per unit of x
_BEST_STEP = _STATE + 7 * LANES  # with _BEST_LOW: what the best levels are made from
_BEST_LOW = _STATE + 8 * LANES
_SUM_L = _STATE + 9 * LANES  # of weight × level
_SUM_L2 = _STATE + 10 * LANES  # of weight × level²
_SUM_XL = _STATE + 11 * LANES  # of weight × level × x
_TRY_SCALE = _STATE + 12 * LANES
_TRY_LOW = _STATE + 13 * LANES
_ERROR = _STATE + 14 * LANES
SCRATCH: Final = _STATE + 15 * LANES
"""Floats of a tile's array."""

_END = SIZE * LANES
_PART = CHUNK * LANES

_ZERO = np.float32(0)
_MINUS_ZERO = np.float32(-0.0)  # the one start of a sum that changes no first term, not even −0
_ONE = np.float32(1)
_COUNT = np.float32(SIZE)
_INFINITY = np.float32(np.inf)
_NEVER = np.float32(-1)  # an error no candidate can undercut
_SCALE_LEVELS = np.float32(63)


def step_factors(first: float, steps: int, levels: int) -> NDArray[np.float32]:
    """What the range of the values is divided into, for each step: levels + first + 0, 0.1, 0.2, …"""
    tenths = np.float32(0.1) * np.arange(steps + 1, dtype=np.float32)
    return (np.float32(first) + tenths) + np.float32(levels)


@kernel
def load_tile(values, first, count, s):  # type: ignore[no-untyped-def]
    """Transpose ``count`` super-blocks from ``first`` on into the tile; unused lanes are zero."""
    for b in range(count):
        for sub in range(SUB_BLOCKS):
            for i in range(SIZE):
                s[_X + i * LANES + b * SUB_BLOCKS + sub] = values[first + b, sub * SIZE + i]
    for i in range(SIZE):
        for j in range(count * SUB_BLOCKS, LANES):
            s[_X + i * LANES + j] = _ZERO


@kernel
def search(s, factors, levels):  # type: ignore[no-untyped-def]
    """Leave each lane's scale, low, and what its levels are made from in the tile."""
    top = np.float32(MAGIC + levels)
    _start(s, levels, top)
    for t in range(factors.size):
        factor = factors[t]
        for j in range(LANES):
            s[_STEP + j] = factor / (s[_HIGH + j] - s[_LOW + j])
            s[_SUM_L + j] = _ZERO
            s[_SUM_L2 + j] = _ZERO
            s[_SUM_XL + j] = _ZERO
        for part in range(0, _END, _PART):
            for j in range(LANES):
                step = s[_STEP + j]
                low = s[_LOW + j]
                sum_l = s[_SUM_L + j]
                sum_l2 = s[_SUM_L2 + j]
                sum_xl = s[_SUM_XL + j]
                for k in range(0, _PART, LANES):
                    x = s[_X + part + k + j]
                    l = level(step * (x - low), MAGIC, top) - MAGIC  # noqa: E741
                    s[_LEVEL + part + k + j] = l
                    weighted = s[_WEIGHT + part + k + j] * l
                    sum_l += weighted
                    sum_l2 += weighted * l
                    sum_xl += weighted * x
                s[_SUM_L + j] = sum_l
                s[_SUM_L2 + j] = sum_l2
                s[_SUM_XL + j] = sum_xl
        # scale and low by weighted least squares; a low above zero is set to zero
        for j in range(LANES):
            sum_w = s[_SUM_W + j]
            sum_x = s[_SUM_X + j]
            sum_l = s[_SUM_L + j]
            sum_l2 = s[_SUM_L2 + j]
            sum_xl = s[_SUM_XL + j]
            determinant = sum_w * sum_l2 - sum_l * sum_l
            low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
            positive = low > _ZERO
            numerator = sum_xl if positive else sum_w * sum_xl - sum_x * sum_l
            denominator = sum_l2 if positive else determinant
            s[_TRY_SCALE + j] = numerator / denominator
            s[_TRY_LOW + j] = _ZERO if positive else low
            # no solution: an error that stays infinite (or turns NaN) cannot win
            s[_ERROR + j] = _ZERO if determinant > _ZERO else _INFINITY
        for part in range(0, _END, _PART):
            for j in range(LANES):
                scale = s[_TRY_SCALE + j]
                low = s[_TRY_LOW + j]
                error = s[_ERROR + j]
                for k in range(0, _PART, LANES):
                    difference = scale * s[_LEVEL + part + k + j] + low - s[_X + part + k + j]
                    error += s[_WEIGHT + part + k + j] * (difference * difference)
                s[_ERROR + j] = error
        for j in range(LANES):
            if s[_ERROR + j] < s[_BEST + j]:
                s[_BEST + j] = s[_ERROR + j]
                s[_BEST_STEP + j] = s[_STEP + j]
                s[_BEST_LOW + j] = s[_LOW + j]
                s[_SCALE + j] = s[_TRY_SCALE + j]
                s[_LOW + j] = s[_TRY_LOW + j]


@kernel
def _start(s, levels, top):  # type: ignore[no-untyped-def]
    """Range, weights and their sums, and the error of simply dividing the range into levels."""
    for j in range(LANES):
        s[_SUM_X + j] = _ZERO  # of x² here
        s[_LOW + j] = s[_X + j]
        s[_HIGH + j] = s[_X + j]
    for part in range(0, _END, _PART):
        for j in range(LANES):
            squares = s[_SUM_X + j]
            low = s[_LOW + j]
            high = s[_HIGH + j]
            for k in range(0, _PART, LANES):
                x = s[_X + part + k + j]
                squares += x * x
                low = x if x < low else low
                high = x if x > high else high
            s[_SUM_X + j] = squares
            s[_LOW + j] = low
            s[_HIGH + j] = high
    for j in range(LANES):
        low = s[_LOW + j]
        low = _ZERO if low > _ZERO else low
        step = levels / (s[_HIGH + j] - low)
        s[_LOW + j] = low
        s[_STEP + j] = step
        s[_SCALE + j] = _ONE / step
        s[_TRY_SCALE + j] = np.sqrt(s[_SUM_X + j] / _COUNT)  # root mean square
        s[_SUM_W + j] = _MINUS_ZERO
        s[_SUM_X + j] = _MINUS_ZERO
        s[_ERROR + j] = _ZERO
    for part in range(0, _END, _PART):
        for j in range(LANES):
            mean = s[_TRY_SCALE + j]
            low = s[_LOW + j]
            step = s[_STEP + j]
            scale = s[_SCALE + j]
            sum_w = s[_SUM_W + j]
            sum_x = s[_SUM_X + j]
            error = s[_ERROR + j]
            for k in range(0, _PART, LANES):
                x = s[_X + part + k + j]
                weight = mean + abs(x)
                s[_WEIGHT + part + k + j] = weight
                sum_w += weight
                sum_x += weight * x
                l = level(step * (x - low), MAGIC, top) - MAGIC  # noqa: E741
                difference = scale * l + low - x
                error += weight * (difference * difference)
            s[_SUM_W + j] = sum_w
            s[_SUM_X + j] = sum_x
            s[_ERROR + j] = error
    for j in range(LANES):
        low = s[_LOW + j]
        step = s[_STEP + j]
        scale = s[_SCALE + j]
        error = s[_ERROR + j]
        constant = low == s[_HIGH + j]  # scale 0, all levels 0, nothing to search
        s[_BEST_LOW + j] = low
        s[_BEST_STEP + j] = _ZERO if constant else step
        s[_SCALE + j] = _ZERO if constant else scale
        s[_BEST + j] = _NEVER if constant else error


@kernel
def choose_levels(s, lane, values, b, levels, out, chosen):  # type: ignore[no-untyped-def]
    """Write super-block b's d, dmin and packed scales; leave its 256 levels in ``chosen``.

    Scales and mins are rounded to 6 bits, d and dmin to halves, and the levels chosen anew for what these
    decode to. Where a scale decodes to zero the levels of the search stay, which is what ggml leaves there.
    ``lane`` is the tile's lane of the first sub-block.
    """
    top = np.float32(MAGIC + levels)
    largest_scale = _ZERO
    largest_min = _ZERO
    for j in range(lane, lane + SUB_BLOCKS):
        scale = s[_SCALE + j]
        largest_scale = scale if scale > largest_scale else largest_scale
        minimum = -s[_LOW + j]
        largest_min = minimum if minimum > largest_min else largest_min
    inverse_scale = _SCALE_LEVELS / largest_scale if largest_scale > _ZERO else _ZERO
    inverse_min = _SCALE_LEVELS / largest_min if largest_min > _ZERO else _ZERO
    half_d = single_to_half(np.float32(largest_scale / _SCALE_LEVELS))
    half_min = single_to_half(np.float32(largest_min / _SCALE_LEVELS))
    out[b, 0] = np.uint8(half_d & 255)
    out[b, 1] = np.uint8(half_d >> 8)
    out[b, 2] = np.uint8(half_min & 255)
    out[b, 3] = np.uint8(half_min >> 8)
    d = half_to_single(half_d)
    dmin = half_to_single(half_min)
    for j in range(SUB_BLOCKS):
        sc = min(63, nearest(inverse_scale * s[_SCALE + lane + j]) & 255)  # C goes through a uint8 here
        mn = min(63, nearest(inverse_min * -s[_LOW + lane + j]) & 255)
        if j < 4:
            out[b, 4 + j] = np.uint8(sc)
            out[b, 8 + j] = np.uint8(mn)
        else:
            out[b, 8 + j] = np.uint8((sc & 15) | ((mn & 15) << 4))
            out[b, j] = np.uint8(out[b, j] | ((sc >> 4) << 6))
            out[b, 4 + j] = np.uint8(out[b, 4 + j] | ((mn >> 4) << 6))
        scale = np.float32(d * np.float32(sc))
        if scale == _ZERO:
            step = s[_BEST_STEP + lane + j]
            low = s[_BEST_LOW + lane + j]
            for i in range(SIZE):
                biased = level(step * (values[b, j * SIZE + i] - low), MAGIC, top)
                chosen[j * SIZE + i] = np.uint8(np.float32(biased).view(np.int32) & 31)
        else:
            minimum = np.float32(dmin * np.float32(mn))
            for i in range(SIZE):
                biased = level((values[b, j * SIZE + i] + minimum) / scale, MAGIC, top)
                chosen[j * SIZE + i] = np.uint8(np.float32(biased).view(np.int32) & 31)


@kernel
def unpack(data, b, scales, mins):  # type: ignore[no-untyped-def]
    """Scales and mins of super-block b's eight sub-blocks, times d and dmin."""
    d = half_to_single(np.uint16(data[b, 0] | (np.uint16(data[b, 1]) << 8)))
    dmin = half_to_single(np.uint16(data[b, 2] | (np.uint16(data[b, 3]) << 8)))
    for j in range(4):
        first = data[b, 4 + j]
        second = data[b, 8 + j]
        third = data[b, 12 + j]
        scales[j] = d * np.float32(first & 63)
        mins[j] = dmin * np.float32(second & 63)
        scales[4 + j] = d * np.float32((third & 15) | ((first >> 6) << 4))
        mins[4 + j] = dmin * np.float32((third >> 4) | ((second >> 6) << 4))
