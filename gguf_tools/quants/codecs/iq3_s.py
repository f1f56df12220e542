"""IQ3_S: 256 values in groups of 4 that are points of a grid of 512, with a 4-bit scale for every 32.

    byte 0        2                     66       74                106          110
         ┌────────┬─────────────────────┬────────┬─────────────────┬────────────┐
         │ d: f16 │ places, low 8 bits  │ qh: 8  │ signs: 32       │ scales: 4  │
         └────────┴─────────────────────┴────────┴─────────────────┴────────────┘

    value = d × (2 scale + 1) × ± grid[place][i]

    places    byte g: low bits of group g; its ninth bit is bit g % 8 of byte g / 8 of qh
    signs     byte p: bit i is set where value i of groups 2 p and 2 p + 1 together is negative
    scales    byte s: low four bits for values 64 s to 64 s + 31, high four bits for the next 32

Layout and formulas from ggml's ``block_iq3_s``, ``dequantize_row_iq3_s`` and ``quantize_row_iq3_s_impl``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...compute.jit import kernel
from ...spec import BLOCK_SIZES, GGMLType
from ..codec import Codec
from ..kernels.grid_neighbours import points
from ..kernels.grid_search import AGAIN_ALL, room, search, step_factors
from ..kernels.half import half_to_single, scale_to_half
from ..kernels.iq_decode import SIGNS, put_four, table
from ..kernels.signs import move_signs, peak_of, scale_levels, sum_of_squares, weigh
from ..layouts import offsets

_D, _QS, _QH, _SIGNS, _SCALES = offsets(GGMLType.IQ3_S, "d", "qs", "qh", "signs", "scales")

_NINTH = np.uint32(256)
_ELEMENTS: Final = 256
_BYTES: Final = BLOCK_SIZES[GGMLType.IQ3_S].bytes
_SIZE: Final = 32
_SUB_BLOCKS: Final = 8
_GROUPS: Final = 8  # in a sub-block
_FACTORS = step_factors(15, 0.2, 9)
_ZERO = np.float32(0)
_TWO = np.float32(2)
_COUNT = np.float32(_ELEMENTS)
_LARGEST_Q = np.float32(15)
_SCALE_LEVELS = np.float32(31)
_MORE = np.float32(1.033)
_NO_WEIGHTS = np.empty((0, _ELEMENTS), np.float32)


def _encode(values: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    _encode_blocks(values, _NO_WEIGHTS, *points("iq3_s").tables(), out)


def _encode_weighted(
    values: NDArray[np.float32], weights: NDArray[np.float32], out: NDArray[np.uint8]
) -> None:
    _encode_blocks(values, weights, *points("iq3_s").tables(), out)


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
        used = 0
        largest = _ZERO
        for sub in range(_SUB_BLOCKS):
            weigh(values, weights, b, _SIZE * sub, _SIZE, spread, _ZERO, s)
            move_signs(_SIZE, False, signs, s)
            peak = peak_of(_SIZE, s)
            scales[sub] = _ZERO
            if peak == _ZERO:
                continue
            scale = search(
                _SIZE, 4, _FACTORS, peak, peak / _LARGEST_Q, AGAIN_ALL,
                index, spans, lists, codes, chosen, s, c,
            )  # fmt: skip
            flip = 255 if scale < _ZERO else 0
            for k in range(_GROUPS):
                out[b, _QS + _GROUPS * used + k] = np.uint8(chosen[k] & 255)
                out[b, _QH + sub] = np.uint8(out[b, _QH + sub] | ((chosen[k] >> 8) << k))
            for k in range(4):
                out[b, _SIGNS + 4 * used + k] = np.uint8(signs[k] ^ flip)
            # ggml does not leave out the places of a sub-block of zeros: those of the next ones move up
            used += 1
            scales[sub] = abs(scale)
            largest = largest if largest > scales[sub] else scales[sub]
        if largest != _ZERO:
            scale_levels(scales, largest, levels)
            half = scale_to_half(np.float32(np.float32(largest / _SCALE_LEVELS) * _MORE))
            out[b, _D] = np.uint8(half & 255)
            out[b, _D + 1] = np.uint8(half >> 8)
            for j in range(4):
                out[b, _SCALES + j] = np.uint8(levels[2 * j] | (levels[2 * j + 1] << 4))


def _decode(data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    _decode_blocks(data, table("iq3_s"), SIGNS, out)


@kernel
def _decode_blocks(data, points, masks, out):
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        for sub in range(8):
            scales = data[b, _SCALES + sub // 2]
            scale = d * np.float32(1 + 2 * ((scales >> (4 * (sub & 1))) & 15))
            upper = np.uint32(data[b, _QH + sub])
            for k in range(4):
                signs = data[b, _SIGNS + 4 * sub + k]
                at = 8 * sub + 2 * k
                first = np.uint32(data[b, _QS + at]) | ((upper << np.uint32(8 - 2 * k)) & _NINTH)
                second = np.uint32(data[b, _QS + at + 1]) | ((upper << np.uint32(7 - 2 * k)) & _NINTH)
                put_four(out, b, 4 * at, scale, points, first, masks, signs, 0)
                put_four(out, b, 4 * at + 4, scale, points, second, masks, signs, 4)


CODEC = Codec(GGMLType.IQ3_S, _encode, _decode, weighted=_encode_weighted)
