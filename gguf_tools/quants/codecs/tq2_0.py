"""TQ2_0: 256 values −1, 0 or 1 of 2 bits, and a scale.

    byte 0                                           64       66
         ┌───────────────────────────────────────────┬────────┐
         │ 64 bytes, four values each                │ d: f16 │      value = d × (q − 1)
         └───────────────────────────────────────────┴────────┘

Byte 32 h + i holds values i, 32 + i, 64 + i, 96 + i of half h, lowest bits first. Layout from ggml's
``block_tq2_0``; levels as in ``ternary``.
"""

from __future__ import annotations

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.half import half_to_single
from ..kernels.ternary import ELEMENTS, trits
from ..layouts import offsets

_QS, _D = offsets(GGMLType.TQ2_0, "qs", "d")


@kernel
def _encode(values, out):
    bits = values.view(np.int32)
    levels = np.empty(ELEMENTS, np.uint8)
    for b in range(values.shape[0]):
        half = trits(values, bits, b, levels)
        for h in range(2):
            for i in range(128 * h, 128 * h + 32):
                low = levels[i] | (levels[i + 32] << 2)
                byte = np.uint8(low | (levels[i + 64] << 4) | (levels[i + 96] << 6))
                out[b, _QS + i - 96 * h] = byte
        out[b, _D] = np.uint8(half & 255)
        out[b, _D + 1] = np.uint8(half >> 8)


@kernel
def _decode(data, out):
    run = out.shape[1] // 8  # not the constant 32: LLVM would unroll the loop before it could vectorize it
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        for h in range(2):
            for k in range(4):
                for i in range(run):
                    level = np.int32(data[b, _QS + 32 * h + i] >> (2 * k)) & np.int32(3)
                    out[b, 128 * h + 32 * k + i] = np.float32(level - np.int32(1)) * d


CODEC = Codec(GGMLType.TQ2_0, _encode, _decode)
