"""Decoding groups: points of a grid with signs, times a scale. What the IQ types with grids share.

A group's signs are a byte, bit i set where value i is negative. Some types store only seven of them: the
eighth makes their number even.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...compute.jit import kernel
from .grids import grid

__all__ = ["EVEN_SIGNS", "SIGNS", "put_four", "put_group", "put_shifted", "table", "word"]

_8 = np.uint32(8)
_16 = np.uint32(16)
_24 = np.uint32(24)


def _masks(bits: int) -> NDArray[np.uint32]:
    signs = np.arange(1 << bits, dtype=np.uint32)[:, None] >> np.arange(8, dtype=np.uint32) & 1
    signs[:, 7] = signs.sum(1) & 1 if bits == 7 else signs[:, 7]
    return (signs << 31).astype(np.uint32)


SIGNS: Final = _masks(8)
"""The sign bits of eight float32 for each byte of signs."""

EVEN_SIGNS: Final = _masks(7)
"""The same for seven signs, with the eighth that follows from them."""


@cache
def table(name: str) -> NDArray[np.float32]:
    """What the points of a grid decode to, as numbers a kernel multiplies without conversion."""
    return grid(name).astype(np.float32)


@kernel
def word(data, b, at):
    """Four bytes of block b from ``at`` on, as a little-endian uint32."""
    low = np.uint32(data[b, at]) | (np.uint32(data[b, at + 1]) << _8)
    return low | (np.uint32(data[b, at + 2]) << _16) | (np.uint32(data[b, at + 3]) << _24)


@kernel
def put_group(out, b, at, scale, points, place, masks, signs):
    """Eight values of block b from ``at`` on: a point of eight elements."""
    for i in range(8):
        out[b, at + i] = _signed(scale * points[place, i], masks[signs, i])


@kernel
def put_four(out, b, at, scale, points, place, masks, signs, first):
    """Four values of block b from ``at`` on: a point of four elements, with signs from bit ``first`` on."""
    for i in range(4):
        out[b, at + i] = _signed(scale * points[place, i], masks[signs, first + i])


@kernel
def _signed(value, mask):
    """Change the sign where the mask has it: of NaN too, as C does."""
    return np.uint32(np.float32(value).view(np.uint32) ^ mask).view(np.float32)


@kernel
def put_shifted(out, b, at, scale, points, place, shift):
    """Eight values of block b from ``at`` on: a point of eight elements, all moved by ``shift``."""
    for i in range(8):
        out[b, at + i] = scale * (points[place, i] + shift)
