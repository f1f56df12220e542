"""Tiny checkpoints: OLMo."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import attention, config, layers, mlp, weights

MODELS: dict[str, Tiny] = {
    # Norms without weights, clamped queries, keys and values.
    "olmo": Tiny(
        config=config("OlmoForCausalLM", "olmo", rms_norm_eps=None, clip_qkv=4.0),
        tensors=lambda _: layers(weights(attention()), weights(mlp()), norm=False),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
