"""Q2_K: 256 values in sixteen sub-blocks of 16, each with a 4-bit scale and a 4-bit min.

    byte 0            16                       80       82          84
         ┌────────────┬────────────────────────┬────────┬───────────┐
         │ scales: 16 │ 64 bytes of 2-bit levels │ d: f16 │ dmin: f16 │
         └────────────┴────────────────────────┴────────┴───────────┘

    value = d × scale[s] × level − dmin × min[s]            s = sub-block, 0 to 15

    scales    byte s: low half is scale s, high half min s
    levels    byte 32 h + i: two bits each of values i, 32 + i, 64 + i, 96 + i of half h, lowest first

Layout and rounding from ggml's ``block_q2_K``, ``quantize_row_q2_K_ref``, ``quantize_row_q2_K_impl`` and
``dequantize_row_q2_K``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.half import half_to_single, scale_to_half
from ..kernels.lanes import LANES, scratch
from ..kernels.positive_scales import BATCH, FIT_SCRATCH, fit_scales, fitted
from ..kernels.scale_min import (
    FOUND,
    SCRATCH,
    collect,
    refit,
    round_scales,
    search,
    step_factors,
    weigh_by_magnitude,
)
from ..kernels.tiles import load, load_weights, spread_of_blocks, weigh
from ..layouts import offsets

_SCALES, _QS, _D, _DMIN = offsets(GGMLType.Q2_K, "scales", "qs", "d", "dmin")

_ELEMENTS: Final = 256
_SIZE: Final = 16
_SUB_BLOCKS: Final = 16
_TILE: Final = LANES // _SUB_BLOCKS

_LEVELS = np.float32(3)
_FACTORS = step_factors(-0.5, 0.1, 15, 3)
_WEIGHTED_FACTORS = step_factors(-0.9, 0.05, 36, 3)
_TOP = np.float32(15)
_ONE = np.float32(1)
_COUNT = np.float32(_ELEMENTS)


@kernel
def _encode(values, out):
    tile = scratch(SCRATCH)
    found = np.empty((FOUND, _TILE * _SUB_BLOCKS), np.float32)
    chosen = np.empty(_ELEMENTS, np.uint8)
    spread = np.empty((2, _ELEMENTS), np.float32)
    scales = np.empty(_SUB_BLOCKS, np.int64)
    mins = np.empty(_SUB_BLOCKS, np.int64)
    for first in range(0, values.shape[0], _TILE):
        count = min(_TILE, values.shape[0] - first)
        load(values, first, count, _SIZE, tile)
        weigh_by_magnitude(_SIZE, tile)
        search(_SIZE, _FACTORS, _LEVELS, False, True, tile)
        collect(count * _SUB_BLOCKS, found, 0, tile)
        for b in range(count):
            at = b * _SUB_BLOCKS
            half_d, half_min = round_scales(found, at, _TOP, scales, mins)
            _write(values, first + b, half_d, half_min, scales, mins, found, at, False, out, chosen, spread)


@kernel
def _encode_weighted(values, weights, out):
    tile = scratch(SCRATCH)
    fit = scratch(FIT_SCRATCH)
    found = np.empty((FOUND, BATCH * _SUB_BLOCKS), np.float32)
    chosen = np.empty(_ELEMENTS, np.uint8)
    spread = np.empty((2, _ELEMENTS), np.float32)
    scales = np.empty(_SUB_BLOCKS, np.int64)
    mins = np.empty(_SUB_BLOCKS, np.int64)
    sums = np.empty(_TILE, np.float32)
    for batch in range(0, values.shape[0], BATCH):
        blocks = min(BATCH, values.shape[0] - batch)
        for start in range(0, blocks, _TILE):
            first = batch + start
            count = min(_TILE, blocks - start)
            load(values, first, count, _SIZE, tile)
            load_weights(weights, first, count, _SIZE, tile)
            spread_of_blocks(values, first, count, _SIZE, _ONE, _COUNT, sums, tile)
            weigh(_SIZE, tile)
            search(_SIZE, _WEIGHTED_FACTORS, _LEVELS, True, False, tile)
            collect(count * _SUB_BLOCKS, found, start * _SUB_BLOCKS, tile)
        fit_scales(found, blocks, _SUB_BLOCKS, _TOP, fit)
        for b in range(blocks):
            at = b * _SUB_BLOCKS
            half_d = scale_to_half(fitted(b, False, scales, fit))
            half_min = scale_to_half(fitted(b, True, mins, fit))
            _write(values, batch + b, half_d, half_min, scales, mins, found, at, True, out, chosen, spread)


@kernel
def _write(values, b, half_d, half_min, scales, mins, found, at, guarded, out, chosen, spread):
    for j in range(_SUB_BLOCKS):
        both = (scales[j] | (mins[j] << 4)) & 255
        out[b, _SCALES + j] = np.uint8(both)
        scales[j] = both & 15
        mins[j] = both >> 4
    out[b, _D] = np.uint8(half_d & 255)
    out[b, _D + 1] = np.uint8(half_d >> 8)
    out[b, _DMIN] = np.uint8(half_min & 255)
    out[b, _DMIN + 1] = np.uint8(half_min >> 8)
    refit(values, b, half_d, half_min, scales, mins, found, at, _LEVELS, guarded, chosen, spread)
    for h in range(2):
        for i in range(32):
            at = 128 * h + i
            low = chosen[at] | (chosen[at + 32] << 2)
            out[b, _QS + 32 * h + i] = np.uint8(low | (chosen[at + 64] << 4) | (chosen[at + 96] << 6))


@kernel
def _decode(data, out):
    scales = np.empty(_SUB_BLOCKS, np.float32)
    mins = np.empty(_SUB_BLOCKS, np.float32)
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        dmin = half_to_single(np.uint16(data[b, _DMIN] | (np.uint16(data[b, _DMIN + 1]) << 8)))
        for j in range(_SUB_BLOCKS):
            scales[j] = d * np.float32(data[b, _SCALES + j] & 15)
            mins[j] = dmin * np.float32(data[b, _SCALES + j] >> 4)
        for h in range(2):
            for part in range(2):
                for i in range(16):
                    byte = data[b, _QS + 32 * h + 16 * part + i]
                    for k in range(4):
                        s = 8 * h + 2 * k + part
                        out[b, 16 * s + i] = scales[s] * np.float32((byte >> (2 * k)) & 3) - mins[s]


CODEC = Codec(GGMLType.Q2_K, _encode, _decode, weighted=_encode_weighted)
