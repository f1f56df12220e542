"""Model families as tables that read in both directions: Hugging Face ↔ GGUF.

Each family is one module with an ``ARCHITECTURE``, or several; adding one is that module and its name below.

>>> from gguf_tools import architectures
>>> family = architectures.find(checkpoint.config)                             # doctest: +SKIP
>>> side = family.to_gguf(checkpoint.config, checkpoint.tensors)               # doctest: +SKIP
>>> family = architectures.of_file(file.metadata, file.tensors)                # doctest: +SKIP
>>> side = family.to_hf(file.metadata, file.tensors)                           # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from ..errors import ArchitectureError
from ..source import Source
from . import (
    bert,
    cohere,
    deepseek,
    distilbert,
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
    jina_bert,
    llama,
    llama4,
    llama_like,
    mamba,
    mistral3,
    modern_bert,
    nomic_bert,
    olmo,
    phi,
    qwen2,
    qwen3,
    qwen3_next,
    qwen_moe,
    qwen_vl,
    roberta,
    seed_oss,
    stablelm,
    starcoder2,
    t5,
)
from .config import GGUFFacts, HFConfig
from .general import ParameterCounts, count_parameters, general_metadata
from .mistral_format import mistral_config, mistral_tensors
from .table import Architecture, GGUFSide, HFSide, class_name

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "GGUFSide",
    "HFSide",
    "ParameterCounts",
    "count_parameters",
    "find",
    "general_metadata",
    "mistral_config",
    "mistral_tensors",
    "of_file",
]

ARCHITECTURES: Final[tuple[Architecture, ...]] = (
    *roberta.ARCHITECTURES,  # before BERT, which takes what these do not claim
    distilbert.ARCHITECTURE,
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
    jina_bert.ARCHITECTURE,
    llama.ARCHITECTURE,
    llama4.ARCHITECTURE,
    *llama_like.ARCHITECTURES,
    *mamba.ARCHITECTURES,
    mistral3.ARCHITECTURE,
    modern_bert.ARCHITECTURE,
    *nomic_bert.ARCHITECTURES,
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
    *t5.ARCHITECTURES,
)


def find(config: Mapping[str, Any]) -> Architecture:
    """The architecture of a checkpoint, by its config's ``architectures``.

    Raises:
        ArchitectureError: the config names none, or one that is not supported; lists the supported ones
            and suggests the nearest.
    """
    name = class_name(config)
    for architecture in ARCHITECTURES:
        if name in architecture.hf_classes and (
            architecture.suits is None or architecture.suits(HFConfig(config))
        ):
            return architecture
    known = {entry for architecture in ARCHITECTURES for entry in architecture.hf_classes}
    raise _unsupported(name, known, path="config.json", key="architectures")


def of_file(metadata: Mapping[str, Any], tensors: Mapping[str, Source]) -> Architecture:
    """The architecture of a GGUF file, by its ``general.architecture`` and what the tables claim of it.

    Raises:
        ArchitectureError: not supported; lists the supported ones and suggests the nearest.
    """
    name = metadata.get("general.architecture")
    for architecture in ARCHITECTURES:
        if name == architecture.name and (
            architecture.claims is None
            or architecture.claims(GGUFFacts(architecture.name, metadata, tensors))
        ):
            return architecture
    known = {architecture.name for architecture in ARCHITECTURES}
    raise _unsupported(str(name), known, path=None, key="general.architecture")


def _unsupported(name: str, known: Iterable[str], *, path: str | None, key: str) -> ArchitectureError:
    names = sorted(known)
    nearest = get_close_matches(name[:100], names, n=1, cutoff=0.5)
    guess = f"did you mean {nearest[0]}? " if nearest else ""
    return ArchitectureError(
        f"unsupported architecture; {guess}supported: {', '.join(names)}", path=path, key=key, found=name
    )
