"""Q4_K and Q5_K: eight sub-blocks of 32 with 6-bit scales and mins, and what the two formats share.

    byte 0        2           4            16
    ┌────────┬───────────┬────────────┬──
    │ d: f16 │ dmin: f16 │ scales: 12 │ levels, in each format's own way
    └────────┴───────────┴────────────┴──

    scales    bit 7 6   5 4 3 2 1 0
    byte 0–3  │ scale 4–7, high 2 │ scale 0–3                   │
    byte 4–7  │ min 4–7, high 2   │ min 0–3                     │
    byte 8–11 │ min 4–7, low 4 bits   │ scale 4–7, low 4 bits   │

From ggml's ``quantize_row_q4_K_ref``, ``quantize_row_q4_K_impl`` and ``get_scale_min_k4``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ...compute.jit import kernel
from ...spec import GGMLType
from ..layouts import offsets
from .half import half_to_single, scale_to_half
from .lanes import LANES
from .positive_scales import fit_scales, fitted
from .scale_min import collect, refit, round_scales, search, weigh_by_mean
from .tiles import load, load_weights, spread_of_blocks, weigh

__all__ = ["ELEMENTS", "SUB_BLOCKS", "TILE", "choose_levels", "find", "find_weighted", "fit_levels", "unpack"]

_D, _DMIN, _SCALES = offsets(GGMLType.Q4_K, "d", "dmin", "scales")  # Q5_K begins with the same fields

SUB_BLOCKS: Final = 8
ELEMENTS: Final = 256
TILE: Final = LANES // SUB_BLOCKS
"""Super-blocks in a tile."""

_SIZE: Final = 32
_TOP = np.float32(63)
_TWICE = np.float32(2)
_COUNT = np.float32(ELEMENTS)


@kernel
def find(values, first, count, factors, levels, found, tile):
    """Search for the scales and mins of ``count`` ≤ TILE super-blocks from ``first`` on."""
    load(values, first, count, _SIZE, tile)
    weigh_by_mean(_SIZE, tile)
    search(_SIZE, factors, levels, False, False, tile)
    collect(count * SUB_BLOCKS, found, 0, tile)


@kernel
def choose_levels(values, b, found, at, levels, out, chosen, integers, spread):
    """Write super-block b's d, dmin and scales; leave its 256 levels in ``chosen``.

    ``integers``, int64 (2, SUB_BLOCKS), and ``spread``, float32 (2, ELEMENTS), are scratch space.
    """
    scales = integers[0]
    mins = integers[1]
    half_d, half_min = round_scales(found, at, _TOP, scales, mins)
    for j in range(SUB_BLOCKS):
        scales[j] = min(63, scales[j])
        mins[j] = min(63, mins[j])
    _pack(half_d, half_min, scales, mins, out, b)
    refit(values, b, half_d, half_min, scales, mins, found, at, levels, False, chosen, spread)


@kernel
def find_weighted(values, weights, first, count, factors, levels, found, tile, fit):
    """Search for the scales and mins of ``count`` ≤ BATCH super-blocks, and fit their integers."""
    sums = np.empty(TILE, np.float32)
    for start in range(0, count, TILE):
        part = min(TILE, count - start)
        load(values, first + start, part, _SIZE, tile)
        load_weights(weights, first + start, part, _SIZE, tile)
        spread_of_blocks(values, first + start, part, _SIZE, _TWICE, _COUNT, sums, tile)
        weigh(_SIZE, tile)
        search(_SIZE, factors, levels, True, False, tile)
        collect(part * SUB_BLOCKS, found, start * SUB_BLOCKS, tile)
    fit_scales(found, count, SUB_BLOCKS, _TOP, fit)


@kernel
def fit_levels(values, b, at, limit, found, fit, levels, out, chosen, integers, spread):
    """``choose_levels`` with an importance matrix; b is block ``at`` of the batch.

    ``limit`` is what integers are limited to before they are packed: 63 in Q5_K, 255 (not at all) in Q4_K.
    """
    scales = integers[0]
    mins = integers[1]
    half_d = scale_to_half(fitted(at, False, scales, fit))
    half_min = scale_to_half(fitted(at, True, mins, fit))
    for j in range(SUB_BLOCKS):
        scales[j] = min(limit, scales[j])
        mins[j] = min(limit, mins[j])
    _pack(half_d, half_min, scales, mins, out, b)
    _read(out, b, scales, mins)
    refit(values, b, half_d, half_min, scales, mins, found, at * SUB_BLOCKS, levels, True, chosen, spread)


@kernel
def _pack(half_d, half_min, scales, mins, out, b):
    out[b, _D] = np.uint8(half_d & 255)
    out[b, _D + 1] = np.uint8(half_d >> 8)
    out[b, _DMIN] = np.uint8(half_min & 255)
    out[b, _DMIN + 1] = np.uint8(half_min >> 8)
    for j in range(4):
        sc = scales[4 + j]
        mn = mins[4 + j]
        out[b, _SCALES + j] = np.uint8(scales[j] | ((sc >> 4) << 6))
        out[b, _SCALES + 4 + j] = np.uint8(mins[j] | ((mn >> 4) << 6))
        out[b, _SCALES + 8 + j] = np.uint8((sc & 15) | ((mn & 15) << 4))


@kernel
def _read(data, b, scales, mins):
    """The integers of super-block b."""
    for j in range(4):
        first = data[b, _SCALES + j]
        second = data[b, _SCALES + 4 + j]
        third = data[b, _SCALES + 8 + j]
        scales[j] = first & 63
        mins[j] = second & 63
        scales[4 + j] = (third & 15) | ((first >> 6) << 4)
        mins[4 + j] = (third >> 4) | ((second >> 6) << 4)


@kernel
def unpack(data, b, scales, mins):
    """Scales and mins of super-block b's eight sub-blocks, times d and dmin."""
    d = half_to_single(np.uint16(data[b, _D] | (np.uint16(data[b, _D + 1]) << 8)))
    dmin = half_to_single(np.uint16(data[b, _DMIN] | (np.uint16(data[b, _DMIN + 1]) << 8)))
    for j in range(4):
        first = data[b, _SCALES + j]
        second = data[b, _SCALES + 4 + j]
        third = data[b, _SCALES + 8 + j]
        scales[j] = d * np.float32(first & 63)
        mins[j] = dmin * np.float32(second & 63)
        scales[4 + j] = d * np.float32((third & 15) | ((first >> 6) << 4))
        mins[4 + j] = dmin * np.float32((third >> 4) | ((second >> 6) << 4))
