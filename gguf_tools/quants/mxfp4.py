"""MXFP4: 32 4-bit floats and a power of two (the OCP microscaling format).

    byte 0        1                                  17
         ┌────────┬──────────────────────────────────┐
         │ e: u8  │ 16 × (q[i] | q[i+16] << 4)       │      value = 2^(e − 127) × E2M1(q)
         └────────┴──────────────────────────────────┘

Levels as in ``fp4``. Layout and formulas from ggml's ``block_mxfp4``, ``quantize_row_mxfp4_ref`` and
``ggml_e8m0_to_fp32_half``: e = ⌊log₂ max |x|⌋ − 2 + 127.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ..jit import kernel
from ..spec import GGMLType
from .codec import Codec
from .extremes import magnitude
from .fp4 import VALUES, levels
from .layouts import offsets

_E, _QS = offsets(GGMLType.MXFP4, "e", "qs")

_ELEMENTS: Final = 32
_HALF_BLOCK: Final = 16
_ZERO = np.float32(0)
_BIAS = np.float32(125)
_HALF_SCALES = np.ldexp(np.float32(1), np.arange(256) - 128)


@kernel
def _encode(values, out):
    bits = values.view(np.int32)
    chosen = np.empty(_ELEMENTS, np.uint8)
    for b in range(values.shape[0]):
        largest = magnitude(bits, b, 0, _ELEMENTS)
        exponent = np.int32(0)
        if largest > _ZERO:
            # the logarithm is rounded: just below a large power of two it is the exponent of that power
            exponent = np.int32(np.floor(np.log2(largest)) + _BIAS) & np.int32(255)
        out[b, _E] = np.uint8(exponent)
        levels(values, b, 0, _ELEMENTS, _HALF_SCALES[exponent], largest, chosen)
        for i in range(_HALF_BLOCK):
            out[b, _QS + i] = np.uint8(chosen[i] | (chosen[_HALF_BLOCK + i] << 4))


@kernel
def _decode(data, out):
    for b in range(data.shape[0]):
        d = _HALF_SCALES[data[b, _E]]
        for i in range(_HALF_BLOCK):
            byte = data[b, _QS + i]
            out[b, i] = VALUES[byte & 15] * d
            out[b, _HALF_BLOCK + i] = VALUES[byte >> 4] * d


CODEC = Codec(GGMLType.MXFP4, _encode, _decode)
