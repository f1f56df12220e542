"""256 values: sub-blocks with small scales of their own, relative to d (and mins relative to dmin)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gguf_tools.spec import GGMLType

from .parts import Block, Decoder, Values, fields, half, nibbles


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


DECODERS: Final[dict[GGMLType, Decoder]] = {
    GGMLType.Q4_K: decode_q4_k,
    GGMLType.Q5_K: decode_q5_k,
    GGMLType.Q6_K: decode_q6_k,
}
