"""How large a model would be under every recipe, to the byte and before any of them is carried out.

The source is read once. A header has the same length whatever the types are, so that for each recipe only the
types have to be chosen and their sizes added up.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..container.layout import alignment_of
from ..errors import GGUFToolsError
from ..recipes import RECIPES, Overrides, needs_weights
from ..source import row_count, row_length
from ..spec import align, row_bytes
from .requantize import draft_requantization
from .to_gguf import draft_conversion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..recipes import Choice, Recipe
    from ..recipes.imatrix import ImportanceMatrix
    from ..source import Source
    from .plan import Plan

__all__ = ["Draft", "Prediction", "predict_draft", "predict_sizes"]


class Draft(Protocol):
    """A job that makes a GGUF file, before its recipe is known; its inputs are open until it is closed."""

    def close(self) -> None:
        """Close the inputs, which are those of its plans, too."""

    def choose(
        self, recipe: Recipe, *, weighted: bool, overrides: Overrides
    ) -> tuple[list[tuple[str, Source]], list[Choice]]:
        """The tensors in the order of the output, and the type of each."""

    def plan(self, recipe: Recipe, matrix: ImportanceMatrix | None, overrides: Overrides) -> Plan:
        """The plan under a recipe."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a recipe would make.

    Attributes:
        recipe: its name.
        size: of the file, in bytes; None where the recipe cannot be followed. Exact, but for a recipe that
            needs an importance matrix and had none: the matrix is named in the file.
        parameters: in all tensors.
        tensor_bytes: of their data, without header and padding.
        fallback_tensors, fallback_parameters: those whose rows do not divide into blocks of the wanted type.
        needs_imatrix: whether it needs an importance matrix, which was not given.
        problem: why it cannot be followed.
    """

    recipe: str
    size: int | None = None
    parameters: int = 0
    tensor_bytes: int = 0
    fallback_tensors: int = 0
    fallback_parameters: int = 0
    needs_imatrix: bool = False
    problem: str | None = None

    @property
    def bits_per_weight(self) -> float | None:
        """Tensor bits over parameters."""
        return 8 * self.tensor_bytes / self.parameters if self.parameters else None

    @property
    def fallback_share(self) -> float:
        """Share of the parameters that fall back, 0 to 1."""
        return self.fallback_parameters / self.parameters if self.parameters else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        return {
            "recipe": self.recipe,
            "size": self.size,
            "parameters": self.parameters,
            "tensor_bytes": self.tensor_bytes,
            "bits_per_weight": self.bits_per_weight,
            "fallback_tensors": self.fallback_tensors,
            "fallback_parameters": self.fallback_parameters,
            "fallback_share": self.fallback_share,
            "needs_imatrix": self.needs_imatrix,
            "problem": self.problem,
        }


def predict_sizes(src: str | os.PathLike[str]) -> list[Prediction]:
    """What each recipe would make of a checkpoint, or of a GGUF file that is quantized again.

    Raises:
        GGUFToolsError: it cannot be converted at all; see `convert` and `requantize`.
    """
    path = Path(src)
    is_checkpoint = path.is_dir() or path.name.endswith(".safetensors")
    with draft_conversion(src) if is_checkpoint else draft_requantization(src) as draft:
        return predict_draft(draft)


def predict_draft(
    draft: Draft, matrix: ImportanceMatrix | None = None, overrides: Overrides | None = None
) -> list[Prediction]:
    """What each recipe would make of a job."""
    sizes = _Sizes(draft, matrix, overrides or Overrides())
    return [sizes.of(recipe) for recipe in RECIPES.values()]


class _Sizes:
    """Predictions for one draft. Remembers the length of the headers."""

    def __init__(self, draft: Draft, matrix: ImportanceMatrix | None, overrides: Overrides) -> None:
        self._draft, self._matrix, self._overrides = draft, matrix, overrides
        self._headers: dict[tuple[bool, int], tuple[int, int]] = {}

    def of(self, recipe: Recipe) -> Prediction:
        try:
            return self._of(recipe)
        except GGUFToolsError as error:
            return Prediction(recipe.name, problem=error.message)

    def _of(self, recipe: Recipe) -> Prediction:
        weighted = self._matrix is not None
        tensors, choices = self._draft.choose(recipe, weighted=weighted, overrides=self._overrides)
        needing = not weighted and any(
            needs_weights(name, choice.type, recipe) and source.storage is not choice.type
            for (name, source), choice in zip(tensors, choices, strict=True)
        )
        if needing:
            tensors, choices = self._draft.choose(recipe, weighted=True, overrides=self._overrides)
        header, alignment = self._header(recipe, len(tensors))
        shapes = [source.shape for _, source in tensors]
        sizes = [_size(shape, choice) for shape, choice in zip(shapes, choices, strict=True)]
        fallen = [prod(shape) for shape, choice in zip(shapes, choices, strict=True) if choice.fell_back]
        return Prediction(
            recipe.name,
            header + sum(align(size, alignment) for size in sizes),
            sum(map(prod, shapes)),
            sum(sizes),
            len(fallen),
            sum(fallen),
            needing,
        )

    def _header(self, recipe: Recipe, count: int) -> tuple[int, int]:
        """Length of the header, and the alignment.

        They depend on no more than whether it quantizes, and on which of the tensors are there: those that
        only go with a stored form are left out where it is not kept.
        """
        key = recipe.quantizes, count
        if key not in self._headers:
            any_such = RECIPES["Q8_0" if recipe.quantizes else "F32"]
            plan = self._draft.plan(any_such, self._matrix, self._overrides)
            if len(plan.files[0].tensors) != count:
                plan = self._draft.plan(recipe, self._matrix, self._overrides)
            assert plan.metadata is not None
            self._headers[key] = len(plan.files[0].header), alignment_of(plan.metadata)
        return self._headers[key]


def _size(shape: Sequence[int], choice: Choice) -> int:
    return row_count(tuple(shape)) * row_bytes(choice.type, row_length(tuple(shape)))
