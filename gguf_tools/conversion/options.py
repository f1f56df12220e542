"""What is to be made: of a checkpoint's contents, and of the types of a GGUF file's tensors."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..recipes import Overrides, Recipe, find_recipe

if TYPE_CHECKING:
    from ..recipes.imatrix import ImportanceMatrix
    from .merging import MergeLora

__all__ = ["CheckpointOptions", "QuantizeOptions"]


@dataclass(frozen=True, slots=True)
class QuantizeOptions:
    """Which types the tensors of a GGUF file get, and into how many files it goes.

    Attributes:
        recipe: a recipe's name, such as ``"Q4_K_M"`` or ``"BF16"``.
        imatrix: a file with an importance matrix, see `gguf_tools.recipes.imatrix`.
        overrides: what is wanted otherwise than the recipe says.
        split_max_size: most bytes of tensor data in a file; None for one file, whatever its size.
    """

    recipe: str
    imatrix: str | os.PathLike[str] | None = None
    overrides: Overrides = field(default_factory=Overrides)
    split_max_size: int | None = None

    def load(self) -> tuple[Recipe, ImportanceMatrix | None]:
        """The recipe and the importance matrix.

        Raises:
            QuantizationError: the recipe is unknown.
            GGUFToolsError: the matrix cannot be read.
        """
        recipe = find_recipe(self.recipe)
        if self.imatrix is None:
            return recipe, None
        from ..recipes.imatrix import load_importance  # with numpy, which a command's --help does without

        return recipe, load_importance(self.imatrix)


@dataclass(frozen=True, slots=True)
class CheckpointOptions:
    """How a checkpoint is read.

    Attributes:
        pre: pre-tokenizer name, instead of recognising it.
        allow_pickle: where there are no safetensors, let torch load pickled weights, with ``weights_only``;
            those of adapters, too.
        merge_lora: LoRA adapters to merge into the weights, in this order.
    """

    pre: str | None = None
    allow_pickle: bool = False
    merge_lora: tuple[MergeLora, ...] = ()
