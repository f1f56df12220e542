"""Q8_1: 32 signed bytes, a scale, and a sum; decoded only.

    byte 0        2        4                                  36
         ┌────────┬────────┬──────────────────────────────────┐
         │ d: f16 │ s: f16 │ 32 × int8                        │      value = d × q
         └────────┴────────┴──────────────────────────────────┘

``s`` is d × Σ q, which dot products need. Layout from ggml's ``block_q8_1``: what it makes of activations
while it computes.
"""

from __future__ import annotations

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.half import half_to_single
from ..layouts import offsets

_D, _QS = offsets(GGMLType.Q8_1, "d", "qs")


@kernel
def _decode(data, out):
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        for i in range(out.shape[1]):
            out[b, i] = np.float32(np.int8(data[b, _QS + i])) * d


CODEC = Codec(GGMLType.Q8_1, None, _decode)
