"""256 values: sub-blocks with small scales of their own, relative to d (and mins relative to dmin)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gguf_tools.spec import GGMLType
from tests.naive.k_searches import (
    greatest,
    nearest,
    relative,
    scale_and_min,
    scale_by_least_squares,
    scale_by_moves,
)
from tests.naive.parts import Block, Decoder, Encoder, Levels, Values, bytes_of, fields, half, nibbles


def sub_scales(block: Block) -> tuple[Values, Values]:
    """Q4_K and Q5_K: the eight scales and mins of sub-blocks, six bits each, in bytes 4 to 15."""
    a, b, c = (part.astype(np.int32) for part in block[4:16].reshape(3, 4))
    scales = np.concatenate([a & 63, (c & 15) | (a >> 6) << 4])
    mins = np.concatenate([b & 63, (c >> 4) | (b >> 6) << 4])
    return half(block[:2]) * scales.astype(np.float32), half(block[2:4]) * mins.astype(np.float32)


def pairs_of_sub_blocks(data: Block) -> NDArray[np.uint8]:
    """128 bytes → low four bits of eight sub-blocks of 32: each 32 bytes hold two of them."""
    return np.concatenate([nibbles(part) for part in data.reshape(4, 32)]).reshape(8, 32)


def decode_q2_k(block: Block) -> Values:
    scales = half(block[80:82]) * (block[:16] & 15).astype(np.float32)
    mins = half(block[82:84]) * (block[:16] >> 4).astype(np.float32)
    levels = quarters(block[16:80]).astype(np.float32).reshape(16, 16)
    return (scales[:, None] * levels - mins[:, None]).reshape(-1)


def decode_q3_k(block: Block) -> Values:
    low = np.concatenate([fields(block[96:104], 4)[:, k] for k in range(2)])
    high = np.concatenate([fields(block[104:108], 2)[:, k] for k in range(4)])
    scales = half(block[108:]) * ((low | high << 4).astype(np.float32) - 32)
    third = fields(block[:32], 1).T.reshape(-1)  # bit k of byte i belongs to value 32 k + i
    levels = (quarters(block[32:96]) + 4 * third).astype(np.float32) - 4
    return (scales[:, None] * levels.reshape(16, 16)).reshape(-1)


def quarters(data: Block) -> Block:
    """64 bytes → 256 levels of two bits: the first 32 bytes hold four times 32 levels, the others too."""
    return np.concatenate([fields(part, 2).T.reshape(-1) for part in data.reshape(2, 32)])


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


def packed(levels: Levels, width: int, run: int) -> Block:
    """What ``fields`` takes apart: each byte holds levels that are ``run`` apart, lowest bits first."""
    parts = levels.reshape(-1, 8 // width, run).astype(np.uint8)
    shifted = parts << np.arange(0, 8, width, dtype=np.uint8)[:, None]
    return np.bitwise_or.reduce(shifted, axis=1).reshape(-1)


def refit(x: Values, d: Values, m: Values, least: int, top: int, levels: Levels) -> Levels:
    """Levels for what scales and mins decode to; where a scale is zero those of the search stay."""
    again = np.clip(nearest((x + m[:, None]) / d[:, None]), least, top) - least
    return np.where(d[:, None] == 0, levels, again)


def encode_q2_k(x: Values) -> Block:
    rows = x.reshape(16, 16)
    scales, mins, levels = scale_and_min(rows, np.abs(rows), 3, (-0.5, 15), absolute=True)
    sc, d = relative(scales, 15)
    mn, dmin = relative(mins, 15)
    both = ((sc | mn << 4) & 255).astype(np.uint8)
    ends = bytes_of(d), bytes_of(dmin)
    decoded = half(ends[0]) * (both & 15).astype(np.float32), half(ends[1]) * (both >> 4).astype(np.float32)
    return np.concatenate([both, packed(refit(rows, *decoded, 0, 3, levels), 2, 32), *ends])


def encode_q3_k(x: Values) -> Block:
    rows = x.reshape(16, 16)
    scales, levels = scale_by_moves(rows, 4)
    largest = greatest(scales)
    sc, d = np.zeros(16, np.int64), np.float32(0)
    if largest != 0:
        inverse = np.float32(-32) / largest
        sc, d = np.clip(nearest(inverse * scales).astype(np.int8), -32, 31) + 32, np.float32(1) / inverse
    decoded = half(bytes_of(d)) * (sc.astype(np.float32) - 32)
    levels = refit(rows, decoded, np.zeros_like(decoded), -4, 3, levels)
    packed_scales = packed(sc & 15, 4, 8), packed(sc >> 4, 2, 4)
    return np.concatenate(
        [packed(levels >> 2, 1, 32), packed(levels & 3, 2, 32), *packed_scales, bytes_of(d)]
    )


def six_bits(x: Values, top: int, steps: tuple[float, int]) -> tuple[Block, Levels]:
    """Q4_K and Q5_K: the first 16 bytes, and the levels."""
    rows = x.reshape(8, 32)
    mean = np.sqrt(np.cumsum(rows * rows, axis=1, dtype=np.float32)[:, -1] / np.float32(32))
    scales, mins, levels = scale_and_min(rows, mean[:, None] + np.abs(rows), top, steps, absolute=False)
    sc, d = relative(scales, 63)
    mn, dmin = relative(mins, 63)
    sc, mn = np.minimum(sc, 63), np.minimum(mn, 63)
    joined = [sc[:4] | sc[4:] >> 4 << 6, mn[:4] | mn[4:] >> 4 << 6, sc[4:] & 15 | (mn[4:] & 15) << 4]
    head = np.concatenate([bytes_of(d), bytes_of(dmin), np.concatenate(joined).astype(np.uint8)])
    return head, refit(rows, *sub_scales(head), 0, top, levels)


def encode_q4_k(x: Values) -> Block:
    head, levels = six_bits(x, 15, (-1.0, 20))
    return np.concatenate([head, packed(levels, 4, 32)])


def encode_q5_k(x: Values) -> Block:
    head, levels = six_bits(x, 31, (-0.5, 15))
    return np.concatenate([head, packed(levels >> 4, 1, 32), packed(levels & 15, 4, 32)])


def encode_q6_k(x: Values) -> Block:
    rows = x.reshape(16, 16)
    scales, levels = scale_by_least_squares(rows, 32)
    largest = greatest(scales)
    if abs(largest) < np.float32(1e-15):
        return np.zeros(210, np.uint8)
    inverse = np.float32(-128) / largest
    sc = np.minimum(nearest(inverse * scales), 127).astype(np.int8)
    d = bytes_of(np.float32(1) / inverse)
    decoded = half(d) * sc.astype(np.float32)
    levels = refit(rows, decoded, np.zeros_like(decoded), -32, 31, levels)
    low = packed((levels & 15).reshape(2, 2, 64), 4, 64)
    return np.concatenate([low, packed(levels >> 4, 2, 32), sc.view(np.uint8), d])


DECODERS: Final[dict[GGMLType, Decoder]] = {
    GGMLType.Q2_K: decode_q2_k,
    GGMLType.Q3_K: decode_q3_k,
    GGMLType.Q4_K: decode_q4_k,
    GGMLType.Q5_K: decode_q5_k,
    GGMLType.Q6_K: decode_q6_k,
}

ENCODERS: Final[dict[GGMLType, Encoder]] = {
    GGMLType.Q2_K: encode_q2_k,
    GGMLType.Q3_K: encode_q3_k,
    GGMLType.Q4_K: encode_q4_k,
    GGMLType.Q5_K: encode_q5_k,
    GGMLType.Q6_K: encode_q6_k,
}
