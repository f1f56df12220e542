"""What tests of all codecs share: which types there are, and calls that treat them alike."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from gguf_tools import quants
from gguf_tools.quants.table import MODULES
from gguf_tools.spec import BLOCK_SIZES, GGMLType
from tests.references import ggml

__all__ = [
    "ENCODABLE",
    "PLAIN_TYPES",
    "TYPES",
    "WEIGHTED",
    "assert_same_as_ggml",
    "assert_same_blocks",
    "encode",
    "encode_rows",
    "even_weights",
    "every_block_type",
    "every_encodable_type",
    "every_type",
    "ggml_encode",
    "sample",
    "some_blocks",
]

TYPES: Final = tuple(MODULES)
ENCODABLE: Final = tuple(type_ for type_ in TYPES if quants.can_encode(type_))
WEIGHTED: Final = tuple(type_ for type_ in TYPES if quants.codec(type_).weighted is not None)
PLAIN_TYPES: Final = tuple(type_ for type_ in TYPES if BLOCK_SIZES[type_].elements == 1)
_BLOCK_TYPES: Final = tuple(type_ for type_ in ENCODABLE if type_ not in PLAIN_TYPES)

every_type = pytest.mark.parametrize("type_", TYPES, ids=lambda type_: type_.name)
every_encodable_type = pytest.mark.parametrize("type_", ENCODABLE, ids=lambda type_: type_.name)
every_block_type = pytest.mark.parametrize("type_", _BLOCK_TYPES, ids=lambda type_: type_.name)


def even_weights(type_: GGMLType, length: int) -> NDArray[np.float32] | None:
    """Ones, for types that cannot do without an importance matrix."""
    return np.ones(length, np.float32) if quants.codec(type_).needs_weights else None


def encode(x: ArrayLike, type_: GGMLType, **options: Any) -> NDArray[np.uint8]:
    """``quantize``, with even weights where it takes some."""
    return quants.quantize(x, type_, weights=even_weights(type_, np.shape(x)[-1]), **options)


def encode_rows(
    x: NDArray[np.float32], type_: GGMLType, out: NDArray[np.uint8] | None = None, **options: Any
) -> NDArray[np.uint8]:
    """``encode_rows``, with even weights where it takes some."""
    return quants.encode_rows(x, type_, out, weights=even_weights(type_, x.shape[-1]), **options)


def ggml_encode(x: NDArray[np.float32], type_: GGMLType) -> NDArray[np.uint8]:
    """ggml's blocks, with even weights where it takes some."""
    return ggml.encode(x, type_, even_weights(type_, x.shape[-1]))


def blocks_of(data: NDArray[np.uint8], type_: GGMLType) -> NDArray[np.uint8]:
    return data.reshape(-1, BLOCK_SIZES[type_].bytes)


def assert_same_blocks(ours: NDArray[np.uint8], theirs: NDArray[np.uint8], type_: GGMLType) -> None:
    """Equal, or a message with the first block that differs."""
    assert ours.shape == theirs.shape
    different = np.flatnonzero((blocks_of(ours, type_) != blocks_of(theirs, type_)).any(1))
    if different.size:
        at = int(different[0])
        pytest.fail(
            f"{different.size} blocks differ, the first is {at}:\n"
            f"ours {blocks_of(ours, type_)[at].tobytes().hex(' ')}\n"
            f"ggml {blocks_of(theirs, type_)[at].tobytes().hex(' ')}"
        )


def assert_same_as_ggml(
    ours: NDArray[np.uint8], x: NDArray[np.float32], type_: GGMLType, weights: NDArray[np.float32] | None
) -> None:
    """Rows that ggml encodes are equal. Where its own assertions fail there is nothing to compare with."""
    theirs, possible = ggml.encode_possible(x, type_, weights)
    assert ours.shape == theirs.shape
    assert_same_blocks(ours[possible], theirs[possible], type_)


def sample(type_: GGMLType, rows: int = 7, blocks: int = 3) -> NDArray[np.float32]:
    length = BLOCK_SIZES[type_].elements * blocks
    return np.random.default_rng(int(type_)).standard_normal((rows, length)).astype(np.float32)


def some_blocks(type_: GGMLType, count: int) -> NDArray[np.uint8]:
    """Random bytes: some scales are NaN or infinite."""
    return np.random.default_rng(3).integers(0, 256, (count, BLOCK_SIZES[type_].bytes), np.uint8)
