"""4-bit floats (E2M1), as MXFP4 and NVFP4 share them.

A level's low three bits are 0, ½, 1, 1½, 2, 3, 4 or 6, its high bit the sign. Blocks store scales of these;
ggml's code works with twice the values and half the scales, and so does this. From ggml's ``kvalues_mxfp4``
and ``best_index_mxfp4``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel

__all__ = ["VALUES", "levels"]

_MAGNITUDES = np.array([0, 1, 2, 3, 4, 6, 8, 12], np.float32)

VALUES: Final = np.concatenate([_MAGNITUDES, 0 - _MAGNITUDES])
"""Twice what the levels are; zero has no sign."""

_T0, _T1, _T2, _T3, _T4, _T5, _T6 = (_MAGNITUDES[:-1] + _MAGNITUDES[1:]) / np.float32(2)
_ZERO = np.float32(0)
_FAR = np.float32(2.0**16)
_MOST = np.float32(2.0**124)


@kernel
def levels(values, b, start, size, d, largest, chosen):
    """The levels nearest to ``size`` values of block b from ``start`` on, for half the scale ``d``.

    Of two equally near ones the one closer to zero is taken. The reference compares rounded distances. That
    matters where the ``largest`` magnitude is far beyond the scale, or distances overflow: there this does
    the same.
    """
    if largest > _FAR * d or d > _MOST:
        for i in range(start, start + size):
            chosen[i] = _nearest(values[b, i], d)
        return
    t0, t1, t2, t3, t4, t5, t6 = _T0 * d, _T1 * d, _T2 * d, _T3 * d, _T4 * d, _T5 * d, _T6 * d
    for i in range(start, start + size):
        x = abs(values[b, i])
        level = np.int32(x > t0) + np.int32(x > t1) + np.int32(x > t2) + np.int32(x > t3)
        level += np.int32(x > t4) + np.int32(x > t5) + np.int32(x > t6)
        negative = (values[b, i] < _ZERO) & (level > np.int32(0))
        chosen[i] = np.uint8(level + (np.int32(8) if negative else np.int32(0)))


@kernel
def _nearest(x, d):
    found = np.uint8(0)
    least = abs(VALUES[0] * d - x)
    for level in range(1, 16):
        distance = abs(VALUES[level] * d - x)
        if distance < least:
            least = distance
            found = np.uint8(level)
    return found
