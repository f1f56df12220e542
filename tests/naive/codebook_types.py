"""32 values that index a codebook, with a scale of their own or, in eights, with one relative to d."""

from __future__ import annotations

from typing import Final

import numpy as np

from gguf_tools.spec import GGMLType
from tests.naive.k_searches import TINY, greatest, largest_magnitude, nearest, total
from tests.naive.parts import Block, Decoder, Encoder, Levels, Values, bytes_of, fields, half, nibbles

CODEBOOK: Final = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], "f4")


def decode_iq4_nl(block: Block) -> Values:
    return half(block[:2]) * CODEBOOK[nibbles(block[2:])]


def decode_iq4_xs(block: Block) -> Values:
    low = fields(block[4:8], 4).reshape(-1)
    high = fields(block[2:4], 2).reshape(-1)
    scales = half(block[:2]) * ((low | high << 4).astype(np.float32) - 32)
    levels = np.stack([nibbles(part) for part in block[8:].reshape(8, 16)])
    return (scales[:, None] * CODEBOOK[levels]).reshape(-1)


def closest(x: Values) -> Levels:
    """The nearest entry of the codebook; of two equally near ones the larger, and for NaN the last."""
    distance = np.abs(np.clip(x, -200, 200)[..., None].astype(np.float64) - CODEBOOK)
    return np.where(np.isnan(x), 15, 15 - distance[..., ::-1].argmin(-1))


def scales_of(x: Values) -> Values:
    """A scale for each row, weighted with x²."""
    w, largest = x * x, largest_magnitude(x)
    scale = best = np.full_like(largest, np.nan)
    steps = [np.float32(1) / (-largest / CODEBOOK[0])]
    steps += [(np.float32(attempt) + CODEBOOK[0]) / largest for attempt in range(-7, 8)]
    for number, step in enumerate(steps):
        q = CODEBOOK[closest(step[:, None] * x)]
        sum_xq, sum_q2 = total(w * q * x), total(w * q * q)
        tried = np.where(sum_q2 > 0, sum_xq / sum_q2, 0).astype(np.float32)
        better = (number == 0) | (sum_q2 > 0) & (sum_xq * sum_xq > best * sum_q2)
        scale, best = np.where(better, tried, scale), np.where(better, tried * sum_xq, best)
    return np.where(np.abs(largest) < TINY, 0, scale).astype(np.float32)


def inverse(x: Values) -> Values:
    return np.where(x == 0, 0, np.float32(1) / x).astype(np.float32)


def pairs(levels: Levels) -> Block:
    """Rows of 32 levels → rows of 16 bytes."""
    return (levels[:, :16] | levels[:, 16:] << 4).astype(np.uint8)


def encode_iq4_nl(x: Values) -> Block:
    scale = scales_of(x[None])
    return np.concatenate([bytes_of(scale[0]), pairs(closest(inverse(scale)[:, None] * x))[0]])


def encode_iq4_xs(x: Values) -> Block:
    rows = x.reshape(8, 32)
    scales = scales_of(rows)
    d = -greatest(scales) / np.float32(32)
    integers = np.clip(nearest(inverse(d) * scales), -32, 31)
    levels = closest(inverse(d * integers.astype(np.float32))[:, None] * rows)
    low = ((integers + 32) & 15).reshape(4, 2) << [0, 4]
    high = ((integers + 32 >> 4).reshape(2, 4) << [0, 2, 4, 6]).sum(1)
    parts = high, low.sum(1), pairs(levels).reshape(-1)
    return np.concatenate([bytes_of(d), *(part.astype(np.uint8) for part in parts)])


DECODERS: Final[dict[GGMLType, Decoder]] = {
    GGMLType.IQ4_NL: decode_iq4_nl,
    GGMLType.IQ4_XS: decode_iq4_xs,
}

ENCODERS: Final[dict[GGMLType, Encoder]] = {
    GGMLType.IQ4_NL: encode_iq4_nl,
    GGMLType.IQ4_XS: encode_iq4_xs,
}
