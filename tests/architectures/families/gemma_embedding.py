"""Tiny checkpoints: EmbeddingGemma."""

from __future__ import annotations

from ..parts.base import Tiny, decoder
from ..parts.encoders import sentence_transformer
from .gemma3 import GEMMA3

MODELS: dict[str, Tiny] = {
    # Its window reaches both ways.
    "gemma-embedding": Tiny(
        config=GEMMA3.config
        | {"architectures": ["Gemma3TextModel"], "rope_scaling": None, "use_bidirectional_attention": True},
        tensors=lambda config: {
            name.removeprefix("model."): values
            for name, values in decoder(config, qk_norm=True, gemma=True, stored_output=False).items()
        },
        tokenizer="gemma",
        files=sentence_transformer("pooling_mode_mean_tokens"),
        gelu=True,
        encoder=True,
    ),
}
