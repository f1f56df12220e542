"""What a recipe is told, and what it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..spec import GGMLType
from .traits import PLAIN_RECIPE, RecipeTraits

__all__ = ["Choice", "ModelSizes", "Overrides", "TensorFacts"]


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """What rules ask about a model; the names are those of GGUF metadata.

    Attributes:
        architecture: ``general.architecture``, such as ``llama``.
        layers: ``block_count``.
        heads: ``attention.head_count`` (of the first layer, where layers differ).
        kv_heads: ``attention.head_count_kv``, or ``heads`` where a file does not say.
        experts: ``expert_count``, 0 for a dense model.
        traits: the architecture's exceptions.
    """

    architecture: str
    layers: int
    heads: int = 0
    kv_heads: int = 0
    experts: int = 0
    traits: RecipeTraits = PLAIN_RECIPE


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """A tensor as the rules see it.

    Attributes:
        name: its name in GGUF, such as ``blk.0.attn_v.weight``.
        shape: dimensions in numpy's order; the last one is the row.
        type: what it is stored as in a GGUF file that is quantized again; None for a checkpoint's
            tensor, which has first to become what llama.cpp's converter would write.
        packed: of a checkpoint's tensor, the type with blocks its rows are in already, bit for bit.
    """

    name: str
    shape: tuple[int, ...]
    type: GGMLType | None = None
    packed: GGMLType | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The type a tensor gets.

    Attributes:
        type: what it will be stored as.
        wanted: what the recipe would have liked; another than ``type`` where its rows do not fit that
            type's blocks (see ``fell_back``).
        rule: why, in words.
    """

    type: GGMLType
    wanted: GGMLType
    rule: str

    @property
    def fell_back(self) -> bool:
        """Whether the rows did not fit the wanted type's blocks."""
        return self.type is not self.wanted


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a user wants otherwise than the recipe; the options of llama.cpp's ``llama-quantize``.

    Attributes:
        tensor_types: expressions that may match anywhere in a name, with types; the first match decides.
        output: type of the output matrix, and of the token embedding where that is the output too.
        embedding: type of the token embeddings.
        pure: the recipe's base type for all tensors, without its rules.
        fallback: whether a tensor whose rows do not divide into blocks may take another type.
        file: the file that says some of this, if there is one.
    """

    tensor_types: tuple[tuple[re.Pattern[str], GGMLType], ...] = ()
    output: GGMLType | None = None
    embedding: GGMLType | None = None
    pure: bool = False
    fallback: bool = True
    file: str | None = field(default=None, compare=False)

    @property
    def reads(self) -> tuple[str, ...]:
        """The file of overrides, where there is one, as what an output must not replace."""
        return () if self.file is None else (self.file,)

    def of_name(self, name: str) -> tuple[str, GGMLType] | None:
        """The first expression that matches a tensor's name, with its type."""
        return next(((e.pattern, kind) for e, kind in self.tensor_types if e.search(name)), None)
