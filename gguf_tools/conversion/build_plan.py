"""From metadata, sources and a recipe to the plan of a GGUF file, for whatever job makes one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .. import architectures, recipes
from ..container.metadata import Metadata
from ..container.writer import TensorInfo, header_bytes
from ..errors import UnsupportedError
from ..hyperparameters import Hyperparameters
from ..io.input_files import InputFile
from ..recipes.imatrix import ImportanceMatrix
from ..source import Source
from ..spec import QUANTIZATION_VERSION, FileType, ValueType
from .imatrix_weights import note_importance, weights_of
from .plan import Plan, PlannedFile, PlannedTensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["assemble_gguf", "ggml_shape", "laid_out", "model_sizes", "type_entries"]


def assemble_gguf(
    metadata: Metadata,
    tensors: Sequence[tuple[str, Source]],
    choices: Sequence[recipes.Choice],
    recipe: recipes.Recipe,
    *,
    source: str,
    importance: ImportanceMatrix | None = None,
    dropped: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    inputs: Sequence[InputFile] = (),
    reads: Sequence[str | os.PathLike[str]] = (),
    settings: Sequence[str] = (),
) -> Plan:
    """Lay out a GGUF file of these tensors in these types.

    Args:
        metadata: all keys, with `type_entries`; those of an importance matrix are added to it.
        tensors: GGUF name and source of each, in file order.
        choices: the type of each tensor, in the same order.
        recipe: what the choices were made by.
        source: where it all comes from, in words.
        importance: an importance matrix to encode with; recorded in ``quantize.imatrix.*``.
        dropped: what is left out and why.
        notes: what the user should know.
        inputs: the open files the rows come from.
        reads: what else is read, but for the importance matrix; see `Plan`.
        settings: see `Plan`.

    Raises:
        UnsupportedError: a type cannot be encoded.
        QuantizationError: a tensor needs importances and has none, or the matrix is another model's.
    """
    _check_encodable(tensors, choices)
    weights, gaps = weights_of(tensors, choices, recipe, importance)
    if importance is not None:
        note_importance(metadata, importance)
    shape = ggml_shape if recipe.quantizes else tuple
    file = laid_out(metadata, tensors, choices, [shape(rows.shape) for _, rows in tensors], weights)
    return Plan(
        kind="gguf",
        source=source,
        architecture=str(metadata.get("general.architecture", "")),
        recipe=recipe.name,
        files=(file,),
        dropped=tuple(dropped),
        notes=(*notes, *gaps),
        inputs=tuple(inputs),
        reads=(*reads, *(() if importance is None else (importance.path,))),
        metadata=metadata,
        settings=tuple(settings),
    )


def type_entries(
    file_type: FileType,
) -> tuple[tuple[str, ValueType, int], tuple[str, ValueType, int]]:
    """What a file says of its types: ``general.quantization_version`` and ``general.file_type``."""
    return (
        ("general.quantization_version", ValueType.UINT32, QUANTIZATION_VERSION),
        ("general.file_type", ValueType.UINT32, int(file_type)),
    )


def laid_out(
    metadata: Metadata,
    tensors: Sequence[tuple[str, Source]],
    choices: Sequence[recipes.Choice],
    shapes: Sequence[tuple[int, ...]],
    weights: Mapping[str, NDArray[np.float32]],
) -> PlannedFile:
    """One GGUF file of these tensors: its header, and where each of them goes.

    Args:
        metadata: all keys.
        tensors: GGUF name and source of each, in file order.
        choices: the type of each, in the same order.
        shapes: what the file says of each.
        weights: importances by name.
    """
    infos = [
        TensorInfo(name, shape, choice.type)
        for (name, _), choice, shape in zip(tensors, choices, shapes, strict=True)
    ]
    layout = header_bytes(metadata, infos)
    planned = tuple(
        PlannedTensor(
            name,
            shape,
            choice.type,
            rows,
            offset,
            size,
            choice.wanted,
            choice.rule,
            weights.get(name),
        )
        for (name, rows), choice, shape, offset, size in zip(
            tensors, choices, shapes, layout.offsets, layout.sizes, strict=True
        )
    )
    return PlannedFile("", layout.header, planned, layout.total_size)


def ggml_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape as ggml, and so llama.cpp's quantizer, counts dimensions: without leading ones."""
    first = next((i for i, size in enumerate(shape) if size != 1), len(shape) - 1)
    return tuple(shape[max(first, 0) :])


def _check_encodable(tensors: Sequence[tuple[str, Source]], choices: Sequence[recipes.Choice]) -> None:
    """Say before any work that a type cannot be made."""
    from ..quants import can_encode

    for (name, source), choice in zip(tensors, choices, strict=True):
        if source.storage is not choice.type and not can_encode(choice.type):
            raise UnsupportedError(f"{choice.type.name} cannot be encoded", tensor=name)


def model_sizes(metadata: Metadata) -> recipes.ModelSizes:
    """What recipes ask about a model, read from its metadata; what is missing counts as 0."""
    model = Hyperparameters(metadata)
    name = model.architecture or ""
    return recipes.ModelSizes(
        architecture=name,
        layers=model.block_count or 0,
        heads=model.head_count() or 0,
        kv_heads=model.kv_head_count() or 0,
        experts=model.expert_count or 0,
        traits=architectures.recipe_traits(name),
    )
