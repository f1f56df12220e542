"""Decoding arbitrary blocks: every pattern of every scale, and random bytes, against ggml's own decoder.

Guard bytes around input and output tell whether a kernel writes where it must not; what it reads beyond
a block would make the result differ from ggml's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gguf_tools import quants
from gguf_tools.quants.layouts import Role, fields
from gguf_tools.spec import BLOCK_SIZES, GGMLType
from tests.floats import same_floats
from tests.quants.common import TYPES
from tests.references import ggml
from tests.torture.report import Row

__all__ = ["patterns", "rows"]

NOT_IN_GGML = frozenset({GGMLType.Q8_1})
"""An intermediate format ggml has no decoder for; there, decoding must only be repeatable."""

RANDOM_BLOCKS = 1 << 16
GUARD = 64


def rows(random_blocks: int = RANDOM_BLOCKS, step: int = 1) -> Iterator[Row]:
    """A line for each type; ``step`` leaves out patterns."""
    for type_ in TYPES:
        size = BLOCK_SIZES[type_].bytes
        given = np.random.default_rng(int(type_)).integers(0, 256, (random_blocks, size), np.uint8)
        scales = 0
        different = _different(given, type_)
        for data in patterns(type_, step):
            scales += len(data)
            different += _different(data, type_)
        problems = [f"{type_.name}: {different} blocks differ from ggml's"] if different else []
        yield Row(
            type_.name,
            {
                "scale patterns": f"{scales:,}",
                "random blocks": f"{random_blocks:,}",
                "differing": str(different),
            },
            problems,
        )


def patterns(type_: GGMLType, step: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Blocks of random bytes with every value of 16 bits in turn at each place where a scale is.

    Of a scale in single precision these are its upper half, which has the sign, the exponent and the first
    bits of the mantissa, and its lower half, beside that of an infinity and that of a subnormal number too.
    Of scales of one byte two are taken at a time.
    """
    size = BLOCK_SIZES[type_].bytes
    values = np.arange(0, 1 << 16, step, dtype=np.uint16)
    generator = np.random.default_rng(1000 + int(type_))
    for put in _places(type_):
        data = generator.integers(0, 256, (len(values), size), np.uint8)
        put(data, values)
        yield data


Put = Callable[[NDArray[np.uint8], NDArray[np.uint16]], None]
"""Sets a number in blocks, (blocks, bytes), to values, one for each block."""


def _places(type_: GGMLType) -> Iterator[Put]:
    for field in fields(type_):
        offset = field.offset
        match field.role:
            case Role.F16 | Role.BF16:
                yield partial(_put, offset)
            case Role.E8M0:
                yield partial(_put, offset, width=1)
            case Role.F32:
                yield partial(_put, offset)
                yield partial(_put, offset + 2)
                for upper in (0x0000, 0x8000, 0x7F80, 0xFF80, 0x7FC0):
                    yield partial(_put_both, offset, upper)
            case Role.SPREAD_F16:
                yield partial(_put_spread, offset)
                for word in range(field.words):
                    yield partial(_put, offset + 2 * word)
            case Role.BITS if type_ is GGMLType.NVFP4 and field.name == "d":
                yield partial(_put, offset)
                yield partial(_put, offset + 2)


def _put(offset: int, data: NDArray[np.uint8], values: NDArray[np.uint16], width: int = 2) -> None:
    data[:, offset : offset + width] = values.view(np.uint8).reshape(-1, 2)[:, :width]


def _put_both(offset: int, upper: int, data: NDArray[np.uint8], values: NDArray[np.uint16]) -> None:
    _put(offset, data, values)
    _put(offset + 2, data, np.full_like(values, upper))


def _put_spread(offset: int, data: NDArray[np.uint8], values: NDArray[np.uint16]) -> None:
    """The highest four bits of each of four words."""
    for word in range(4):
        top = (values >> np.uint16(4 * word) & np.uint16(15)).astype(np.uint8) << 4
        data[:, offset + 2 * word + 1] = data[:, offset + 2 * word + 1] & 15 | top


def _different(data: NDArray[np.uint8], type_: GGMLType) -> int:
    """How many blocks are decoded to other values than ggml's."""
    shape = (len(data), BLOCK_SIZES[type_].elements)
    buffer = np.full(data.size + 2 * GUARD, 0xA5, np.uint8)
    guarded = buffer[GUARD : GUARD + data.size].reshape(data.shape)
    guarded[:] = data
    ours = quants.dequantize(guarded, type_, shape)
    expected = (
        quants.dequantize(data, type_, shape) if type_ in NOT_IN_GGML else ggml.decode(data, type_, shape)
    )
    touched = (buffer[:GUARD] != 0xA5).any() or (buffer[-GUARD:] != 0xA5).any() or (guarded != data).any()
    return len(data) if touched else int((~same_floats(ours, expected)).any(1).sum())
