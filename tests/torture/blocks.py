"""Decoding arbitrary blocks: every pattern of every scale, and random bytes, against ggml's own decoder.

Guard bytes around input and output tell whether a kernel writes where it must not; what it reads beyond
a block would make the result differ from ggml's.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gguf_tools import quants
from gguf_tools.container.blocks import BLOCK_FIELDS, Role
from gguf_tools.spec import BLOCK_SIZES, GGMLType
from tests import ggml
from tests.quants.common import TYPES
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
    """Blocks of random bytes with every value of 16 bits in turn for each 16-bit number of the block.

    Scales of one byte have 256 values, scales spread over words are set as words.
    """
    size = BLOCK_SIZES[type_].bytes
    values = np.arange(0, 1 << 16, step, dtype=np.uint16)
    generator = np.random.default_rng(1000 + int(type_))
    for field in BLOCK_FIELDS.get(type_, ()):
        if field.role is Role.BITS or field.width > 2:
            continue
        for word in range(field.words):
            data = generator.integers(0, 256, (len(values), size), np.uint8)
            at = field.offset + word * field.width
            data[:, at : at + field.width] = values.view(np.uint8).reshape(-1, 2)[:, : field.width]
            yield data


def _different(data: NDArray[np.uint8], type_: GGMLType) -> int:
    """How many blocks are decoded to other bits than ggml's."""
    shape = (len(data), BLOCK_SIZES[type_].elements)
    buffer = np.full(data.size + 2 * GUARD, 0xA5, np.uint8)
    guarded = buffer[GUARD : GUARD + data.size].reshape(data.shape)
    guarded[:] = data
    ours = quants.dequantize(guarded, type_, shape)
    expected = (
        quants.dequantize(data, type_, shape) if type_ in NOT_IN_GGML else ggml.decode(data, type_, shape)
    )
    touched = (buffer[:GUARD] != 0xA5).any() or (buffer[-GUARD:] != 0xA5).any() or (guarded != data).any()
    return len(data) if touched else int((ours.view(np.uint32) != expected.view(np.uint32)).any(1).sum())
