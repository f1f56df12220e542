"""Tensors that a checkpoint has in a GGUF type with blocks already: what is kept of them, bit for bit.

llama.cpp's converter keeps them whatever ``--outtype`` says, and then calls the file by that type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ..recipes import Choice, Recipe
from ..source import Source
from ..spec import BLOCK_SIZES, FileType, GGMLType

__all__ = ["packed_file_type", "packed_notes", "packed_type"]

_FILE_TYPES: Final = {GGMLType.MXFP4: FileType.MXFP4_MOE, GGMLType.NVFP4: FileType.NVFP4}


def packed_type(source: Source) -> GGMLType | None:
    """The type with blocks that a source's rows are stored in, or None."""
    stored = source.storage
    return stored if stored is not None and BLOCK_SIZES[stored].elements > 1 else None


def packed_file_type(
    recipe: Recipe, tensors: Sequence[tuple[str, Source]], choices: Sequence[Choice]
) -> FileType:
    """``general.file_type`` of a checkpoint's conversion: the recipe's, or that of what is kept."""
    if not recipe.quantizes:
        for (_, source), choice in zip(tensors, choices, strict=True):
            if packed_type(source) is choice.type:
                return _FILE_TYPES.get(choice.type, recipe.file_type)
    return recipe.file_type


def packed_notes(tensors: Sequence[tuple[str, Source]], choices: Sequence[Choice]) -> list[str]:
    """What became of packed tensors, a sentence for each type."""
    kept: Counter[GGMLType] = Counter()
    changed: Counter[GGMLType] = Counter()
    for (_, source), choice in zip(tensors, choices, strict=True):
        if (stored := packed_type(source)) is not None:
            (kept if choice.type is stored else changed)[stored] += 1
    return [
        *(f"{count} tensors are in {kind.name} already and keep their bits" for kind, count in kept.items()),
        *(
            f"{count} tensors are in {kind.name} already, and are quantized again from there"
            for kind, count in changed.items()
        ),
    ]
