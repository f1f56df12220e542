"""IQ4_NL: 32 values of 4 bits that index a codebook, and a scale.

    byte 0        2                                  18
         ┌────────┬──────────────────────────────────┐
         │ d: f16 │ 16 × (q[i] | q[i+16] << 4)       │      value = d × VALUES[q]
         └────────┴──────────────────────────────────┘

The codebook and the search for d are ``codebook``'s. Layout and rounding from ggml's ``block_iq4_nl``,
``quantize_row_iq4_nl_impl`` and ``dequantize_row_iq4_nl``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.codebook import SCALE, SCRATCH, VALUES, levels, search, weigh_by_square
from ..kernels.half import half_to_single, scale_to_half
from ..kernels.lanes import LANES, scratch
from ..kernels.tiles import SIZE, load, load_weights, spread_of_blocks, weigh
from ..layouts import offsets

_D, _QS = offsets(GGMLType.IQ4_NL, "d", "qs")

_HALF_BLOCK: Final = 16
_ZERO = np.float32(0)
_ONE = np.float32(1)
_TWO_PARTS = np.float32(2 / SIZE)


@kernel
def _encode(values, out):
    tile = scratch(SCRATCH)
    chosen = np.empty(SIZE, np.uint8)
    for first in range(0, values.shape[0], LANES):
        count = min(LANES, values.shape[0] - first)
        load(values, first, count, SIZE, tile)
        weigh_by_square(tile)
        search(tile)
        for lane in range(count):
            _write(values, first + lane, tile[SCALE + lane], out, chosen)


@kernel
def _encode_weighted(values, weights, out):
    tile = scratch(SCRATCH)
    chosen = np.empty(SIZE, np.uint8)
    sums = np.empty(LANES, np.float32)
    for first in range(0, values.shape[0], LANES):
        count = min(LANES, values.shape[0] - first)
        load(values, first, count, SIZE, tile)
        load_weights(weights, first, count, SIZE, tile)
        spread_of_blocks(values, first, count, SIZE, _TWO_PARTS, _ONE, sums, tile)
        weigh(SIZE, tile)
        search(tile)
        for lane in range(count):
            _write(values, first + lane, tile[SCALE + lane], out, chosen)


@kernel
def _write(values, b, scale, out, chosen):
    levels(values, b, 0, _ONE / scale if scale != _ZERO else _ZERO, chosen)
    half = scale_to_half(scale)
    out[b, _D] = np.uint8(half & 255)
    out[b, _D + 1] = np.uint8(half >> 8)
    for i in range(_HALF_BLOCK):
        out[b, _QS + i] = np.uint8(chosen[i] | (chosen[_HALF_BLOCK + i] << 4))


@kernel
def _decode(data, out):
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        for i in range(_HALF_BLOCK):
            byte = data[b, _QS + i]
            out[b, i] = d * VALUES[byte & 15]
            out[b, _HALF_BLOCK + i] = d * VALUES[byte >> 4]


CODEC = Codec(GGMLType.IQ4_NL, _encode, _decode, weighted=_encode_weighted)
