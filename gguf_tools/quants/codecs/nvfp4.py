"""NVFP4: 64 4-bit floats in four sub-blocks of 16, each with an 8-bit float for a scale.

    byte 0              4                                  36
         ┌──────────────┬──────────────────────────────────┐
         │ 4 × UE4M3    │ 4 × 8 × (q[i] | q[i+8] << 4)     │      value = scale[s] × E2M1(q)
         └──────────────┴──────────────────────────────────┘

Levels as in ``fp4``. A scale has four bits of exponent (bias 7), three of mantissa and no sign; 0x7f is zero.
Layout and formulas from ggml's ``block_nvfp4``, ``quantize_row_nvfp4_ref``, ``ggml_fp32_to_ue4m3`` and
``ggml_ue4m3_to_fp32``: a scale is max |x| / 6.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.absmax import magnitude
from ..kernels.fp4 import VALUES, levels
from ..layouts import offsets

_D, _QS = offsets(GGMLType.NVFP4, "d", "qs")

_ELEMENTS: Final = 64
_SIZE: Final = 16
_SUB_BLOCKS: Final = 4
_SIX = np.float32(6)
_HALF = np.float32(0.5)
_MOST = np.float32(448)
_SUBNORMALS = np.float32(512)
_LARGEST: Final = 0x7E


def _half_scales() -> NDArray[np.float32]:
    codes = np.arange(256)
    exponent, mantissa = codes >> 3 & 15, codes & 7
    scales = np.where(exponent == 0, np.ldexp(mantissa, -9), np.ldexp(1 + mantissa / 8, exponent - 7))
    return np.where(codes == 0x7F, 0, scales / 2).astype(np.float32)


_HALF_SCALES = _half_scales()


@kernel
def _to_scale(value):
    """float32 → UE4M3: to nearest, ties up, at most 448; subnormals stay below the least normal number."""
    value = value if value < _MOST else _MOST
    bits = np.int32(np.float32(value).view(np.int32))
    exponent = (bits >> 23) - 120
    if exponent <= 0:
        return min(7, int(value * _SUBNORMALS + _HALF))
    rounded = (exponent << 3) + ((bits >> 20) & 7) + ((bits >> 19) & 1)
    return min(rounded, _LARGEST) if exponent < 15 and rounded < 15 << 3 else _LARGEST


@kernel
def _encode(values, out):
    bits = values.view(np.int32)
    chosen = np.empty(_ELEMENTS, np.uint8)
    for b in range(values.shape[0]):
        for s in range(_SUB_BLOCKS):
            largest = magnitude(bits, b, s * _SIZE, _SIZE)
            scale = _to_scale(np.float32(largest / _SIX))
            out[b, _D + s] = np.uint8(scale)
            levels(values, b, s * _SIZE, _SIZE, _HALF_SCALES[scale], largest, chosen)
            for i in range(8):
                at = s * _SIZE + i
                out[b, _QS + 8 * s + i] = np.uint8(chosen[at] | (chosen[at + 8] << 4))


@kernel
def _decode(data, out):
    for b in range(data.shape[0]):
        for s in range(_SUB_BLOCKS):
            d = _HALF_SCALES[data[b, _D + s]]
            for i in range(8):
                byte = data[b, _QS + 8 * s + i]
                out[b, s * _SIZE + i] = VALUES[byte & 15] * d
                out[b, s * _SIZE + 8 + i] = VALUES[byte >> 4] * d


CODEC = Codec(GGMLType.NVFP4, _encode, _decode)
