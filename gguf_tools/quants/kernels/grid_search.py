"""The search for a sub-block's scale and its points of a grid, as the IQ2 and IQ3 types share it.

Values are magnitudes here, their signs are stored apart. From ggml's ``quantize_row_iq2_xs_impl`` and its
siblings: a number of steps around (the largest odd multiple) / (the largest value) is tried. For each,
values are rounded to odd multiples 2 level + 1 of the step's scale, groups of levels that are not on the
grid move to the nearest of their neighbours there (see ``grid_points``), and the scale follows by weighted
least squares; the step that explains most wins. Groups that had moved are then rounded once more, with the
scale found.

Steps are lanes. Most of them round a group to the same levels as the step before, and so have the same
neighbours, which are looked at once for a run of such steps. All arithmetic is float32 in the reference's
order.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...compute.jit import inlined, kernel
from .grid_neighbours import (
    ENTRY,
    ONE_SCALE,
    POINT_FLOATS,
    SCALE,
    STEPS,
    WINDOW,
    nearest_of_eight,
    nearest_of_eight_at_steps,
    nearest_of_four,
    nearest_of_four_at_steps,
    put_distances,
    put_distances_at_steps,
)
from .lanes import MAGIC, level, scratch
from .signs import PRODUCT, WEIGHT, X

__all__ = ["AGAIN_ALL", "AGAIN_ALWAYS", "AGAIN_MOVED", "room", "search", "step_factors"]

AGAIN_MOVED: Final = 0
"""Rounded once more are groups that had moved."""
AGAIN_ALL: Final = 1
"""All groups of a sub-block are, if one had moved or no step was any good."""
AGAIN_ALWAYS: Final = 2
"""All groups always are."""

# Where things are in the floats of a search, by step.
_STEP = POINT_FLOATS  # 1 / scale
_SUM_QX = _STEP + STEPS  # of weight × x × q
_SUM_Q2 = _SUM_QX + STEPS  # of weight × q²
_FLOATS = _SUM_Q2 + STEPS

# And in its integers, all by step.
_PLACES = 0  # of each group's point; before it is known, what is in the grid's index
_NUMBER = _PLACES + 8 * STEPS  # of a group's levels
_CODE = _NUMBER + STEPS  # of its point
_MOVED = _CODE + STEPS  # a bit for each group that was not on the grid
_INTEGERS = _MOVED + STEPS

_ZERO = np.float32(0)
_HALF = np.float32(0.5)
_ONE = np.float32(1)
_TOP_OF_EIGHT = np.float32(MAGIC + np.float32(2))
_TOP_OF_FOUR = np.float32(MAGIC + np.float32(7))
_16 = np.uint32(16)


def step_factors(largest: int, width: float, tries: int) -> NDArray[np.float32]:
    """What is divided by the largest value: ``largest`` and so many steps of a width around it, as lanes.

    Lanes after the last step repeat it, which changes nothing: a step must be better to be taken.
    """
    steps = np.arange(-tries, tries + 1, dtype=np.float32)
    factors = np.float32(largest) + steps * np.float32(width)
    return np.concatenate([factors, np.full(STEPS - factors.size, factors[-1])])


@kernel
def room():
    """Scratch space of a search: floats and integers."""
    return scratch(_FLOATS), np.empty(_INTEGERS, np.int32)


@kernel
def search(size, elements, factors, peak, scale, again, index, spans, lists, codes, chosen, s, c):
    """The scale of a sub-block; the places of its groups' points go to ``chosen``.

    ``peak`` is what factors are divided by; ``scale`` is what the scale is where no step is any good;
    ``again`` is one of the constants AGAIN; then come the tables of ``grid_points.Points``.
    """
    groups = size // elements
    for t in range(STEPS):
        s[_STEP + t] = factors[t] / peak
        s[SCALE + t] = _ONE / s[_STEP + t]
        s[_SUM_QX + t] = _ZERO
        s[_SUM_Q2 + t] = _ZERO
        c[_MOVED + t] = 0
    for k in range(groups):
        _round(k * elements, elements, s, c)
        _find_points(k, elements, index, spans, lists, s, c)
        for t in range(STEPS):
            c[_CODE + t] = codes[np.uint64(c[_PLACES + k * STEPS + t])]
        _explain(k * elements, elements, s, c)
    best = _ZERO
    best_step = -1
    for t in range(STEPS):
        sum_qx = s[_SUM_QX + t]
        sum_q2 = s[_SUM_Q2 + t]
        if sum_q2 > _ZERO and sum_qx * sum_qx > best * sum_q2:
            scale = sum_qx / sum_q2
            best = scale * sum_qx
            best_step = t
    for k in range(groups):
        chosen[k] = index[0] if best_step < 0 else c[_PLACES + k * STEPS + best_step]
    repeated = (1 << groups) - 1
    if again == AGAIN_MOVED:
        repeated = 0 if best_step < 0 else int(c[_MOVED + best_step])
    elif again == AGAIN_ALL and best_step >= 0 and c[_MOVED + best_step] == 0:
        repeated = 0
    if repeated and scale > _ZERO:
        scale = _search_again(groups, elements, repeated, scale, index, spans, lists, codes, chosen, s)
    return scale


@inlined
def _find_points(k, elements, index, spans, lists, s, c):
    """The places of group k's points at every step."""
    row = _PLACES + k * STEPS
    bit = np.int32(1 << k)
    moved = np.int32(0)
    for t in range(STEPS):
        found = index[np.uint64(c[_NUMBER + t])]
        c[row + t] = found
        c[_MOVED + t] |= bit if found < 0 else np.int32(0)
        moved |= found
    if moved < 0:
        put_distances_at_steps(k * elements, elements, s)
        t = 0
        while t < STEPS:
            found = c[row + t]
            start = t
            t += 1
            if found < 0:
                while t < min(start + WINDOW, STEPS) and c[row + t] == found:
                    t += 1
                _move(elements, start, t, row, spans[-1 - found, 0], spans[-1 - found, 1], lists, s, c)


@inlined
def _move(elements, start, end, row, at, count, lists, s, c):
    """The nearest neighbours of a list at steps ``start`` to ``end``."""
    window = start & WINDOW
    window = window if end <= window + WINDOW else start
    if elements == 8:
        nearest_of_eight_at_steps(window, at, count, lists, s)
    else:
        nearest_of_four_at_steps(window, at, count, lists, s)
    for i in range(start, end):
        c[row + i] = np.int32(lists[at + np.int64(s[ENTRY + i - window])] >> _16)


@inlined
def _search_again(groups, elements, repeated, scale, index, spans, lists, codes, chosen, s):
    """Round groups once more with this scale, and return the scale that follows."""
    step = _ONE / scale
    top = _TOP_OF_EIGHT if elements == 8 else _TOP_OF_FOUR
    levels = 3 if elements == 8 else 8
    bits = 2 if elements == 8 else 3
    sum_qx = _ZERO
    sum_q2 = _ZERO
    for k in range(groups):
        start = k * elements
        if repeated >> k & 1:
            number = np.int64(0)
            for i in range(elements - 1, -1, -1):
                biased = level(_HALF * (step * s[X + start + i] - _ONE), MAGIC, top)
                number = number * levels + np.int64(biased - MAGIC)
            found = index[number]
            if found < 0:
                at, count = spans[-1 - found, 0], spans[-1 - found, 1]
                if elements == 8:
                    put_distances(start, scale, s)
                    found = nearest_of_eight(at, count, lists, ONE_SCALE, s)
                else:
                    found = nearest_of_four(start, scale, at, count, lists, s)
            chosen[k] = found
        code = codes[chosen[k]]
        for i in range(elements):
            q = np.float32(2 * ((code >> (bits * i)) & ((1 << bits) - 1)) + 1)
            sum_qx += s[PRODUCT + start + i] * q
            sum_q2 += s[WEIGHT + start + i] * q * q
    return sum_qx / sum_q2 if sum_q2 > _ZERO else scale


@inlined
def _round(start, elements, s, c):
    """The number of a group's levels at every step."""
    levels = np.int32(3 if elements == 8 else 8)
    top = _TOP_OF_EIGHT if elements == 8 else _TOP_OF_FOUR
    for t in range(STEPS):
        c[_NUMBER + t] = 0
    for i in range(elements - 1, -1, -1):
        x = s[X + start + i]
        for t in range(STEPS):
            biased = level(_HALF * (s[_STEP + t] * x - _ONE), MAGIC, top)
            c[_NUMBER + t] = np.int32(c[_NUMBER + t] * levels + np.int32(biased - MAGIC))


@inlined
def _explain(start, elements, s, c):
    """Go on summing up weight × x × q and weight × q² of every step."""
    bits = np.int32(2 if elements == 8 else 3)
    mask = np.int32(3 if elements == 8 else 7)
    for i in range(start, start + elements):
        weight = s[WEIGHT + i]
        product = s[PRODUCT + i]
        for t in range(STEPS):
            code = c[_CODE + t]
            c[_CODE + t] = np.int32(code >> bits)
            q = np.float32(np.int32(np.int32(code & mask) * np.int32(2)) + np.int32(1))
            s[_SUM_QX + t] += product * q
            s[_SUM_Q2 + t] += weight * q * q
