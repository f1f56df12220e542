"""Q5_1: 32 values of 5 bits, a scale and a minimum.

    byte 0        2        4        8                                  24
         ┌────────┬────────┬────────┬──────────────────────────────────┐
         │ d: f16 │ m: f16 │ qh: u32│ 16 × (q[i] & 15 | q[i+16] << 4)  │      value = d × q + m
         └────────┴────────┴────────┴──────────────────────────────────┘

Bit i of ``qh`` is the fifth bit of q[i]. Layout and rounding from ggml's ``block_q5_1`` and ``quantize_row_q5_1_ref``: m is the least value,
d = (greatest − least) / 31, and q = ⌊(x − m) / d + ½⌋.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..spec import GGMLType
from .codec import Codec
from .extremes import largest, smallest
from .half import half_to_single, single_to_half
from .jit import kernel

LAYOUT = np.dtype([("d", "<f2"), ("m", "<f2"), ("qh", "<u4"), ("qs", "u1", 16)])

_BLOCK = 32
_HALF_BLOCK = 16
_ZERO = np.float32(0)
_ONE = np.float32(1)
_LEVELS = np.float32(31)
_ROUND = np.float32(0.5)
_LIMIT = np.float32(128)
_TOP = np.int32(31)


@kernel
def _encode_blocks(values, bits, out):  # type: ignore[no-untyped-def]
    levels = np.empty(_BLOCK, np.uint8)
    for b in range(values.shape[0]):
        least = smallest(values[b], bits[b])
        d = np.float32(np.float32(largest(bits[b]) - least) / _LEVELS)
        inverse = _ONE / d if d != _ZERO else _ZERO
        half = single_to_half(d)
        out[b, 0] = np.uint8(half & np.uint16(0xFF))
        out[b, 1] = np.uint8(half >> np.uint16(8))
        half = single_to_half(least)
        out[b, 2] = np.uint8(half & np.uint16(0xFF))
        out[b, 3] = np.uint8(half >> np.uint16(8))
        for i in range(_BLOCK):
            x = np.float32(np.float32(np.float32(values[b, i] - least) * inverse) + _ROUND)
            # outside only where the range or its inverse overflows; C casts that to 0
            level = np.int32(x if abs(x) < _LIMIT else _ZERO)
            levels[i] = np.uint8(min(level, _TOP))
        fifth = np.uint32(0)
        for i in range(_BLOCK):
            fifth |= np.uint32(np.uint32(levels[i] >> np.uint8(4)) << np.uint32(i))
        for i in range(4):
            out[b, 4 + i] = np.uint8(fifth >> np.uint32(8 * i))
        for i in range(_HALF_BLOCK):
            low = np.uint8(levels[i] & np.uint8(15))
            out[b, 8 + i] = np.uint8(low | np.uint8(levels[i + _HALF_BLOCK] << np.uint8(4)))


@kernel
def _decode_blocks(data, out):  # type: ignore[no-untyped-def]
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, 0]) | np.uint16(np.uint16(data[b, 1]) << np.uint16(8)))
        m = half_to_single(np.uint16(data[b, 2]) | np.uint16(np.uint16(data[b, 3]) << np.uint16(8)))
        fifth = np.uint32(0)
        for i in range(4):
            fifth |= np.uint32(np.uint32(data[b, 4 + i]) << np.uint32(8 * i))
        for i in range(_HALF_BLOCK):
            byte = np.int32(data[b, 8 + i])
            low = np.int32(np.uint32(fifth >> np.uint32(i)) & np.uint32(1)) << 4
            high = np.int32(np.uint32(fifth >> np.uint32(i + _HALF_BLOCK)) & np.uint32(1)) << 4
            out[b, i] = np.float32(np.float32(np.int32((byte & 15) | low)) * d) + m
            out[b, i + _HALF_BLOCK] = np.float32(np.float32(np.int32((byte >> 4) | high)) * d) + m


def _encode(values: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    _encode_blocks(values, values.view(np.uint32), out)


CODEC = Codec(GGMLType.Q5_1, LAYOUT, _encode, _decode_blocks)
