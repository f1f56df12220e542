"""Sub-blocks of the IQ2 and IQ3 types as magnitudes, with their weights; signs are stored apart.

The values of a sub-block and what follows from them lie at constant offsets of a search's flat array, one
after another.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from .lanes import nearest

__all__ = [
    "MAGNITUDE_FLOATS",
    "PRODUCT",
    "ROOT",
    "WEIGHT",
    "X",
    "move_signs",
    "peak_of",
    "put_signs",
    "scale_levels",
    "sum_of_squares",
    "weigh",
]

_SIZE: Final = 32
"""Values of the largest sub-blocks."""

X: Final = 0
WEIGHT: Final = X + _SIZE
ROOT: Final = WEIGHT + _SIZE
"""Of the weight."""
PRODUCT: Final = ROOT + _SIZE
"""Weight × x."""
MAGNITUDE_FLOATS: Final = PRODUCT + _SIZE

_ZERO = np.float32(0)
_HALF = np.float32(0.5)
_ONE = np.float32(1)


@kernel
def sum_of_squares(values, b):
    """Σ x² of block b."""
    total = _ZERO
    for i in range(values.shape[1]):
        total += values[b, i] * values[b, i]
    return total


@kernel
def weigh(values, weights, b, start, size, spread, floor, s):
    """Values of a sub-block and their weights: importance × √(spread + x²), or floor + x² without any."""
    for i in range(size):
        s[X + i] = values[b, start + i]
    if weights.shape[0]:
        row = b % weights.shape[0]
        for i in range(size):
            s[WEIGHT + i] = weights[row, start + i]
        for i in range(size):
            s[WEIGHT + i] = s[WEIGHT + i] * np.sqrt(spread + s[X + i] * s[X + i])
    else:
        for i in range(size):
            s[WEIGHT + i] = floor + s[X + i] * s[X + i]
    for i in range(size):
        s[ROOT + i] = np.sqrt(s[WEIGHT + i])


@kernel
def move_signs(size, even, signs, s):
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
            x = s[X + i]
            matters = s[WEIGHT + i] * x * x
            closer = i == 8 * k or matters < least
            least = matters if closer else least
            place = i if closer else place
            negative = not x >= _ZERO
            found |= negative << (i - 8 * k)
            odd ^= negative
            s[X + i] = -x if negative else x
        if even and odd:
            found ^= 1 << (place - 8 * k)
            s[X + place] = -s[X + place]
        signs[k] = found
    for i in range(size):
        s[PRODUCT + i] = s[WEIGHT + i] * s[X + i]


@kernel
def peak_of(size, s):
    """The largest value."""
    largest = s[X]
    for i in range(1, size):
        largest = largest if largest > s[X + i] else s[X + i]
    return largest


@kernel
def put_signs(signs, flip, out, b, at):
    """Write four times seven signs as the lower bits of a little-endian uint32."""
    packed = 0
    for k in range(4):
        packed |= ((signs[k] & 127) ^ flip) << (7 * k)
    for i in range(4):
        out[b, at + i] = np.uint8((packed >> (8 * i)) & 255)


@kernel
def scale_levels(scales, largest, levels):
    """Scales of a super-block as levels 0 to 15 of (2 level + 1) × d, where d is a 31st of the largest."""
    inverse = np.float32(_ONE / np.float32(largest / np.float32(31)))
    for j in range(scales.size):
        levels[j] = min(15, max(0, nearest(_HALF * (inverse * scales[j] - _ONE))))
