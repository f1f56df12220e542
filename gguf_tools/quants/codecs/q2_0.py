"""Q2_0: 64 values of 2 bits and a scale.

    byte 0        2                                  18
         ┌────────┬──────────────────────────────────┐
         │ d: f16 │ 16 bytes, four values each       │      value = d × (q − 1)
         └────────┴──────────────────────────────────┘

Byte j holds q[4 j] to q[4 j + 3], lowest bits first. Layout and rounding from ggml's ``block_q2_0`` and
``quantize_row_q2_0_ref``: d = max |x|, and q = 1 + x / d rounded half away from zero.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.absmax import magnitude
from ..kernels.half import half_to_single, scale_to_half
from ..layouts import offsets

_D, _QS = offsets(GGMLType.Q2_0, "d", "qs")

_ELEMENTS: Final = 64
_ZERO = np.float32(0)
_ONE = np.float32(1)
_HALF = np.float32(0.5)
_LIMIT = np.float32(2)


@kernel
def _encode(values, out):
    bits = values.view(np.int32)
    levels = np.empty(_ELEMENTS, np.uint8)
    for b in range(values.shape[0]):
        d = magnitude(bits, b, 0, _ELEMENTS)
        inverse = np.float32(_ONE / d) if d > _ZERO else _ZERO
        half = scale_to_half(d)
        out[b, _D] = np.uint8(half & 255)
        out[b, _D + 1] = np.uint8(half >> 8)
        for i in range(_ELEMENTS):
            x = inverse * values[b, i]
            level = np.int32(1) + np.int32(x >= _HALF) - np.int32(x <= -_HALF)
            # beyond ±1 only where the inverse overflows; C casts that to the least integer
            levels[i] = np.uint8(level) if abs(x) < _LIMIT else np.uint8(0)
        for j in range(_ELEMENTS // 4):
            low = levels[4 * j] | (levels[4 * j + 1] << 2)
            out[b, _QS + j] = np.uint8(low | (levels[4 * j + 2] << 4) | (levels[4 * j + 3] << 6))


@kernel
def _decode(data, out):
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        for j in range(_ELEMENTS // 4):
            byte = np.int32(data[b, _QS + j])
            for k in range(4):
                out[b, 4 * j + k] = np.float32(((byte >> (2 * k)) & 3) - 1) * d


CODEC = Codec(GGMLType.Q2_0, _encode, _decode)
