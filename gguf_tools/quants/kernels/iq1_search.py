"""The search for a sub-block's scale and its points of IQ1's grid, as IQ1_S and IQ1_M share it.

Values become one of three levels: −1, 0 or 1, all moved up or down by ⅛. The best levels are found exactly:
sorted values are split in two places, in every way there is, and for each split the scale follows by
weighted least squares from running sums. The one that explains most wins. Groups of eight levels that are
not on the grid then move to the nearest of their neighbours there (see ``grids``), and the scale is fitted
once more. From ggml's ``quantize_row_iq1_s_impl`` and ``quantize_row_iq1_m_impl``.

Every lane of a tile (see ``tiles``) is one sub-block; all arithmetic is float32 in the reference's order.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from .grid_neighbours import nearest_of_eight
from .lanes import CHUNK, LANES
from .tiles import SIZE, STATE, THIRD, WEIGHT, X

__all__ = [
    "DOWN",
    "PLACES",
    "SCALE",
    "SCRATCH",
    "WAYS",
    "add_up",
    "choose_levels",
    "peaks",
    "put_points",
    "put_products",
    "rank",
    "split_halves",
    "split_whole",
    "weigh_by_square",
]

_RANK = THIRD  # of a value in its sub-block; then its level

# Rows of per-lane state.
SCALE: Final = STATE
"""The scale, and 0 where all values count as zero."""
_PEAK = STATE + 1 * LANES
_BEST = STATE + 2 * LANES
_WHICH = STATE + 3 * LANES  # split and way
DOWN: Final = STATE + 4 * LANES
"""Two rows: 1 where the first half of a sub-block is moved down by ⅛, 0 where it is moved up; the second."""
PLACES: Final = STATE + 6 * LANES
"""Four rows: the place of each group's point in the grid."""
_SUM_X = STATE + 10 * LANES  # planes of size + 1 rows: sums of weight × x of the first so many sorted values
_SUM_WEIGHT = _SUM_X + (SIZE + 2) * LANES  # and of weights; of halves with 17 rows each
_FIRST = _SUM_WEIGHT + (SIZE + 2) * LANES  # copies of rows of those sums, at the split that is tried
_FIRST_WEIGHT = _FIRST + 2 * LANES
_SECOND = _FIRST_WEIGHT + 2 * LANES
_SECOND_WEIGHT = _SECOND + CHUNK * LANES
_DISTANCE = _SECOND_WEIGHT + CHUNK * LANES  # a group's, for each value and level
SCRATCH: Final = _DISTANCE + LANES
"""Floats of a tile's array."""

WAYS: Final = 4
"""Ways to move two halves up or down; a whole has two."""

_ZERO = np.float32(0)
_ONE = np.float32(1)
_TWO = np.float32(2)
_THREE = np.float32(3)
_LOWEST = np.float32(np.finfo(np.float32).min)
_SHIFT = np.float32(0.125)
_UP_0, _UP_1, _UP_2 = np.float32(-0.875), np.float32(0.125), np.float32(1.125)
_DOWN_0, _DOWN_1, _DOWN_2 = np.float32(-1.125), np.float32(-0.125), np.float32(0.875)
# Differences of squares of those, which are exact.
_UP_01, _UP_12 = np.float32(0.75), np.float32(-1.25)
_DOWN_01, _DOWN_12 = np.float32(1.25), np.float32(-0.75)
_AT_ONCE: Final = 4
_ROWS_OF_WHOLE: Final = 63 * LANES
_ROWS_OF_HALF: Final = 31 * LANES
_TO_WEIGHTS = _SUM_WEIGHT - _SUM_X


@kernel
def weigh_by_square(size, s):
    """Weights without an importance matrix: x²."""
    for k in range(size * LANES):
        s[WEIGHT + k] = s[X + k] * s[X + k]


@kernel
def peaks(size, s):
    """Each lane's largest magnitude."""
    for j in range(LANES):
        s[_PEAK + j] = _ZERO
    for i in range(size):
        for j in range(LANES):
            magnitude = abs(s[X + i * LANES + j])
            s[_PEAK + j] = magnitude if magnitude > s[_PEAK + j] else s[_PEAK + j]


@kernel
def rank(size, s):
    """Each value's rank in a stable sort: how many are smaller, or equal and before it."""
    for i in range(size):
        chunk = i - i % CHUNK
        _copy(X + i * LANES, _FIRST, 1, s)
        for j in range(LANES):
            s[_SECOND + j] = _ZERO
        for k in range(0, chunk, CHUNK):
            _count(k, CHUNK, True, s)
        for k in range(chunk, i):
            _count(k, 1, True, s)
        for k in range(i + 1, chunk + CHUNK):
            _count(k, 1, False, s)
        for k in range(chunk + CHUNK, size, CHUNK):
            _count(k, CHUNK, False, s)
        _copy(_SECOND, _RANK + i * LANES, 1, s)


@kernel
def _count(first, count, equal, s):
    for j in range(LANES):
        x = s[_FIRST + j]
        total = s[_SECOND + j]
        for k in range(count):
            other = s[X + (first + k) * LANES + j]
            total += _ONE if (other <= x if equal else other < x) else _ZERO
        s[_SECOND + j] = total


@kernel
def add_up(size, halves, s):
    """Running sums over sorted values. With ``halves`` each half has its own, over the ranks of both."""
    rows = size + 1
    for k in range((2 if halves else 1) * rows * LANES):
        s[_SUM_X + k] = _ZERO
        s[_SUM_WEIGHT + k] = _ZERO
    for i in range(size):
        first = rows * LANES if halves and 2 * i >= size else 0
        for j in range(LANES):
            x = s[X + i * LANES + j]
            weight = s[WEIGHT + i * LANES + j]
            at = first + (np.int64(s[_RANK + i * LANES + j]) + 1) * LANES + j
            s[_SUM_X + at] = weight * x
            s[_SUM_WEIGHT + at] = weight
    for half in range(2 if halves else 1):
        for row in range(half * rows, half * rows + size):
            for j in range(LANES):
                s[_SUM_X + (row + 1) * LANES + j] += s[_SUM_X + row * LANES + j]
                s[_SUM_WEIGHT + (row + 1) * LANES + j] += s[_SUM_WEIGHT + row * LANES + j]


@kernel
def _start(s):
    for j in range(LANES):
        s[_BEST + j] = _LOWEST
        s[SCALE + j] = _ZERO
        s[_WHICH + j] = -_ONE


@kernel
def split_whole(size, s):
    """Try every split of whole sub-blocks, moved up and moved down."""
    _start(s)
    for i in range(size + 1):
        k = i
        while k + _AT_ONCE <= size + 1:
            _try_whole(size, i, k, _AT_ONCE, s)
            k += _AT_ONCE
        while k <= size:
            _try_whole(size, i, k, 1, s)
            k += 1


@kernel
def _copy(source, target, rows, s):
    """Rows to where kernels find them at constant offsets: with others LLVM would not vectorize them."""
    for j in range(rows * LANES):
        s[target + j] = s[source + j]


@kernel
def _try_whole(size, i, first, count, s):
    """Level −1 for the first i values, 0 up to ``first`` and one more each time, 1 for the rest.

    Masks tell LLVM that sums are not where the best is written to; it would not vectorize the loop.
    """
    number = np.float32(WAYS * (i * (size + 1) + first))
    row_i = _SUM_X + (i * LANES & _ROWS_OF_WHOLE)
    row_k = _SUM_X + (first * LANES & _ROWS_OF_WHOLE)
    for j in range(LANES):
        x_i = s[row_i + j]
        x_end = s[_SUM_X + size * LANES + j]
        weight_i = s[row_i + _TO_WEIGHTS + j]
        weight_end = s[_SUM_WEIGHT + size * LANES + j]
        best = s[_BEST + j]
        scale = s[SCALE + j]
        which = s[_WHICH + j]
        for k in range(count):
            x_k = s[row_k + k * LANES + j]
            weight_k = s[row_k + _TO_WEIGHTS + k * LANES + j]
            middle = (x_k - x_i) * _UP_1
            middle_weight = (weight_k - weight_i) * _UP_1 * _UP_1
            sum_qx = x_i * _UP_0 + middle + (x_end - x_k) * _UP_2
            last_weight = (weight_end - weight_k) * _UP_2 * _UP_2
            sum_q2 = weight_i * _UP_0 * _UP_0 + middle_weight + last_weight
            way = number + np.float32(WAYS * k)
            best, scale, which = _better(sum_qx, sum_q2, way, best, scale, which)
            sum_qx = x_i * _DOWN_0 - middle + (x_end - x_k) * _DOWN_2
            last_weight = (weight_end - weight_k) * _DOWN_2 * _DOWN_2
            sum_q2 = weight_i * _DOWN_0 * _DOWN_0 + middle_weight + last_weight
            best, scale, which = _better(sum_qx, sum_q2, way + _ONE, best, scale, which)
        s[_BEST + j] = best
        s[SCALE + j] = scale
        s[_WHICH + j] = which


@kernel
def _better(sum_qx, sum_q2, number, best, scale, which):
    """The best so far, with its scale and number, and what these sums make of it."""
    quotient = sum_qx / sum_q2
    better = (sum_q2 > _ZERO) & (sum_qx * sum_qx > best * sum_q2)
    scale = quotient if better else scale
    best = quotient * sum_qx if better else best
    which = number if better else which
    return best, scale, which


@kernel
def split_halves(size, s):
    """Try every split, with each half moved up and moved down."""
    _start(s)
    for i in range(size + 1):
        for k in range(i, size + 1):
            _try_halves(size, i, k, s)


@kernel
def _try_halves(size, i, k, s):
    """A half's sum over three levels is its total times the last, less the sums up to both splits."""
    number = np.float32(WAYS * (i * (size + 1) + k))
    end = size * LANES
    other = (size + 1) * LANES
    row_i = _SUM_X + (i * LANES & _ROWS_OF_HALF)
    row_k = _SUM_X + (k * LANES & _ROWS_OF_HALF)
    for j in range(LANES):
        x = s[row_i + j] + s[row_k + j]
        up_x0 = s[_SUM_X + end + j] * _UP_2 - x
        down_x0 = s[_SUM_X + end + j] * _DOWN_2 - x
        total = s[_SUM_WEIGHT + end + j]
        first, second = s[row_i + _TO_WEIGHTS + j], s[row_k + _TO_WEIGHTS + j]
        up_0 = total * _UP_2 * _UP_2 + first * _UP_01 + second * _UP_12
        down_0 = total * _DOWN_2 * _DOWN_2 + first * _DOWN_01 + second * _DOWN_12
        x = s[row_i + other + j] + s[row_k + other + j]
        up_x1 = s[_SUM_X + other + end + j] * _UP_2 - x
        down_x1 = s[_SUM_X + other + end + j] * _DOWN_2 - x
        total = s[_SUM_WEIGHT + other + end + j]
        first, second = s[row_i + other + _TO_WEIGHTS + j], s[row_k + other + _TO_WEIGHTS + j]
        up_1 = total * _UP_2 * _UP_2 + first * _UP_01 + second * _UP_12
        down_1 = total * _DOWN_2 * _DOWN_2 + first * _DOWN_01 + second * _DOWN_12
        best = s[_BEST + j]
        scale = s[SCALE + j]
        which = s[_WHICH + j]
        best, scale, which = _better(up_x0 + up_x1, up_0 + up_1, number, best, scale, which)
        best, scale, which = _better(up_x0 + down_x1, up_0 + down_1, number + _ONE, best, scale, which)
        best, scale, which = _better(down_x0 + up_x1, down_0 + up_1, number + _TWO, best, scale, which)
        best, scale, which = _better(down_x0 + down_x1, down_0 + down_1, number + _THREE, best, scale, which)
        s[_BEST + j] = best
        s[SCALE + j] = scale
        s[_WHICH + j] = which


@kernel
def choose_levels(size, halves, tiny, s):
    """Levels 0 to 2 of the best splits, and which way they are moved. Scales become positive.

    Where all values are below ``tiny``, or no split is any good, the scale is 0 and DOWN is 0.
    """
    for j in range(LANES):
        which = np.int64(s[_WHICH + j])
        empty = s[_PEAK + j] < tiny or which < 0
        scale = _ZERO if empty else s[SCALE + j]
        turned = scale < _ZERO
        split = which // WAYS
        way = 0 if empty else which % WAYS
        down_0 = way // 2 if halves else way
        down_1 = way % 2 if halves else way
        s[DOWN + j] = np.float32(not down_0 if turned else down_0)
        s[DOWN + LANES + j] = np.float32(not down_1 if turned else down_1)
        s[SCALE + j] = -scale if turned else scale
        s[_WHICH + j] = -_ONE if empty else s[_WHICH + j]
        first = np.float32(split // (size + 1))
        second = np.float32(split % (size + 1))
        for i in range(size):
            at = _RANK + i * LANES + j
            chosen = (_ONE if s[at] >= first else _ZERO) + (_ONE if s[at] >= second else _ZERO)
            s[at] = _TWO - chosen if turned else chosen


@kernel
def put_points(size, count, index, spans, lists, codes, s):
    """Round groups of the first ``count`` lanes to points of the grid; where one moved, fit the scale again.

    Levels are then those of the points. The tables are those of ``grid_points.Points``.
    """
    for j in range(count):
        moved = False
        for group in range(size // 8):
            found = np.int32(0)
            if s[_WHICH + j] >= _ZERO:
                number = np.int64(0)
                for i in range(7, -1, -1):
                    number = number * 3 + np.int64(s[_RANK + (8 * group + i) * LANES + j])
                found = index[number]
                if found < 0:
                    moved = True
                    found = _nearest(size, group, j, spans[-1 - found, 0], spans[-1 - found, 1], lists, s)
            s[PLACES + group * LANES + j] = np.float32(found)
            code = codes[found]
            for i in range(8):
                s[_RANK + (8 * group + i) * LANES + j] = np.float32((code >> (2 * i)) & 3)
        if moved:
            sum_qx = _ZERO
            sum_q2 = _ZERO
            for i in range(size):
                at = i * LANES + j
                weight = s[WEIGHT + at]
                q = s[_RANK + at] - _ONE + (-_SHIFT if s[_down(size, i) + j] else _SHIFT)
                sum_qx += weight * q * s[X + at]
                sum_q2 += weight * q * q
            if sum_qx > _ZERO and sum_q2 > _ZERO:
                s[SCALE + j] = sum_qx / sum_q2


@kernel
def _down(size, i):
    """The row that says which way value i is moved."""
    return DOWN + LANES if 2 * i >= size else DOWN


@kernel
def _nearest(size, group, j, at, count, lists, s):
    """The place of the point of a list with the least Σ weight × (scale × q − x)²."""
    down = s[_down(size, 8 * group) + j] != _ZERO
    scale = s[SCALE + j]
    low = scale * (_DOWN_0 if down else _UP_0)
    middle = scale * (_DOWN_1 if down else _UP_1)
    high = scale * (_DOWN_2 if down else _UP_2)
    for i in range(8):
        x = s[X + (8 * group + i) * LANES + j]
        weight = s[WEIGHT + (8 * group + i) * LANES + j]
        s[_DISTANCE + 3 * i] = weight * (low - x) * (low - x)
        s[_DISTANCE + 3 * i + 1] = weight * (middle - x) * (middle - x)
        s[_DISTANCE + 3 * i + 2] = weight * (high - x) * (high - x)
    return nearest_of_eight(at, count, lists, _DISTANCE, s)


@kernel
def put_products(size, levels, s):
    """Replace values and weights by weight × q × x and weight × q², where q is level × (2 scale level + 1).

    ``levels`` are the lanes' scale levels, int64.
    """
    for i in range(size):
        down = _down(size, i)
        for j in range(LANES):
            at = i * LANES + j
            weight = s[WEIGHT + at]
            shifted = s[_RANK + at] - _ONE + (-_SHIFT if s[down + j] != _ZERO else _SHIFT)
            q = shifted * np.float32(2 * levels[j] + 1)
            s[X + at] = weight * q * s[X + at]
            s[WEIGHT + at] = weight * q * q
