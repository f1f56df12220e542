"""What a codec is: a block layout and a pair of kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..spec import BLOCK_SIZES, GGMLType

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Codec"]

Encoder = Callable[["NDArray[np.float32]", "NDArray[np.uint8]"], None]
Decoder = Callable[["NDArray[np.uint8]", "NDArray[np.float32]"], None]


@dataclass(frozen=True, slots=True)
class Codec:
    """One tensor type.

    Rows are whole blocks that follow one another, so kernels see blocks only. Both are called with
    C-contiguous arrays, hold no lock and keep no state:

    - ``encode(values, out)``: float32 (blocks, block elements) → uint8 (blocks, block bytes). The values
      are finite where ``finite_only`` holds, and may be read-only.
    - ``decode(data, out)``: uint8 (blocks, block bytes) → float32 (blocks, block elements), for any bytes.

    Attributes:
        type: the tensor type.
        layout: structured dtype of one block.
        encode: None where ggml has no encoder either.
        decode: see above.
        finite_only: NaN and infinities cannot be encoded; callers check before.
    """

    type: GGMLType
    layout: np.dtype[np.void]
    encode: Encoder | None
    decode: Decoder
    finite_only: bool = True

    @property
    def block_elements(self) -> int:
        return BLOCK_SIZES[self.type].elements

    @property
    def block_bytes(self) -> int:
        return BLOCK_SIZES[self.type].bytes
