"""Small integers packed into bytes and words, as float32."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fields", "stream", "words"]


@cache
def _table(bits: int) -> NDArray[np.float32]:
    """For each byte the integers of ``bits`` bits in it, lowest first: float32 (256, 8 / bits)."""
    shifts = np.arange(0, 8, bits)
    table = ((np.arange(256)[:, None] >> shifts) & ((1 << bits) - 1)).astype(np.float32)
    table.setflags(write=False)
    return table


def stream(data: NDArray[np.uint8], bits: int) -> NDArray[np.float32]:
    """A stream of integers of 2, 3, 4 or 8 bits, lowest bits first, along the last dimension.

    Args:
        data: uint8 (rows, bytes); of 3 bits, a multiple of 3 bytes.

    Returns:
        float32 (rows, bytes × 8 / bits).
    """
    rows = data.shape[0]
    if bits == 8:
        return data.astype(np.float32)
    if bits == 3:
        three = np.ascontiguousarray(data).reshape(rows, data.shape[1] // 3, 3).astype(np.uint32)
        joined = three[:, :, 0] | three[:, :, 1] << 8 | three[:, :, 2] << 16
        split = (joined[:, :, None] >> np.arange(0, 24, 3, dtype=np.uint32)) & 7
        return split.reshape(rows, data.shape[1] // 3 * 8).astype(np.float32)
    return _table(bits).take(data, axis=0).reshape(rows, data.shape[1] * (8 // bits))


def words(data: NDArray[np.uint8], bits: int) -> NDArray[np.float32]:
    """Integers of 1 to 8 bits, as many as fit into words of 32 bits, none across two words.

    Args:
        data: uint8 (rows, bytes), a multiple of 4 bytes.

    Returns:
        float32 (rows, words × (32 // bits)).
    """
    if bits in (2, 4, 8):
        return stream(data, bits)
    numbers = np.ascontiguousarray(data).view("<u4")
    return fields(numbers, bits).reshape(data.shape[0], numbers.shape[1] * (32 // bits)).astype(np.float32)


def fields(numbers: NDArray[np.uint32], bits: int) -> NDArray[np.uint32]:
    """The integers in words of 32 bits, lowest first: a new last dimension of 32 // bits."""
    shifts = np.arange(0, 33 - bits, bits, dtype=np.uint32)
    return (numbers[..., None] >> shifts) & np.uint32((1 << bits) - 1)
