"""Reading and writing the parts blocks are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Block: TypeAlias = NDArray[np.uint8]
Values: TypeAlias = NDArray[np.float32]
Levels: TypeAlias = NDArray[np.integer]
Decoder: TypeAlias = Callable[[Block], Values]
Encoder: TypeAlias = Callable[[Values], Block]


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
