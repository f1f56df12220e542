"""IQ1_M: 256 values in groups of 8 that are points of a grid of 2048, with a 3-bit scale for every 16.

    byte 0                     32                   48                         56
         ┌─────────────────────┬────────────────────┬──────────────────────────┐
         │ places, low 8 bits  │ qh: 16             │ scales: 4 × uint16       │
         └─────────────────────┴────────────────────┴──────────────────────────┘

    value = d × (2 scale + 1) × (grid[place][i] ± ⅛)

    places    byte g: low bits of group g
    qh        byte p: bits 0 to 2 are the high bits of the place of group 2 p, bit 3 is set where its shift
              is −⅛; bits 4 to 6 and 7 are the same of group 2 p + 1
    scales    bit 15 … 12    11 … 9      8 … 6       5 … 3       2 … 0
              │ part of d  │ scale 3   │ scale 2   │ scale 1   │ scale 0   │

uint16 s of the scales belongs to values 64 s to 64 s + 63, a scale to 16 of them. The four parts of d make a
half: bits 0 to 3 are in the first uint16, 4 to 7 in the second, and so on.

Layout and formulas from ggml's ``block_iq1_m`` and ``dequantize_row_iq1_m``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..spec import GGMLType
from .codec import Codec
from .groups import put_shifted, table
from .half import half_to_single
from .jit import kernel

LAYOUT = np.dtype([("qs", "u1", 32), ("qh", "u1", 16), ("scales", "u1", 8)])

_SHIFT = np.float32(0.125)


def _decode(data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    _decode_blocks(data, table("iq1_s"), out)


@kernel
def _decode_blocks(data, points, out):
    for b in range(data.shape[0]):
        low = np.uint16((data[b, 49] >> 4) | (data[b, 51] & 0xF0))
        high = np.uint16((data[b, 53] >> 4) | (data[b, 55] & 0xF0))
        d = half_to_single(np.uint16(low | (high << 8)))
        for quarter in range(4):
            at = 48 + 2 * quarter
            scales = np.uint32(data[b, at]) | (np.uint32(data[b, at + 1]) << np.uint32(8))
            for k in range(4):
                three = (scales >> np.uint32(3 * k)) & np.uint32(7)
                scale = d * np.float32(2 * three + np.uint32(1))
                p = 4 * quarter + k
                upper = np.uint32(data[b, 32 + p])
                for half in range(2):
                    four = upper >> np.uint32(4 * half)
                    place = np.uint32(data[b, 2 * p + half]) | ((four & np.uint32(7)) << np.uint32(8))
                    shift = -_SHIFT if four & np.uint32(8) else _SHIFT
                    put_shifted(out, b, 16 * p + 8 * half, scale, points, place, shift)


CODEC = Codec(GGMLType.IQ1_M, LAYOUT, None, _decode)
