"""Q6_K: 256 values in sixteen sub-blocks of 16, each with an 8-bit scale.

    byte 0                             128                  192           208      210
         ┌─────────────────────────────┬────────────────────┬─────────────┬────────┐
         │ 128 bytes of low four bits  │ 64 of high two     │ 16 × int8   │ d: f16 │
         └─────────────────────────────┴────────────────────┴─────────────┴────────┘

    value = d × scale[s] × (level − 32)                     s = sub-block, 0 to 15

    For each half h of 128 values and i in 0..31, with level(k) = level of value 128 h + 32 k + i:
    low bits   byte 64 h + i:       level(0) in the low half, level(2) in the high half
               byte 64 h + 32 + i:  level(1) in the low half, level(3) in the high half
    high bits  byte 32 h + i:       two bits each of level(0), level(1), level(2), level(3), lowest first

Scales are searched for as in ``symmetric``; with an importance matrix the importances are the weights.
Layout and formulas from ggml's ``block_q6_K``, ``quantize_row_q6_K_ref``, ``quantize_row_q6_K_impl`` and
``dequantize_row_q6_K``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from ...spec import BLOCK_SIZES, GGMLType
from ..codec import Codec
from ..kernels.half import half_to_single, scale_to_half
from ..kernels.lanes import LANES, MAGIC, level, nearest, scratch
from ..kernels.symmetric import EMPTY, SCALE, SCRATCH, STEP, search, step_factors, weigh_by_square
from ..kernels.tiles import load, load_weights
from ..layouts import offsets

_QL, _QH, _SCALES, _D = offsets(GGMLType.Q6_K, "ql", "qh", "scales", "d")

_SIZE: Final = 16
_SUB_BLOCKS: Final = 16
_TILE: Final = LANES // _SUB_BLOCKS
_BYTES: Final = BLOCK_SIZES[GGMLType.Q6_K].bytes

_ZERO = np.float32(0)
_ONE = np.float32(1)
_TINY = np.float32(1e-15)  # ggml's GROUP_MAX_EPS: smaller counts as zero
_SCALE_RANGE = np.float32(-128)
_LOW = np.float32(MAGIC - np.float32(32))
_HIGH = np.float32(MAGIC + np.float32(31))
_FACTORS = step_factors(32)


@kernel
def _encode(values, out):
    tile = scratch(SCRATCH)
    chosen = np.empty(256, np.uint8)
    scales = np.empty(256, np.float32)
    for first in range(0, values.shape[0], _TILE):
        count = min(_TILE, values.shape[0] - first)
        load(values, first, count, _SIZE, tile)
        weigh_by_square(_SIZE, tile)
        search(_SIZE, _FACTORS, _LOW, _HIGH, True, tile)
        for b in range(count):
            _write(values, first + b, b * _SUB_BLOCKS, out, chosen, scales, tile)


@kernel
def _encode_weighted(values, weights, out):
    tile = scratch(SCRATCH)
    chosen = np.empty(256, np.uint8)
    scales = np.empty(256, np.float32)
    for first in range(0, values.shape[0], _TILE):
        count = min(_TILE, values.shape[0] - first)
        load(values, first, count, _SIZE, tile)
        load_weights(weights, first, count, _SIZE, tile)
        search(_SIZE, _FACTORS, _LOW, _HIGH, True, tile)
        for b in range(count):
            _write(values, first + b, b * _SUB_BLOCKS, out, chosen, scales, tile)


@kernel
def _write(values, b, lane, out, chosen, scales, s):
    """Write super-block b, whose first sub-block is lane ``lane`` of tile ``s``.

    Scales are rounded to 8 bits relative to the largest, d to a half, and levels chosen anew for what these
    decode to. Where a scale decodes to zero the levels of the search stay, which is what ggml leaves there.
    """
    largest = _ZERO
    for j in range(lane, lane + _SUB_BLOCKS):
        scale = s[SCALE + j]
        largest = scale if abs(scale) > abs(largest) else largest
    if abs(largest) < _TINY:
        for i in range(_BYTES):
            out[b, i] = np.uint8(0)
        return
    inverse = np.float32(_SCALE_RANGE / largest)
    half = scale_to_half(np.float32(_ONE / inverse))
    out[b, _D] = np.uint8(half & 255)
    out[b, _D + 1] = np.uint8(half >> 8)
    d = half_to_single(half)
    zeros = 0
    for j in range(_SUB_BLOCKS):
        sc = np.int8(min(127, nearest(inverse * s[SCALE + lane + j])))
        out[b, _SCALES + j] = np.uint8(sc)
        scale = np.float32(d * np.float32(sc))
        zeros += scale == _ZERO
        for i in range(_SIZE):
            scales[j * _SIZE + i] = scale
    # all divisions in one loop, which vectorizes
    for i in range(scales.size):
        biased = level(values[b, i] / scales[i], _LOW, _HIGH)
        chosen[i] = np.uint8((np.float32(biased).view(np.int32) + 32) & 63)
    if zeros:
        for j in range(_SUB_BLOCKS):
            if scales[j * _SIZE] == _ZERO:
                step = s[STEP + lane + j]
                empty = s[EMPTY + lane + j] != _ZERO
                for i in range(j * _SIZE, (j + 1) * _SIZE):
                    biased = level(step * values[b, i], _LOW, _HIGH)
                    found = np.uint8((np.float32(biased).view(np.int32) + 32) & 63)
                    chosen[i] = np.uint8(0) if empty else found
    for h in range(2):
        for i in range(32):
            q0 = chosen[128 * h + i]
            q1 = chosen[128 * h + 32 + i]
            q2 = chosen[128 * h + 64 + i]
            q3 = chosen[128 * h + 96 + i]
            out[b, _QL + 64 * h + i] = np.uint8((q0 & 15) | (q2 << 4))
            out[b, _QL + 64 * h + 32 + i] = np.uint8((q1 & 15) | (q3 << 4))
            out[b, _QH + 32 * h + i] = np.uint8(
                (q0 >> 4) | ((q1 >> 4) << 2) | ((q2 >> 4) << 4) | ((q3 >> 4) << 6)
            )


@kernel
def _decode(data, out):
    scales = np.empty(_SUB_BLOCKS, np.float32)
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        for j in range(_SUB_BLOCKS):
            scales[j] = d * np.float32(np.int8(data[b, _SCALES + j]))
        for h in range(2):
            for part in range(2):
                for i in range(16 * part, 16 * part + 16):
                    low = data[b, _QL + 64 * h + i]
                    low2 = data[b, _QL + 64 * h + 32 + i]
                    high = data[b, _QH + 32 * h + i]
                    at = 8 * h + part
                    q0 = np.int32((low & 15) | ((high & 3) << 4)) - 32
                    q1 = np.int32((low2 & 15) | (((high >> 2) & 3) << 4)) - 32
                    q2 = np.int32((low >> 4) | (((high >> 4) & 3) << 4)) - 32
                    q3 = np.int32((low2 >> 4) | (((high >> 6) & 3) << 4)) - 32
                    out[b, 128 * h + i] = scales[at] * np.float32(q0)
                    out[b, 128 * h + 32 + i] = scales[at + 2] * np.float32(q1)
                    out[b, 128 * h + 64 + i] = scales[at + 4] * np.float32(q2)
                    out[b, 128 * h + 96 + i] = scales[at + 6] * np.float32(q3)


CODEC = Codec(GGMLType.Q6_K, _encode, _decode, weighted=_encode_weighted)
