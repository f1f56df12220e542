"""The element types of safetensors and what they are here.

Source: ``enum Dtype`` of the safetensors format (safetensors 0.6). Values are little endian.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from ..quants import decode_rows
from ..spec import BLOCK_SIZES, GGMLType
from .small_floats import E4M3, E4M3FNUZ, E5M2, E5M2FNUZ, E8M0

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DTYPES", "Dtype", "ToFloat", "dtype_named"]

ToFloat = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]
"""Stored bytes, C-contiguous, to as many float32 values as they hold, flat."""


@dataclass(frozen=True, slots=True)
class Dtype:
    """An element type.

    Attributes:
        name: as headers spell it, such as ``"BF16"``.
        bits: per element; only the F4 and F6 kinds are not whole bytes.
        storage: the tensor type with the same bytes, or None where ggml has none.
        decode: stored bytes (C-contiguous uint8) to float32 of the same values; None where that takes
            more than the bytes themselves, such as scales kept in another tensor.
    """

    name: str
    bits: int
    storage: GGMLType | None = None
    decode: ToFloat | None = None


def _shared(name: str, type_: GGMLType) -> Dtype:
    """An element type that ggml has, too."""
    size = BLOCK_SIZES[type_].bytes

    def decode(data: NDArray[np.uint8]) -> NDArray[np.float32]:
        return decode_rows(data.reshape(1, -1), type_, data.size // size).reshape(-1)

    return Dtype(name, 8 * size, type_, decode)


def _unsigned(dtype: str) -> ToFloat:
    """Conversion as numpy does it."""
    return lambda data: data.reshape(-1).view(dtype).astype(np.float32)


def _looked_up(table: NDArray[np.float32]) -> ToFloat:
    """Each byte stands for an entry of the table."""
    return lambda data: table.take(data.reshape(-1))


_ALL: Final = (
    _shared("F64", GGMLType.F64),
    _shared("F32", GGMLType.F32),
    _shared("F16", GGMLType.F16),
    _shared("BF16", GGMLType.BF16),
    _shared("I64", GGMLType.I64),
    _shared("I32", GGMLType.I32),
    _shared("I16", GGMLType.I16),
    _shared("I8", GGMLType.I8),
    Dtype("U64", 64, None, _unsigned("<u8")),
    Dtype("U32", 32, None, _unsigned("<u4")),
    Dtype("U16", 16, None, _unsigned("<u2")),
    Dtype("U8", 8, None, _unsigned("u1")),
    Dtype("BOOL", 8, None, lambda data: (data.reshape(-1) != 0).astype(np.float32)),
    Dtype("C64", 64),
    Dtype("F8_E4M3", 8, None, _looked_up(E4M3)),
    Dtype("F8_E5M2", 8, None, _looked_up(E5M2)),
    Dtype("F8_E8M0", 8, None, _looked_up(E8M0)),
    Dtype("F8_E4M3FNUZ", 8, None, _looked_up(E4M3FNUZ)),
    Dtype("F8_E5M2FNUZ", 8, None, _looked_up(E5M2FNUZ)),
    Dtype("F6_E2M3", 6),
    Dtype("F6_E3M2", 6),
    Dtype("F4", 4),
)

_BY_NAME: Final = {dtype.name: dtype for dtype in _ALL}

DTYPES: Final[Mapping[GGMLType, str]] = MappingProxyType(
    {dtype.storage: dtype.name for dtype in _ALL if dtype.storage is not None}
)
"""Tensor types that safetensors can hold byte for byte, and what it calls them."""


def dtype_named(name: str) -> Dtype | None:
    """The element type of a name in a header, or None where it is unknown."""
    return _BY_NAME.get(name)
