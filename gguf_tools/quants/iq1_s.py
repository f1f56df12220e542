"""IQ1_S: 256 values in groups of 8 that are points of a grid of 2048, with a 3-bit scale for every 32.

    byte 0        2                     34                                   50
         ┌────────┬─────────────────────┬────────────────────────────────────┐
         │ d: f16 │ places, low 8 bits  │ qh: 8 × uint16                     │
         └────────┴─────────────────────┴────────────────────────────────────┘

    value = d × (2 scale + 1) × (grid[place][i] ± ⅛)

    places    byte g: low bits of group g
    qh        bit 15          14 … 12   11 … 9        8 … 6         5 … 3         2 … 0
              │ −⅛, else +⅛ │ scale   │ high bits 3 │ high bits 2 │ high bits 1 │ high bits 0 │

uint16 s of qh belongs to groups 4 s to 4 s + 3: it has the high three bits of their places.

Layout and formulas from ggml's ``block_iq1_s`` and ``dequantize_row_iq1_s``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..spec import GGMLType
from .codec import Codec
from .groups import put_shifted, table
from .half import half_to_single
from .jit import kernel

LAYOUT = np.dtype([("d", "<f2"), ("qs", "u1", 32), ("qh", "<u2", 8)])

_SHIFT = np.float32(0.125)


def _decode(data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    _decode_blocks(data, table("iq1_s"), out)


@kernel
def _decode_blocks(data, points, out):
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, 0] | (np.uint16(data[b, 1]) << 8)))
        for sub in range(8):
            upper = np.uint32(data[b, 34 + 2 * sub]) | (np.uint32(data[b, 35 + 2 * sub]) << np.uint32(8))
            scale = d * np.float32(2 * ((upper >> np.uint32(12)) & np.uint32(7)) + np.uint32(1))
            shift = -_SHIFT if upper >> np.uint32(15) else _SHIFT
            for k in range(4):
                high = (upper >> np.uint32(3 * k)) & np.uint32(7)
                place = np.uint32(data[b, 2 + 4 * sub + k]) | (high << np.uint32(8))
                put_shifted(out, b, 32 * sub + 8 * k, scale, points, place, shift)


CODEC = Codec(GGMLType.IQ1_S, LAYOUT, None, _decode, needs_weights=True)
