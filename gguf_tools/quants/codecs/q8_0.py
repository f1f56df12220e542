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

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.absmax import BLOCK, TILE, widest
from ..kernels.half import half_to_single, scale_to_half
from ..layouts import offsets

_D, _QS = offsets(GGMLType.Q8_0, "d", "qs")

_ZERO = np.float32(0)
_ONE = np.float32(1)
_LEVELS = np.float32(127)
_LIMIT = np.float32(128)
_JUST_UNDER_HALF = np.float32(0.49999997)  # adding ½ itself would round 0.49999997 up


@kernel
def _encode_blocks(values, out):
    lows = np.empty(TILE, np.float32)
    peak = np.empty(TILE, np.float32)
    inverse = np.empty(TILE, np.float32)
    scale = np.empty(TILE, np.uint16)
    for first in range(0, values.shape[0], TILE):
        count = min(TILE, values.shape[0] - first)
        widest(values, first, count, lows, peak)
        for t in range(count):
            d = np.float32(abs(peak[t]) / _LEVELS)
            inverse[t] = _ONE / d if d != _ZERO else _ZERO
            scale[t] = scale_to_half(d)
        for t in range(count):
            b = first + t
            out[b, _D] = np.uint8(scale[t] & np.uint16(0xFF))
            out[b, _D + 1] = np.uint8(scale[t] >> np.uint16(8))
            for i in range(BLOCK):
                out[b, _QS + i] = np.uint8(_level(values[b, i], inverse[t]))


@kernel
def _level(value, inverse):
    x = np.float32(value * inverse)
    # beyond ±127 only where the scale is so small that its inverse overflows; C casts that to 0
    x = x if abs(x) < _LIMIT else _ZERO
    return np.int32(np.float32(x + (-_JUST_UNDER_HALF if x < _ZERO else _JUST_UNDER_HALF)))


@kernel
def _decode_blocks(data, out):
    half = out.shape[1] // 2  # not the constant 16: LLVM would unroll the loop before it could vectorize it
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D]) | np.uint16(np.uint16(data[b, _D + 1]) << np.uint16(8)))
        for i in range(half):
            out[b, i] = np.float32(np.int8(data[b, _QS + i])) * d
            out[b, i + 16] = np.float32(np.int8(data[b, _QS + 16 + i])) * d


CODEC = Codec(GGMLType.Q8_0, _encode_blocks, _decode_blocks)
