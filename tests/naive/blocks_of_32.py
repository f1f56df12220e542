"""32 values: d and perhaps m, then for 5-bit types 32 fifth bits, then low bits."""

from __future__ import annotations

from typing import Final

import numpy as np

from gguf_tools.spec import GGMLType
from tests.naive.parts import Block, Decoder, Encoder, Levels, Values, bytes_of, fields, half, nibbles


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


DECODERS: Final[dict[GGMLType, Decoder]] = {
    GGMLType.Q8_0: decode_q8_0,
    GGMLType.Q4_0: decode_q4_0,
    GGMLType.Q4_1: decode_q4_1,
    GGMLType.Q5_0: decode_q5_0,
    GGMLType.Q5_1: decode_q5_1,
}

ENCODERS: Final[dict[GGMLType, Encoder]] = {
    GGMLType.Q8_0: encode_q8_0,
    GGMLType.Q4_0: encode_q4_0,
    GGMLType.Q4_1: encode_q4_1,
    GGMLType.Q5_0: encode_q5_0,
    GGMLType.Q5_1: encode_q5_1,
}
