"""The block formats in plain numpy, one block at a time: slow, and meant to be read.

Every function takes or makes one block. Levels are integers in the order of the values; a little-endian
bit string read from the lowest bit up is what ``fields`` splits. Arithmetic is float32 throughout. A module
has a ``DECODERS`` table, and ``ENCODERS`` where it has plain encoders too.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from gguf_tools.spec import BLOCK_SIZES, GGMLType
from tests.naive import blocks_of_32, codebook_types, grid_searches, iq_grids, k_quants, simple_types
from tests.naive.parts import Block, Decoder, Encoder, Values

__all__ = ["DECODERS", "ENCODERS", "SLOW", "decode", "encode"]

_PLAIN: Final[dict[GGMLType, Decoder]] = {
    GGMLType.F32: lambda block: block.view("<f4").copy(),
    GGMLType.F16: lambda block: block.view("<f2").astype(np.float32),
    GGMLType.BF16: lambda block: (block.view("<u2").astype(np.uint32) << 16).view(np.float32),
}

_FAMILIES: Final = (blocks_of_32, k_quants, codebook_types, simple_types, iq_grids)

DECODERS: Final[dict[GGMLType, Decoder]] = dict(_PLAIN)

ENCODERS: Final[dict[GGMLType, Encoder]] = {}

for _family in _FAMILIES:
    DECODERS.update(_family.DECODERS)
    ENCODERS.update(getattr(_family, "ENCODERS", {}))
ENCODERS.update(grid_searches.ENCODERS)

SLOW: Final = frozenset(grid_searches.ENCODERS)
"""Types whose encoder takes a tenth of a second or more for a block."""


def decode(data: Block, type_: GGMLType) -> Values:
    """Blocks of any number → their values, flat."""
    with np.errstate(all="ignore"):
        blocks = data.reshape(-1, BLOCK_SIZES[type_].bytes)
        return np.concatenate([DECODERS[type_](block) for block in blocks])


def encode(x: Values, type_: GGMLType) -> Block:
    """Values → blocks, flat. Only where no scale or its inverse overflows, which C leaves undefined."""
    with np.errstate(all="ignore"):
        blocks = x.reshape(-1, BLOCK_SIZES[type_].elements)
        return np.concatenate([ENCODERS[type_](block) for block in blocks])
