"""Tiny checkpoints: Maincoder."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import (
    AT,
    HEAD,
    PRE_NORMS,
    attention,
    config,
    layers,
    mlp,
    named,
    weights,
)

MODELS: dict[str, Tiny] = {
    "maincoder": Tiny(
        config=config("MaincoderForCausalLM", "maincoder", head_dim=HEAD, tie_word_embeddings=True),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention()),
            named("self_attn.q_norm", "self_attn.k_norm", size=HEAD),
            weights(mlp(AT + "feed_forward.")),
            head=False,
        ),
        tokenizer="qwen2",
        pre="qwen2",
        foreign=True,
        known=False,
    ),
}
