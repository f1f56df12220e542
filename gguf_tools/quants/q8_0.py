"""Q8_0: 32 signed bytes and a scale.

    byte 0        2                                  34
         ┌────────┬──────────────────────────────────┐
         │ d: f16 │ 32 × int8                        │      value = d × q
         └────────┴──────────────────────────────────┘

Layout and rounding from ggml's ``block_q8_0`` and ``quantize_row_q8_0_ref``: d = max |x| / 127, and q is
x / d rounded half away from zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..spec import GGMLType
from .codec import Codec
from .half import half_to_single, single_from_bits, single_to_half
from .jit import kernel

LAYOUT = np.dtype([("d", "<f2"), ("qs", "i1", 32)])

_BLOCK = 32
_MAGNITUDE = np.uint32(0x7FFF_FFFF)
_ZERO = np.float32(0)
_ONE = np.float32(1)
_LEVELS = np.float32(127)
_LIMIT = np.float32(128)
_JUST_UNDER_HALF = np.float32(0.49999997)  # adding ½ itself would round 0.49999997 up


@kernel
def _encode_blocks(values, bits, out):  # type: ignore[no-untyped-def]
    scaled = np.empty(_BLOCK, np.float32)
    for b in range(values.shape[0]):
        largest = np.uint32(0)
        for i in range(_BLOCK):  # as integers: the order of comparing does not matter, so it vectorizes
            largest = max(largest, np.uint32(bits[b, i] & _MAGNITUDE))
        d = np.float32(single_from_bits(largest) / _LEVELS)
        inverse = _ONE / d if d != _ZERO else _ZERO
        half = single_to_half(d)
        out[b, 0] = np.uint8(half & np.uint16(0xFF))
        out[b, 1] = np.uint8(half >> np.uint16(8))
        for i in range(_BLOCK):
            x = np.float32(values[b, i] * inverse)
            # beyond ±127 only where the scale is so small that its inverse overflows; C casts that to 0
            scaled[i] = x if abs(x) < _LIMIT else _ZERO
        for i in range(_BLOCK):
            x = scaled[i]
            nudge = -_JUST_UNDER_HALF if x < _ZERO else _JUST_UNDER_HALF
            out[b, 2 + i] = np.uint8(np.int32(np.float32(x + nudge)))


@kernel
def _decode_blocks(data, out):  # type: ignore[no-untyped-def]
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, 0]) | np.uint16(np.uint16(data[b, 1]) << np.uint16(8)))
        for i in range(_BLOCK):
            out[b, i] = np.float32(np.int8(data[b, 2 + i])) * d


def _encode(values: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    _encode_blocks(values, values.view(np.uint32), out)


CODEC = Codec(GGMLType.Q8_0, LAYOUT, _encode, _decode_blocks)
