"""Blocks looked at without decoding them: their byte order, and whether their scales are numbers.

Both follow from the layouts that the codecs work with, see `gguf_tools.quants.layouts`: of a big-endian file
everything that has several bytes is in the file's order, scales and packed bit masks alike; and a scale that
is NaN or infinite would poison a whole row when the model runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..quants.layouts import LAYOUTS, Role, fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..spec import GGMLType

__all__ = ["nonfinite_blocks", "swap_blocks"]


def swap_blocks(data: NDArray[np.uint8], tensor_type: GGMLType) -> NDArray[np.uint8]:
    """Blocks with every multi-byte field in the other byte order; a new array of the same shape.

    Args:
        data: uint8, C-contiguous, its last dimension a whole number of blocks.
        tensor_type: which blocks they are.
    """
    swapped = data.copy()
    blocks = swapped.reshape(-1).view(LAYOUTS[tensor_type])
    for field in fields(tensor_type):
        if field.width > 1:
            blocks[field.name].byteswap(inplace=True)
    return swapped


def nonfinite_blocks(data: NDArray[np.uint8], tensor_type: GGMLType) -> NDArray[np.bool_]:
    """Which blocks hold a NaN or infinity in a scale (or, for float types, in a value).

    Args:
        data: little-endian blocks, uint8, C-contiguous, of any shape holding whole blocks.
        tensor_type: which blocks they are.

    Returns:
        One bool per block, in order.
    """
    size = LAYOUTS[tensor_type].itemsize
    bad = np.zeros(data.size // size, np.bool_)
    if not data.size:
        return bad
    for field in fields(tensor_type):
        if field.role is not Role.BITS:
            # where they stand: copying a few bytes of every block would take several times as long
            shape, strides = (len(bad), field.words), (size, field.width)
            words = np.ndarray(shape, f"<u{field.width}", data, field.offset, strides)
            bad |= _nonfinite(words, field.role)
    return bad


def _nonfinite(words: NDArray[Any], role: Role) -> NDArray[np.bool_]:
    """Per row of words of one field: whether the number they make is NaN or infinite."""
    if role is Role.SPREAD_F16:
        top = words >> 12
        number = top[:, 0] | top[:, 1] << 4 | top[:, 2] << 8 | top[:, 3] << 12
    else:
        number = words[:, 0]
    mask = words.dtype.type(_EXPONENTS[role])
    return np.asarray(number & mask == mask)


_EXPONENTS: Final = {
    Role.E8M0: 0xFF,
    Role.F16: 0x7C00,
    Role.SPREAD_F16: 0x7C00,
    Role.BF16: 0x7F80,
    Role.F32: 0x7F80_0000,
    Role.F64: 0x7FF0_0000_0000_0000,
}
"""Exponent bits, which are all set in infinities and NaNs and in nothing else."""
