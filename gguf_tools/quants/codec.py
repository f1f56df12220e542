"""What a codec is: a tensor type and a pair of kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..spec import BLOCK_SIZES, GGMLType
from .layouts import LAYOUTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Codec"]

Encoder = Callable[["NDArray[np.float32]", "NDArray[np.uint8]"], None]
WeightedEncoder = Callable[["NDArray[np.float32]", "NDArray[np.float32]", "NDArray[np.uint8]"], None]
Decoder = Callable[["NDArray[np.uint8]", "NDArray[np.float32]"], None]


@dataclass(frozen=True, slots=True)
class Codec:
    """One tensor type.

    Rows are whole blocks that follow one another, so kernels see blocks only. All are called with
    C-contiguous arrays, hold no lock and keep no state:

    - ``encode(values, out)``: float32 (blocks, block elements) → uint8 (blocks, block bytes). The values
      are finite where ``finite_only`` holds, and may be read-only.
    - ``weighted(values, weights, out)``: the same with an importance matrix: ``weights`` is float32 (blocks
      of one row, block elements), and block b of ``values`` takes row b mod (blocks of one row) of it.
    - ``decode(data, out)``: uint8 (blocks, block bytes) → float32 (blocks, block elements), for any bytes.

    Blocks and values are bit for bit those of ggml's reference, on every processor, with one exception. A
    block whose scale is a NaN or an infinity decodes to NaN where ggml's does, but which NaN it is, its sign
    and payload, is not promised: where two NaN meet, the order of the operands decides, which is the
    compiler's choice, and ∞ × 0 is one NaN on x86 and another on ARM. Finite values and infinities are never
    affected, nor what encoders make of a NaN: F16 and BF16 are rounded in integer arithmetic.

    Attributes:
        type: the tensor type.
        encode: None where ggml has no encoder either.
        decode: see above.
        finite_only: NaN and infinities cannot be encoded; callers check before.
        weighted: None where ggml's encoder takes no notice of an importance matrix.
        needs_weights: whether ggml refuses to encode the type without an importance matrix.
    """

    type: GGMLType
    encode: Encoder | None
    decode: Decoder
    finite_only: bool = True
    weighted: WeightedEncoder | None = None
    needs_weights: bool = False

    @property
    def layout(self) -> np.dtype[np.void]:
        """The structured dtype of one block."""
        return LAYOUTS[self.type]

    @property
    def block_elements(self) -> int:
        return BLOCK_SIZES[self.type].elements

    @property
    def block_bytes(self) -> int:
        return BLOCK_SIZES[self.type].bytes
