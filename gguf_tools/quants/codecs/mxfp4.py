"""MXFP4: 32 4-bit floats and a power of two (the OCP microscaling format).

    byte 0        1                                  17
         ┌────────┬──────────────────────────────────┐
         │ e: u8  │ 16 × (q[i] | q[i+16] << 4)       │      value = 2^(e − 127) × E2M1(q)
         └────────┴──────────────────────────────────┘

Levels as in ``fp4``. Layout and formulas from ggml's ``block_mxfp4``, ``quantize_row_mxfp4_ref`` and
``ggml_e8m0_to_fp32_half``: e = ⌊log₂ max |x|⌋ − 2 + 127.

ggml takes the logarithm in float32, where that of a number just below a large power of two is rounded up to
the exponent of that power. Here the rounding is in a table: how C libraries round differs, and so may the
same library on another processor.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.absmax import magnitude
from ..kernels.fp4 import VALUES, levels
from ..layouts import offsets

_E, _QS = offsets(GGMLType.MXFP4, "e", "qs")

_ELEMENTS: Final = 32
_HALF_BLOCK: Final = 16
_ZERO = np.float32(0)
_BIAS = np.int32(125)
_FLOAT_BIAS = 127
_MANTISSA_BITS = np.int32(23)
_SMALLEST_NORMAL = np.int32(0x0080_0000)
_RAISED = np.int32(64)
_RAISE = np.float32(2.0**64)  # makes a subnormal number normal
_HALF_SCALES = np.ldexp(np.float32(1), np.arange(256) - 128)


def _rounded_up(power: int) -> int:
    """How many numbers of 24 bits below 2^power have a logarithm that float32 rounds up to ``power``.

    They are 2^power × (1 − m × 2^−24), whose logarithm must be nearer to ``power`` than to the float32 below.
    """
    gap = power - float(np.nextafter(np.float32(power), np.float32(-np.inf)))
    return math.floor(-math.expm1(-gap / 2 * math.log(2)) * 2**24)


_LEAST_EXPONENT: Final = -149
_ROUNDED_UP = np.array([_rounded_up(power) for power in range(_LEAST_EXPONENT + 1, 129)], np.int32)
"""By exponent, from −149 on: 44 at most."""


@kernel
def _exponent(largest):
    """A block's e. Below 2^−125 it wraps around, as in C."""
    word = np.float32(largest).view(np.int32)
    raised = np.int32(0)
    if word < _SMALLEST_NORMAL:
        word, raised = np.float32(largest * _RAISE).view(np.int32), _RAISED
    at = np.int32((word >> _MANTISSA_BITS) - raised - np.int32(_FLOAT_BIAS + _LEAST_EXPONENT))
    logarithm = np.int32((word + _ROUNDED_UP[at]) >> _MANTISSA_BITS) - np.int32(_FLOAT_BIAS) - raised
    return np.int32(logarithm + _BIAS) & np.int32(255)


@kernel
def _encode(values, out):
    bits = values.view(np.int32)
    chosen = np.empty(_ELEMENTS, np.uint8)
    for b in range(values.shape[0]):
        largest = magnitude(bits, b, 0, _ELEMENTS)
        exponent = _exponent(largest) if largest > _ZERO else np.int32(0)
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
