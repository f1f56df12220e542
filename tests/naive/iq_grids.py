"""256 values in groups of 8 or 4 that are points of a grid, with signs or a shift, and small scales."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gguf_tools.quants.kernels.grids import grid
from gguf_tools.spec import GGMLType
from tests.naive.parts import Block, Decoder, Values, fields, half

HALF: Final = np.float32(0.5)
QUARTER: Final = np.float32(0.25)
SHIFT: Final = np.float32(0.125)


def decode_iq2_xxs(block: Block) -> Values:
    parts = block[2:].reshape(8, 8)
    packed = parts[:, 4:].copy().view("<u4")  # four times seven signs, then the scale
    scales = half(block[:2]) * (HALF + (packed >> 28).astype(np.float32)) * QUARTER
    points = grid("iq2_xxs")[parts[:, :4]]
    return signed(points * scales[:, :, None], even_signs(packed >> np.arange(0, 28, 7) & 127))


def decode_iq2_xs(block: Block) -> Values:
    packed = block[2:66].view("<u2")
    points = grid("iq2_xs")[packed & 511]
    return signed(points * scales_of_16(block[66:], half(block[:2])), even_signs(packed >> 9))


def decode_iq2_s(block: Block) -> Values:
    places = block[2:34] + 256 * fields(block[66:74], 2).reshape(-1).astype(np.int32)
    points = grid("iq2_s")[places]
    return signed(points * scales_of_16(block[74:], half(block[:2])), fields(block[34:66], 1))


def decode_iq3_xxs(block: Block) -> Values:
    packed = block[66:].view("<u4")[:, None]
    scales = half(block[:2]) * (HALF + (packed >> 28).astype(np.float32)) * HALF
    points = grid("iq3_xxs")[block[2:66]].reshape(8, 32)
    return signed(points * scales, even_signs(packed >> np.arange(0, 28, 7) & 127))


def decode_iq3_s(block: Block) -> Values:
    places = block[2:66] + 256 * fields(block[66:74], 1).reshape(-1).astype(np.int32)
    scales = half(block[:2]) * (1 + 2 * fields(block[106:], 4)).reshape(8, 1).astype(np.float32)
    return signed(grid("iq3_s")[places].reshape(8, 32) * scales, fields(block[74:106], 1))


def decode_iq1_s(block: Block) -> Values:
    upper = block[34:].view("<u2").astype(np.int32)[:, None]
    places = block[2:34].reshape(8, 4) + 256 * (upper >> np.arange(0, 12, 3) & 7)
    scales = half(block[:2]) * (2 * (upper >> 12 & 7) + 1).astype(np.float32)
    return (scales[:, :, None] * shifted(places, upper >> 15)).reshape(-1)


def decode_iq1_m(block: Block) -> Values:
    packed = block[48:].view("<u2").astype(np.int32)[:, None]
    d = np.float32(((packed[:, 0] >> 12) << np.arange(0, 16, 4)).sum().astype(np.uint16).view(np.float16))
    scales = d * (2 * (packed >> np.arange(0, 12, 3) & 7) + 1).astype(np.float32).reshape(16, 1, 1)
    upper = fields(block[32:48], 4).astype(np.int32)
    places = block[:32].reshape(16, 2) + 256 * (upper & 7)
    return (scales * shifted(places, upper >> 3)).reshape(-1)


def scales_of_16(data: Block, d: np.float32) -> NDArray[np.float32]:
    """Sixteen scales for two groups each, of shape (groups, 1)."""
    small = fields(data, 4).reshape(16).astype(np.float32)
    return np.repeat(d * (HALF + small) * QUARTER, 2)[:, None]


def even_signs(sevens: NDArray[np.integer]) -> NDArray[np.integer]:
    """Seven bits → eight whose number of ones is even."""
    signs = sevens[..., None] >> np.arange(7) & 1
    return np.concatenate([signs, signs.sum(-1, keepdims=True) & 1], axis=-1)


def signed(values: Values, signs: NDArray[np.integer]) -> Values:
    return values.reshape(-1) * np.where(signs.reshape(-1), np.float32(-1), np.float32(1))


def shifted(places: NDArray[np.integer], down: NDArray[np.integer]) -> Values:
    """Points of IQ1's grid, each moved up or down by an eighth."""
    return grid("iq1_s")[places] + np.where(down, -SHIFT, SHIFT)[..., None]


DECODERS: Final[dict[GGMLType, Decoder]] = {
    GGMLType.IQ2_XXS: decode_iq2_xxs,
    GGMLType.IQ2_XS: decode_iq2_xs,
    GGMLType.IQ2_S: decode_iq2_s,
    GGMLType.IQ3_XXS: decode_iq3_xxs,
    GGMLType.IQ3_S: decode_iq3_s,
    GGMLType.IQ1_S: decode_iq1_s,
    GGMLType.IQ1_M: decode_iq1_m,
}
