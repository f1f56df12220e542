"""The numbers of the GGUF format: enumerations, block sizes and limits. Standard library only.

Sources: the GGUF specification (ggml, ``docs/gguf.md``), ``ggml.h`` for tensor types and ``llama.h``
for file types.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal, NamedTuple

ByteOrder = Literal["little", "big"]

GGUF_MAGIC: Final = b"GGUF"
GGUF_VERSION: Final = 3
"""The version this package writes; 2 and 3 are read."""

DEFAULT_ALIGNMENT: Final = 32
"""Bytes; what applies when ``general.alignment`` is absent."""

QUANTIZATION_VERSION: Final = 2
"""``general.quantization_version`` of files whose block layouts are the present ones."""

MAX_ALIGNMENT: Final = 1 << 20
"""No real file goes beyond a page (4096); more would let a header of bytes demand gigabytes of padding."""

MAX_KEY_BYTES: Final = 65_535
"""From the specification: keys are at most 2^16 − 1 bytes."""

MAX_NAME_BYTES: Final = 63
"""llama.cpp keeps tensor names in a 64-byte buffer with its terminating NUL, and refuses longer ones."""

MAX_LAYERS: Final = 512
"""llama.cpp's ``LLAMA_MAX_LAYERS``; also what keeps a hostile number of layers from being counted through."""

MAX_DIMS: Final = 4
"""``GGML_MAX_DIMS``."""

MAX_ARRAY_DEPTH: Final = 8
"""Nested arrays are legal but unknown in the wild; a bound keeps a hostile file off the recursion limit."""

MAX_ELEMENTS: Final = (1 << 63) - 1
"""ggml counts elements in an int64."""

MAX_BESIDE_ZERO: Final = (1 << 32) - 1
"""Product of the other dimensions of a tensor without elements. No data bounds it: rows of no bytes would be
counted through for years, and numpy refuses shapes whose product overflows though it is multiplied by 0."""


class ValueType(IntEnum):
    """Types of metadata values."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


class GGMLType(IntEnum):
    """Types of tensors (``enum ggml_type``). Ids 4, 5, 31–33 and 36–38 were removed from ggml."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8
    Q8_1 = 9
    Q2_K = 10
    Q3_K = 11
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    Q8_K = 15
    IQ2_XXS = 16
    IQ2_XS = 17
    IQ3_XXS = 18
    IQ1_S = 19
    IQ4_NL = 20
    IQ3_S = 21
    IQ2_S = 22
    IQ4_XS = 23
    I8 = 24
    I16 = 25
    I32 = 26
    I64 = 27
    F64 = 28
    IQ1_M = 29
    BF16 = 30
    TQ1_0 = 34
    TQ2_0 = 35
    MXFP4 = 39
    NVFP4 = 40
    Q1_0 = 41
    Q2_0 = 42


class BlockSize(NamedTuple):
    """How a tensor type groups a row: ``elements`` values take ``bytes`` bytes."""

    elements: int
    bytes: int


BLOCK_SIZES: Final[dict[GGMLType, BlockSize]] = {
    GGMLType.F32: BlockSize(1, 4),
    GGMLType.F16: BlockSize(1, 2),
    GGMLType.Q4_0: BlockSize(32, 18),
    GGMLType.Q4_1: BlockSize(32, 20),
    GGMLType.Q5_0: BlockSize(32, 22),
    GGMLType.Q5_1: BlockSize(32, 24),
    GGMLType.Q8_0: BlockSize(32, 34),
    GGMLType.Q8_1: BlockSize(32, 36),
    GGMLType.Q2_K: BlockSize(256, 84),
    GGMLType.Q3_K: BlockSize(256, 110),
    GGMLType.Q4_K: BlockSize(256, 144),
    GGMLType.Q5_K: BlockSize(256, 176),
    GGMLType.Q6_K: BlockSize(256, 210),
    GGMLType.Q8_K: BlockSize(256, 292),
    GGMLType.IQ2_XXS: BlockSize(256, 66),
    GGMLType.IQ2_XS: BlockSize(256, 74),
    GGMLType.IQ3_XXS: BlockSize(256, 98),
    GGMLType.IQ1_S: BlockSize(256, 50),
    GGMLType.IQ4_NL: BlockSize(32, 18),
    GGMLType.IQ3_S: BlockSize(256, 110),
    GGMLType.IQ2_S: BlockSize(256, 82),
    GGMLType.IQ4_XS: BlockSize(256, 136),
    GGMLType.I8: BlockSize(1, 1),
    GGMLType.I16: BlockSize(1, 2),
    GGMLType.I32: BlockSize(1, 4),
    GGMLType.I64: BlockSize(1, 8),
    GGMLType.F64: BlockSize(1, 8),
    GGMLType.IQ1_M: BlockSize(256, 56),
    GGMLType.BF16: BlockSize(1, 2),
    GGMLType.TQ1_0: BlockSize(256, 54),
    GGMLType.TQ2_0: BlockSize(256, 66),
    GGMLType.MXFP4: BlockSize(32, 17),
    GGMLType.NVFP4: BlockSize(64, 36),
    GGMLType.Q1_0: BlockSize(128, 18),
    GGMLType.Q2_0: BlockSize(64, 18),
}


class FileType(IntEnum):
    """``general.file_type`` (``enum llama_ftype``): what most tensors of a file are."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q8_0 = 7
    Q5_0 = 8
    Q5_1 = 9
    Q2_K = 10
    Q3_K_S = 11
    Q3_K_M = 12
    Q3_K_L = 13
    Q4_K_S = 14
    Q4_K_M = 15
    Q5_K_S = 16
    Q5_K_M = 17
    Q6_K = 18
    IQ2_XXS = 19
    IQ2_XS = 20
    Q2_K_S = 21
    IQ3_XS = 22
    IQ3_XXS = 23
    IQ1_S = 24
    IQ4_NL = 25
    IQ3_S = 26
    IQ3_M = 27
    IQ2_S = 28
    IQ2_M = 29
    IQ4_XS = 30
    IQ1_M = 31
    BF16 = 32
    TQ1_0 = 36
    TQ2_0 = 37
    MXFP4_MOE = 38
    NVFP4 = 39
    Q1_0 = 40
    Q2_0 = 41


class TokenType(IntEnum):
    """``tokenizer.ggml.token_type`` (``enum llama_token_type``)."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


def row_bytes(tensor_type: GGMLType, row_elements: int) -> int:
    """Bytes of one row of ``row_elements`` values stored as ``tensor_type``.

    Raises:
        ValueError: the row is not a whole number of blocks.
    """
    block = BLOCK_SIZES[tensor_type]
    blocks, rest = divmod(row_elements, block.elements)
    if rest:
        raise ValueError(
            f"a row of {row_elements} elements is not a multiple of"
            f" {tensor_type.name}'s block of {block.elements}"
        )
    return blocks * block.bytes


def align(offset: int, alignment: int) -> int:
    """The smallest multiple of ``alignment`` that is at least ``offset``."""
    return -(-offset // alignment) * alignment
