"""Q4_K."""

from __future__ import annotations

import numpy as np

from ..spec import GGMLType
from .codec import Codec
from .jit import kernel
from .lanes import scratch
from .scale_min import SCRATCH, SUB_BLOCKS, TILE, choose_levels, load_tile, search, step_factors

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
            for i in range(32):
                for pair in range(4):
                    low = chosen[pair * 64 + i]
                    high = chosen[pair * 64 + 32 + i]
                    out[first + b, 16 + pair * 32 + i] = np.uint8(low | (high << 4))


CODEC = Codec(GGMLType.Q4_K, LAYOUT, _encode, None)
