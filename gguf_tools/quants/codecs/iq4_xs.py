"""IQ4_XS: 256 values of 4 bits that index a codebook, in eight sub-blocks of 32 with 6-bit scales.

    byte 0        2            4            8                                        136
         ┌────────┬────────────┬────────────┬────────────────────────────────────────┐
         │ d: f16 │ high: u16  │ low: 4     │ 8 × 16 × (q[i] | q[i+16] << 4)         │
         └────────┴────────────┴────────────┴────────────────────────────────────────┘

    value = d × (scale[s] − 32) × VALUES[q]                 s = sub-block, 0 to 7

    low       byte s / 2: the low four bits of scale s in its low half, of scale s + 1 in its high half
    high      bits 2 s and 2 s + 1: the high two bits of scale s

The codebook and the search for scales are ``codebook``'s. Layout and rounding from ggml's ``block_iq4_xs``,
``quantize_row_iq4_nl_impl`` and ``dequantize_row_iq4_xs``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.codebook import SCALE, SCRATCH, VALUES, levels, search, weigh_by_square
from ..kernels.half import half_to_single, scale_to_half
from ..kernels.lanes import LANES, nearest, scratch
from ..kernels.tiles import SIZE, load, load_weights, spread_of_blocks, weigh
from ..layouts import offsets

_D, _SCALES_H, _SCALES_L, _QS = offsets(GGMLType.IQ4_XS, "d", "scales_h", "scales_l", "qs")

_ELEMENTS: Final = 256
_SUB_BLOCKS: Final = 8
_TILE: Final = LANES // _SUB_BLOCKS
_HALF_BLOCK: Final = 16
_ZERO = np.float32(0)
_ONE = np.float32(1)
_SCALE_RANGE = np.float32(32)
_TWO_PARTS = np.float32(2 / _ELEMENTS)


@kernel
def _encode(values, out):
    tile = scratch(SCRATCH)
    chosen = np.empty(_ELEMENTS, np.uint8)
    for first in range(0, values.shape[0], _TILE):
        count = min(_TILE, values.shape[0] - first)
        load(values, first, count, SIZE, tile)
        weigh_by_square(tile)
        search(tile)
        for b in range(count):
            _write(values, first + b, b * _SUB_BLOCKS, out, chosen, tile)


@kernel
def _encode_weighted(values, weights, out):
    tile = scratch(SCRATCH)
    chosen = np.empty(_ELEMENTS, np.uint8)
    sums = np.empty(_TILE, np.float32)
    for first in range(0, values.shape[0], _TILE):
        count = min(_TILE, values.shape[0] - first)
        load(values, first, count, SIZE, tile)
        load_weights(weights, first, count, SIZE, tile)
        spread_of_blocks(values, first, count, SIZE, _TWO_PARTS, _ONE, sums, tile)
        weigh(SIZE, tile)
        search(tile)
        for b in range(count):
            _write(values, first + b, b * _SUB_BLOCKS, out, chosen, tile)


@kernel
def _write(values, b, lane, out, chosen, s):
    """Write super-block b, whose first sub-block is lane ``lane`` of tile ``s``.

    The half d is not what levels are chosen with: ggml takes the number it was rounded from.
    """
    largest = _ZERO
    for j in range(lane, lane + _SUB_BLOCKS):
        scale = s[SCALE + j]
        largest = scale if abs(scale) > abs(largest) else largest
    d = np.float32(-largest / _SCALE_RANGE)
    inverse = np.float32(_ONE / d) if d != _ZERO else _ZERO
    half = scale_to_half(d)
    out[b, _D] = np.uint8(half & 255)
    out[b, _D + 1] = np.uint8(half >> 8)
    high = 0
    for j in range(_SUB_BLOCKS):
        integer = max(-32, min(31, nearest(inverse * s[SCALE + lane + j])))
        scale = np.float32(d * np.float32(integer))
        levels(values, b, SIZE * j, np.float32(_ONE / scale) if scale != _ZERO else _ZERO, chosen)
        low = np.uint8((integer + 32) & 15)
        out[b, _SCALES_L + j // 2] = low if j % 2 == 0 else np.uint8(out[b, _SCALES_L + j // 2] | (low << 4))
        high |= ((integer + 32) >> 4) << (2 * j)
    out[b, _SCALES_H] = np.uint8(high & 255)
    out[b, _SCALES_H + 1] = np.uint8(high >> 8)
    for j in range(_SUB_BLOCKS):
        for i in range(_HALF_BLOCK):
            at = SIZE * j + i
            out[b, _QS + _HALF_BLOCK * j + i] = np.uint8(chosen[at] | (chosen[at + _HALF_BLOCK] << 4))


@kernel
def _decode(data, out):
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        high = np.int32(data[b, _SCALES_H]) | (np.int32(data[b, _SCALES_H + 1]) << 8)
        for j in range(_SUB_BLOCKS):
            low = np.int32(data[b, _SCALES_L + j // 2] >> (4 * (j % 2))) & 15
            scale = d * np.float32((low | (((high >> (2 * j)) & 3) << 4)) - 32)
            for i in range(_HALF_BLOCK):
                byte = data[b, _QS + _HALF_BLOCK * j + i]
                out[b, SIZE * j + i] = scale * VALUES[byte & 15]
                out[b, SIZE * j + _HALF_BLOCK + i] = scale * VALUES[byte >> 4]


CODEC = Codec(GGMLType.IQ4_XS, _encode, _decode, weighted=_encode_weighted)
