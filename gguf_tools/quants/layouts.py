"""The layout of every tensor type's block, written once: a structured dtype.

Kernels take the places of fields from here (`offsets`), and so does whoever looks at blocks without
decoding them: `gguf_tools.container.block_fields` turns big-endian ones around and looks for scales that are
NaN. Layouts stand together, and not beside their kernels, because reading a file must not import numba. Bit
diagrams are in the docstrings of the codecs.

A field of several bytes is one that ggml's C code stores as a whole, and so in the machine's byte order:
numbers, and words of packed bits that are copied as one integer. Source: ggml, ``ggml-common.h`` (block
structures) and ``ggml-quants.c`` (which words are read and written as a whole).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, NamedTuple

import numpy as np

from ..spec import GGMLType

__all__ = ["LAYOUTS", "Field", "Role", "fields", "offsets"]


class Role(Enum):
    """What the words of a field mean."""

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


_D: Final = ("d", "<f2")
_SIX_BIT_SCALES: Final = (_D, ("dmin", "<f2"), ("scales", "u1", 12))
"""What blocks of Q4_K and Q5_K begin with."""

_FIELDS: Final[dict[GGMLType, tuple[tuple[Any, ...], ...]]] = {
    GGMLType.F32: (("value", "<f4"),),
    GGMLType.F16: (("value", "<f2"),),
    GGMLType.BF16: (("value", "<u2"),),
    GGMLType.F64: (("value", "<f8"),),
    GGMLType.I8: (("value", "i1"),),
    GGMLType.I16: (("value", "<i2"),),
    GGMLType.I32: (("value", "<i4"),),
    GGMLType.I64: (("value", "<i8"),),
    GGMLType.Q1_0: (_D, ("qs", "u1", 16)),
    GGMLType.Q2_0: (_D, ("qs", "u1", 16)),
    GGMLType.Q4_0: (_D, ("qs", "u1", 16)),
    GGMLType.Q4_1: (_D, ("m", "<f2"), ("qs", "u1", 16)),
    GGMLType.Q5_0: (_D, ("qh", "<u4"), ("qs", "u1", 16)),
    GGMLType.Q5_1: (_D, ("m", "<f2"), ("qh", "<u4"), ("qs", "u1", 16)),
    GGMLType.Q8_0: (_D, ("qs", "i1", 32)),
    GGMLType.Q8_1: (_D, ("s", "<f2"), ("qs", "i1", 32)),
    GGMLType.Q2_K: (("scales", "u1", 16), ("qs", "u1", 64), _D, ("dmin", "<f2")),
    GGMLType.Q3_K: (("hmask", "u1", 32), ("qs", "u1", 64), ("scales", "u1", 12), _D),
    GGMLType.Q4_K: (*_SIX_BIT_SCALES, ("qs", "u1", 128)),
    GGMLType.Q5_K: (*_SIX_BIT_SCALES, ("qh", "u1", 32), ("qs", "u1", 128)),
    GGMLType.Q6_K: (("ql", "u1", 128), ("qh", "u1", 64), ("scales", "i1", 16), _D),
    GGMLType.Q8_K: (("d", "<f4"), ("qs", "i1", 256), ("bsums", "<i2", 16)),
    GGMLType.IQ1_S: (_D, ("qs", "u1", 32), ("qh", "<u2", 8)),
    GGMLType.IQ1_M: (("qs", "u1", 32), ("qh", "u1", 16), ("scales", "<u2", 4)),
    GGMLType.IQ2_XXS: (_D, ("qs", "<u4", 16)),
    GGMLType.IQ2_XS: (_D, ("qs", "<u2", 32), ("scales", "u1", 8)),
    GGMLType.IQ2_S: (_D, ("qs", "u1", 32), ("signs", "u1", 32), ("qh", "u1", 8), ("scales", "u1", 8)),
    GGMLType.IQ3_XXS: (_D, ("qs", "u1", 64), ("scales_and_signs", "<u4", 8)),
    GGMLType.IQ3_S: (_D, ("qs", "u1", 64), ("qh", "u1", 8), ("signs", "u1", 32), ("scales", "u1", 4)),
    GGMLType.IQ4_NL: (_D, ("qs", "u1", 16)),
    GGMLType.IQ4_XS: (_D, ("scales_h", "<u2"), ("scales_l", "u1", 4), ("qs", "u1", 128)),
    GGMLType.TQ1_0: (("qs", "u1", 48), ("qh", "u1", 4), _D),
    GGMLType.TQ2_0: (("qs", "u1", 64), _D),
    GGMLType.MXFP4: (("e", "u1"), ("qs", "u1", 16)),
    GGMLType.NVFP4: (("d", "u1", 4), ("qs", "u1", 32)),
}

LAYOUTS: Final[dict[GGMLType, np.dtype[np.void]]] = {
    type_: np.dtype(list(described)) for type_, described in _FIELDS.items()
}
"""The structured dtype of one block, without padding, as a little-endian file has it."""

_FLOATS: Final = {2: Role.F16, 4: Role.F32, 8: Role.F64}

_SCALES_OF_OTHER_KINDS: Final = {
    (GGMLType.BF16, "value"): Role.BF16,
    (GGMLType.IQ1_M, "scales"): Role.SPREAD_F16,
    (GGMLType.MXFP4, "e"): Role.E8M0,
    # NVFP4's d is missing: ggml decodes every UE4M3 byte to a finite number (0x7F to zero)
}
"""Fields that decide whether values are finite, and that numpy has no dtype for."""


def offsets(type_: GGMLType, *names: str) -> tuple[int, ...]:
    """The first byte of each of these fields of a block.

    Kernels keep them in constants of their modules, which numba compiles in.
    """
    places = LAYOUTS[type_].fields
    assert places is not None  # all are structured
    return tuple(places[name][1] for name in names)


def fields(type_: GGMLType) -> Iterator[Field]:
    """All fields of a block."""
    places = LAYOUTS[type_].fields
    assert places is not None
    for name, place in places.items():
        dtype, offset = place[:2]
        width = dtype.base.itemsize
        role = _FLOATS[width] if dtype.base.kind == "f" else Role.BITS
        role = _SCALES_OF_OTHER_KINDS.get((type_, name), role)
        yield Field(name, int(offset), width, dtype.itemsize // width, role)
