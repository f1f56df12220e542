"""The extreme values of a block, found with integer reductions.

A chain of float comparisons has an order, which keeps LLVM from vectorizing it; the bit patterns of
floats compare like sign-and-magnitude integers, and the largest of integers has no order. Where values
tie, the reference keeps the first one met, and so do these functions.
"""

from __future__ import annotations

import numpy as np

from .half import single_from_bits
from .jit import kernel

__all__ = ["largest", "smallest", "widest"]

_SIGN = np.uint32(0x8000_0000)
_MAGNITUDE = np.uint32(0x7FFF_FFFF)
_ALL = np.uint32(0xFFFF_FFFF)
_ZERO = np.float32(0)


@kernel
def widest(values, bits):  # type: ignore[no-untyped-def]
    """The value of largest magnitude, with its sign; the first one where both signs reach it, +0 if all are 0."""
    positive = np.int32(0)
    negative = np.uint32(0)
    for i in range(bits.size):
        positive = max(positive, np.int32(bits[i]))
        negative = max(negative, np.uint32(bits[i]))
    up = np.uint32(positive)
    down = np.uint32(negative & _MAGNITUDE) if negative >= _SIGN else np.uint32(0)
    if up != down:
        return single_from_bits(up) if up > down else -single_from_bits(down)
    peak = single_from_bits(up)
    for i in range(values.size):
        if abs(values[i]) == peak and peak != _ZERO:
            return values[i]
    return _ZERO


@kernel
def smallest(values, bits):  # type: ignore[no-untyped-def]
    """The least value; of zeros of both signs the first one."""
    low = _ALL
    high = np.uint32(0)
    for i in range(bits.size):
        low = min(low, np.uint32(bits[i]))
        high = max(high, np.uint32(bits[i]))
    least = single_from_bits(high if high >= _SIGN else low)
    if least == _ZERO:
        for i in range(values.size):
            if values[i] == _ZERO:
                return values[i]
    return least


@kernel
def largest(bits):  # type: ignore[no-untyped-def]
    """The greatest value; +0 where zeros of both signs are."""
    low = _ALL
    high = np.int32(-0x8000_0000)
    for i in range(bits.size):
        low = min(low, np.uint32(bits[i]))
        high = max(high, np.int32(bits[i]))
    return single_from_bits(np.uint32(high) if high >= np.int32(0) else low)
