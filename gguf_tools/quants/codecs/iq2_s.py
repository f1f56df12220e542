"""IQ2_S: 256 values in groups of 8 that are points of a grid of 1024, with a 4-bit scale for every 16.

    byte 0        2                     34                66       74           82
         ┌────────┬─────────────────────┬─────────────────┬────────┬────────────┐
         │ d: f16 │ places, low 8 bits  │ signs: 32       │ qh: 8  │ scales: 8  │
         └────────┴─────────────────────┴─────────────────┴────────┴────────────┘

    value = d × (scale + ½) / 4 × ± grid[place][i]

    places    byte g: low bits of group g; its high two bits are bits 2 (g % 4) and up of byte g / 4 of qh
    signs     byte g: bit i is set where value i of group g is negative
    scales    byte s: low four bits for groups 4 s and 4 s + 1, high four for groups 4 s + 2 and 4 s + 3

Layout and formulas from ggml's ``block_iq2_s``, ``dequantize_row_iq2_s`` and ``quantize_row_iq2_s_impl``.
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
from ..kernels.iq_decode import SIGNS, put_group, table
from ..kernels.signs import move_signs, peak_of, scale_levels, sum_of_squares, weigh
from ..layouts import offsets

_D, _QS, _SIGNS, _QH, _SCALES = offsets(GGMLType.IQ2_S, "d", "qs", "signs", "qh", "scales")

_HALF = np.float32(0.5)
_QUARTER = np.float32(0.25)
_ELEMENTS: Final = 256
_BYTES: Final = BLOCK_SIZES[GGMLType.IQ2_S].bytes
_SIZE: Final = 16
_SUB_BLOCKS: Final = 16
_GROUPS: Final = 2  # in a sub-block
_FACTORS = step_factors(5, 0.1, 9)
_ZERO = np.float32(0)
_COUNT = np.float32(_ELEMENTS)
_SCALE_LEVELS = np.float32(31)
_TWO = np.float32(2)
_QUARTER_OF_SPREAD = np.float32(0.25)
_LARGEST_Q = np.float32(5)
_LESS = np.float32(0.9875)
_TINY = np.float32(1e-8)  # ggml's GROUP_MAX_EPS_IQ2_S: smaller counts as zero
_NO_WEIGHTS = np.empty((0, _ELEMENTS), np.float32)


def _encode(values: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    _encode_blocks(values, _NO_WEIGHTS, *points("iq2_s").tables(), out)


def _encode_weighted(
    values: NDArray[np.float32], weights: NDArray[np.float32], out: NDArray[np.uint8]
) -> None:
    _encode_blocks(values, weights, *points("iq2_s").tables(), out)


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
            weigh(values, weights, b, _SIZE * sub, _SIZE, spread, _QUARTER_OF_SPREAD * spread, s)
            move_signs(_SIZE, False, signs, s)
            peak = peak_of(_SIZE, s)
            scales[sub] = _ZERO
            if peak < _TINY:
                continue
            scale = search(
                _SIZE, 8, _FACTORS, peak, peak / _LARGEST_Q, AGAIN_MOVED,
                index, spans, lists, codes, chosen, s, c,
            )  # fmt: skip
            flip = 255 if scale < _ZERO else 0
            for k in range(_GROUPS):
                g = _GROUPS * sub + k
                out[b, _QS + g] = np.uint8(chosen[k] & 255)
                out[b, _SIGNS + g] = np.uint8(signs[k] ^ flip)
                out[b, _QH + g // 4] = np.uint8(out[b, _QH + g // 4] | ((chosen[k] >> 8) << (2 * (g % 4))))
            scales[sub] = abs(scale)
            largest = largest if largest > scales[sub] else scales[sub]
        if largest != _ZERO:
            scale_levels(scales, largest, levels)
            half = scale_to_half(np.float32(np.float32(largest / _SCALE_LEVELS) * _LESS))
            out[b, _D] = np.uint8(half & 255)
            out[b, _D + 1] = np.uint8(half >> 8)
            for j in range(8):
                out[b, _SCALES + j] = np.uint8(levels[2 * j] | (levels[2 * j + 1] << 4))


def _decode(data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    _decode_blocks(data, table("iq2_s"), SIGNS, out)


@kernel
def _decode_blocks(data, points, masks, out):
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        for sub in range(8):
            scales = data[b, _SCALES + sub]
            low = d * (_HALF + np.float32(scales & 15)) * _QUARTER
            high = d * (_HALF + np.float32(scales >> 4)) * _QUARTER
            upper = np.uint32(data[b, _QH + sub])
            for k in range(4):
                g = 4 * sub + k
                place = np.uint32(data[b, _QS + g]) | ((upper << np.uint32(8 - 2 * k)) & np.uint32(0x300))
                scale = low if k < 2 else high
                put_group(out, b, 8 * g, scale, points, place, masks, data[b, _SIGNS + g])


CODEC = Codec(GGMLType.IQ2_S, _encode, _decode, weighted=_encode_weighted)
