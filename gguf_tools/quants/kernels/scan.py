"""Finding NaN and infinities: an integer reduction, as fast as memory is read."""

from __future__ import annotations

import numpy as np

from ...compute.jit import kernel

__all__ = ["largest_magnitude"]

_MAGNITUDE = np.uint32(0x7FFF_FFFF)


@kernel
def largest_magnitude(bits):
    """The largest of the float32 bit patterns in a flat uint32 array, sign cleared; 0 if it is empty.

    Patterns of finite numbers are below that of infinity, 0x7f800000.
    """
    largest = np.uint32(0)
    for i in range(bits.size):
        magnitude = np.uint32(bits[i] & _MAGNITUDE)
        largest = max(largest, magnitude)
    return largest
