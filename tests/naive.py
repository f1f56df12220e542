"""The block formats in plain numpy, one block at a time: slow, and meant to be read.

Every function takes or makes one block. Levels are integers in the order of the values; a little-endian
bit string read from the lowest bit up is what ``fields`` splits. Arithmetic is float32 throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gguf_tools.spec import BLOCK_SIZES, GGMLType

__all__ = ["DECODERS", "ENCODERS", "decode", "encode"]

Block = NDArray[np.uint8]
Values = NDArray[np.float32]
Levels = NDArray[np.integer]


def decode(data: Block, type_: GGMLType) -> Values:
    """Blocks of any number → their values, flat."""
    with np.errstate(all="ignore"):
        blocks = data.reshape(-1, BLOCK_SIZES[type_].bytes)
        return np.concatenate([DECODERS[type_](block) for block in blocks])


def encode(x: Values, type_: GGMLType) -> Block:
    """Values → blocks, flat. Only where no scale or its inverse overflows, which C leaves undefined."""
    with np.errstate(over="ignore"):
        blocks = x.reshape(-1, BLOCK_SIZES[type_].elements)
        return np.concatenate([ENCODERS[type_](block) for block in blocks])


def half(data: Block) -> np.float32:
    """Two bytes → a half → float32."""
    return np.float32(data.view("<f2")[0])


def bytes_of(number: np.float32) -> Block:
    """float32 → a half → two bytes."""
    return np.array([number], "<f2").view(np.uint8)


def fields(data: Block, width: int) -> NDArray[np.uint8]:
    """Bytes → integers of ``width`` bits, shape (bytes, 8 / width), lowest bits first."""
    return (data[:, None] >> np.arange(0, 8, width, dtype=np.uint8)) & ((1 << width) - 1)


def nibbles(data: Block) -> NDArray[np.uint8]:
    """n bytes → 2 n levels: first all low halves, then all high ones."""
    return fields(data, 4).T.reshape(-1)


# 32 values: d and perhaps m, then for 5-bit types 32 fifth bits, then low bits


def decode_q8_0(block: Block) -> Values:
    return block[2:].view(np.int8).astype(np.float32) * half(block[:2])


def decode_q4_0(block: Block) -> Values:
    return (nibbles(block[2:]).astype(np.float32) - 8) * half(block[:2])


def decode_q4_1(block: Block) -> Values:
    return nibbles(block[4:]).astype(np.float32) * half(block[:2]) + half(block[2:4])


def decode_q5_0(block: Block) -> Values:
    levels = nibbles(block[6:]) + 16 * fields(block[2:6], 1).reshape(-1)
    return (levels.astype(np.float32) - 16) * half(block[:2])


def decode_q5_1(block: Block) -> Values:
    levels = nibbles(block[8:]) + 16 * fields(block[4:8], 1).reshape(-1)
    return levels.astype(np.float32) * half(block[:2]) + half(block[2:4])


def encode_q8_0(x: Values) -> Block:
    d = np.abs(x).max() / np.float32(127)
    scaled = x * inverse(d)
    levels = np.trunc(scaled.astype(np.float64) + np.copysign(0.5, scaled))  # half away from zero
    return np.concatenate([bytes_of(d), levels.astype(np.int8).view(np.uint8)])


def encode_q4_0(x: Values) -> Block:
    d, levels = around_zero(x, 8)
    return np.concatenate([bytes_of(d), low_bits(levels)])


def encode_q5_0(x: Values) -> Block:
    d, levels = around_zero(x, 16)
    return np.concatenate([bytes_of(d), fifth_bits(levels), low_bits(levels)])


def encode_q4_1(x: Values) -> Block:
    d, m, levels = above_least(x, 15)
    return np.concatenate([bytes_of(d), bytes_of(m), low_bits(levels)])


def encode_q5_1(x: Values) -> Block:
    d, m, levels = above_least(x, 31)
    return np.concatenate([bytes_of(d), bytes_of(m), fifth_bits(levels), low_bits(levels)])


def inverse(d: np.float32) -> np.float32:
    return np.float32(1) / d if d else np.float32(0)


def around_zero(x: Values, middle: int) -> tuple[np.float32, Levels]:
    """The first value of largest magnitude gets level 0, zero the middle one; at the other end is no room."""
    peak = x[np.abs(x).argmax()]
    d = (peak if peak else np.float32(0)) / np.float32(-middle)
    levels = (x * inverse(d) + np.float32(middle + 0.5)).astype(np.int32)
    return d, np.minimum(levels, 2 * middle - 1)


def above_least(x: Values, top: int) -> tuple[np.float32, np.float32, Levels]:
    """The least value gets level 0, the greatest the top one. Of equal values the first one counts."""
    least, greatest = x[x.argmin()], x[x.argmax()]
    d = (greatest - least) / np.float32(top)
    levels = ((x - least) * inverse(d) + np.float32(0.5)).astype(np.int32)
    return d, least, np.minimum(levels, top)


def low_bits(levels: Levels) -> Block:
    half_block = levels.size // 2
    return ((levels[:half_block] & 15) | (levels[half_block:] & 15) << 4).astype(np.uint8)


def fifth_bits(levels: Levels) -> Block:
    return np.packbits((levels >> 4).astype(np.uint8), bitorder="little")


# 256 values: sub-blocks with small scales of their own, relative to d (and mins relative to dmin)


def sub_scales(block: Block) -> tuple[Values, Values]:
    """Q4_K and Q5_K: the eight scales and mins of sub-blocks, six bits each, in bytes 4 to 15."""
    a, b, c = (part.astype(np.int32) for part in block[4:16].reshape(3, 4))
    scales = np.concatenate([a & 63, (c & 15) | (a >> 6) << 4])
    mins = np.concatenate([b & 63, (c >> 4) | (b >> 6) << 4])
    return half(block[:2]) * scales.astype(np.float32), half(block[2:4]) * mins.astype(np.float32)


def pairs_of_sub_blocks(data: Block) -> NDArray[np.uint8]:
    """128 bytes → low four bits of eight sub-blocks of 32: each 32 bytes hold two of them."""
    return np.concatenate([nibbles(part) for part in data.reshape(4, 32)]).reshape(8, 32)


def decode_q4_k(block: Block) -> Values:
    scales, mins = sub_scales(block)
    levels = pairs_of_sub_blocks(block[16:])
    return (scales[:, None] * levels.astype(np.float32) - mins[:, None]).reshape(-1)


def decode_q5_k(block: Block) -> Values:
    scales, mins = sub_scales(block)
    fifth = fields(block[16:48], 1).T  # bit s of byte i belongs to value i of sub-block s
    levels = pairs_of_sub_blocks(block[48:]) + 16 * fifth
    return (scales[:, None] * levels.astype(np.float32) - mins[:, None]).reshape(-1)


def decode_q6_k(block: Block) -> Values:
    low = np.concatenate([nibbles(part) for part in block[:128].reshape(2, 64)])
    high = np.concatenate([fields(part, 2).T.reshape(-1) for part in block[128:192].reshape(2, 32)])
    levels = (low + 16 * high).astype(np.float32) - 32
    scales = half(block[208:]) * block[192:208].view(np.int8).astype(np.float32)
    return (scales[:, None] * levels.reshape(16, 16)).reshape(-1)


DECODERS: Final[dict[GGMLType, Callable[[Block], Values]]] = {
    GGMLType.F32: lambda block: block.view("<f4").copy(),
    GGMLType.F16: lambda block: block.view("<f2").astype(np.float32),
    GGMLType.BF16: lambda block: (block.view("<u2").astype(np.uint32) << 16).view(np.float32),
    GGMLType.Q8_0: decode_q8_0,
    GGMLType.Q4_0: decode_q4_0,
    GGMLType.Q4_1: decode_q4_1,
    GGMLType.Q5_0: decode_q5_0,
    GGMLType.Q5_1: decode_q5_1,
    GGMLType.Q4_K: decode_q4_k,
    GGMLType.Q5_K: decode_q5_k,
    GGMLType.Q6_K: decode_q6_k,
}

ENCODERS: Final[dict[GGMLType, Callable[[Values], Block]]] = {
    GGMLType.Q8_0: encode_q8_0,
    GGMLType.Q4_0: encode_q4_0,
    GGMLType.Q4_1: encode_q4_1,
    GGMLType.Q5_0: encode_q5_0,
    GGMLType.Q5_1: encode_q5_1,
}
