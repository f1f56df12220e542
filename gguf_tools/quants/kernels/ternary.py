"""What TQ1_0 and TQ2_0 share: 256 values become −1, 0 or 1 times the largest magnitude.

From ggml's ``quantize_row_tq1_0_ref`` and ``quantize_row_tq2_0_ref``: x / d is rounded half away from zero.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from .absmax import magnitude
from .half import scale_to_half

__all__ = ["ELEMENTS", "trits"]

ELEMENTS: Final = 256

_ZERO = np.float32(0)
_ONE = np.float32(1)
_HALF = np.float32(0.5)
_LIMIT = np.float32(2)


@kernel
def trits(values, bits, b, levels):
    """Block b's levels (0, 1 or 2) go to ``levels``; the half d is returned. ``bits`` as in ``magnitude``."""
    d = magnitude(bits, b, 0, ELEMENTS)
    inverse = np.float32(_ONE / d) if d != _ZERO else _ZERO
    for i in range(ELEMENTS):
        x = inverse * values[b, i]
        level = np.int32(1) + np.int32(x >= _HALF) - np.int32(x <= -_HALF)
        # beyond ±1 only where the inverse overflows; C's lroundf leaves no bits of that in an int
        levels[i] = np.uint8(level) if abs(x) < _LIMIT else np.uint8(1)
    return scale_to_half(d)
