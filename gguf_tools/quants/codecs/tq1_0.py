"""TQ1_0: 256 values −1, 0 or 1, five in a byte, and a scale.

    byte 0                    32              48      52       54
         ┌────────────────────┬───────────────┬───────┬────────┐
         │ 32 × 5 values      │ 16 × 5 values │ 4 × 4 │ d: f16 │      value = d × (q − 1)
         └────────────────────┴───────────────┴───────┴────────┘

Bytes of each part hold the values that are 32, 16 or 4 apart: the first is the highest of five digits to
the base 3, and a byte is their number × 256 / 243, rounded up. So byte × 3^n, of which 8 bits are kept,
times 3 has digit n above those 8 bits. Layout and rounding from ggml's ``block_tq1_0`` and
``dequantize_row_tq1_0``; levels as in ``ternary``.
"""

from __future__ import annotations

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.half import half_to_single
from ..kernels.ternary import ELEMENTS, trits
from ..layouts import offsets

_QS, _QH, _D = offsets(GGMLType.TQ1_0, "qs", "qh", "d")
_SHORTER = _QS + 32  # where values are 16 apart


@kernel
def _encode(values, out):
    bits = values.view(np.int32)
    levels = np.empty(ELEMENTS, np.uint8)
    for b in range(values.shape[0]):
        half = trits(values, bits, b, levels)
        _pack(levels, 0, 32, out, b, _QS)
        _pack(levels, 160, 16, out, b, _SHORTER)
        for i in range(4):
            digits = np.uint32(levels[240 + i]) * 27 + np.uint32(levels[244 + i]) * 9
            digits = (digits + np.uint32(levels[248 + i]) * 3 + np.uint32(levels[252 + i])) * 3
            out[b, _QH + i] = np.uint8((digits * 256 + 242) // 243)
        out[b, _D] = np.uint8(half & 255)
        out[b, _D + 1] = np.uint8(half >> 8)


@kernel
def _pack(levels, start, apart, out, b, to):
    """Five values in each of ``apart`` bytes."""
    for i in range(start, start + apart):
        digits = np.uint32(levels[i]) * np.uint32(81) + np.uint32(levels[i + apart]) * np.uint32(27)
        digits += np.uint32(levels[i + 2 * apart]) * np.uint32(9)
        digits += np.uint32(levels[i + 3 * apart]) * np.uint32(3) + np.uint32(levels[i + 4 * apart])
        out[b, to + i - start] = np.uint8(
            np.uint32(digits * np.uint32(256) + np.uint32(242)) // np.uint32(243)
        )


@kernel
def _decode(data, out):
    run = out.shape[1] // 8  # not the constant 32: LLVM would unroll loops before it could vectorize them
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        power = np.int32(1)
        for n in range(5):
            for i in range(run):
                out[b, 32 * n + i] = _value(data[b, _QS + i], power, d)
            for i in range(run // 2):
                out[b, 160 + 16 * n + i] = _value(data[b, _SHORTER + i], power, d)
            if n < 4:
                for i in range(4):
                    out[b, 240 + 4 * n + i] = _value(data[b, _QH + i], power, d)
            power *= np.int32(3)


@kernel
def _value(byte, power, d):
    shifted = np.int32(np.int32(byte) * power) & np.int32(255)
    return np.float32(np.int32(np.int32(shifted * np.int32(3)) >> np.int32(8)) - np.int32(1)) * d


CODEC = Codec(GGMLType.TQ1_0, _encode, _decode)
