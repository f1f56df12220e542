"""Tensors that a checkpoint has in a GGUF type with blocks already: what is kept of them, bit for bit.

Some are published in such a type: llama.cpp's converter keeps them whatever ``--outtype`` says, and then
calls the file by that type. Others are in a form of their own whose numbers a GGUF type holds exactly,
integers of 4 bits in Q4_0 for one: they are repacked where that is the type they get, instead of being
quantized again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, Final, NamedTuple

from ..container.metadata import Array
from ..recipes import Choice, Recipe
from ..source import Source
from ..spec import BLOCK_SIZES, FileType, GGMLType, ValueType

__all__ = ["RetainedTensors", "kept", "packed_file_type", "packed_notes", "packed_type", "weight_only_keys"]

_FILE_TYPES: Final = {GGMLType.MXFP4: FileType.MXFP4_MOE, GGMLType.NVFP4: FileType.NVFP4}
"""Types that checkpoints are published in, and what a file of such is called."""

_EXACT: Final = (GGMLType.F32,)
"""Types that hold the values of all others."""


def packed_type(source: Source) -> GGMLType | None:
    """The type that a source is published in, or None."""
    stored = source.storage
    return stored if stored in _FILE_TYPES else None


def packed_file_type(
    recipe: Recipe, tensors: Sequence[tuple[str, Source]], choices: Sequence[Choice]
) -> FileType:
    """``general.file_type`` of a checkpoint's conversion: the recipe's, or that of what is kept."""
    if not recipe.quantizes:
        for (_, source), choice in zip(tensors, choices, strict=True):
            if packed_type(source) is choice.type:
                return _FILE_TYPES.get(choice.type, recipe.file_type)
    return recipe.file_type


class RetainedTensors(NamedTuple):
    """What is written: tensors with their choices."""

    tensors: list[tuple[str, Source]]
    choices: list[Choice]


def kept(
    tensors: Sequence[tuple[str, Source]], choices: Sequence[Choice], factors: Mapping[str, str]
) -> RetainedTensors:
    """The tensors without those that only go with a stored form that is not kept; choices that say what is.

    Args:
        tensors: GGUF name and source.
        choices: the type of each.
        factors: see `GGUFParts`.
    """
    held = {
        name
        for (name, source), choice in zip(tensors, choices, strict=True)
        if _blocks(source) is choice.type
    }
    found = RetainedTensors([], [])
    for (name, source), choice in zip(tensors, choices, strict=True):
        if name in factors and factors[name] not in held:
            continue
        said = (
            f"{choice.rule}; repacked, lossless" if name in held and not packed_type(source) else choice.rule
        )
        found.tensors.append((name, source))
        found.choices.append(replace(choice, rule=said))
    return found


def weight_only_keys(
    tensors: Sequence[tuple[str, Source]], choices: Sequence[Choice], weight_only: Set[str]
) -> list[tuple[str, ValueType, Any]]:
    """The keys that say which of the tensors that are kept llama.cpp must not round the inputs of to 4 bits.

    Args:
        tensors, choices: as for `kept`.
        weight_only: see `GGUFParts`.
    """
    names = sorted(
        name
        for (name, source), choice in zip(tensors, choices, strict=True)
        if name in weight_only and packed_type(source) is choice.type
    )
    if not names:
        return []
    return [
        ("general.tensor_extra.name", ValueType.ARRAY, Array(ValueType.STRING, names)),
        ("general.tensor_extra.prec_a4", ValueType.ARRAY, Array(ValueType.BOOL, [False] * len(names))),
    ]


def packed_notes(tensors: Sequence[tuple[str, Source]], choices: Sequence[Choice]) -> list[str]:
    """What became of packed tensors, a sentence for each type."""
    same: Counter[GGMLType] = Counter()
    changed: Counter[GGMLType] = Counter()
    for (_, source), choice in zip(tensors, choices, strict=True):
        if (stored := _blocks(source)) is None:
            continue
        if choice.type is stored:
            same[stored] += 1
        elif stored in _FILE_TYPES or choice.type not in _EXACT:
            changed[stored] += 1
    return [*_kept_notes(same), *_changed_notes(changed)]


def _kept_notes(counts: Mapping[GGMLType, int]) -> list[str]:
    return [
        f"{_tensors(count)} in {kind.name} already and keep{'s' * (count == 1)} "
        f"{'its' if count == 1 else 'their'} bits"
        if kind in _FILE_TYPES
        else f"{_tensors(count)} repacked as {kind.name} instead, lossless: the same integers and scales "
        "(of bfloat16, those below 2^-17 are rounded)"
        for kind, count in counts.items()
    ]


def _changed_notes(counts: Mapping[GGMLType, int]) -> list[str]:
    return [
        f"{_tensors(count)} in {kind.name} already, and {'is' if count == 1 else 'are'} quantized again from "
        "there"
        if kind in _FILE_TYPES
        else f"{kind.name} would be lossless for {count} tensor{'s' * (count != 1)}"
        for kind, count in counts.items()
    ]


def _tensors(count: int) -> str:
    return f"{count} tensor{' is' if count == 1 else 's are'}"


def _blocks(source: Source) -> GGMLType | None:
    """The type with blocks that a source's rows can be had in, or None."""
    stored = source.storage
    return stored if stored is not None and BLOCK_SIZES[stored].elements > 1 else None
