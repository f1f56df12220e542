"""Which bytes of a block are numbers of more than one byte, and which of them scale its values.

One table serves two purposes: turning the blocks of a big-endian file around (everything multi-byte is in
the file's order, scales and packed bit masks alike), and finding NaN or infinite scales, which would
poison a whole row when the model runs.

Source of the layouts: ggml, ``ggml-common.h`` (block structures); which words the C code stores as a whole,
and so in the machine's order, is read from ``ggml-quants.c``.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ..spec import BLOCK_SIZES, GGMLType

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BLOCK_FIELDS", "Field", "Role", "nonfinite_blocks", "swap_blocks"]


class Role(Enum):
    """What a field of a block means."""

    F16 = "half-precision number"
    BF16 = "bfloat16 number"
    F32 = "single-precision number"
    F64 = "double-precision number"
    E8M0 = "power of two; 0xFF is NaN"
    SPREAD_F16 = "half-precision number spread over the top nibbles of four words"
    BITS = "integers or packed bits, valid whatever they hold"


class Field(NamedTuple):
    """``words`` consecutive words of ``width`` bytes from byte ``offset`` of a block."""

    name: str
    offset: int
    width: int
    words: int
    role: Role


def _half(name: str, offset: int) -> Field:
    return Field(name, offset, 2, 1, Role.F16)


def _bits(name: str, offset: int, width: int, words: int = 1) -> Field:
    return Field(name, offset, width, words, Role.BITS)


_D: Final = (_half("d", 0),)
_D_AND_M: Final = (_half("d", 0), _half("m", 2))
_D_AND_DMIN: Final = (_half("d", 0), _half("dmin", 2))

BLOCK_FIELDS: Final[dict[GGMLType, tuple[Field, ...]]] = {
    GGMLType.F32: (Field("value", 0, 4, 1, Role.F32),),
    GGMLType.F16: (_half("value", 0),),
    GGMLType.BF16: (Field("value", 0, 2, 1, Role.BF16),),
    GGMLType.F64: (Field("value", 0, 8, 1, Role.F64),),
    GGMLType.I8: (),
    GGMLType.I16: (_bits("value", 0, 2),),
    GGMLType.I32: (_bits("value", 0, 4),),
    GGMLType.I64: (_bits("value", 0, 8),),
    GGMLType.Q1_0: _D,
    GGMLType.Q2_0: _D,
    GGMLType.Q4_0: _D,
    GGMLType.Q4_1: _D_AND_M,
    GGMLType.Q5_0: (_half("d", 0), _bits("qh", 2, 4)),
    GGMLType.Q5_1: (_half("d", 0), _half("m", 2), _bits("qh", 4, 4)),
    GGMLType.Q8_0: _D,
    GGMLType.Q8_1: (_half("d", 0), _half("s", 2)),
    GGMLType.Q2_K: (_half("d", 80), _half("dmin", 82)),
    GGMLType.Q3_K: (_half("d", 108),),
    GGMLType.Q4_K: _D_AND_DMIN,
    GGMLType.Q5_K: _D_AND_DMIN,
    GGMLType.Q6_K: (_half("d", 208),),
    GGMLType.Q8_K: (Field("d", 0, 4, 1, Role.F32), _bits("bsums", 260, 2, 16)),
    GGMLType.IQ1_S: (_half("d", 0), _bits("qh", 34, 2, 8)),
    GGMLType.IQ1_M: (Field("scales", 48, 2, 4, Role.SPREAD_F16),),
    GGMLType.IQ2_XXS: (_half("d", 0), _bits("qs", 2, 4, 16)),
    GGMLType.IQ2_XS: (_half("d", 0), _bits("qs", 2, 2, 32)),
    GGMLType.IQ2_S: _D,
    GGMLType.IQ3_XXS: (_half("d", 0), _bits("scales and signs", 66, 4, 8)),
    GGMLType.IQ3_S: _D,
    GGMLType.IQ4_NL: _D,
    GGMLType.IQ4_XS: (_half("d", 0), _bits("scales_h", 2, 2)),
    GGMLType.TQ1_0: (_half("d", 52),),
    GGMLType.TQ2_0: (_half("d", 64),),
    GGMLType.MXFP4: (Field("e", 0, 1, 1, Role.E8M0),),
    # ggml decodes every UE4M3 byte to a finite number (0x7F to zero), so nothing here can be faulty.
    GGMLType.NVFP4: (_bits("d", 0, 1, 4),),
}
"""All multi-byte or scale fields of each type's block; what is not listed is single bytes of any value."""


def swap_blocks(data: NDArray[np.uint8], tensor_type: GGMLType) -> NDArray[np.uint8]:
    """Blocks with every multi-byte field in the other byte order; a new array of the same shape.

    Args:
        data: uint8, C-contiguous, its last dimension a whole number of blocks.
        tensor_type: which blocks they are.
    """
    blocks = data.reshape(-1, BLOCK_SIZES[tensor_type].bytes).copy()
    for field in BLOCK_FIELDS[tensor_type]:
        if field.width > 1:
            part = slice(field.offset, field.offset + field.width * field.words)
            words = blocks[:, part].reshape(len(blocks), field.words, field.width)
            blocks[:, part] = words[:, :, ::-1].reshape(len(blocks), field.width * field.words)
    return blocks.reshape(data.shape)


def nonfinite_blocks(data: NDArray[np.uint8], tensor_type: GGMLType) -> NDArray[np.bool_]:
    """Which blocks hold a NaN or infinity in a scale (or, for float types, in a value).

    Args:
        data: little-endian blocks, uint8, C-contiguous, of any shape holding whole blocks.
        tensor_type: which blocks they are.

    Returns:
        One bool per block, in order.
    """
    size = BLOCK_SIZES[tensor_type].bytes
    bad = np.zeros(data.size // size, np.bool_)
    if not data.size:
        return bad
    for field in BLOCK_FIELDS[tensor_type]:
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
