"""Q4_K: 256 values in eight sub-blocks of 32, each with a 6-bit scale and a 6-bit min.

    byte 0        2           4            16                                        144
         ┌────────┬───────────┬────────────┬─────────────────────────────────────────┐
         │ d: f16 │ dmin: f16 │ scales: 12 │ 128 bytes of 4-bit levels               │
         └────────┴───────────┴────────────┴─────────────────────────────────────────┘

    value = d × scale[s] × level − dmin × min[s]            s = sub-block, 0 to 7

    scales    bit 7 6   5 4 3 2 1 0
    byte 0–3  │ scale 4–7, high 2 │ scale 0–3                   │
    byte 4–7  │ min 4–7, high 2   │ min 0–3                     │
    byte 8–11 │ min 4–7, low 4 bits   │ scale 4–7, low 4 bits   │

    levels    byte 32 p + i: low four bits are level i of sub-block 2 p, high four bits of sub-block 2 p + 1

Layout and rounding from ggml's ``block_q4_K``, ``quantize_row_q4_K_ref`` and ``dequantize_row_q4_K``.
"""

from __future__ import annotations

import numpy as np

from ..spec import GGMLType
from .codec import Codec
from .jit import kernel
from .lanes import scratch
from .scale_min import SCRATCH, SUB_BLOCKS, TILE, choose_levels, load_tile, search, step_factors, unpack

LAYOUT = np.dtype([("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("qs", "u1", 128)])

_LEVELS = np.float32(15)
_FACTORS = step_factors(-1.0, 20, 15)


@kernel
def _encode(values, out):  # type: ignore[no-untyped-def]
    tile = scratch(SCRATCH)
    chosen = np.empty(256, np.uint8)
    for first in range(0, values.shape[0], TILE):
        count = min(TILE, values.shape[0] - first)
        load_tile(values, first, count, tile)
        search(tile, _FACTORS, _LEVELS)
        for b in range(count):
            choose_levels(tile, b * SUB_BLOCKS, values, first + b, _LEVELS, out, chosen)
            for pair in range(4):
                for i in range(32):
                    low = chosen[pair * 64 + i]
                    high = chosen[pair * 64 + 32 + i]
                    out[first + b, 16 + pair * 32 + i] = np.uint8(low | (high << 4))


@kernel
def _decode(data, out):  # type: ignore[no-untyped-def]
    scales = np.empty(SUB_BLOCKS, np.float32)
    mins = np.empty(SUB_BLOCKS, np.float32)
    for b in range(data.shape[0]):
        unpack(data, b, scales, mins)
        for i in range(32):
            for pair in range(4):
                byte = data[b, 16 + pair * 32 + i]
                out[b, pair * 64 + i] = scales[2 * pair] * np.float32(byte & 15) - mins[2 * pair]
                out[b, pair * 64 + 32 + i] = scales[2 * pair + 1] * np.float32(byte >> 4) - mins[2 * pair + 1]


CODEC = Codec(GGMLType.Q4_K, LAYOUT, _encode, _decode)
