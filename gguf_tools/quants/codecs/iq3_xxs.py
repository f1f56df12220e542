"""IQ3_XXS: 256 values in groups of 4 that are points of a grid of 256, with a 4-bit scale for every 32.

    byte 0        2                             66                               98
         ┌────────┬─────────────────────────────┬────────────────────────────────┐
         │ d: f16 │ 64 places in the grid       │ 8 × uint32: signs and scale    │
         └────────┴─────────────────────────────┴────────────────────────────────┘

    value = d × (scale + ½) / 2 × ± grid[place][i]

    signs and scale    bit 31 … 28   27 … 21   20 … 14   13 … 7    6 … 0
                       │ scale     │ pair 3  │ pair 2  │ pair 1  │ pair 0  │

Each pair of groups has signs for seven of its values; the eighth makes the number of negative ones even.

Layout and formulas from ggml's ``block_iq3_xxs``, ``dequantize_row_iq3_xxs`` and
``quantize_row_iq3_xxs_impl``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...compute.jit import kernel
from ...spec import BLOCK_SIZES, GGMLType
from ..codec import Codec
from ..kernels.grid_neighbours import points
from ..kernels.grid_search import AGAIN_MOVED, room, search, step_factors
from ..kernels.half import half_to_single, scale_to_half
from ..kernels.iq_decode import EVEN_SIGNS, put_four, table, word
from ..kernels.signs import move_signs, peak_of, put_signs, scale_levels, sum_of_squares, weigh
from ..layouts import offsets

_D, _QS, _SCALES_AND_SIGNS = offsets(GGMLType.IQ3_XXS, "d", "qs", "scales_and_signs")

_HALF = np.float32(0.5)
_28 = np.uint32(28)
_SEVEN_BITS = np.uint32(127)
_ELEMENTS: Final = 256
_BYTES: Final = BLOCK_SIZES[GGMLType.IQ3_XXS].bytes
_SIZE: Final = 32
_SUB_BLOCKS: Final = 8
_GROUPS: Final = 8  # in a sub-block
_FACTORS = step_factors(15, 0.2, 15)
_ZERO = np.float32(0)
_COUNT = np.float32(_ELEMENTS)
_SCALE_LEVELS = np.float32(31)
_TWO = np.float32(2)
_LARGEST_Q = np.float32(15)
_MORE = np.float32(1.0125)
_TINY = np.float32(1e-8)  # ggml's GROUP_MAX_EPS_IQ3_XXS: smaller counts as zero
_NO_WEIGHTS = np.empty((0, _ELEMENTS), np.float32)


def _encode(values: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    _encode_blocks(values, _NO_WEIGHTS, *points("iq3_xxs").tables(), out)


def _encode_weighted(
    values: NDArray[np.float32], weights: NDArray[np.float32], out: NDArray[np.uint8]
) -> None:
    _encode_blocks(values, weights, *points("iq3_xxs").tables(), out)


@kernel
def _encode_blocks(values, weights, index, spans, lists, codes, out):
    s, c = room()
    signs = np.empty(4, np.int64)
    chosen = np.empty(_GROUPS, np.int32)
    scales = np.empty(_SUB_BLOCKS, np.float32)
    levels = np.empty(_SUB_BLOCKS, np.int64)
    for b in range(values.shape[0]):
        for i in range(_BYTES):
            out[b, i] = np.uint8(0)
        spread = _TWO * sum_of_squares(values, b) / _COUNT
        largest = _ZERO
        for sub in range(_SUB_BLOCKS):
            weigh(values, weights, b, _SIZE * sub, _SIZE, spread, _ZERO, s)
            move_signs(_SIZE, True, signs, s)
            peak = peak_of(_SIZE, s)
            scales[sub] = _ZERO
            if peak < _TINY:
                continue
            scale = search(
                _SIZE, 4, _FACTORS, peak, peak / _LARGEST_Q, AGAIN_MOVED,
                index, spans, lists, codes, chosen, s, c,
            )  # fmt: skip
            flip = 127 if scale < _ZERO else 0
            for k in range(_GROUPS):
                out[b, _QS + _GROUPS * sub + k] = np.uint8(chosen[k])
            put_signs(signs, flip, out, b, _SCALES_AND_SIGNS + 4 * sub)
            scales[sub] = abs(scale)
            largest = largest if largest > scales[sub] else scales[sub]
        if largest == _ZERO:
            for i in range(_BYTES):
                out[b, i] = np.uint8(0)
            continue
        scale_levels(scales, largest, levels)
        half = scale_to_half(np.float32(np.float32(largest / _SCALE_LEVELS) * _MORE))
        out[b, _D] = np.uint8(half & 255)
        out[b, _D + 1] = np.uint8(half >> 8)
        for sub in range(_SUB_BLOCKS):
            last = _SCALES_AND_SIGNS + 4 * sub + 3
            out[b, last] = np.uint8(out[b, last] | (levels[sub] << 4))


def _decode(data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    _decode_blocks(data, table("iq3_xxs"), EVEN_SIGNS, out)


@kernel
def _decode_blocks(data, points, masks, out):
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        for sub in range(8):
            packed = word(data, b, _SCALES_AND_SIGNS + 4 * sub)
            scale = d * (_HALF + np.float32(packed >> _28)) * _HALF
            for k in range(4):
                signs = (packed >> np.uint32(7 * k)) & _SEVEN_BITS
                at = 8 * sub + 2 * k
                put_four(out, b, 4 * at, scale, points, data[b, _QS + at], masks, signs, 0)
                put_four(out, b, 4 * at + 4, scale, points, data[b, _QS + at + 1], masks, signs, 4)


CODEC = Codec(GGMLType.IQ3_XXS, _encode, _decode, weighted=_encode_weighted)
