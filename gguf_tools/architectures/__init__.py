"""Model families as tables that read in both directions: Hugging Face ↔ GGUF.

Each family is one module with an ``ARCHITECTURE``, or several; adding one is that module and its name below.

>>> from gguf_tools import architectures
>>> family = architectures.find(checkpoint.config)                             # doctest: +SKIP
>>> side = family.to_gguf(checkpoint.config, checkpoint.tensors)               # doctest: +SKIP
>>> family = architectures.by_gguf_name(file.metadata["general.architecture"]) # doctest: +SKIP
>>> side = family.to_hf(file.metadata, file.tensors)                           # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from ..errors import ArchitectureError
from . import (
    bert,
    cohere,
    deepseek,
    ernie,
    exaone4,
    gemma,
    gemma3,
    gemma3n,
    gemma_embedding,
    glm,
    glm_moe,
    gpt,
    gpt_oss,
    granite,
    llama,
    llama4,
    llama_like,
    mamba,
    mistral3,
    olmo,
    phi,
    qwen2,
    qwen3,
    qwen3_next,
    qwen_moe,
    qwen_vl,
    seed_oss,
    stablelm,
    starcoder2,
)
from .general import ParameterCounts, count_parameters, general_metadata
from .table import Architecture, GGUFSide, HFSide, class_name

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "GGUFSide",
    "HFSide",
    "ParameterCounts",
    "by_gguf_name",
    "count_parameters",
    "find",
    "general_metadata",
]

ARCHITECTURES: Final[tuple[Architecture, ...]] = (
    bert.ARCHITECTURE,
    *cohere.ARCHITECTURES,
    deepseek.ARCHITECTURE,
    *ernie.ARCHITECTURES,
    exaone4.ARCHITECTURE,
    *gemma.ARCHITECTURES,
    gemma3.ARCHITECTURE,
    gemma3n.ARCHITECTURE,
    gemma_embedding.ARCHITECTURE,
    *glm.ARCHITECTURES,
    glm_moe.ARCHITECTURE,
    *gpt.ARCHITECTURES,
    gpt_oss.ARCHITECTURE,
    *granite.ARCHITECTURES,
    llama.ARCHITECTURE,
    llama4.ARCHITECTURE,
    *llama_like.ARCHITECTURES,
    *mamba.ARCHITECTURES,
    mistral3.ARCHITECTURE,
    *olmo.ARCHITECTURES,
    *phi.ARCHITECTURES,
    qwen2.ARCHITECTURE,
    qwen3.ARCHITECTURE,
    qwen3_next.ARCHITECTURE,
    *qwen_moe.ARCHITECTURES,
    *qwen_vl.ARCHITECTURES,
    seed_oss.ARCHITECTURE,
    stablelm.ARCHITECTURE,
    starcoder2.ARCHITECTURE,
)


def find(config: Mapping[str, Any]) -> Architecture:
    """The architecture of a checkpoint, by its config's ``architectures``.

    Raises:
        ArchitectureError: the config names none, or one that is not supported; lists the supported ones
            and suggests the nearest.
    """
    name = class_name(config)
    by_class = {entry: architecture for architecture in ARCHITECTURES for entry in architecture.hf_classes}
    if name not in by_class:
        raise _unsupported(name, by_class, path="config.json", key="architectures")
    return by_class[name]


def by_gguf_name(name: object) -> Architecture:
    """The architecture of a GGUF file, by its ``general.architecture``.

    Raises:
        ArchitectureError: not supported; lists the supported ones and suggests the nearest.
    """
    by_name = {architecture.name: architecture for architecture in ARCHITECTURES}
    if not isinstance(name, str) or name not in by_name:
        raise _unsupported(str(name), by_name, path=None, key="general.architecture")
    return by_name[name]


def _unsupported(name: str, known: Iterable[str], *, path: str | None, key: str) -> ArchitectureError:
    names = sorted(known)
    nearest = get_close_matches(name[:100], names, n=1, cutoff=0.5)
    guess = f"did you mean {nearest[0]}? " if nearest else ""
    return ArchitectureError(
        f"unsupported architecture; {guess}supported: {', '.join(names)}", path=path, key=key, found=name
    )
