"""Models as recipes see them, with their architecture's exceptions."""

from __future__ import annotations

from gguf_tools import architectures
from gguf_tools.recipes import ModelSizes

__all__ = ["model_of"]


def model_of(
    architecture: str, layers: int, heads: int = 0, kv_heads: int = 0, experts: int = 0
) -> ModelSizes:
    """The facts of a model of a known architecture, or of one without a family here."""
    return ModelSizes(
        architecture, layers, heads, kv_heads, experts, architectures.recipe_traits(architecture)
    )
