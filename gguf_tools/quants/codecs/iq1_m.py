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

Layout and formulas from ggml's ``block_iq1_m``, ``dequantize_row_iq1_m`` and ``quantize_row_iq1_m_impl``.
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
    put_products,
    rank,
    split_halves,
    weigh_by_square,
)
from ..kernels.iq_decode import put_shifted, table
from ..kernels.lanes import LANES, nearest, scratch
from ..kernels.tiles import WEIGHT, X, load, load_weights, spread_of_blocks, weigh
from ..layouts import offsets

_QS, _QH, _SCALES = offsets(GGMLType.IQ1_M, "qs", "qh", "scales")

_ELEMENTS: Final = 256
_SIZE: Final = 16
_SUB_BLOCKS: Final = 16
_TILE: Final = LANES // _SUB_BLOCKS

_SHIFT = np.float32(0.125)
_ZERO = np.float32(0)
_HALF = np.float32(0.5)
_ONE = np.float32(1)
_TWO = np.float32(2)
_COUNT = np.float32(_ELEMENTS)
_SCALE_LEVELS = np.float32(15)
_MORE = np.float32(1.1125)  # as ggml found to be better
_TINY = np.float32(1e-7)  # ggml's GROUP_MAX_EPS_IQ1_M: smaller counts as zero
_NO_WEIGHTS = np.empty((0, _ELEMENTS), np.float32)


def _encode(values: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    _encode_blocks(values, _NO_WEIGHTS, *points("iq1_s").tables(), out)


def _encode_weighted(
    values: NDArray[np.float32], weights: NDArray[np.float32], out: NDArray[np.uint8]
) -> None:
    _encode_blocks(values, weights, *points("iq1_s").tables(), out)


@kernel
def _encode_blocks(values, weights, index, spans, lists, codes, out):
    tile = scratch(SCRATCH)
    sums = np.empty(_TILE, np.float32)
    largest = np.empty(_TILE, np.float32)
    levels = np.empty(LANES, np.int64)
    for first in range(0, values.shape[0], _TILE):
        count = min(_TILE, values.shape[0] - first)
        load(values, first, count, _SIZE, tile)
        if weights.shape[0]:
            load_weights(weights, first, count, _SIZE, tile)
            spread_of_blocks(values, first, count, _SIZE, _TWO, _COUNT, sums, tile)
            weigh(_SIZE, tile)
        else:
            weigh_by_square(_SIZE, tile)
        peaks(_SIZE, tile)
        rank(_SIZE, tile)
        add_up(_SIZE, True, tile)
        split_halves(_SIZE, tile)
        choose_levels(_SIZE, True, _TINY, tile)
        put_points(_SIZE, count * _SUB_BLOCKS, index, spans, lists, codes, tile)
        for b in range(_TILE):
            largest[b] = _round_scales(b * _SUB_BLOCKS, levels, tile)
        put_products(_SIZE, levels, tile)
        for b in range(count):
            _write(largest[b], levels, tile, b * _SUB_BLOCKS, out, first + b)


@kernel
def _round_scales(lane, levels, s):
    """The levels of a block's scales, and its largest scale."""
    largest = _ZERO
    for sub in range(_SUB_BLOCKS):
        scale = s[SCALE + lane + sub]
        largest = largest if largest > scale else scale
    inverse = _ONE / (largest / _SCALE_LEVELS)
    for sub in range(_SUB_BLOCKS):
        levels[lane + sub] = min(7, max(0, nearest(_HALF * (inverse * s[SCALE + lane + sub] - _ONE))))
    return largest


@kernel
def _write(largest, levels, s, lane, out, b):
    for i in range(_SCALES, _SCALES + 8):
        out[b, i] = np.uint8(0)
    for sub in range(_SUB_BLOCKS):
        j = lane + sub
        place_0 = np.int64(s[PLACES + j])
        place_1 = np.int64(s[PLACES + LANES + j])
        out[b, _QS + 2 * sub] = np.uint8(place_0 & 255)
        out[b, _QS + 2 * sub + 1] = np.uint8(place_1 & 255)
        upper = (place_0 >> 8) | ((place_1 >> 8) << 4)
        if largest != _ZERO:
            upper |= (np.int64(s[DOWN + j]) << 3) | (np.int64(s[DOWN + LANES + j]) << 7)
        out[b, _QH + sub] = np.uint8(upper)
    if largest != _ZERO:
        half = np.int64(scale_to_half(_scale(largest, s, lane) * _MORE))
        for quarter in range(4):
            packed = ((half >> (4 * quarter)) & 15) << 12
            for k in range(4):
                packed |= levels[lane + 4 * quarter + k] << (3 * k)
            out[b, _SCALES + 2 * quarter] = np.uint8(packed & 255)
            out[b, _SCALES + 2 * quarter + 1] = np.uint8(packed >> 8)


@kernel
def _scale(largest, s, lane):
    """The block's scale by least squares."""
    sum_qx = _ZERO
    sum_q2 = _ZERO
    for j in range(lane, lane + _SUB_BLOCKS):
        for i in range(_SIZE):
            sum_qx += s[X + i * LANES + j]
            sum_q2 += s[WEIGHT + i * LANES + j]
    return sum_qx / sum_q2 if sum_q2 > _ZERO else largest / _SCALE_LEVELS


def _decode(data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    _decode_blocks(data, table("iq1_s"), out)


@kernel
def _decode_blocks(data, points, out):
    for b in range(data.shape[0]):
        low = np.uint16((data[b, _SCALES + 1] >> 4) | (data[b, _SCALES + 3] & 0xF0))
        high = np.uint16((data[b, _SCALES + 5] >> 4) | (data[b, _SCALES + 7] & 0xF0))
        d = half_to_single(np.uint16(low | (high << 8)))
        for quarter in range(4):
            at = _SCALES + 2 * quarter
            scales = np.uint32(data[b, at]) | (np.uint32(data[b, at + 1]) << np.uint32(8))
            for k in range(4):
                three = (scales >> np.uint32(3 * k)) & np.uint32(7)
                scale = d * np.float32(2 * three + np.uint32(1))
                p = 4 * quarter + k
                upper = np.uint32(data[b, _QH + p])
                for half in range(2):
                    four = upper >> np.uint32(4 * half)
                    place = np.uint32(data[b, _QS + 2 * p + half]) | ((four & np.uint32(7)) << np.uint32(8))
                    shift = -_SHIFT if four & np.uint32(8) else _SHIFT
                    put_shifted(out, b, 16 * p + 8 * half, scale, points, place, shift)


CODEC = Codec(GGMLType.IQ1_M, _encode, _decode, weighted=_encode_weighted)
