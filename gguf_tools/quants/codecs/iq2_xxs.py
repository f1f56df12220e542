"""IQ2_XXS: 256 values in groups of 8 that are points of a grid of 256, with a 4-bit scale for every 32.

    byte 0        2                                                           66
         ┌────────┬───────────────────────────────────────────────────────────┐
         │ d: f16 │ 8 × (4 places in the grid: uint8, signs and scale: uint32) │
         └────────┴───────────────────────────────────────────────────────────┘

    value = d × (scale + ½) / 4 × ± grid[place][i]

    signs and scale    bit 31 … 28   27 … 21   20 … 14   13 … 7    6 … 0
                       │ scale     │ group 3 │ group 2 │ group 1 │ group 0 │

Each group has signs for seven of its values; the eighth makes the number of negative ones even.

Layout and formulas from ggml's ``block_iq2_xxs``, ``dequantize_row_iq2_xxs`` and
``quantize_row_iq2_xxs_impl``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...compute.jit import kernel
from ...spec import BLOCK_SIZES, GGMLType
from ..codec import Codec
from ..kernels.grid_neighbours import points
from ..kernels.grid_search import AGAIN_ALWAYS, room, search, step_factors
from ..kernels.half import half_to_single, scale_to_half
from ..kernels.iq_decode import EVEN_SIGNS, put_group, table, word
from ..kernels.lanes import LANES, scratch
from ..kernels.positive_scales import FACTOR, FIT_SCRATCH, fit, put_numbers
from ..kernels.signs import WEIGHT, X, move_signs, put_signs, scale_levels, sum_of_squares, weigh
from ..layouts import offsets

_D, _QS = offsets(GGMLType.IQ2_XXS, "d", "qs")

_HALF = np.float32(0.5)
_QUARTER = np.float32(0.25)
_28 = np.uint32(28)
_SEVEN_BITS = np.uint32(127)
_ELEMENTS: Final = 256
_BYTES: Final = BLOCK_SIZES[GGMLType.IQ2_XXS].bytes
_SIZE: Final = 32
_SUB_BLOCKS: Final = 8
_GROUPS: Final = 4  # in a sub-block
_TILE: Final = LANES // _SUB_BLOCKS
_FACTORS = step_factors(5, 0.1, 6)
_ZERO = np.float32(0)
_COUNT = np.float32(_ELEMENTS)
_SCALE_LEVELS = np.float32(31)
_THREE = np.float32(3)
_LARGEST_LEVEL = np.float32(4)


def _encode_weighted(
    values: NDArray[np.float32], weights: NDArray[np.float32], out: NDArray[np.uint8]
) -> None:
    _encode_blocks(values, weights, *points("iq2_xxs").tables(), out)


@kernel
def _encode_blocks(values, weights, index, spans, lists, codes, out):
    s, c = room()
    tile = scratch(FIT_SCRATCH)
    tile[:] = _ZERO
    signs = np.empty(4, np.int64)
    for first in range(0, values.shape[0], _TILE):
        last = min(first + _TILE, values.shape[0])
        for b in range(first, last):
            spread = sum_of_squares(values, b) / _COUNT
            for sub in range(_SUB_BLOCKS):
                weigh(values, weights, b, _SIZE * sub, _SIZE, spread, _ZERO, s)
                move_signs(_SIZE, True, signs, s)
                put_numbers(_SIZE, _SUB_BLOCKS * (b - first) + sub, X, WEIGHT, s, tile)
        fit(_SIZE, _LARGEST_LEVEL, tile)
        for b in range(first, last):
            at = FACTOR + _SUB_BLOCKS * (b - first)
            _encode_block(
                values, weights, b, tile[at : at + _SUB_BLOCKS], index, spans, lists, codes, out, s, c
            )


@kernel
def _encode_block(values, weights, b, fitted, index, spans, lists, codes, out, s, c):
    """Encode block b, whose sub-blocks' fitted scales are given."""
    signs = np.empty(4, np.int64)
    chosen = np.empty(_GROUPS, np.int32)
    scales = np.empty(_SUB_BLOCKS, np.float32)
    levels = np.empty(_SUB_BLOCKS, np.int64)
    for i in range(_BYTES):
        out[b, i] = np.uint8(0)
    spread = sum_of_squares(values, b) / _COUNT
    largest = _ZERO
    for sub in range(_SUB_BLOCKS):
        scales[sub] = _ZERO
        peak = fitted[sub] * _THREE
        if peak <= _ZERO:
            continue
        weigh(values, weights, b, _SIZE * sub, _SIZE, spread, _ZERO, s)
        move_signs(_SIZE, True, signs, s)
        scale = search(
            _SIZE, 8, _FACTORS, peak, fitted[sub], AGAIN_ALWAYS,
            index, spans, lists, codes, chosen, s, c,
        )  # fmt: skip
        flip = 127 if scale < _ZERO else 0
        for k in range(_GROUPS):
            out[b, _QS + 8 * sub + k] = np.uint8(chosen[k])
        put_signs(signs, flip, out, b, _QS + 8 * sub + 4)
        scales[sub] = abs(scale)
        largest = largest if largest > scales[sub] else scales[sub]
    if largest == _ZERO:
        for i in range(_BYTES):
            out[b, i] = np.uint8(0)
        return
    scale_levels(scales, largest, levels)
    half = scale_to_half(np.float32(largest / _SCALE_LEVELS))
    out[b, _D] = np.uint8(half & 255)
    out[b, _D + 1] = np.uint8(half >> 8)
    for sub in range(_SUB_BLOCKS):
        last = _QS + 8 * sub + 7
        out[b, last] = np.uint8(out[b, last] | (levels[sub] << 4))


def _decode(data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    _decode_blocks(data, table("iq2_xxs"), EVEN_SIGNS, out)


@kernel
def _decode_blocks(data, points, masks, out):
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        for sub in range(8):
            at = _QS + 8 * sub
            packed = word(data, b, at + 4)
            scale = d * (_HALF + np.float32(packed >> _28)) * _QUARTER
            for k in range(4):
                signs = (packed >> np.uint32(7 * k)) & _SEVEN_BITS
                put_group(out, b, 32 * sub + 8 * k, scale, points, data[b, at + k], masks, signs)


CODEC = Codec(GGMLType.IQ2_XXS, None, _decode, weighted=_encode_weighted, needs_weights=True)
