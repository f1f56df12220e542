"""Tiny checkpoints: OLMo 2 and 3."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import (
    HEAD,
    HEADS,
    KV_HEADS,
    attention,
    config,
    layers,
    mlp,
    named,
    weights,
)

QK_NORMS = {**named("self_attn.q_norm", size=HEADS * HEAD), **named("self_attn.k_norm", size=KV_HEADS * HEAD)}

MODELS: dict[str, Tiny] = {
    # Norms after, not before; norms on all heads of q and k at once.
    "olmo2": Tiny(
        config=config("Olmo2ForCausalLM", "olmo2"),
        tensors=lambda _: layers(
            weights(attention()),
            QK_NORMS,
            named("post_attention_layernorm", "post_feedforward_layernorm"),
            weights(mlp()),
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "olmo3": Tiny(
        config=config(
            "Olmo3ForCausalLM",
            "olmo3",
            num_hidden_layers=4,
            sliding_window=8,
            layer_types=["sliding_attention"] * 3 + ["full_attention"],
        ),
        tensors=lambda _: layers(
            weights(attention()),
            QK_NORMS,
            named("post_attention_layernorm", "post_feedforward_layernorm"),
            weights(mlp()),
            count=4,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
