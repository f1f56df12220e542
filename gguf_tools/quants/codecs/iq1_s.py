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

Layout and formulas from ggml's ``block_iq1_s``, ``dequantize_row_iq1_s`` and ``quantize_row_iq1_s_impl``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.grid_neighbours import points
from ..kernels.half import half_to_single, scale_to_half
from ..kernels.iq1_search import (
    DOWN,
    PLACES,
    SCALE,
    SCRATCH,
    add_up,
    choose_levels,
    peaks,
    put_points,
    rank,
    split_whole,
)
from ..kernels.iq_decode import put_shifted, table
from ..kernels.lanes import LANES, nearest, scratch
from ..kernels.tiles import load, load_weights, spread_of_blocks, weigh
from ..layouts import offsets

_D, _QS, _QH = offsets(GGMLType.IQ1_S, "d", "qs", "qh")

_ELEMENTS: Final = 256
_SIZE: Final = 32
_SUB_BLOCKS: Final = 8
_TILE: Final = LANES // _SUB_BLOCKS

_SHIFT = np.float32(0.125)
_ZERO = np.float32(0)
_HALF = np.float32(0.5)
_ONE = np.float32(1)
_TWO = np.float32(2)
_COUNT = np.float32(_ELEMENTS)
_SCALE_LEVELS = np.float32(15)
_MORE = np.float32(1.125)  # as ggml found to be better
_TINY = np.float32(1e-12)  # ggml's GROUP_MAX_EPS_IQ1_S: smaller counts as zero


def _encode_weighted(
    values: NDArray[np.float32], weights: NDArray[np.float32], out: NDArray[np.uint8]
) -> None:
    _encode_blocks(values, weights, *points("iq1_s").tables(), out)


@kernel
def _encode_blocks(values, weights, index, spans, lists, codes, out):
    tile = scratch(SCRATCH)
    sums = np.empty(_TILE, np.float32)
    for first in range(0, values.shape[0], _TILE):
        count = min(_TILE, values.shape[0] - first)
        load(values, first, count, _SIZE, tile)
        load_weights(weights, first, count, _SIZE, tile)
        spread_of_blocks(values, first, count, _SIZE, _TWO, _COUNT, sums, tile)
        weigh(_SIZE, tile)
        peaks(_SIZE, tile)
        rank(_SIZE, tile)
        add_up(_SIZE, False, tile)
        split_whole(_SIZE, tile)
        choose_levels(_SIZE, False, _TINY, tile)
        put_points(_SIZE, count * _SUB_BLOCKS, index, spans, lists, codes, tile)
        for b in range(count):
            _write(tile, b * _SUB_BLOCKS, out, first + b)


@kernel
def _write(s, lane, out, b):
    largest = _ZERO
    for sub in range(_SUB_BLOCKS):
        scale = s[SCALE + lane + sub]
        largest = largest if largest > scale else scale
    d = largest / _SCALE_LEVELS
    inverse = _ONE / d
    half = scale_to_half(d * _MORE) if largest != _ZERO else np.uint16(0)
    out[b, _D] = np.uint8(half & 255)
    out[b, _D + 1] = np.uint8(half >> 8)
    for sub in range(_SUB_BLOCKS):
        j = lane + sub
        upper = np.int64(0)
        for k in range(4):
            place = np.int64(s[PLACES + k * LANES + j])
            out[b, _QS + 4 * sub + k] = np.uint8(place & 255)
            upper |= (place >> 8) << (3 * k)
        if largest != _ZERO:
            scale_level = min(7, max(0, nearest(_HALF * (inverse * s[SCALE + j] - _ONE))))
            upper |= scale_level << 12
            upper |= np.int64(s[DOWN + j]) << 15
        out[b, _QH + 2 * sub] = np.uint8(upper & 255)
        out[b, _QH + 2 * sub + 1] = np.uint8(upper >> 8)


def _decode(data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    _decode_blocks(data, table("iq1_s"), out)


@kernel
def _decode_blocks(data, points, out):
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        for sub in range(8):
            at = _QH + 2 * sub
            upper = np.uint32(data[b, at]) | (np.uint32(data[b, at + 1]) << np.uint32(8))
            scale = d * np.float32(2 * ((upper >> np.uint32(12)) & np.uint32(7)) + np.uint32(1))
            shift = -_SHIFT if upper >> np.uint32(15) else _SHIFT
            for k in range(4):
                high = (upper >> np.uint32(3 * k)) & np.uint32(7)
                place = np.uint32(data[b, _QS + 4 * sub + k]) | (high << np.uint32(8))
                put_shifted(out, b, 32 * sub + 8 * k, scale, points, place, shift)


CODEC = Codec(GGMLType.IQ1_S, None, _decode, weighted=_encode_weighted, needs_weights=True)
