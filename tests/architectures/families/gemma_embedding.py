"""Tiny checkpoints: EmbeddingGemma."""

from __future__ import annotations

from tests.architectures.families.gemma3 import GEMMA3
from tests.architectures.parts.base import Tiny, decoder
from tests.architectures.parts.encoders import sentence_transformer

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
