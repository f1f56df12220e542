"""Q8_K: 256 signed bytes, a scale in single precision, and sums; decoded only.

    byte 0        4                                  260             292
         ┌────────┬──────────────────────────────────┬───────────────┐
         │ d: f32 │ 256 × int8                       │ 16 × int16    │      value = d × q
         └────────┴──────────────────────────────────┴───────────────┘

The last part has the sums of 16 q each, which dot products need. Layout from ggml's ``block_q8_K`` and
``dequantize_row_q8_K``: what it makes of activations while it computes.
"""

from __future__ import annotations

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.half import single_from_bits
from ..layouts import offsets

_D, _QS = offsets(GGMLType.Q8_K, "d", "qs")


@kernel
def _decode(data, out):
    for b in range(data.shape[0]):
        bits = np.uint32(0)
        for i in range(4):
            bits |= np.uint32(np.uint32(data[b, _D + i]) << np.uint32(8 * i))
        d = single_from_bits(bits)
        for i in range(out.shape[1]):
            out[b, i] = d * np.float32(np.int8(data[b, _QS + i]))


CODEC = Codec(GGMLType.Q8_K, None, _decode)
