"""Model families as tables that read in both directions: Hugging Face ↔ GGUF.

Each family is one module in `families`; adding one is that module and its name in the list there.

>>> from gguf_tools import architectures
>>> family = architectures.find(checkpoint.config)                             # doctest: +SKIP
>>> side = family.to_gguf(checkpoint.config, checkpoint.tensors)               # doctest: +SKIP
>>> family = architectures.of_file(file.metadata, file.tensors)                # doctest: +SKIP
>>> side = family.to_hf(file.metadata, file.tensors)                           # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from ..errors import ArchitectureError
from ..recipes.traits import PLAIN_RECIPE, UNLISTED, RecipeTraits
from ..source import Source
from .adapters import AdapterTable
from .config import GGUFFacts
from .families import ARCHITECTURES
from .general import ParameterCounts, count_parameters, general_metadata
from .low_rank import LowRank, transposed
from .mistral_format import MISTRAL_TOKENIZERS, mistral_config, mistral_notes, mistral_tensors
from .table import Architecture, GGUFParts, HFParts, class_name

__all__ = [
    "ARCHITECTURES",
    "MISTRAL_TOKENIZERS",
    "AdapterTable",
    "Architecture",
    "GGUFParts",
    "HFParts",
    "LowRank",
    "ParameterCounts",
    "by_name",
    "count_parameters",
    "find",
    "general_metadata",
    "mistral_config",
    "mistral_notes",
    "mistral_tensors",
    "of_file",
    "recipe_traits",
    "transposed",
]


def find(config: Mapping[str, Any]) -> Architecture:
    """The architecture of a checkpoint, by its config's ``architectures``.

    Raises:
        ArchitectureError: the config names none, or one that is not supported; lists the supported ones
            and suggests the nearest.
    """
    found = next((architecture for architecture in ARCHITECTURES if architecture.covers(config)), None)
    if found is None:
        known = {name for architecture in ARCHITECTURES for name in architecture.hf_classes}
        raise _unsupported(class_name(config), known, path="config.json", key="architectures")
    return found


def by_name(name: object) -> Architecture | None:
    """The first table of a GGUF architecture, whose traits hold for all; None where there is none."""
    return next((architecture for architecture in ARCHITECTURES if architecture.name == name), None)


def recipe_traits(name: str) -> RecipeTraits:
    """The exceptions of a GGUF architecture from the rules of recipes; none where it is unknown."""
    found = by_name(name)
    return UNLISTED.get(name, PLAIN_RECIPE) if found is None else found.recipe


def of_file(metadata: Mapping[str, Any], tensors: Mapping[str, Source]) -> Architecture:
    """The architecture of a GGUF file, by its ``general.architecture`` and what the tables claim of it.

    Raises:
        ArchitectureError: not supported; lists the supported ones and suggests the nearest.
    """
    name = metadata.get("general.architecture")
    for architecture in ARCHITECTURES:
        if name == architecture.name and (
            architecture.matches_gguf is None
            or architecture.matches_gguf(GGUFFacts(architecture.name, metadata, tensors))
        ):
            return architecture
    known = {architecture.name for architecture in ARCHITECTURES}
    raise _unsupported(str(name), known, path=None, key="general.architecture")


def _unsupported(name: object, known: Iterable[str], *, path: str | None, key: str) -> ArchitectureError:
    names = sorted(known)
    nearest = get_close_matches(name[:100], names, n=1, cutoff=0.5) if isinstance(name, str) else []
    guess = f"did you mean {nearest[0]}? " if nearest else ""
    return ArchitectureError(
        f"unsupported architecture; {guess}supported: {', '.join(names)}", path=path, key=key, found=name
    )
