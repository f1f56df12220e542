"""The search for a sub-block's scale and its points of a grid, as the IQ2 and IQ3 types share it.

Values are magnitudes here, their signs are stored apart. From ggml's ``quantize_row_iq2_xs_impl`` and its
siblings: a number of steps around (the largest odd multiple) / (the largest value) is tried. For each,
values are rounded to odd multiples 2 level + 1 of the step's scale, groups of levels that are not on the
grid move to the nearest of their neighbours there (see ``grids``), and the scale follows by weighted least
squares; the step that explains most wins. Groups that had moved are then rounded once more, with the scale
found.

What takes the time is the nearest neighbour: the point with the least Σ root × (scale × q − x)², where a
list has up to 292 of them. They are looked at side by side, as a distance and a place in the list make one
integer whose minimum is the first of the least distances. Steps are lanes of everything else. All
arithmetic is float32 in the reference's order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .grids import GRIDS, levels, neighbours
from .jit import kernel
from .lanes import MAGIC, level, nearest, scratch

__all__ = [
    "AGAIN_ALL",
    "AGAIN_ALWAYS",
    "AGAIN_MOVED",
    "Points",
    "Tables",
    "fit_scale",
    "move_signs",
    "nearest_of_eight",
    "peak_of",
    "points",
    "put_signs",
    "room",
    "scale_levels",
    "search",
    "step_factors",
    "sum_of_squares",
    "weigh",
]

Tables = tuple[
    NDArray[np.int32], NDArray[np.int32], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.int32]
]

AGAIN_MOVED: Final = 0
"""Rounded once more are groups that had moved."""
AGAIN_ALL: Final = 1
"""All groups of a sub-block are, if one had moved or no step was any good."""
AGAIN_ALWAYS: Final = 2
"""All groups always are."""

CHUNK_OF_LIST: Final = 16
"""Neighbours that are looked at side by side."""

STEPS: Final = 32
"""Lanes. Those after the last step repeat it, which changes nothing: it must be better to be taken."""

# Where things are in the floats of a search, by element and by step.
_X = 0
_WEIGHT = 32
_ROOT = 64  # of the weight
_PRODUCT = 96  # weight × x
_STEP = 128  # 1 / scale
_LEVEL = _STEP  # of an element, before there are steps
_SCALE = _STEP + STEPS
_SUM_QX = _SCALE + STEPS  # of weight × x × q
_SUM_Q2 = _SUM_QX + STEPS  # of weight × q²
_X3 = _SUM_Q2 + STEPS  # values of a group of eight, three times each
_ROOT3 = _X3 + 32
_DISTANCE = _ROOT3 + 32  # of the three levels of each
_FLOATS = _DISTANCE + 32

# And in its integers, all by step.
_PLACES = 0  # of each group's point
_NUMBER = _PLACES + 8 * STEPS  # of a group's levels
_CODE = _NUMBER + STEPS  # of its point
_MOVED = _CODE + STEPS  # a bit for each group that was not on the grid
_INTEGERS = _MOVED + STEPS

_ZERO = np.float32(0)
_HALF = np.float32(0.5)
_ONE = np.float32(1)
_TENTH = np.float32(0.1)
_TINY = np.float32(1e-15)  # ggml's GROUP_MAX_EPS: smaller counts as zero
_TOP_OF_EIGHT = np.float32(MAGIC + np.float32(2))
_TOP_OF_FOUR = np.float32(MAGIC + np.float32(7))
_THREES: Final = 24
_ODD = np.array([1, 3, 5] * 8, np.float32)
_THREE = np.int32(3)
_EIGHT = np.int32(8)
_FARTHEST = np.int64(0x7FFF_FFFF_FFFF_FFFF)
_PLACE = np.int64(0xFFFF_FFFF)
_32 = np.int64(32)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """A grid as kernels need it. A code has level i in bits 2i and 2i + 1 (groups of 8) or 3i to 3i + 2.

    Attributes:
        index: int32 by number of a group of levels (see ``grids.point_indices``): the place of the group in
            the grid, or where it is not there, −1 − the number of its list.
        ends: int32: where each list starts, which is where the one before it ends, and the last end.
        lists: uint16: the codes of neighbours. Lists are filled up with their first entry to a multiple of
            CHUNK_OF_LIST: it is nearer to nothing than itself.
        places: uint16: for each code in ``lists`` its place in the grid.
        codes: int32 by place.
    """

    index: NDArray[np.int32]
    ends: NDArray[np.int32]
    lists: NDArray[np.uint16]
    places: NDArray[np.uint16]
    codes: NDArray[np.int32]

    def tables(self) -> Tables:
        """The attributes, for kernels."""
        return self.index, self.ends, self.lists, self.places, self.codes


@cache
def points(name: str) -> Points:
    """The points of a grid."""
    spec, found = GRIDS[name], neighbours(name)
    bits = 2 if spec.elements == 8 else 3
    codes = (levels(name).astype(np.int32) << bits * np.arange(spec.elements)).sum(1, dtype=np.int32)
    outside = np.flatnonzero(found.places < 0)
    starts = -1 - found.places[outside]
    counts = found.lists[starts].astype(np.int64)
    padded = -(-counts // CHUNK_OF_LIST) * CHUNK_OF_LIST
    offsets = np.cumsum(padded) - padded
    # entry i of a list, or where there are fewer, the first one again
    of_list = np.repeat(np.arange(outside.size), padded)
    entry = np.arange(padded.sum()) - offsets[of_list]
    places = found.lists[starts[of_list] + 1 + np.where(entry < counts[of_list], entry, 0)]
    index = found.places.copy()
    index[outside] = -1 - np.arange(outside.size)
    ends = np.append(offsets, padded.sum()).astype(np.int32)
    return Points(index, ends, codes[places].astype(np.uint16), places, codes)


def step_factors(largest: int, width: float, tries: int) -> NDArray[np.float32]:
    """What is divided by the largest value: ``largest`` and so many steps of a width around it, as lanes."""
    steps = np.arange(-tries, tries + 1, dtype=np.float32)
    factors = np.float32(largest) + steps * np.float32(width)
    return np.concatenate([factors, np.full(STEPS - factors.size, factors[-1])])


@kernel
def room():  # type: ignore[no-untyped-def]
    """Scratch space of a search: floats and integers."""
    return scratch(_FLOATS), np.empty(_INTEGERS, np.int32)


@kernel
def sum_of_squares(values, b):  # type: ignore[no-untyped-def]
    """Σ x² of block b."""
    total = _ZERO
    for i in range(values.shape[1]):
        total += values[b, i] * values[b, i]
    return total


@kernel
def weigh(values, weights, b, start, size, spread, floor, s):  # type: ignore[no-untyped-def]
    """Values of a sub-block and their weights: importance × √(spread + x²), or floor + x² without any."""
    for i in range(size):
        s[_X + i] = values[b, start + i]
    if weights.shape[0]:
        row = b % weights.shape[0]
        for i in range(size):
            s[_WEIGHT + i] = weights[row, start + i]
        for i in range(size):
            s[_WEIGHT + i] = s[_WEIGHT + i] * np.sqrt(spread + s[_X + i] * s[_X + i])
    else:
        for i in range(size):
            s[_WEIGHT + i] = floor + s[_X + i] * s[_X + i]
    for i in range(size):
        s[_ROOT + i] = np.sqrt(s[_WEIGHT + i])


@kernel
def move_signs(size, even, signs, s):  # type: ignore[no-untyped-def]
    """Make a sub-block's values magnitudes; their signs go to ``signs``, a byte for each eight.

    With ``even`` the number of negative ones is even, as only seven signs are stored: where it is odd, the
    value with the least weight × x² keeps the wrong sign and is negative from here on.
    """
    for k in range(size // 8):
        found = 0
        odd = 0
        place = 0
        least = _ZERO
        for i in range(8 * k, 8 * k + 8):
            x = s[_X + i]
            matters = s[_WEIGHT + i] * x * x
            closer = i == 8 * k or matters < least
            least = matters if closer else least
            place = i if closer else place
            negative = not x >= _ZERO
            found |= negative << (i - 8 * k)
            odd ^= negative
            s[_X + i] = -x if negative else x
        if even and odd:
            found ^= 1 << (place - 8 * k)
            s[_X + place] = -s[_X + place]
        signs[k] = found
    for i in range(size):
        s[_PRODUCT + i] = s[_WEIGHT + i] * s[_X + i]


@kernel
def peak_of(size, s):  # type: ignore[no-untyped-def]
    """The largest value."""
    largest = s[_X]
    for i in range(1, size):
        largest = largest if largest > s[_X + i] else s[_X + i]
    return largest


@kernel
def search(  # type: ignore[no-untyped-def]
    size, elements, factors, tries, peak, scale, again, index, ends, lists, places, codes, chosen, s, c
):
    """The scale of a sub-block; the places of its groups' points go to ``chosen``.

    ``peak`` is what factors are divided by, of which ``tries`` are steps; ``scale`` is what the scale is
    where no step is any good; ``again`` is one of the constants AGAIN; then come the tables of ``Points``.
    """
    groups = size // elements
    for t in range(STEPS):
        s[_STEP + t] = factors[t] / peak
        s[_SCALE + t] = _ONE / s[_STEP + t]
        s[_SUM_QX + t] = _ZERO
        s[_SUM_Q2 + t] = _ZERO
        c[_MOVED + t] = 0
    for k in range(groups):
        row = _PLACES + k * STEPS
        _round(k * elements, elements, s, c)
        if elements == 8:
            _spread_eight(k * elements, s)
        for t in range(tries):
            found = index[c[_NUMBER + t]]
            if found < 0:
                found = _nearest(k * elements, elements, s[_SCALE + t], -1 - found, ends, lists, places, s)
                c[_MOVED + t] |= 1 << k
            c[row + t] = found
            c[_CODE + t] = codes[found]
        for t in range(tries, STEPS):
            c[_CODE + t] = c[_CODE + tries - 1]
        _explain(k * elements, elements, s, c)
    best = _ZERO
    best_step = -1
    for t in range(tries):
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
        scale = _search_again(groups, elements, repeated, scale, index, ends, lists, places, codes, chosen, s)
    return scale


@kernel
def _search_again(groups, elements, repeated, scale, index, ends, lists, places, codes, chosen, s):  # type: ignore[no-untyped-def]
    """Round groups once more with this scale, and return the scale that follows."""
    step = _ONE / scale
    top = _TOP_OF_EIGHT if elements == 8 else _TOP_OF_FOUR
    count = 3 if elements == 8 else 8
    bits = 2 if elements == 8 else 3
    sum_qx = _ZERO
    sum_q2 = _ZERO
    for k in range(groups):
        start = k * elements
        if repeated >> k & 1:
            number = np.int64(0)
            for i in range(elements - 1, -1, -1):
                biased = level(_HALF * (step * s[_X + start + i] - _ONE), MAGIC, top)
                number = number * count + np.int64(biased - MAGIC)
            found = index[number]
            if found < 0:
                if elements == 8:
                    _spread_eight(start, s)
                found = _nearest(start, elements, scale, -1 - found, ends, lists, places, s)
            chosen[k] = found
        code = codes[chosen[k]]
        for i in range(elements):
            q = np.float32(2 * ((code >> (bits * i)) & ((1 << bits) - 1)) + 1)
            sum_qx += s[_PRODUCT + start + i] * q
            sum_q2 += s[_WEIGHT + start + i] * q * q
    return sum_qx / sum_q2 if sum_q2 > _ZERO else scale


@kernel
def _round(start, elements, s, c):  # type: ignore[no-untyped-def]
    """The number of a group's levels at every step."""
    for t in range(STEPS):
        c[_NUMBER + t] = 0
    if elements == 8:
        for i in range(7, -1, -1):
            x = s[_X + start + i]
            for t in range(STEPS):
                biased = level(_HALF * (s[_STEP + t] * x - _ONE), MAGIC, _TOP_OF_EIGHT)
                c[_NUMBER + t] = np.int32(c[_NUMBER + t] * _THREE + np.int32(biased - MAGIC))
    else:
        for i in range(3, -1, -1):
            x = s[_X + start + i]
            for t in range(STEPS):
                biased = level(_HALF * (s[_STEP + t] * x - _ONE), MAGIC, _TOP_OF_FOUR)
                c[_NUMBER + t] = np.int32(c[_NUMBER + t] * _EIGHT + np.int32(biased - MAGIC))


@kernel
def _explain(start, elements, s, c):  # type: ignore[no-untyped-def]
    """Go on summing up weight × x × q and weight × q² of every step."""
    bits = np.int32(2 if elements == 8 else 3)
    mask = np.int32(3 if elements == 8 else 7)
    for i in range(start, start + elements):
        weight = s[_WEIGHT + i]
        product = s[_PRODUCT + i]
        for t in range(STEPS):
            code = c[_CODE + t]
            c[_CODE + t] = np.int32(code >> bits)
            q = np.float32(np.int32(np.int32(code & mask) * np.int32(2)) + np.int32(1))
            s[_SUM_QX + t] += product * q
            s[_SUM_Q2 + t] += weight * q * q


@kernel
def _nearest(start, elements, scale, number, ends, lists, places, s):  # type: ignore[no-untyped-def]
    """The place of the nearest neighbour in a list, for the group that starts at element ``start``."""
    at, end = ends[number], ends[number + 1]
    if elements == 8:
        _measure_eight(scale, s)
        best = nearest_of_eight(at, end, lists, _DISTANCE, s)
    else:
        best = _nearest_of_four(start, scale, at, end, lists, s)
    return np.int32(places[best])


@kernel
def _spread_eight(start, s):  # type: ignore[no-untyped-def]
    """Each value and root of a group three times, next to one another."""
    for i in range(8):
        for n in range(3):
            s[_X3 + 3 * i + n] = s[_X + start + i]
            s[_ROOT3 + 3 * i + n] = s[_ROOT + start + i]


@kernel
def _measure_eight(scale, s):  # type: ignore[no-untyped-def]
    for i in range(_THREES):
        difference = scale * _ODD[i] - s[_X3 + i]
        s[_DISTANCE + i] = s[_ROOT3 + i] * difference * difference


@kernel
def nearest_of_eight(at, end, lists, d, s):  # type: ignore[no-untyped-def]
    """Which entry from ``at`` to ``end`` of the lists is nearest, the first of several.

    Elements have three distances each, one for every level, from ``s[d]`` on. Which of them is a neighbour's
    are two bits of its code.
    """
    best = _FARTHEST
    for n in range(at, end):
        code = np.int32(lists[np.uint64(n)])
        distance = _pick(code, 0, s[d], s[d + 1], s[d + 2])
        distance += _pick(code, 2, s[d + 3], s[d + 4], s[d + 5])
        distance += _pick(code, 4, s[d + 6], s[d + 7], s[d + 8])
        distance += _pick(code, 6, s[d + 9], s[d + 10], s[d + 11])
        distance += _pick(code, 8, s[d + 12], s[d + 13], s[d + 14])
        distance += _pick(code, 10, s[d + 15], s[d + 16], s[d + 17])
        distance += _pick(code, 12, s[d + 18], s[d + 19], s[d + 20])
        distance += _pick(code, 14, s[d + 21], s[d + 22], s[d + 23])
        best = min(best, np.int64(np.int64(np.float32(distance).view(np.int32)) << _32) | np.int64(n))
    return best & _PLACE


@kernel
def _pick(code, bit, a, b, c):  # type: ignore[no-untyped-def]
    picked = b if code & np.int32(1 << bit) else a
    return c if code & np.int32(2 << bit) else picked


@kernel
def _nearest_of_four(start, scale, at, end, lists, s):  # type: ignore[no-untyped-def]
    x0, x1, x2, x3 = s[_X + start], s[_X + start + 1], s[_X + start + 2], s[_X + start + 3]
    w0, w1, w2, w3 = s[_ROOT + start], s[_ROOT + start + 1], s[_ROOT + start + 2], s[_ROOT + start + 3]
    best = _FARTHEST
    for n in range(at, end):
        code = np.int32(lists[np.uint64(n)])
        distance = _distance(code, 0, x0, w0, scale)
        distance += _distance(code, 3, x1, w1, scale)
        distance += _distance(code, 6, x2, w2, scale)
        distance += _distance(code, 9, x3, w3, scale)
        best = min(best, np.int64(np.int64(np.float32(distance).view(np.int32)) << _32) | np.int64(n))
    return best & _PLACE


@kernel
def _distance(code, bit, x, root, scale):  # type: ignore[no-untyped-def]
    q = np.float32(np.int32(np.int32(code >> np.int32(bit)) & np.int32(7)) * 2 + 1)
    difference = scale * q - x
    return root * difference * difference


@kernel
def fit_scale(size, top, s):  # type: ignore[no-untyped-def]
    """The scale of a sub-block whose values become integers up to ``top``, by ggml's ``make_qp_quants``.

    ``positive_scales`` does the same for many at a time, and says how; here passes end early.
    """
    largest = _ZERO
    for i in range(size):
        largest = largest if largest > s[_X + i] else s[_X + i]
    if largest < _TINY:
        return _ZERO
    step = np.float32(top) / largest
    best = _ZERO
    for tenths in range(-5, 5):  # the first is the step itself, whose levels have no limit
        tried = step if tenths == -5 else (_TENTH * np.float32(tenths) + np.float32(top)) / largest
        scale = _ONE / tried
        error = _ZERO
        for i in range(size):
            l = nearest(tried * s[_X + i])  # noqa: E741
            l = l & 255 if tenths == -5 else min(top, l)  # noqa: E741
            difference = s[_X + i] - scale * np.float32(l)
            error += s[_WEIGHT + i] * difference * difference
        if tenths == -5:
            best = error
        elif tenths != 0 and error < best:
            best = error
            step = tried
    sum_xl = _ZERO
    sum_l2 = _ZERO
    for i in range(size):
        l = np.float32(min(top, nearest(step * s[_X + i])))  # noqa: E741
        s[_LEVEL + i] = np.float32(np.int64(l) & 255)
        sum_xl += s[_PRODUCT + i] * l
        sum_l2 += s[_WEIGHT + i] * l * l
    for _ in range(5):
        changed = False
        for i in range(size):
            weight = s[_WEIGHT + i]
            product = s[_PRODUCT + i]
            before = s[_LEVEL + i]
            others_xl = sum_xl - product * before
            others_l2 = sum_l2 - weight * before * before
            if others_xl > _ZERO and others_l2 > _ZERO:
                l = np.float32(min(top, nearest(s[_X + i] * others_l2 / others_xl)))  # noqa: E741
                if l != before:
                    new_xl = others_xl + product * l
                    new_l2 = others_l2 + weight * l * l
                    if new_xl * new_xl * sum_l2 > sum_xl * sum_xl * new_l2:
                        s[_LEVEL + i] = np.float32(np.int64(l) & 255)
                        sum_xl = new_xl
                        sum_l2 = new_l2
                        changed = True
        if not changed:
            break
    return sum_xl / sum_l2 if sum_l2 > _ZERO else _ZERO


@kernel
def put_signs(signs, flip, out, b, at):  # type: ignore[no-untyped-def]
    """Write four times seven signs as the lower bits of a little-endian uint32."""
    packed = 0
    for k in range(4):
        packed |= ((signs[k] & 127) ^ flip) << (7 * k)
    for i in range(4):
        out[b, at + i] = np.uint8((packed >> (8 * i)) & 255)


@kernel
def scale_levels(scales, largest, levels):  # type: ignore[no-untyped-def]
    """Scales of a super-block as levels 0 to 15 of (2 level + 1) × d, where d is a 31st of the largest."""
    inverse = np.float32(_ONE / np.float32(largest / np.float32(31)))
    for j in range(scales.size):
        levels[j] = min(15, max(0, nearest(_HALF * (inverse * scales[j] - _ONE))))
