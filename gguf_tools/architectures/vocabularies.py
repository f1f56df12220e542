"""Traits of vocabularies that several families share."""

from __future__ import annotations

from typing import Final

from .traits import SpacePrefix, VocabularyTraits

__all__ = ["ENCODER_TYPES", "GEMMA_VOCABULARY", "LLAMA_VOCABULARY"]

LLAMA_VOCABULARY: Final = VocabularyTraits(
    space_prefix=SpacePrefix.CONFIG,
    # The converter knows two families of models by the size of their vocabulary: CodeLlama, of whose ids it
    # writes only this one, as the runtime finds the others by their texts; and Granite's code models.
    by_size={32016: VocabularyTraits(ids={"eot": 32010}), 49152: VocabularyTraits(adds={"bos": False})},
)
"""What llama.cpp's converter derives from its Llama."""

GEMMA_VOCABULARY: Final = VocabularyTraits(space_prefix=SpacePrefix.OFF)

ENCODER_TYPES: Final = VocabularyTraits(token_types=True)
"""Encoders that tell several kinds of texts apart."""
