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

A sub-block's scale comes from a search over 19 steps around −32 / (the value of largest magnitude): for
each the levels are fixed, the scale follows by least squares weighted with x², and the one that explains
most of the values wins. Steps do not depend on one another, so every lane of a tile (see ``lanes``) is one
sub-block, with float32 arithmetic in the reference's order.

Layout and formulas from ggml's ``block_q6_K``, ``make_qx_quants``, ``quantize_row_q6_K_ref`` and
``dequantize_row_q6_K``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ..spec import GGMLType
from .codec import Codec
from .half import half_to_single, single_to_half
from .jit import kernel
from .lanes import CHUNK, LANES, MAGIC, level, nearest, scratch

LAYOUT = np.dtype([("ql", "u1", 128), ("qh", "u1", 64), ("scales", "i1", 16), ("d", "<f2")])

_SIZE: Final = 16
_SUB_BLOCKS: Final = 16
_TILE: Final = LANES // _SUB_BLOCKS
_BYTES: Final = 210

# Where things are in a tile: three planes of _SIZE rows, then one row of each state.
_X = 0
_SQUARE = _X + _SIZE * LANES  # x², the weight
_CUBE = _SQUARE + _SIZE * LANES  # x² × x
_STATE = _CUBE + _SIZE * LANES
_LARGEST = _STATE  # the value of largest magnitude, the first of several
_STEP = _STATE + 1 * LANES  # levels per unit of x
_BEST_STEP = _STATE + 2 * LANES  # zero where there is nothing to search
_BEST = _STATE + 3 * LANES
_SCALE = _STATE + 4 * LANES
_SUM_XL = _STATE + 5 * LANES  # of x² × x × level
_SUM_L2 = _STATE + 6 * LANES  # of x² × level²
_SCRATCH = _STATE + 7 * LANES
_END = _SIZE * LANES
_PART = CHUNK * LANES

_ZERO = np.float32(0)
_ONE = np.float32(1)
_INFINITY = np.float32(np.inf)
_TINY = np.float32(1e-15)  # ggml's GROUP_MAX_EPS: smaller counts as zero
_SCALE_RANGE = np.float32(-128)
_LOW = np.float32(MAGIC - np.float32(32))
_HIGH = np.float32(MAGIC + np.float32(31))
_TENTHS = np.array([0, *range(-9, 0), *range(1, 10)], dtype=np.float32)
_FACTORS = -(np.float32(32) + np.float32(0.1) * _TENTHS)


@kernel
def _encode(values, out):  # type: ignore[no-untyped-def]
    tile = scratch(_SCRATCH)
    chosen = np.empty(256, np.uint8)
    scales = np.empty(256, np.float32)
    for first in range(0, values.shape[0], _TILE):
        count = min(_TILE, values.shape[0] - first)
        _load_tile(values, first, count, tile)
        _search(tile, _FACTORS)
        for b in range(count):
            _choose_levels(tile, b * _SUB_BLOCKS, values, first + b, out, chosen, scales)


@kernel
def _load_tile(values, first, count, s):  # type: ignore[no-untyped-def]
    """Transpose ``count`` super-blocks from ``first`` on into the tile; unused lanes are zero."""
    for b in range(count):
        for sub in range(_SUB_BLOCKS):
            for i in range(_SIZE):
                s[_X + i * LANES + b * _SUB_BLOCKS + sub] = values[first + b, sub * _SIZE + i]
    for i in range(_SIZE):
        for j in range(count * _SUB_BLOCKS, LANES):
            s[_X + i * LANES + j] = _ZERO


@kernel
def _search(s, factors):  # type: ignore[no-untyped-def]
    """Leave each lane's scale, and the step its levels are made with, in the tile."""
    for j in range(LANES):
        s[_LARGEST + j] = _ZERO
    for part in range(0, _END, _PART):
        for j in range(LANES):
            largest = s[_LARGEST + j]
            for k in range(0, _PART, LANES):
                x = s[_X + part + k + j]
                s[_SQUARE + part + k + j] = x * x
                s[_CUBE + part + k + j] = x * x * x
                largest = x if abs(x) > abs(largest) else largest
            s[_LARGEST + j] = largest
    for t in range(factors.size):
        factor = factors[t]
        for j in range(LANES):
            s[_STEP + j] = factor / s[_LARGEST + j]
            s[_SUM_XL + j] = _ZERO
            s[_SUM_L2 + j] = _ZERO
        for part in range(0, _END, _PART):
            for j in range(LANES):
                step = s[_STEP + j]
                sum_xl = s[_SUM_XL + j]
                sum_l2 = s[_SUM_L2 + j]
                for k in range(0, _PART, LANES):
                    l = level(step * s[_X + part + k + j], _LOW, _HIGH) - MAGIC  # noqa: E741
                    sum_xl += s[_CUBE + part + k + j] * l
                    sum_l2 += s[_SQUARE + part + k + j] * l * l
                s[_SUM_XL + j] = sum_xl
                s[_SUM_L2 + j] = sum_l2
        if t == 0:
            for j in range(LANES):
                sum_xl = s[_SUM_XL + j]
                sum_l2 = s[_SUM_L2 + j]
                scale = sum_xl / sum_l2
                scale = scale if sum_l2 != _ZERO else _ZERO
                empty = abs(s[_LARGEST + j]) < _TINY
                s[_SCALE + j] = _ZERO if empty else scale
                s[_BEST + j] = _INFINITY if empty else scale * sum_xl
                s[_BEST_STEP + j] = _ZERO if empty else s[_STEP + j]
        else:
            for j in range(LANES):
                sum_xl = s[_SUM_XL + j]
                sum_l2 = s[_SUM_L2 + j]
                scale = sum_xl / sum_l2
                if (sum_l2 > _ZERO) & (sum_xl * sum_xl > s[_BEST + j] * sum_l2):
                    s[_SCALE + j] = scale
                    s[_BEST + j] = scale * sum_xl
                    s[_BEST_STEP + j] = s[_STEP + j]


@kernel
def _choose_levels(s, lane, values, b, out, chosen, scales):  # type: ignore[no-untyped-def]
    """Write super-block b. Its first sub-block is the tile's lane ``lane``; the last two are scratch space.

    Scales are rounded to 8 bits relative to the largest, d to a half, and levels chosen anew for what these
    decode to. Where a scale decodes to zero the levels of the search stay, which is what ggml leaves there.
    """
    largest = _ZERO
    for j in range(lane, lane + _SUB_BLOCKS):
        scale = s[_SCALE + j]
        largest = scale if abs(scale) > abs(largest) else largest
    if abs(largest) < _TINY:
        for i in range(_BYTES):
            out[b, i] = np.uint8(0)
        return
    inverse = np.float32(_SCALE_RANGE / largest)
    half = single_to_half(np.float32(_ONE / inverse))
    out[b, 208] = np.uint8(half & 255)
    out[b, 209] = np.uint8(half >> 8)
    d = half_to_single(half)
    zeros = 0
    for j in range(_SUB_BLOCKS):
        sc = np.int8(min(127, nearest(inverse * s[_SCALE + lane + j])))
        out[b, 192 + j] = np.uint8(sc)
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
                step = s[_BEST_STEP + lane + j]
                for i in range(j * _SIZE, (j + 1) * _SIZE):
                    biased = level(step * values[b, i], _LOW, _HIGH)
                    found = np.uint8((np.float32(biased).view(np.int32) + 32) & 63)
                    chosen[i] = np.uint8(0) if step == _ZERO else found
    for h in range(2):
        for i in range(32):
            q0 = chosen[128 * h + i]
            q1 = chosen[128 * h + 32 + i]
            q2 = chosen[128 * h + 64 + i]
            q3 = chosen[128 * h + 96 + i]
            out[b, 64 * h + i] = np.uint8((q0 & 15) | (q2 << 4))
            out[b, 64 * h + 32 + i] = np.uint8((q1 & 15) | (q3 << 4))
            out[b, 128 + 32 * h + i] = np.uint8(
                (q0 >> 4) | ((q1 >> 4) << 2) | ((q2 >> 4) << 4) | ((q3 >> 4) << 6)
            )


@kernel
def _decode(data, out):  # type: ignore[no-untyped-def]
    scales = np.empty(_SUB_BLOCKS, np.float32)
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, 208] | (np.uint16(data[b, 209]) << 8)))
        for j in range(_SUB_BLOCKS):
            scales[j] = d * np.float32(np.int8(data[b, 192 + j]))
        for h in range(2):
            for part in range(2):
                for i in range(16 * part, 16 * part + 16):
                    low = data[b, 64 * h + i]
                    low2 = data[b, 64 * h + 32 + i]
                    high = data[b, 128 + 32 * h + i]
                    at = 8 * h + part
                    q0 = np.int32((low & 15) | ((high & 3) << 4)) - 32
                    q1 = np.int32((low2 & 15) | (((high >> 2) & 3) << 4)) - 32
                    q2 = np.int32((low >> 4) | (((high >> 4) & 3) << 4)) - 32
                    q3 = np.int32((low2 >> 4) | (((high >> 6) & 3) << 4)) - 32
                    out[b, 128 * h + i] = scales[at] * np.float32(q0)
                    out[b, 128 * h + 32 + i] = scales[at + 2] * np.float32(q1)
                    out[b, 128 * h + 64 + i] = scales[at + 4] * np.float32(q2)
                    out[b, 128 * h + 96 + i] = scales[at + 6] * np.float32(q3)


CODEC = Codec(GGMLType.Q6_K, LAYOUT, _encode, _decode)
