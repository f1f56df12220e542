"""The extreme values of blocks, mostly of 32.

Eight running extremes side by side are independent of one another, so LLVM keeps them in a vector; a
single running extreme over a block would be a chain of comparisons, whose order it must keep. Where
values tie (equal magnitudes of both signs, zeros of both signs) the reference keeps the first one met,
and so do these functions.

``ranges`` and ``widest`` take ``values``, finite float32 (blocks, 32), and fill arrays of ``count`` values,
one for each block from ``first`` on.
"""

from __future__ import annotations

import numpy as np

from ...compute.jit import kernel

__all__ = ["BLOCK", "TILE", "magnitude", "ranges", "widest"]

BLOCK = 32

TILE = 64
"""Blocks that go through one phase before the next begins: 8 KiB of values, so that they stay in L1 and
the work once per block (division, rounding to half) is done for many blocks at a time."""

_LANES = 8
_ZERO = np.float32(0)
_WITHOUT_SIGN = np.int32(0x7FFF_FFFF)


@kernel
def magnitude(bits, b, start, size):
    """The largest magnitude of ``size`` values of block b from ``start`` on.

    ``bits`` is ``values`` viewed as int32: without their signs floats are ordered like integers, of which
    LLVM may look at many side by side.
    """
    largest = np.int32(0)
    for i in range(start, start + size):
        largest = max(largest, np.int32(bits[b, i] & _WITHOUT_SIGN))
    return np.int32(largest).view(np.float32)


@kernel
def ranges(values, first, count, low, high):
    """The least and the greatest value of each block; of zeros of both signs they are the first one met."""
    _scan(values, first, count, low, high)
    for t in range(count):
        if low[t] == _ZERO:
            low[t] = _first_of_magnitude(values, first + t, _ZERO)
            high[t] = low[t] if high[t] == _ZERO else high[t]  # else their difference might be -0


@kernel
def widest(values, first, count, low, high):
    """The value of largest magnitude goes to ``high``: the first where both signs reach it, +0 if all are 0.

    ``low`` is scratch.
    """
    _scan(values, first, count, low, high)
    for t in range(count):
        if high[t] == -low[t]:
            high[t] = _first_of_magnitude(values, first + t, high[t]) if high[t] != _ZERO else _ZERO
        elif high[t] < -low[t]:
            high[t] = low[t]


@kernel
def _scan(values, first, count, low, high):
    above = np.empty(_LANES, np.float32)
    below = np.empty(_LANES, np.float32)
    for t in range(count):
        b = first + t
        for j in range(_LANES):
            v0, v1, v2, v3 = values[b, j], values[b, j + 8], values[b, j + 16], values[b, j + 24]
            above[j] = _greater(_greater(v0, v1), _greater(v2, v3))
            below[j] = _less(_less(v0, v1), _less(v2, v3))
        greatest = above[0]
        least = below[0]
        for j in range(1, _LANES):
            greatest = _greater(greatest, above[j])
            least = _less(least, below[j])
        low[t] = least
        high[t] = greatest


@kernel
def _greater(a, b):
    return a if a > b else b


@kernel
def _less(a, b):
    return a if a < b else b


@kernel
def _first_of_magnitude(values, b, magnitude):
    for i in range(BLOCK):
        if abs(values[b, i]) == magnitude:
            return values[b, i]
    return _ZERO
