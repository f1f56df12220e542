"""Which tensors of a plan are encoded with an importance matrix, and what that leaves open."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..container.metadata import Metadata
from ..errors import QuantizationError
from ..recipes import Choice, Recipe, is_embedding, needs_weights
from ..recipes.imatrix import ImportanceMatrix
from ..source import Source
from ..spec import BLOCK_SIZES, ValueType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["note_importance", "weights_of"]

_NAMES_SHOWN: Final = 4
_LONGEST_TEXT: Final = 127  # what llama-quantize has room for


def weights_of(
    tensors: Sequence[tuple[str, Source]],
    choices: Sequence[Choice],
    recipe: Recipe,
    matrix: ImportanceMatrix | None,
) -> tuple[dict[str, NDArray[np.float32]], list[str]]:
    """Importances by tensor, float32 (experts, row length), and notes on what the matrix does not cover.

    Raises:
        QuantizationError: a tensor needs importances and has none, or the matrix is another model's.
    """
    found: dict[str, NDArray[np.float32]] = {}
    missing = []
    unseen = []
    for (name, source), choice in zip(tensors, choices, strict=True):
        if BLOCK_SIZES[choice.type].elements == 1 or source.storage is choice.type:
            continue
        weights = None
        if matrix is not None:
            try:
                weights = matrix.weights(name, tuple(source.shape))
            except QuantizationError:
                if not is_embedding(name):  # a table of embeddings is looked up, not multiplied with
                    raise
        if weights is not None and matrix is not None:
            found[name] = weights
            if matrix.entries[name].unseen:
                unseen.append(name)
            continue
        missing.append(name)
        if needs_weights(name, choice.type, recipe):
            raise QuantizationError(
                f"{choice.type.name} needs an importance matrix"
                + (", and the one given has nothing for this tensor" if matrix else "; pass --imatrix"),
                tensor=name,
            )
    notes = []
    if matrix is not None and missing:
        notes.append(f"the importance matrix has nothing for {_listed(missing, 'tensor')}")
    if unseen:
        notes.append(f"no token reached some experts of {_listed(unseen, 'tensor')}; their columns weigh 1")
    return found, notes


def note_importance(metadata: Metadata, matrix: ImportanceMatrix) -> None:
    """Record the matrix in the keys ``llama-quantize`` writes."""
    metadata.set("quantize.imatrix.file", _cut(os.fspath(matrix.path)), ValueType.STRING)
    if matrix.datasets:
        metadata.set("quantize.imatrix.dataset", _cut(matrix.datasets[0]), ValueType.STRING)
    metadata.set("quantize.imatrix.entries_count", len(matrix.entries), ValueType.UINT32)
    if matrix.chunks > 0:
        metadata.set("quantize.imatrix.chunks_count", matrix.chunks, ValueType.UINT32)


def _cut(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")[:_LONGEST_TEXT]


def _listed(names: Sequence[str], word: str) -> str:
    more = len(names) - _NAMES_SHOWN
    shown = ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"{len(names)} {word}{'' if len(names) == 1 else 's'}: {shown}"
