"""BF16: the upper half of a float32, rounded to nearest even as in ggml's ``ggml_fp32_to_bf16``.

A NaN keeps its sign and upper payload and becomes quiet.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec

_MAGNITUDE = np.uint32(0x7FFF_FFFF)
_INFINITY = np.uint32(0x7F80_0000)
_HALF_UNIT = np.uint32(0x7FFF)
_QUIET = np.uint32(0x40)
_ONE = np.uint32(1)
_16 = np.uint32(16)


@kernel
def _round(bits, out):
    for i in range(bits.size):
        word = bits[i]
        rounded = np.uint32(word + np.uint32(_HALF_UNIT + np.uint32((word >> _16) & _ONE))) >> _16
        quiet = np.uint32((word >> _16) | _QUIET)
        out[i] = np.uint16(quiet if np.uint32(word & _MAGNITUDE) > _INFINITY else rounded)


@kernel
def _widen(upper, out):
    for i in range(upper.size):
        out[i] = np.uint32(np.uint32(upper[i]) << _16)


def _encode(values: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    _round(values.reshape(-1).view(np.uint32), out.reshape(-1).view(np.uint16))


def _decode(data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    _widen(data.reshape(-1).view(np.uint16), out.reshape(-1).view(np.uint32))


CODEC = Codec(GGMLType.BF16, _encode, _decode, finite_only=False)
