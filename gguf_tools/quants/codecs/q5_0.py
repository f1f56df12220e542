"""Q5_0: 32 values of 5 bits and a scale.

    byte 0        2        6                                  22
         ┌────────┬────────┬──────────────────────────────────┐
         │ d: f16 │ qh: u32│ 16 × (q[i] & 15 | q[i+16] << 4)  │      value = d × (q − 16)
         └────────┴────────┴──────────────────────────────────┘

Bit i of ``qh`` is the fifth bit of q[i]. Layout and rounding from ggml's ``block_q5_0`` and
``quantize_row_q5_0_ref``: the value of largest magnitude becomes −16, so d = value / −16, and
q = ⌊x / d + 16 + ½⌋, at most 31. With an importance
matrix the search of ``symmetric`` replaces that, from ``quantize_row_q5_0_impl``.
"""

from __future__ import annotations

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.absmax import BLOCK, TILE, widest
from ..kernels.half import half_to_single, scale_to_half
from ..kernels.lanes import LANES, MAGIC, scratch
from ..kernels.symmetric import SCALE, SCRATCH, levels_found, search_rows, step_factors
from ..kernels.tiles import spread_of_rows
from ..layouts import offsets

_D, _QH, _QS = offsets(GGMLType.Q5_0, "d", "qh", "qs")

_HALF_BLOCK = 16
_ZERO = np.float32(0)
_ONE = np.float32(1)
_LOWEST = np.float32(-16)
_OFFSET = np.float32(16.5)
_LIMIT = np.float32(128)
_TOP = np.int32(31)
_LOWEST_BITS = np.uint64(0x0101_0101_0101_0101)
_GATHER_BITS = np.uint64(0x0102_0408_1020_4080)  # brings the lowest bit of byte i to bit 56 + i
_FACTORS = step_factors(16)
_LOW_LEVEL = np.float32(MAGIC - np.float32(16))
_HIGH_LEVEL = np.float32(MAGIC + np.float32(15))


@kernel
def _encode_blocks(values, out):
    size = values.shape[1]  # not the constant 32: LLVM would unroll loops before it could vectorize them
    half = size // 2
    lows = np.empty(TILE, np.float32)
    peak = np.empty(TILE, np.float32)
    inverse = np.empty(TILE, np.float32)
    scale = np.empty(TILE, np.uint16)
    levels = np.empty(BLOCK, np.uint8)
    words = levels.view(np.uint64)
    for first in range(0, values.shape[0], TILE):
        count = min(TILE, values.shape[0] - first)
        widest(values, first, count, lows, peak)
        for t in range(count):
            d = np.float32(peak[t] / _LOWEST)
            inverse[t] = _ONE / d if d != _ZERO else _ZERO
            scale[t] = scale_to_half(d)
        for t in range(count):
            b = first + t
            out[b, _D] = np.uint8(scale[t] & np.uint16(0xFF))
            out[b, _D + 1] = np.uint8(scale[t] >> np.uint16(8))
            for i in range(size):
                levels[i] = _level(values[b, i], inverse[t])
            for i in range(4):
                fifths = np.uint64(words[i] >> np.uint64(4)) & _LOWEST_BITS
                out[b, _QH + i] = np.uint8(np.uint64(fifths * _GATHER_BITS) >> np.uint64(56))
            for i in range(half):
                low = np.uint8(levels[i] & np.uint8(15))
                out[b, _QS + i] = np.uint8(low | np.uint8(levels[i + _HALF_BLOCK] << np.uint8(4)))


@kernel
def _level(value, inverse):
    x = np.float32(np.float32(value * inverse) + _OFFSET)
    # outside only where the scale is so small that its inverse overflows; C casts that to 0
    return min(np.int32(x if abs(x) < _LIMIT else _ZERO), _TOP)


@kernel
def _encode_weighted(values, weights, out):
    tile = scratch(SCRATCH)
    spreads = np.empty(values.shape[0] // weights.shape[0], np.float32)
    chosen = np.empty(2 * _HALF_BLOCK, np.uint8)
    words = chosen.view(np.uint64)
    spread_of_rows(values, weights.shape[0], spreads)
    for first in range(0, values.shape[0], LANES):
        count = min(LANES, values.shape[0] - first)
        search_rows(values, weights, first, count, spreads, _FACTORS, _LOW_LEVEL, _HIGH_LEVEL, tile)
        for lane in range(count):
            b = first + lane
            levels_found(values, b, lane, _LOW_LEVEL, _HIGH_LEVEL, tile, chosen)
            scale = scale_to_half(tile[SCALE + lane])
            out[b, _D] = np.uint8(scale & np.uint16(0xFF))
            out[b, _D + 1] = np.uint8(scale >> np.uint16(8))
            for i in range(4):
                fifths = np.uint64(words[i] >> np.uint64(4)) & _LOWEST_BITS
                out[b, _QH + i] = np.uint8(np.uint64(fifths * _GATHER_BITS) >> np.uint64(56))
            for i in range(_HALF_BLOCK):
                low = np.uint8(chosen[i] & np.uint8(15))
                out[b, _QS + i] = np.uint8(low | np.uint8(chosen[i + _HALF_BLOCK] << np.uint8(4)))


@kernel
def _decode_blocks(data, out):
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D]) | np.uint16(np.uint16(data[b, _D + 1]) << np.uint16(8)))
        fifth = np.uint32(0)
        for i in range(4):
            fifth |= np.uint32(np.uint32(data[b, _QH + i]) << np.uint32(8 * i))
        for i in range(_HALF_BLOCK):
            byte = np.int32(data[b, _QS + i])
            low = np.int32(np.uint32(fifth >> np.uint32(i)) & np.uint32(1)) << 4
            high = np.int32(np.uint32(fifth >> np.uint32(i + _HALF_BLOCK)) & np.uint32(1)) << 4
            out[b, i] = np.float32(np.int32((byte & 15) | low) - np.int32(16)) * d
            out[b, i + _HALF_BLOCK] = np.float32(np.int32((byte >> 4) | high) - np.int32(16)) * d


CODEC = Codec(GGMLType.Q5_0, _encode_blocks, _decode_blocks, weighted=_encode_weighted)
