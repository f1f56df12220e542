"""Lanes: many sub-blocks side by side, one per SIMD lane.

The K-quants search a sub-block's scale with long chains of float32 additions whose order decides the
result's last bits. A compiler must not reorder them, so it cannot vectorize *along* a sub-block. It may
vectorize *across* sub-blocks: a tile holds element i of 64 of them next to each other, the kernels loop
over elements outside and over lanes inside, and each lane goes through the reference's operations in the
reference's order. Branches become selects.

A tile lives in one flat float32 array: element i of lane j at ``i * LANES + j``, followed by rows of
per-lane state at constant offsets. One flat array with constant offsets lets LLVM see that loads and
stores do not overlap, without run-time checks. Loops over a few elements (``CHUNK``) inside the loop over
lanes are unrolled, which keeps running sums in registers.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel

__all__ = ["CHUNK", "LANES", "MAGIC", "level", "nearest", "scratch"]

LANES: Final = 64
"""Sub-blocks in a tile. Measured on Zen 4: 32 to 64 are best, at 128 a tile leaves the first-level cache."""

CHUNK: Final = 8
"""Elements a loop over lanes takes at a time. At 16 LLVM no longer unrolls, and does not vectorize."""

MAGIC: Final = np.float32(12582912.0)
"""1.5 × 2^23. Added to a float32 it leaves the nearest integer, ties to even, in the mantissa's low bits."""

_MANTISSA = np.int32(0x007F_FFFF)
_EXPONENT = np.int32(0x4B00_0000)  # of MAGIC
_HALF_RANGE = 0x0040_0000
_ALIGNMENT = 16  # floats in a cache line


@kernel
def level(value, low, high):
    """MAGIC + the nearest integer to a float32, limited to low..high (MAGIC + the least and largest level).

    ggml's ``nearest_int`` reads the mantissa of value + MAGIC whatever the exponent, so beyond ±2^22 it
    returns other integers, −2^22 for infinities and 0 for NaN. Putting MAGIC's exponent back keeps that
    meaning, and the result an ordinary float that limits are compared with.
    """
    mantissa = np.float32(value + MAGIC).view(np.int32) & _MANTISSA
    biased = np.int32(mantissa | _EXPONENT).view(np.float32)
    biased = low if biased < low else biased
    return high if biased > high else biased


@kernel
def nearest(value):
    """ggml's ``nearest_int`` of a float32, for any bits."""
    return np.int64(np.float32(value + MAGIC).view(np.int32) & _MANTISSA) - _HALF_RANGE


@kernel
def scratch(size):
    """A flat float32 array that starts on a cache line: vector loads that straddle lines cost 10 to 20 %."""
    buffer = np.empty(size + _ALIGNMENT, np.float32)
    start = (-buffer.ctypes.data % 64) // 4
    return buffer[start : start + size]
