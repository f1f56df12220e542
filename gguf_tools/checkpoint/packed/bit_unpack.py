"""Small codes packed into bytes and words, as float32: integers, or whatever a table says they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["dense", "fields", "pairs", "scaled", "stream", "words"]


def pairs(values: Sequence[float] | NDArray[np.float32], *, swapped: bool = False) -> NDArray[np.uint64]:
    """What two codes that follow one another stand for, as one number for `kernels`.

    Args:
        values: of each code.
        swapped: whether the first of the two is the one in the higher bits.
    """
    table = np.asarray(values, np.float32)
    high, low = np.repeat(table, table.size), np.tile(table, table.size)
    both = np.stack([high, low] if swapped else [low, high], axis=1)
    return np.ascontiguousarray(both).view(np.uint64).reshape(-1)


@cache
def _integers(bits: int) -> NDArray[np.uint64]:
    """`pairs` of the integers of so many bits themselves."""
    table = pairs(range(1 << bits))
    table.setflags(write=False)
    return table


def scaled(
    data: NDArray[np.uint8],
    bits: int,
    zeros: NDArray[np.float32],
    scales: NDArray[np.float32],
    places: NDArray[np.uint32] | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """(integer − zero) × scale of a stream of integers, lowest bits first, along the last dimension.

    Args:
        data: uint8 (rows, bytes); of 3 bits, a multiple of 3 bytes.
        bits: 2, 3, 4 or 8.
        zeros: float32 (rows, groups).
        scales: float32 (rows, groups).
        places: uint32 (columns,), the group of each; by default groups of equal width follow one another.
        out: float32 (rows, columns) to write them to, C-contiguous; by default a new array.

    Returns:
        float32 (rows, bytes × 8 / bits).
    """
    from . import kernels

    rows, columns = data.shape[0], data.shape[1] * 8 // bits
    groups = scales.shape[1]
    width = columns // max(groups, 1)
    out = np.empty((rows, columns), np.float32) if out is None else out
    zeros, scales = np.ascontiguousarray(zeros), np.ascontiguousarray(scales)
    if places is not None and bits == 4:
        kernels.place_halves(np.ascontiguousarray(data), zeros, scales, places * np.uint32(16), out)
        return out
    if places is not None or width * bits % 8 or (bits == 3 and width % 8):
        if places is None:
            places = (np.arange(columns) // width).astype(np.uint32)
        _decode(data, bits, np.zeros(rows, np.float32), np.ones(rows, np.float32), out)
        kernels.place(zeros, scales, places, out)
        return out
    grouped = data.reshape(rows * groups, width * bits // 8)
    _decode(grouped, bits, zeros.reshape(-1), scales.reshape(-1), out.reshape(rows * groups, width))
    return out


def _decode(
    data: NDArray[np.uint8],
    bits: int,
    zeros: NDArray[np.float32],
    scales: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """As `scaled`, for rows that are groups."""
    from . import kernels

    data = np.ascontiguousarray(data)
    if bits == 3:
        kernels.sixths(data, _integers(bits), zeros, scales, out)
    else:
        {2: kernels.quarters, 4: kernels.halves, 8: kernels.bytes_}[bits](data, zeros, scales, out)


def stream(data: NDArray[np.uint8], bits: int) -> NDArray[np.float32]:
    """The integers of such a stream themselves: float32 (rows, bytes × 8 / bits)."""
    rows = data.shape[0]
    return scaled(data, bits, np.zeros((rows, 1), np.float32), np.ones((rows, 1), np.float32))


def dense(data: NDArray[np.uint8], bits: int) -> NDArray[np.uint32]:
    """A stream of integers of 1 to 8 bits in words of 32, lowest bits first, some of them across two words.

    Args:
        data: uint8 (rows, bytes), a multiple of 4 bytes.

    Returns:
        uint32 (rows, at least words × 32 / bits): the last ones may be beyond the data.
    """
    numbers = np.ascontiguousarray(data).view("<u4")
    rows, count = numbers.shape
    groups = -(-count // bits)
    padded = np.zeros((rows, groups * bits + 1), np.uint64)
    padded[:, :count] = numbers
    places = np.arange(32 * groups) * bits
    both = padded[:, places // 32] | padded[:, places // 32 + 1] << np.uint64(32)
    mask = np.uint64((1 << bits) - 1)
    found: NDArray[np.uint32] = ((both >> (places % 32).astype(np.uint64)) & mask).astype(np.uint32)
    return found


def words(data: NDArray[np.uint8], bits: int) -> NDArray[np.float32]:
    """Integers of 1 to 8 bits, as many as fit into words of 32 bits, none across two words.

    Args:
        data: uint8 (rows, bytes), a multiple of 4 bytes.

    Returns:
        float32 (rows, words × (32 // bits)).
    """
    numbers = np.ascontiguousarray(data).view("<u4")
    return fields(numbers, bits).reshape(data.shape[0], numbers.shape[1] * (32 // bits)).astype(np.float32)


def fields(numbers: NDArray[np.uint32], bits: int) -> NDArray[np.uint32]:
    """The integers in words of 32 bits, lowest first: a new last dimension of 32 // bits."""
    shifts = np.arange(0, 33 - bits, bits, dtype=np.uint32)
    return (numbers[..., None] >> shifts) & np.uint32((1 << bits) - 1)
