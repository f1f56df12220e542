"""Q5_K: 256 values in eight sub-blocks of 32, each with a 6-bit scale and a 6-bit min.

    byte 0        2           4            16           48                           176
         ┌────────┬───────────┬────────────┬────────────┬────────────────────────────┐
         │ d: f16 │ dmin: f16 │ scales: 12 │ fifth bits │ 128 bytes of low four bits │
         └────────┴───────────┴────────────┴────────────┴────────────────────────────┘

    value = d × scale[s] × level − dmin × min[s]            s = sub-block, 0 to 7

    scales      12 bytes, packed as ``six_bit_scales`` says
    fifth bits  byte i: bit s is the high bit of level i of sub-block s
    low bits    byte 32 p + i: low half is level i of sub-block 2 p, high half of sub-block 2 p + 1

Layout and rounding from ggml's ``block_q5_K``, ``quantize_row_q5_K_ref``, ``quantize_row_q5_K_impl`` and
``dequantize_row_q5_K``.
"""

from __future__ import annotations

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.lanes import scratch
from ..kernels.positive_scales import BATCH, FIT_SCRATCH
from ..kernels.scale_min import FOUND, SCRATCH, step_factors
from ..kernels.six_bit_scales import (
    ELEMENTS,
    SUB_BLOCKS,
    TILE,
    choose_levels,
    find,
    find_weighted,
    fit_levels,
    unpack,
)
from ..layouts import offsets

_QH, _QS = offsets(GGMLType.Q5_K, "qh", "qs")

_LEVELS = np.float32(31)
_FACTORS = step_factors(-0.5, 0.1, 15, 31)
_WEIGHTED_FACTORS = step_factors(-0.9, 0.05, 36, 31)
_LIMIT = 63


@kernel
def _encode(values, out):
    tile = scratch(SCRATCH)
    found = np.empty((FOUND, TILE * SUB_BLOCKS), np.float32)
    chosen = np.empty(ELEMENTS, np.uint8)
    scales = np.empty((2, SUB_BLOCKS), np.int64)
    spread = np.empty((2, ELEMENTS), np.float32)
    for first in range(0, values.shape[0], TILE):
        count = min(TILE, values.shape[0] - first)
        find(values, first, count, _FACTORS, _LEVELS, found, tile)
        for b in range(count):
            choose_levels(values, first + b, found, b * SUB_BLOCKS, _LEVELS, out, chosen, scales, spread)
            _pack(chosen, out, first + b)


@kernel
def _encode_weighted(values, weights, out):
    tile = scratch(SCRATCH)
    fit = scratch(FIT_SCRATCH)
    found = np.empty((FOUND, BATCH * SUB_BLOCKS), np.float32)
    chosen = np.empty(ELEMENTS, np.uint8)
    scales = np.empty((2, SUB_BLOCKS), np.int64)
    spread = np.empty((2, ELEMENTS), np.float32)
    for first in range(0, values.shape[0], BATCH):
        count = min(BATCH, values.shape[0] - first)
        find_weighted(values, weights, first, count, _WEIGHTED_FACTORS, _LEVELS, found, tile, fit)
        for b in range(count):
            fit_levels(values, first + b, b, _LIMIT, found, fit, _LEVELS, out, chosen, scales, spread)
            _pack(chosen, out, first + b)


@kernel
def _pack(chosen, out, b):
    for i in range(32):
        fifth = np.uint8(0)
        for pair in range(4):
            low = chosen[pair * 64 + i]
            high = chosen[pair * 64 + 32 + i]
            out[b, _QS + pair * 32 + i] = np.uint8((low & 15) | (high << 4))
            fifth = np.uint8(fifth | ((low >> 4) << (2 * pair)) | ((high >> 4) << (2 * pair + 1)))
        out[b, _QH + i] = fifth


@kernel
def _decode(data, out):
    scales = np.empty(SUB_BLOCKS, np.float32)
    mins = np.empty(SUB_BLOCKS, np.float32)
    for b in range(data.shape[0]):
        unpack(data, b, scales, mins)
        for i in range(32):
            fifth = data[b, _QH + i]
            for pair in range(4):
                byte = data[b, _QS + pair * 32 + i]
                low = (byte & 15) | (((fifth >> (2 * pair)) & 1) << 4)
                high = (byte >> 4) | (((fifth >> (2 * pair + 1)) & 1) << 4)
                out[b, pair * 64 + i] = scales[2 * pair] * np.float32(low) - mins[2 * pair]
                out[b, pair * 64 + 32 + i] = scales[2 * pair + 1] * np.float32(high) - mins[2 * pair + 1]


CODEC = Codec(GGMLType.Q5_K, _encode, _decode, weighted=_encode_weighted)
