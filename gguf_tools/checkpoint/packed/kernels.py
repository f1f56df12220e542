"""The loops that decode packed weights, compiled.

Most of it is arithmetic in one loop that LLVM vectorizes, several values of a byte side by side. Where codes
stand for numbers of a table, or lie across bytes, they are looked up two at a time: one entry of 64 bits, two
float32 (`integers.pairs` makes such tables). Zero points are taken away, 0 where a format has none, and
scales multiplied with, while the group of columns that shares them is still in the cache.

Arrays are C-contiguous. Where nothing else is said, a row of ``codes`` and of ``out``, float32 (groups,
width), is a group of columns, and ``zeros`` and ``scales`` are float32 (groups,). That all loops start at 0
is meant: for others numba asks whether an index is negative, and nothing vectorizes.

Imported when the first rows are decoded, not before: numba takes a while to load.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compute.jit import kernel
from ...compute.simd_transpose import BLOCK, ordered_block, turn_block

__all__ = [
    "awq",
    "bytes_",
    "e2m1",
    "e4m3",
    "e5m2",
    "halves",
    "looked_up",
    "ordered",
    "place",
    "place_halves",
    "quarters",
    "sixths",
    "ternary",
    "turn",
]

_SIGN = np.int32(-0x80000000)
_NAN = np.int32(0x7FC00000)


@kernel
def e4m3(codes: Any, scales: Any, out: Any) -> None:
    """OFP8 E4M3 numbers times a scale for each group.

    A number below the least normal one, of magnitude 8, is its mantissa times the least step, without
    float32's own subnormals, which some processors are slow with. All constants are written out: in variables
    they keep the loop from being vectorized.

    Args:
        codes: uint8 (groups, width).
        scales: float32 (groups,).
        out: float32 (groups, width).
    """
    bits = out.view(np.int32)
    for g in range(codes.shape[0]):
        scale = scales[g]
        for c in range(codes.shape[1]):
            code = np.int32(np.int8(codes[g, c]))  # the sign in the upper bits
            magnitude = code & np.int32(0x7F)
            above = np.int32((magnitude << np.int32(20)) + np.int32(120 << 23)).view(np.float32)
            below = np.float32(magnitude) * np.float32(2.0**-9)
            value = np.float32((above if magnitude >= np.int32(8) else below) * scale)
            signed = value.view(np.int32) ^ (code & _SIGN)
            bits[g, c] = signed if magnitude < np.int32(0x7F) else _NAN


@kernel
def e5m2(codes: Any, scales: Any, out: Any) -> None:
    """`e4m3` for E5M2, which has infinities."""
    bits = out.view(np.int32)
    for g in range(codes.shape[0]):
        scale = scales[g]
        for c in range(codes.shape[1]):
            code = np.int32(np.int8(codes[g, c]))
            magnitude = code & np.int32(0x7F)
            above = np.int32((magnitude << np.int32(21)) + np.int32(112 << 23)).view(np.float32)
            below = np.float32(magnitude) * np.float32(2.0**-16)
            special = np.int32((magnitude << np.int32(21)) | np.int32(0x7F800000)).view(np.float32)
            value = above if magnitude >= np.int32(4) else below
            value = np.float32((special if magnitude >= np.int32(0x7C) else value) * scale)
            bits[g, c] = value.view(np.int32) ^ (code & _SIGN)


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
def halves(codes: Any, zeros: Any, scales: Any, out: Any) -> None:
    """Two integers of 4 bits in a byte: ``codes`` uint8 (groups, width / 2)."""
    for g in range(codes.shape[0]):
        zero, scale = zeros[g], scales[g]
        for p in range(codes.shape[1]):
            code = np.int32(codes[g, p])
            out[g, 2 * p] = (np.float32(code & np.int32(15)) - zero) * scale
            out[g, 2 * p + 1] = (np.float32(code >> np.int32(4)) - zero) * scale


@kernel
def looked_up(codes: Any, pairs: Any, zeros: Any, scales: Any, out: Any) -> None:
    """Two codes of 4 bits in a byte: ``codes`` uint8 (groups, width / 2), ``pairs`` uint64 (256,)."""
    made = out.view(np.uint64)
    for g in range(codes.shape[0]):
        for p in range(codes.shape[1]):
            made[g, p] = pairs[codes[g, p]]
        _scale(out, g, zeros[g], scales[g])


@kernel
def e2m1(codes: Any, values: Any, scale_codes: Any, scales: Any, out: Any) -> None:
    """Codes of 4 bits times a scale, which is looked up too, in groups of a few times 16.

    Loops of a known length, and factors that are multiplied with at once, are what is fast for so few.

    Args:
        codes: uint8 (groups, parts, 8).
        values: float32 (16,), what the codes stand for.
        scale_codes: uint8 (groups,).
        scales: float32 (256,), what those stand for.
        out: float32 (groups, parts, 16).
    """
    for g in range(codes.shape[0]):
        scale = scales[scale_codes[g]]
        for part in range(codes.shape[1]):
            for p in range(8):
                code = codes[g, part, p]
                out[g, part, 2 * p] = values[code & np.uint8(15)] * scale
                out[g, part, 2 * p + 1] = values[code >> np.uint8(4)] * scale


@kernel
def quarters(codes: Any, zeros: Any, scales: Any, out: Any) -> None:
    """Four integers of 2 bits in a byte: ``codes`` uint8 (groups, width / 4)."""
    for g in range(codes.shape[0]):
        zero, scale = zeros[g], scales[g]
        for p in range(codes.shape[1]):
            code = np.int32(codes[g, p])
            out[g, 4 * p] = (np.float32(code & np.int32(3)) - zero) * scale
            out[g, 4 * p + 1] = (np.float32((code >> np.int32(2)) & np.int32(3)) - zero) * scale
            out[g, 4 * p + 2] = (np.float32((code >> np.int32(4)) & np.int32(3)) - zero) * scale
            out[g, 4 * p + 3] = (np.float32(code >> np.int32(6)) - zero) * scale


@kernel
def ternary(codes: Any, mask: Any, unit: Any, scale: Any, out: Any) -> None:
    """One of four codes of 2 bits in each byte, less 1, divided by a scale.

    Args:
        codes: uint8 (rows, columns).
        mask: uint8, the bits of the code.
        unit: float32, what brings the code down to 0 to 3; a shift by a variable would not be vectorized.
        scale: float32.
        out: float32 (rows, columns).
    """
    for r in range(codes.shape[0]):
        for c in range(codes.shape[1]):
            out[r, c] = (np.float32(np.int32(codes[r, c] & mask)) * unit - np.float32(1)) / scale


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
def place_halves(codes: Any, zeros: Any, scales: Any, places: Any, out: Any) -> None:
    """`halves` where columns are in groups of any order.

    What the 16 integers mean in each group is computed once for a row; then each is looked up.

    Args:
        codes: uint8 (rows, columns / 2).
        zeros: float32 (rows, groups).
        scales: float32 (rows, groups).
        places: uint32 (columns,), 16 times the group of each.
        out: float32 (rows, columns).
    """
    meanings = np.empty(16 * zeros.shape[1], np.float32)
    for r in range(codes.shape[0]):
        for g in range(zeros.shape[1]):
            zero, scale = zeros[r, g], scales[r, g]
            for level in range(16):
                meanings[16 * g + level] = (np.float32(level) - zero) * scale
        for p in range(codes.shape[1]):
            code = np.uint32(codes[r, p])
            out[r, 2 * p] = meanings[places[2 * p] | (code & np.uint32(15))]
            out[r, 2 * p + 1] = meanings[places[2 * p + 1] | (code >> np.uint32(4))]


@kernel
def turn(words: Any, out: Any, at: Any) -> None:
    """Rows become columns: uint32 (a, b) to (b, n), from column ``at`` on."""
    rows, columns = words.shape
    high, wide = rows // BLOCK, columns // BLOCK
    for j in range(wide):
        for i in range(high):
            turn_block(words, i * BLOCK, j * BLOCK, out, j * BLOCK, at + i * BLOCK)
    for c in range(columns):
        for r in range(high * BLOCK if c < wide * BLOCK else 0, rows):
            out[c, at + r] = words[r, c]


@kernel
def ordered(words: Any, zeros: Any, scales: Any, places: Any, out: Any) -> None:
    """`place_halves` of words that are not turned yet, sixteen outputs at a time.

    Args:
        words: uint32 (tiles, inputs / 8, 16), an even number of eight inputs; the last dimension is outputs.
        zeros: float32 (tiles, groups, 16).
        scales: float32 (tiles, groups, 16).
        places: uint32 (inputs,), the group of each.
        out: float32 (tiles × 16, inputs).
    """
    for tile in range(words.shape[0]):
        for pair in range(words.shape[1] // 2):
            ordered_block(words, zeros, scales, places, tile, pair, out)


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
