"""F16: IEEE half precision, rounded to nearest even as in ggml's ``ggml_fp32_to_fp16``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.half import half_to_single, single_to_half


@kernel
def _to_half(values, out):
    for i in range(values.size):
        out[i] = single_to_half(values[i])


@kernel
def _to_single(halves, out):
    for i in range(halves.size):
        out[i] = half_to_single(halves[i])


def _encode(values: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    _to_half(values.reshape(-1), out.reshape(-1).view(np.uint16))


def _decode(data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    _to_single(data.reshape(-1).view(np.uint16), out.reshape(-1))


CODEC = Codec(GGMLType.F16, _encode, _decode, finite_only=False)
