"""Q1_0: 128 signs and a scale.

    byte 0        2                                  18
         ┌────────┬──────────────────────────────────┐
         │ d: f16 │ 128 bits                         │      value = d where the bit is set, else −d
         └────────┴──────────────────────────────────┘

Bit i mod 8 of byte i / 8 is set where x[i] ≥ 0. Layout and formula from ggml's ``block_q1_0`` and
``quantize_row_q1_0_ref``: d is the mean magnitude.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.half import half_to_single, scale_to_half
from ..layouts import offsets

_D, _QS = offsets(GGMLType.Q1_0, "d", "qs")

_ELEMENTS: Final = 128
_TILE: Final = 8  # blocks whose sums grow side by side, as each is one long chain of additions
_ZERO = np.float32(0)
_COUNT = np.float32(_ELEMENTS)


@kernel
def _encode(values, out):
    sums = np.empty(_TILE, np.float32)
    for first in range(0, values.shape[0], _TILE):
        count = min(_TILE, values.shape[0] - first)
        for t in range(_TILE):
            sums[t] = _ZERO
        if count == _TILE:
            _add_magnitudes(values, first, sums)
        else:
            for t in range(count):
                for i in range(_ELEMENTS):
                    sums[t] += abs(values[first + t, i])
        for t in range(count):
            b = first + t
            half = scale_to_half(np.float32(sums[t] / _COUNT))
            out[b, _D] = np.uint8(half & 255)
            out[b, _D + 1] = np.uint8(half >> 8)
            for byte in range(_ELEMENTS // 8):
                bits = np.uint8(0)
                for i in range(8):
                    bits = np.uint8(bits | (np.uint8(values[b, 8 * byte + i] >= _ZERO) << i))
                out[b, _QS + byte] = bits


@kernel
def _add_magnitudes(values, first, sums):
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = _ZERO
    for i in range(_ELEMENTS):
        s0 += abs(values[first, i])
        s1 += abs(values[first + 1, i])
        s2 += abs(values[first + 2, i])
        s3 += abs(values[first + 3, i])
        s4 += abs(values[first + 4, i])
        s5 += abs(values[first + 5, i])
        s6 += abs(values[first + 6, i])
        s7 += abs(values[first + 7, i])
    sums[0], sums[1], sums[2], sums[3] = s0, s1, s2, s3
    sums[4], sums[5], sums[6], sums[7] = s4, s5, s6, s7


@kernel
def _decode(data, out):
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        for byte in range(_ELEMENTS // 8):
            bits = np.int32(data[b, _QS + byte])
            for i in range(8):
                out[b, 8 * byte + i] = d if bits & (1 << i) else -d


CODEC = Codec(GGMLType.Q1_0, _encode, _decode)
