"""Q3_K: 256 values in sixteen sub-blocks of 16, each with a 6-bit scale.

    byte 0           32                         96           108      110
         ┌───────────┬──────────────────────────┬────────────┬────────┐
         │ high bits │ 64 bytes of low two bits │ scales: 12 │ d: f16 │
         └───────────┴──────────────────────────┴────────────┴────────┘

    value = d × (scale[s] − 32) × (level − 4)               s = sub-block, 0 to 15

    high bits  byte i: bit k is the high bit of the level of value 32 k + i
    low bits   byte 32 h + i: two bits each of values i, 32 + i, 64 + i, 96 + i of half h, lowest first
    scales     byte s, s < 8: low half is the low four bits of scale s, high half those of scale 8 + s
               byte 8 + r: the high two bits of scales r, 4 + r, 8 + r, 12 + r, lowest first

Without an importance matrix a sub-block's levels start as −4 / (the value of largest magnitude) has them,
and each in turn moves to where the others' best scale would have it, if that is better, five times over
(ggml's ``make_q3_quants``). With one, scales are searched for as in ``symmetric``, and so are the integers
that scales become.

Layout and rounding from ggml's ``block_q3_K``, ``quantize_row_q3_K_ref``, ``quantize_row_q3_K_impl`` and
``dequantize_row_q3_K``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..codec import Codec
from ..kernels.half import half_to_single, scale_to_half
from ..kernels.lanes import LANES, MAGIC, level, nearest, scratch
from ..kernels.symmetric import EMPTY, FOUND, SCALE, SCRATCH, STEP, collect, search, step_factors
from ..kernels.tiles import STATE, THIRD, WEIGHT, X, load, load_weights, spread_of_blocks, weigh
from ..layouts import offsets

_HMASK, _QS, _SCALES, _D = offsets(GGMLType.Q3_K, "hmask", "qs", "scales", "d")

_ELEMENTS: Final = 256
_SIZE: Final = 16
_SUB_BLOCKS: Final = 16
_TILE: Final = LANES // _SUB_BLOCKS
_PASSES: Final = 5

_TILES: Final = 4
"""Tiles that are searched together without an importance matrix: few enough to stay in cache, and so many
that the sub-blocks that take more than one pass fill one more tile."""

# The search without an importance matrix: levels in a tile's third plane, and rows of state.
_LEVEL = THIRD
_SUM_XL = STATE + 1 * LANES  # of x² × x × level
_SUM_L2 = STATE + 2 * LANES  # of x² × level²
_LARGEST = STATE + 3 * LANES
_MOVED = STATE + 4 * LANES  # 1 where the last pass has changed a level

_ZERO = np.float32(0)
_ONE = np.float32(1)
_COUNT = np.float32(_ELEMENTS)
_TWICE = np.float32(2)
_TINY = np.float32(1e-15)  # ggml's GROUP_MAX_EPS: smaller counts as zero
_FOUR = np.float32(4)
_MOST = np.float32(3)
_LOW = np.float32(MAGIC - np.float32(4))
_HIGH = np.float32(MAGIC + np.float32(3))
_FACTORS = step_factors(4)
_SCALE_RANGE = np.float32(-32)
_LOW_SCALE = np.float32(MAGIC - np.float32(32))
_HIGH_SCALE = np.float32(MAGIC + np.float32(31))
_SCALE_FACTORS = step_factors(32)


@kernel
def _encode(values, out):
    tiles = scratch((_TILES + 1) * SCRATCH)
    rest = tiles[_TILES * SCRATCH :]
    origins = np.empty(LANES, np.int64)
    chosen = np.empty(_ELEMENTS, np.uint8)
    spread = np.empty(_ELEMENTS, np.float32)
    scales = np.empty(_SUB_BLOCKS, np.int64)
    for first in range(0, values.shape[0], _TILES * _TILE):
        count = min(_TILES * _TILE, values.shape[0] - first)
        for start in range(0, count, _TILE):
            tile = tiles[start // _TILE * SCRATCH :]
            load(values, first + start, min(_TILE, count - start), _SIZE, tile)
            _start_moves(tile)
            _pass(tile)
        _finish_moves(tiles, (count + _TILE - 1) // _TILE, rest, origins)
        for b in range(count):
            tile = tiles[b // _TILE * SCRATCH :]
            lane = b % _TILE * _SUB_BLOCKS
            half = _round_scales(lane, scales, tile)
            if _choose_levels(values, first + b, half, scales, chosen, spread):
                _keep_levels(lane, spread, chosen, tile)
            _write(first + b, half, scales, out, chosen)


@kernel
def _start_moves(s):
    """The levels that −4 / (the value of largest magnitude) makes.

    No value is below −4 then, but in lanes that are empty, which do not matter.
    """
    for j in range(LANES):
        s[_LARGEST + j] = _ZERO
        s[_SUM_XL + j] = _ZERO
        s[_SUM_L2 + j] = _ZERO
    for i in range(_SIZE):
        for j in range(LANES):
            x = s[X + i * LANES + j]
            s[WEIGHT + i * LANES + j] = x * x
            largest = s[_LARGEST + j]
            s[_LARGEST + j] = x if abs(x) > abs(largest) else largest
    for j in range(LANES):
        s[_MOVED + j] = -_FOUR / s[_LARGEST + j]
    for i in range(_SIZE):
        for j in range(LANES):
            x = s[X + i * LANES + j]
            weight = s[WEIGHT + i * LANES + j]
            l = s[_MOVED + j] * x  # noqa: E741
            l = np.rint(l if l < _MOST else _MOST)  # noqa: E741
            s[_LEVEL + i * LANES + j] = l
            s[_SUM_XL + j] += weight * x * l
            s[_SUM_L2 + j] += weight * l * l


@kernel
def _finish_moves(tiles, count, rest, origins):
    """More passes for lanes the first has moved, and the scales of all.

    A pass without change is a sub-block's last. That is the first pass for four of five: the others are
    collected in one more tile, ``rest``, where ``origins`` says which lane of which tile they are.
    """
    used = 0
    for tile in range(count):
        for j in range(LANES):
            lane = tile * SCRATCH + j
            if tiles[_MOVED + lane] != _ZERO:
                for i in range(_SIZE):
                    x = tiles[X + i * LANES + lane]
                    rest[X + i * LANES + used] = x
                    rest[WEIGHT + i * LANES + used] = x * x
                    rest[_LEVEL + i * LANES + used] = tiles[_LEVEL + i * LANES + lane]
                rest[_SUM_XL + used] = tiles[_SUM_XL + lane]
                rest[_SUM_L2 + used] = tiles[_SUM_L2 + lane]
                origins[used] = lane
                used += 1
                if used == LANES:
                    _finish_rest(tiles, rest, origins, used)
                    used = 0
    _finish_rest(tiles, rest, origins, used)
    for tile in range(count):
        s = tiles[tile * SCRATCH :]
        for j in range(LANES):
            sum_l2 = s[_SUM_L2 + j]
            scale = s[_SUM_XL + j] / sum_l2 if sum_l2 > _ZERO else _ZERO
            s[SCALE + j] = _ZERO if abs(s[_LARGEST + j]) < _TINY else scale


@kernel
def _finish_rest(tiles, rest, origins, used):
    if used == 0:
        return
    for _ in range(1, _PASSES):
        moved = _ZERO
        _pass(rest)
        for j in range(used):
            moved += rest[_MOVED + j]
        if moved == _ZERO:
            break
    for j in range(used):
        for i in range(_SIZE):
            tiles[_LEVEL + i * LANES + origins[j]] = rest[_LEVEL + i * LANES + j]
        tiles[_SUM_XL + origins[j]] = rest[_SUM_XL + j]
        tiles[_SUM_L2 + origins[j]] = rest[_SUM_L2 + j]


@kernel
def _pass(s):
    """Move each level once, in turn."""
    for j in range(LANES):
        s[_MOVED + j] = _ZERO
    for i in range(_SIZE):
        _move(i * LANES, s)


@kernel
def _move(row, s):
    """Move one level of every lane to where the best scale of the others has it, if that is better."""
    for j in range(LANES):
        x = s[X + row + j]
        weight = s[WEIGHT + row + j]
        before = s[_LEVEL + row + j]
        sum_xl = s[_SUM_XL + j]
        sum_l2 = s[_SUM_L2 + j]
        others_xl = sum_xl - weight * x * before
        others_l2 = sum_l2 - weight * before * before
        l = level(x * others_l2 / others_xl, _LOW, _HIGH) - MAGIC  # noqa: E741
        new_xl = others_xl + weight * x * l
        new_l2 = others_l2 + weight * l * l
        better = (others_xl > _ZERO) & (l != before) & (new_l2 > _ZERO)
        better &= new_xl * new_xl * sum_l2 > sum_xl * sum_xl * new_l2
        s[_LEVEL + row + j] = l if better else before
        s[_MOVED + j] = _ONE if better else s[_MOVED + j]
        s[_SUM_XL + j] = new_xl if better else sum_xl
        s[_SUM_L2 + j] = new_l2 if better else sum_l2


@kernel
def _round_scales(lane, scales, s):
    """A super-block's scales relative to the one of largest magnitude: integers 0 to 63, and the half d."""
    largest = _ZERO
    for j in range(lane, lane + _SUB_BLOCKS):
        scale = s[SCALE + j]
        largest = scale if abs(scale) > abs(largest) else largest
    if largest == _ZERO:
        for j in range(_SUB_BLOCKS):
            scales[j] = 0
        return scale_to_half(_ZERO)
    inverse = np.float32(_SCALE_RANGE / largest)
    for j in range(_SUB_BLOCKS):
        integer = int(np.int8(nearest(inverse * s[SCALE + lane + j])))  # C goes through an int8 here
        integer = integer if integer < 31 else 31
        scales[j] = (integer if integer > -32 else -32) + 32
    return scale_to_half(np.float32(_ONE / inverse))


@kernel
def _keep_levels(lane, spread, chosen, s):
    """The levels of the search where a scale decodes to zero, which is what ggml leaves there."""
    for j in range(_SUB_BLOCKS):
        if spread[j * _SIZE] == _ZERO:
            empty = abs(s[_LARGEST + lane + j]) < _TINY
            for i in range(_SIZE):
                l = s[_LEVEL + i * LANES + lane + j] + _FOUR  # noqa: E741
                chosen[j * _SIZE + i] = np.uint8(_ZERO if empty else l)


@kernel
def _encode_weighted(values, weights, out):
    tile = scratch(SCRATCH)
    chosen = np.empty(_ELEMENTS, np.uint8)
    spread = np.empty(_ELEMENTS, np.float32)
    scales = np.empty(_SUB_BLOCKS, np.int64)
    found = np.empty((FOUND, LANES * _SUB_BLOCKS), np.float32)
    sum_w = np.empty(LANES * _SUB_BLOCKS, np.float32)
    sums = np.empty(_TILE, np.float32)
    for batch in range(0, values.shape[0], LANES):
        blocks = min(LANES, values.shape[0] - batch)
        for start in range(0, blocks, _TILE):
            first = batch + start
            count = min(_TILE, blocks - start)
            load(values, first, count, _SIZE, tile)
            load_weights(weights, first, count, _SIZE, tile)
            spread_of_blocks(values, first, count, _SIZE, _TWICE, _COUNT, sums, tile)
            weigh(_SIZE, tile)
            search(_SIZE, _FACTORS, _LOW, _HIGH, True, tile)
            collect(count * _SUB_BLOCKS, found, start * _SUB_BLOCKS, tile)
            _sum_weights(count * _SUB_BLOCKS, sum_w, start * _SUB_BLOCKS, tile)
        _search_scales(found, sum_w, blocks, tile)
        for b in range(blocks):
            half = scale_to_half(tile[SCALE + b])
            for j in range(_SUB_BLOCKS):
                biased = level(tile[STEP + b] * found[0, b * _SUB_BLOCKS + j], _LOW_SCALE, _HIGH_SCALE)
                scales[j] = 0 if tile[EMPTY + b] != _ZERO else np.int64(biased - MAGIC) + 32
            if _choose_levels(values, batch + b, half, scales, chosen, spread):
                _find_levels(values, batch + b, found, b * _SUB_BLOCKS, spread, chosen)
            _write(batch + b, half, scales, out, chosen)


@kernel
def _sum_weights(count, sum_w, at, s):
    for j in range(count):
        total = _ZERO
        for i in range(_SIZE):
            total += s[WEIGHT + i * LANES + j]
        sum_w[at + j] = total


@kernel
def _search_scales(found, sum_w, blocks, s):
    """The same search once more, with super-blocks as lanes and their sub-blocks' scales as values.

    Scales are infinite where weights overflow.
    """
    for i in range(_SUB_BLOCKS):
        for b in range(LANES):
            column = b * _SUB_BLOCKS + i
            s[X + i * LANES + b] = found[0, column] if b < blocks else _ZERO
            s[WEIGHT + i * LANES + b] = sum_w[column] if b < blocks else _ZERO
    search(_SUB_BLOCKS, _SCALE_FACTORS, _LOW_SCALE, _HIGH_SCALE, False, s)


@kernel
def _find_levels(values, b, found, at, spread, chosen):
    """``_keep_levels`` with an importance matrix: the levels of the search follow from its step."""
    for j in range(_SUB_BLOCKS):
        if spread[j * _SIZE] == _ZERO:
            step = found[1, at + j]
            empty = found[2, at + j] != _ZERO
            for i in range(j * _SIZE, (j + 1) * _SIZE):
                biased = level(step * values[b, i], _LOW, _HIGH)
                chosen[i] = np.uint8(_ZERO if empty else biased - MAGIC + _FOUR)


@kernel
def _choose_levels(values, b, half, scales, chosen, spread):
    """Levels for what the scales of super-block b decode to; the number of scales that decode to zero.

    ``spread`` is scratch space for a scale per value, so that all divisions are one loop, which vectorizes.
    """
    d = half_to_single(half)
    zeros = 0
    for j in range(_SUB_BLOCKS):
        scale = np.float32(d * np.float32(scales[j] - 32))
        zeros += scale == _ZERO
        for i in range(j * _SIZE, (j + 1) * _SIZE):
            spread[i] = scale
    for i in range(_ELEMENTS):
        biased = level(values[b, i] / spread[i], _LOW, _HIGH)
        chosen[i] = np.uint8((np.float32(biased).view(np.int32) + 4) & 7)
    return zeros


@kernel
def _write(b, half, scales, out, chosen):
    for i in range(32):
        high = np.uint8(0)
        for k in range(8):
            high = np.uint8(high | ((chosen[32 * k + i] >> 2) << k))
        out[b, _HMASK + i] = high
    for h in range(2):
        for i in range(32):
            at = 128 * h + i
            low = (chosen[at] & 3) | ((chosen[at + 32] & 3) << 2)
            out[b, _QS + 32 * h + i] = np.uint8(
                low | ((chosen[at + 64] & 3) << 4) | ((chosen[at + 96] & 3) << 6)
            )
    for j in range(8):
        out[b, _SCALES + j] = np.uint8((scales[j] & 15) | ((scales[8 + j] & 15) << 4))
    for r in range(4):
        low = (scales[r] >> 4) | ((scales[4 + r] >> 4) << 2)
        out[b, _SCALES + 8 + r] = np.uint8(low | ((scales[8 + r] >> 4) << 4) | ((scales[12 + r] >> 4) << 6))
    out[b, _D] = np.uint8(half & 255)
    out[b, _D + 1] = np.uint8(half >> 8)


@kernel
def _decode(data, out):
    scales = np.empty(_SUB_BLOCKS, np.float32)
    for b in range(data.shape[0]):
        d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
        for j in range(_SUB_BLOCKS):
            low = (data[b, _SCALES + j % 8] >> (4 * (j // 8))) & 15
            high = (data[b, _SCALES + 8 + j % 4] >> (2 * (j // 4))) & 3
            scales[j] = d * np.float32(np.int32(low | (high << 4)) - 32)
        for h in range(2):
            for part in range(2):
                for i in range(16):
                    low = data[b, _QS + 32 * h + 16 * part + i]
                    high = data[b, _HMASK + 16 * part + i]
                    for k in range(4):
                        s = 8 * h + 2 * k + part
                        l = ((low >> (2 * k)) & 3) | (((high >> (4 * h + k)) & 1) << 2)  # noqa: E741
                        out[b, 16 * s + i] = scales[s] * np.float32(np.int32(l) - 4)


CODEC = Codec(GGMLType.Q3_K, _encode, _decode, weighted=_encode_weighted)
