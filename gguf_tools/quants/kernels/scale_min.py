"""The search for a sub-block's scale and min, as Q2_K, Q4_K and Q5_K share it, and Q4_1 and Q5_1 by weights.

A sub-block becomes levels 0..n with x ≈ scale × level + low, where low ≤ 0 (blocks store min = −low).
Starting from the range of the values, a number of slightly larger and smaller steps is tried; for each the
levels are fixed, scale and low follow by weighted least squares, and the pair with the smallest weighted
error wins. A winner's low is also what the next step measures from.

Two variants, from ggml's ``make_qkx2_quants`` (no importance matrix) and ``make_qkx3_quants`` (with one).
They differ in what a level is when the arithmetic overflows: the second is *guarded*.

Every lane of a tile (see ``tiles``) is one sub-block; all arithmetic is float32 in the reference's order.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...compute.jit import kernel
from .half import half_to_single, scale_to_half
from .lanes import LANES, MAGIC, level, nearest
from .tiles import PART, SIZE, STATE, THIRD, WEIGHT, X, load, load_weights, put_spreads, weigh

__all__ = [
    "FOUND",
    "LOW",
    "SCALE",
    "SCRATCH",
    "SUM_W",
    "collect",
    "levels_found",
    "refit",
    "round_scales",
    "search",
    "search_rows",
    "step_factors",
    "weigh_by_magnitude",
    "weigh_by_mean",
]

_LEVEL = THIRD

# Rows of per-lane state. The first six are the outcome.
_SCALE = STATE
_LOW = STATE + 1 * LANES  # the best low so far, which the next step is measured from
_SUM_W = STATE + 2 * LANES
_BEST_STEP = STATE + 3 * LANES  # with _BEST_LOW and _TRIED: what the best levels are made from
_BEST_LOW = STATE + 4 * LANES
_TRIED = STATE + 5 * LANES  # 0 while no step has been better than simply dividing the range
_SUM_X = STATE + 6 * LANES  # of weight × x
_HIGH = STATE + 7 * LANES
_BEST = STATE + 8 * LANES  # the least error so far
_STEP = STATE + 9 * LANES  # levels per unit of x
_SUM_L = STATE + 10 * LANES  # of weight × level
_SUM_L2 = STATE + 11 * LANES  # of weight × level²
_SUM_XL = STATE + 12 * LANES  # of weight × level × x
_TRY_SCALE = STATE + 13 * LANES
_TRY_LOW = STATE + 14 * LANES
_ERROR = STATE + 15 * LANES
SCRATCH: Final = STATE + 16 * LANES
"""Floats of a tile's array."""

FOUND: Final = 6
"""Rows of an outcome, see ``collect``."""

SCALE: Final = 0
LOW: Final = 1
SUM_W: Final = 2
_FOUND_STEP: Final = 3
_FOUND_LOW: Final = 4
_FOUND_TRIED: Final = 5

_ZERO = np.float32(0)
_MINUS_ZERO = np.float32(-0.0)  # the one start of a sum that changes no first term, not even −0
_ONE = np.float32(1)
_INFINITY = np.float32(np.inf)
_NEVER = np.float32(-1)  # an error no candidate can undercut


def step_factors(first: float, width: float, steps: int, levels: int) -> NDArray[np.float32]:
    """What the range of the values is divided into, for each step: levels + first + 0, 1, 2, … widths."""
    widths = np.float32(width) * np.arange(steps + 1, dtype=np.float32)
    return (np.float32(first) + widths) + np.float32(levels)


@kernel
def weigh_by_mean(size, s):
    """Weights of Q4_K and Q5_K without an importance matrix: root mean square + |x|."""
    for j in range(LANES):
        s[_ERROR + j] = _ZERO
    for part in range(0, size * LANES, PART):
        for j in range(LANES):
            squares = s[_ERROR + j]
            for k in range(0, PART, LANES):
                x = s[X + part + k + j]
                squares += x * x
            s[_ERROR + j] = squares
    for j in range(LANES):
        s[_ERROR + j] = np.sqrt(s[_ERROR + j] / np.float32(size))
    for part in range(0, size * LANES, PART):
        for j in range(LANES):
            mean = s[_ERROR + j]
            for k in range(0, PART, LANES):
                s[WEIGHT + part + k + j] = mean + abs(s[X + part + k + j])


@kernel
def weigh_by_magnitude(size, s):
    """Weights of Q2_K without an importance matrix: |x|."""
    for k in range(size * LANES):
        s[WEIGHT + k] = abs(s[X + k])


@kernel
def search(size, factors, levels, guarded, absolute, s):
    """Leave each lane's scale, low, and what its levels are made from in the tile.

    ``absolute``: errors count with their magnitude, not with their square.
    """
    top = np.float32(MAGIC + levels)
    _start(size, levels, s)
    _first_error(size, top, absolute, s)
    for t in range(factors.size):
        factor = factors[t]
        for j in range(LANES):
            s[_STEP + j] = factor / (s[_HIGH + j] - s[_LOW + j])
            s[_SUM_L + j] = _ZERO
            s[_SUM_L2 + j] = _ZERO
            s[_SUM_XL + j] = _ZERO
        if guarded:
            _sum_guarded(size, levels, s)
        else:
            _sum(size, top, s)
        _solve(s)
        if absolute:
            _add_absolute_errors(size, s)
        else:
            _add_squared_errors(size, s)
        for j in range(LANES):
            if s[_ERROR + j] < s[_BEST + j]:
                s[_BEST + j] = s[_ERROR + j]
                s[_BEST_STEP + j] = s[_STEP + j]
                s[_BEST_LOW + j] = s[_LOW + j]
                s[_SCALE + j] = s[_TRY_SCALE + j]
                s[_LOW + j] = s[_TRY_LOW + j]
                s[_TRIED + j] = _ONE


@kernel
def _start(size, levels, s):
    """Range, sums of weights, and the step that simply divides the range into levels."""
    for j in range(LANES):
        s[_SUM_W + j] = _MINUS_ZERO
        s[_SUM_X + j] = _MINUS_ZERO
        s[_LOW + j] = s[X + j]
        s[_HIGH + j] = s[X + j]
    for part in range(0, size * LANES, PART):
        for j in range(LANES):
            sum_w = s[_SUM_W + j]
            sum_x = s[_SUM_X + j]
            low = s[_LOW + j]
            high = s[_HIGH + j]
            for k in range(0, PART, LANES):
                x = s[X + part + k + j]
                weight = s[WEIGHT + part + k + j]
                sum_w += weight
                sum_x += weight * x
                low = x if x < low else low
                high = x if x > high else high
            s[_SUM_W + j] = sum_w
            s[_SUM_X + j] = sum_x
            s[_LOW + j] = low
            s[_HIGH + j] = high
    for j in range(LANES):
        low = s[_LOW + j]
        low = _ZERO if low > _ZERO else low
        step = levels / (s[_HIGH + j] - low)
        s[_LOW + j] = low
        s[_STEP + j] = step
        s[_SCALE + j] = _ONE / step
        s[_TRIED + j] = _ZERO
        s[_ERROR + j] = _ZERO


@kernel
def _first_error(size, top, absolute, s):
    """The error of simply dividing the range, which candidates must undercut."""
    for part in range(0, size * LANES, PART):
        for j in range(LANES):
            low = s[_LOW + j]
            step = s[_STEP + j]
            scale = s[_SCALE + j]
            error = s[_ERROR + j]
            for k in range(0, PART, LANES):
                x = s[X + part + k + j]
                l = level(step * (x - low), MAGIC, top) - MAGIC  # noqa: E741
                difference = scale * l + low - x
                cost = abs(difference) if absolute else difference * difference
                error += s[WEIGHT + part + k + j] * cost
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
def _sum(size, top, s):
    """The levels of a step, and the sums that least squares needs."""
    for part in range(0, size * LANES, PART):
        for j in range(LANES):
            step = s[_STEP + j]
            low = s[_LOW + j]
            sum_l = s[_SUM_L + j]
            sum_l2 = s[_SUM_L2 + j]
            sum_xl = s[_SUM_XL + j]
            for k in range(0, PART, LANES):
                x = s[X + part + k + j]
                l = level(step * (x - low), MAGIC, top) - MAGIC  # noqa: E741
                s[_LEVEL + part + k + j] = l
                weighted = s[WEIGHT + part + k + j] * l
                sum_l += weighted
                sum_l2 += weighted * l
                sum_xl += weighted * x
            s[_SUM_L + j] = sum_l
            s[_SUM_L2 + j] = sum_l2
            s[_SUM_XL + j] = sum_xl


@kernel
def _sum_guarded(size, levels, s):
    """The same with guarded levels."""
    for part in range(0, size * LANES, PART):
        for j in range(LANES):
            step = s[_STEP + j]
            low = s[_LOW + j]
            sum_l = s[_SUM_L + j]
            sum_l2 = s[_SUM_L2 + j]
            sum_xl = s[_SUM_XL + j]
            for k in range(0, PART, LANES):
                x = s[X + part + k + j]
                l = _guarded(step * (x - low), levels)  # noqa: E741
                s[_LEVEL + part + k + j] = l
                weighted = s[WEIGHT + part + k + j] * l
                sum_l += weighted
                sum_l2 += weighted * l
                sum_xl += weighted * x
            s[_SUM_L + j] = sum_l
            s[_SUM_L2 + j] = sum_l2
            s[_SUM_XL + j] = sum_xl


@kernel
def _guarded(value, levels):
    """The nearest level: 0 for NaN, the last for infinity. Limiting first keeps rounding by MAGIC exact."""
    value = value if value > _ZERO else _ZERO
    value = value if value < levels else levels
    return (value + MAGIC) - MAGIC


@kernel
def _solve(s):
    """Scale and low by weighted least squares; a low above zero is set to zero."""
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


@kernel
def _add_squared_errors(size, s):
    for part in range(0, size * LANES, PART):
        for j in range(LANES):
            scale = s[_TRY_SCALE + j]
            low = s[_TRY_LOW + j]
            error = s[_ERROR + j]
            for k in range(0, PART, LANES):
                difference = scale * s[_LEVEL + part + k + j] + low - s[X + part + k + j]
                error += s[WEIGHT + part + k + j] * (difference * difference)
            s[_ERROR + j] = error


@kernel
def _add_absolute_errors(size, s):
    for part in range(0, size * LANES, PART):
        for j in range(LANES):
            scale = s[_TRY_SCALE + j]
            low = s[_TRY_LOW + j]
            error = s[_ERROR + j]
            for k in range(0, PART, LANES):
                difference = scale * s[_LEVEL + part + k + j] + low - s[X + part + k + j]
                error += s[WEIGHT + part + k + j] * abs(difference)
            s[_ERROR + j] = error


@kernel
def collect(count, found, at, s):
    """Copy the outcome of the first ``count`` lanes to columns ``at`` and on of ``found``.

    ``found`` is float32 of shape (FOUND, sub-blocks): scale, low, sum of weights, and what the levels of
    the search were made from.
    """
    for row in range(FOUND):
        for j in range(count):
            found[row, at + j] = s[STATE + row * LANES + j]


@kernel
def levels_found(values, b, start, size, found, column, levels, guarded, chosen):
    """The levels of the search for values ``start``.. of block b, again, into ``chosen``."""
    top = np.float32(MAGIC + levels)
    step = found[_FOUND_STEP, column]
    low = found[_FOUND_LOW, column]
    if guarded and found[_FOUND_TRIED, column] != _ZERO:
        for i in range(start, start + size):
            chosen[i] = np.uint8(_guarded(step * (values[b, i] - low), levels))
    else:
        for i in range(start, start + size):
            chosen[i] = np.uint8(level(step * (values[b, i] - low), MAGIC, top) - MAGIC)


@kernel
def round_scales(found, at, top, scales, mins):
    """Scales and mins of a super-block relative to the largest: integers, and the halves d and dmin.

    Without an importance matrix; ``top`` (float32) is what the largest becomes. Its sub-blocks are columns
    ``at`` and on of ``found``. Integers are C's, which go through a uint8.
    """
    largest_scale = _ZERO
    largest_min = _ZERO
    for j in range(scales.size):
        scale = found[SCALE, at + j]
        largest_scale = scale if scale > largest_scale else largest_scale
        minimum = -found[LOW, at + j]
        largest_min = minimum if minimum > largest_min else largest_min
    inverse_scale = top / largest_scale if largest_scale > _ZERO else _ZERO
    inverse_min = top / largest_min if largest_min > _ZERO else _ZERO
    for j in range(scales.size):
        scales[j] = nearest(inverse_scale * found[SCALE, at + j]) & 255
        mins[j] = nearest(inverse_min * -found[LOW, at + j]) & 255
    return scale_to_half(np.float32(largest_scale / top)), scale_to_half(np.float32(largest_min / top))


@kernel
def refit(values, b, half_d, half_min, scales, mins, found, at, levels, guarded, chosen, spread):
    """Choose the levels of super-block b for what its scales and mins decode to, into ``chosen``.

    Where a scale decodes to zero the levels of the search stay, which is what ggml leaves there.
    ``spread`` is scratch space: float32 of shape (2, elements), so that all divisions are one loop, which
    vectorizes.
    """
    top = np.float32(MAGIC + levels)
    size = chosen.size // scales.size
    d = half_to_single(half_d)
    dmin = half_to_single(half_min)
    zeros = 0
    for j in range(scales.size):
        scale = np.float32(d * np.float32(scales[j]))
        minimum = np.float32(dmin * np.float32(mins[j]))
        zeros += scale == _ZERO
        for i in range(j * size, (j + 1) * size):
            spread[0, i] = scale
            spread[1, i] = minimum
    for i in range(chosen.size):
        biased = level((values[b, i] + spread[1, i]) / spread[0, i], MAGIC, top)
        chosen[i] = np.uint8(np.float32(biased).view(np.int32) & 31)
    if zeros:
        for j in range(scales.size):
            if spread[0, j * size] == _ZERO:
                levels_found(values, b, j * size, size, found, at + j, levels, guarded, chosen)


@kernel
def search_rows(values, weights, first, count, spreads, factors, levels, found, s):
    """Search for scales and mins of blocks of one sub-block, with importances and rows' ``spreads``."""
    size = SIZE
    load(values, first, count, size, s)
    load_weights(weights, first, count, size, s)
    put_spreads(spreads, weights.shape[0], first, count, s)
    weigh(size, s)
    search(size, factors, levels, True, False, s)
    collect(count, found, 0, s)
