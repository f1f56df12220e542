"""The loops that decode packed weights, compiled.

Codes of less than a byte are looked up two at a time: what a byte stands for is one entry of 64 bits, two
float32 (`integers.pairs` makes such tables). Everything else is arithmetic that LLVM vectorizes. Then zero
points are taken away, 0 where a format has none, and scales multiplied with, while the group of columns that
shares them is still in the cache.

Arrays are C-contiguous. Where nothing else is said, a row of ``codes`` and of ``out``, float32 (groups,
width), is a group of columns, and ``zeros`` and ``scales`` are float32 (groups,). That all loops start at 0
is meant: for others numba asks whether an index is negative, and nothing vectorizes.

Imported when the first rows are decoded, not before: numba takes a while to load.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...jit import kernel

__all__ = ["awq", "bytes_", "float8", "halves", "place", "quarters", "sixteens", "sixths", "transpose"]

_TILE = 16
_ONE_BYTE = np.uint8(0x7F)
_SIGN = np.uint8(0x80)


@kernel
def float8(codes: Any, scales: Any, mantissa: Any, special: Any, out: Any) -> None:
    """OFP8 numbers times a scale for each group.

    A number below the least normal one is made as that number plus it, less that number: exact, and without
    float32's own subnormals, which some processors are slow with.

    Args:
        codes: uint8 (groups, width).
        scales: float32 (groups,).
        mantissa: its bits, 3 of E4M3 and 2 of E5M2.
        special: the least magnitude that is no number.
        out: float32 (groups, width).
    """
    shift = np.int32(23 - mantissa)
    least = np.int32(1 << mantissa)
    bias = np.int32(127 - (1 << (6 - mantissa)) + 1)
    normal, subnormal = bias << np.int32(23), (bias + np.int32(1)) << np.int32(23)
    step = np.float32(2.0 ** (bias - 126))
    bits = out.view(np.int32)
    for g in range(codes.shape[0]):
        scale = scales[g]
        for c in range(codes.shape[1]):
            magnitude = np.int32(codes[g, c] & _ONE_BYTE)
            made = (magnitude << shift) + (subnormal if magnitude < least else normal)
            bits[g, c] = (magnitude << shift) | np.int32(0x7F800000) if magnitude >= special else made
        for c in range(codes.shape[1]):
            extra = step if np.int32(codes[g, c] & _ONE_BYTE) < least else np.float32(0)
            out[g, c] = (out[g, c] - extra) * scale
        for c in range(codes.shape[1]):
            bits[g, c] ^= np.int32(codes[g, c] & _SIGN) << np.int32(24)


@kernel
def _scale(out: Any, g: Any, zero: Any, scale: Any) -> None:
    for c in range(out.shape[1]):
        out[g, c] = (out[g, c] - zero) * scale


@kernel
def bytes_(codes: Any, zeros: Any, scales: Any, out: Any) -> None:
    """Integers of 8 bits: ``codes`` uint8 (groups, width)."""
    for g in range(codes.shape[0]):
        zero, scale = zeros[g], scales[g]
        for c in range(codes.shape[1]):
            out[g, c] = (np.float32(codes[g, c]) - zero) * scale


@kernel
def halves(codes: Any, pairs: Any, zeros: Any, scales: Any, out: Any) -> None:
    """Two codes of 4 bits in a byte: ``codes`` uint8 (groups, width / 2), ``pairs`` uint64 (256,)."""
    made = out.view(np.uint64)
    for g in range(codes.shape[0]):
        for p in range(codes.shape[1]):
            made[g, p] = pairs[codes[g, p]]
        _scale(out, g, zeros[g], scales[g])


@kernel
def sixteens(codes: Any, pairs: Any, scales: Any, out: Any) -> None:
    """`halves` without zero points for groups of a few times 16: loops of a known length are faster then.

    Args:
        codes: uint8 (groups, parts, 8).
        pairs: uint64 (256,).
        scales: float32 (groups,).
        out: float32 (groups, parts, 16).
    """
    made = out.view(np.uint64)
    for g in range(codes.shape[0]):
        scale = scales[g]
        for part in range(codes.shape[1]):
            for p in range(8):
                made[g, part, p] = pairs[codes[g, part, p]]
            for c in range(16):
                out[g, part, c] = out[g, part, c] * scale


@kernel
def quarters(codes: Any, pairs: Any, zeros: Any, scales: Any, out: Any) -> None:
    """Four codes of 2 bits in a byte: ``codes`` uint8 (groups, width / 4), ``pairs`` uint64 (16,)."""
    made = out.view(np.uint64)
    for g in range(codes.shape[0]):
        for p in range(codes.shape[1]):
            code = codes[g, p]
            made[g, 2 * p] = pairs[code & np.uint8(15)]
            made[g, 2 * p + 1] = pairs[code >> np.uint8(4)]
        _scale(out, g, zeros[g], scales[g])


@kernel
def sixths(codes: Any, pairs: Any, zeros: Any, scales: Any, out: Any) -> None:
    """Eight codes of 3 bits in three bytes: uint8 (groups, 3 × width / 8), ``pairs`` uint64 (64,)."""
    made = out.view(np.uint64)
    for g in range(codes.shape[0]):
        for p in range(codes.shape[1] // 3):
            low = np.uint32(codes[g, 3 * p])
            both = low | np.uint32(codes[g, 3 * p + 1]) << np.uint32(8)
            both |= np.uint32(codes[g, 3 * p + 2]) << np.uint32(16)
            for part in range(4):
                made[g, 4 * p + part] = pairs[both & np.uint32(63)]
                both >>= np.uint32(6)
        _scale(out, g, zeros[g], scales[g])


@kernel
def place(zeros: Any, scales: Any, places: Any, out: Any) -> None:
    """Zero points and scales where columns are in groups of any order.

    Args:
        zeros: float32 (rows, groups).
        scales: float32 (rows, groups).
        places: uint32 (columns,), the group of each.
        out: float32 (rows, columns), the integers.
    """
    for r in range(out.shape[0]):
        row, zero, scale = out[r], zeros[r], scales[r]
        for c in range(row.shape[0]):
            g = places[c]
            row[c] = (row[c] - zero[g]) * scale[g]


@kernel
def transpose(words: Any, out: Any) -> None:
    """Rows and columns swapped, a tile after the other: uint32 (a, b), of any strides, to (b, a)."""
    rows, columns = words.shape
    tile = np.empty((_TILE, _TILE), np.uint32)  # rows are often a power of two apart, which caches dislike
    for i in range(-(-rows // _TILE)):
        for j in range(-(-columns // _TILE)):
            high, wide = min(_TILE, rows - i * _TILE), min(_TILE, columns - j * _TILE)
            for r in range(high):
                for c in range(wide):
                    tile[c, r] = words[i * _TILE + r, j * _TILE + c]
            for c in range(wide):
                for r in range(high):
                    out[j * _TILE + c, i * _TILE + r] = tile[c, r]


@kernel
def awq(words: Any, zeros: Any, scales: Any, out: Any) -> None:
    """Eight outputs in a word, in the order 0 2 4 6 1 3 5 7.

    Args:
        words: uint32 (outputs / 8, groups, width), along the inputs.
        zeros: float32 (outputs, groups).
        scales: float32 (outputs, groups).
        out: float32 (outputs, groups, width).
    """
    for w in range(words.shape[0]):
        for g in range(words.shape[1]):
            for k in range(8):
                row = np.uint32(8 * w + (2 * k if k < 4 else 2 * k - 7))
                shift = np.uint32(4 * k)
                zero, scale = zeros[row, g], scales[row, g]
                for i in range(words.shape[2]):
                    level = np.int32((words[w, g, i] >> shift) & np.uint32(15))
                    out[row, g, i] = (np.float32(level) - zero) * scale
