"""All cases, in order of their classes; names are unique."""

from __future__ import annotations

from typing import Final

from tests.hostile import (
    checkpoints,
    gguf_files,
    importance_files,
    odd_files,
    safetensors_files,
    split_files,
    tokenizer_files,
)
from tests.hostile.case import Case

__all__ = ["CASES", "CLASSES", "by_class"]

CLASSES: Final = {
    1: "empty or shorter than a header",
    2: "another kind of file",
    3: "versions and byte orders",
    4: "number of keys",
    5: "number of tensors",
    6: "key lengths",
    7: "empty keys, keys not UTF-8",
    8: "duplicate keys",
    9: "value types",
    10: "string lengths",
    11: "array lengths",
    12: "array element types",
    13: "nested arrays",
    14: "alignment no power of two",
    15: "alignment huge",
    16: "alignment of another type",
    17: "number of dimensions",
    18: "dimensions of 0",
    19: "dimensions of 2^63",
    20: "products that wrap",
    21: "byte sizes that overflow",
    22: "rows that are not whole blocks",
    23: "tensor types",
    24: "offsets",
    25: "offsets that wrap",
    26: "truncated data",
    27: "overlaps, gaps, order",
    28: "duplicate tensors",
    29: "tensor names",
    30: "split models",
    31: "scores and token types",
    32: "byte tokens",
    33: "layer and head counts",
    34: "non-finite scales",
    35: "bools and texts",
    36: "safetensors header",
    37: "safetensors offsets and shapes",
    38: "index of a checkpoint",
    39: "config.json",
    40: "tokenizer files",
    41: "importance matrices",
}
"""What each class is about."""

_MODULES = (
    gguf_files,
    odd_files,
    split_files,
    safetensors_files,
    checkpoints,
    tokenizer_files,
    importance_files,
)

CASES: Final[tuple[Case, ...]] = tuple(
    sorted((case for module in _MODULES for case in module.CASES), key=lambda case: case.number)
)


def by_class() -> dict[int, list[Case]]:
    """The cases of each class."""
    return {number: [case for case in CASES if case.number == number] for number in CLASSES}
