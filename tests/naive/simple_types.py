"""Types whose scale needs no search: one bit, two bits, ternary, 4-bit floats; and the two decoded only."""

from __future__ import annotations

from typing import Final

import numpy as np

from gguf_tools.spec import GGMLType
from tests.naive.blocks_of_32 import inverse
from tests.naive.k_quants import packed
from tests.naive.parts import Block, Decoder, Encoder, Levels, Values, bytes_of, fields, half, nibbles

FLOATS: Final = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.float32)
"""Twice the 4-bit floats."""


def decode_q1_0(block: Block) -> Values:
    d = half(block[:2])
    return np.where(fields(block[2:], 1).reshape(-1) == 1, d, -d)


def encode_q1_0(x: Values) -> Block:
    d = np.cumsum(np.abs(x), dtype=np.float32)[-1] / np.float32(128)
    return np.concatenate([bytes_of(d), np.packbits(x >= 0, bitorder="little")])


def decode_q2_0(block: Block) -> Values:
    return (fields(block[2:], 2).reshape(-1).astype(np.float32) - 1) * half(block[:2])


def encode_q2_0(x: Values) -> Block:
    d = np.abs(x).max()
    return np.concatenate([bytes_of(d), packed(signs_and_zeros(x, d), 2, 1)])


def signs_and_zeros(x: Values, d: np.float32) -> Levels:
    """0, 1, 2 for −d, 0, d: x / d rounded half away from zero."""
    scaled = x * inverse(d)
    return np.trunc(scaled.astype(np.float64) + np.copysign(0.5, scaled)).astype(np.int64) + 1


def decode_tq2_0(block: Block) -> Values:
    levels = [fields(part, 2).T.reshape(-1) for part in block[:64].reshape(2, 32)]
    return (np.concatenate(levels).astype(np.float32) - 1) * half(block[64:])


def encode_tq2_0(x: Values) -> Block:
    d = np.abs(x).max()
    return np.concatenate([packed(signs_and_zeros(x, d), 2, 32), bytes_of(d)])


def decode_tq1_0(block: Block) -> Values:
    parts = [(block[:32], 5), (block[32:48], 5), (block[48:52], 4)]
    digits = [
        ((part * np.uint8(3**n)).astype(np.int64) * 3) >> 8 for part, count in parts for n in range(count)
    ]
    return (np.concatenate(digits).astype(np.float32) - 1) * half(block[52:])


def encode_tq1_0(x: Values) -> Block:
    d = np.abs(x).max()
    digits = signs_and_zeros(x, d)
    parts = digits[:160].reshape(5, 32), digits[160:240].reshape(5, 16), digits[240:].reshape(4, 4)
    numbers = np.concatenate([3 ** np.arange(4, 4 - len(part), -1) @ part for part in parts])
    return np.concatenate([(-(-numbers * 256 // 243)).astype(np.uint8), bytes_of(d)])


def nearest_floats(x: Values, d: np.float32) -> Levels:
    return np.abs(FLOATS * d - x[:, None]).argmin(1)


def pairs(levels: Levels) -> Block:
    first, second = levels.reshape(2, -1)
    return (first | second << 4).astype(np.uint8)


def decode_mxfp4(block: Block) -> Values:
    return FLOATS[nibbles(block[1:])] * np.ldexp(np.float32(1), int(block[0]) - 128)


def encode_mxfp4(x: Values) -> Block:
    largest = np.abs(x).max()
    e = int(np.floor(np.log2(largest))) - 2 + 127 if largest > 0 else 0
    d = np.ldexp(np.float32(1), e - 128)
    return np.concatenate([np.array([e], np.uint8), pairs(nearest_floats(x, d))])


def small_float(code: int) -> np.float32:
    """Half of a float of four bits of exponent and three of mantissa."""
    exponent, mantissa = code >> 3 & 15, code & 7
    value = np.ldexp(mantissa, -9) if exponent == 0 else np.ldexp(1 + mantissa / 8, exponent - 7)
    return np.float32(0 if code == 0x7F else value / 2)


def decode_nvfp4(block: Block) -> Values:
    parts = zip(block[:4], block[4:].reshape(4, 8), strict=True)
    return np.concatenate([FLOATS[nibbles(levels)] * small_float(int(d)) for d, levels in parts])


def encode_nvfp4(x: Values) -> Block:
    codes, levels = [], []
    every = np.array([small_float(code) * 2 for code in range(0x7F)], np.float64)
    for part in x.reshape(4, 16):
        wanted = float(np.abs(part).max() / np.float32(6))
        code = 0x7E - int(np.abs(every - wanted)[::-1].argmin())  # of two equally near ones the larger
        # ggml does not round a subnormal up to the smallest normal number
        codes.append(min(code, 7) if wanted < 2.0**-6 else code)
        levels.append(pairs(nearest_floats(part, small_float(codes[-1]))))
    return np.concatenate([np.array(codes, np.uint8), *levels])


def decode_q8_1(block: Block) -> Values:
    return block[4:].view(np.int8).astype(np.float32) * half(block[:2])


def decode_q8_k(block: Block) -> Values:
    return np.float32(block[:4].view("<f4")[0]) * block[4:260].view(np.int8).astype(np.float32)


DECODERS: Final[dict[GGMLType, Decoder]] = {
    GGMLType.Q1_0: decode_q1_0,
    GGMLType.Q2_0: decode_q2_0,
    GGMLType.TQ1_0: decode_tq1_0,
    GGMLType.TQ2_0: decode_tq2_0,
    GGMLType.MXFP4: decode_mxfp4,
    GGMLType.NVFP4: decode_nvfp4,
    GGMLType.Q8_1: decode_q8_1,
    GGMLType.Q8_K: decode_q8_k,
}

ENCODERS: Final[dict[GGMLType, Encoder]] = {
    GGMLType.Q1_0: encode_q1_0,
    GGMLType.Q2_0: encode_q2_0,
    GGMLType.TQ1_0: encode_tq1_0,
    GGMLType.TQ2_0: encode_tq2_0,
    GGMLType.MXFP4: encode_mxfp4,
    GGMLType.NVFP4: encode_nvfp4,
}
