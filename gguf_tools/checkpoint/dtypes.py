"""The element types of safetensors and what they are here.

Source: ``enum Dtype`` of the safetensors format (safetensors 0.6). Values are little endian.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..spec import GGMLType
from .small_floats import E4M3, E4M3FNUZ, E5M2, E5M2FNUZ, E8M0

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DTYPES", "Dtype", "ToFloat", "dtype_named"]

ToFloat = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]
"""Stored bytes, C-contiguous, to as many float32 values as they hold."""


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


def _cast(dtype: str) -> ToFloat:
    """Conversion as numpy does it; what float32 cannot hold becomes infinite."""
    kind: np.dtype[Any] = np.dtype(dtype)

    def decode(data: NDArray[np.uint8]) -> NDArray[np.float32]:
        with np.errstate(over="ignore", invalid="ignore"):
            return data.view(kind).astype(np.float32, copy=False)

    return decode


def _bf16(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    """bfloat16 is the upper half of float32. Widening first and shifting in place vectorizes best."""
    bits = data.view("<u2").astype(np.uint32)
    np.left_shift(bits, 16, out=bits)
    return bits.view(np.float32)


_F16_TO_F32: Final = np.float32(2.0**112)
"""float32's exponent bias less float16's, 127 − 15, as a factor: exact, and makes denormals normal."""


def _f16(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float16, several times faster than numpy's cast: move the bits into place, correct the exponent.

    The sign is copied into the upper bits by widening a signed integer; bits 28–30 are cleared of it.
    """
    halves = data.view("<i2")
    if halves.size and int((halves & np.int16(0x7C00)).max()) == 0x7C00:
        return data.view("<f2").astype(np.float32)  # infinities and NaNs have an exponent of their own
    bits = halves.astype(np.int32)
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(~0x7000_0000), out=bits)
    values = bits.view(np.float32)
    np.multiply(values, _F16_TO_F32, out=values)
    return values


def _looked_up(table: NDArray[np.float32]) -> ToFloat:
    """Each byte stands for an entry of the table."""
    return lambda data: table.take(data)


_ALL: Final = (
    Dtype("F64", 64, GGMLType.F64, _cast("<f8")),
    Dtype("F32", 32, GGMLType.F32, _cast("<f4")),
    Dtype("F16", 16, GGMLType.F16, _f16),
    Dtype("BF16", 16, GGMLType.BF16, _bf16),
    Dtype("I64", 64, GGMLType.I64, _cast("<i8")),
    Dtype("I32", 32, GGMLType.I32, _cast("<i4")),
    Dtype("I16", 16, GGMLType.I16, _cast("<i2")),
    Dtype("I8", 8, GGMLType.I8, _cast("i1")),
    Dtype("U64", 64, None, _cast("<u8")),
    Dtype("U32", 32, None, _cast("<u4")),
    Dtype("U16", 16, None, _cast("<u2")),
    Dtype("U8", 8, None, _cast("u1")),
    Dtype("BOOL", 8, None, lambda data: (data != 0).astype(np.float32)),
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
