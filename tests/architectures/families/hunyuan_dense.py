"""Tiny checkpoints: HunYuan."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import (
    HEAD,
    PRE_NORMS,
    attention,
    config,
    generation,
    layers,
    mlp,
    named,
    weights,
)

MODELS: dict[str, Tiny] = {
    # The base of RoPE stretched, the head both tied and stored.
    "hunyuan": Tiny(
        config=config(
            "HunYuanDenseV1ForCausalLM",
            "hunyuan_v1_dense",
            eod_token_id=521,
            head_dim=HEAD,
            max_position_embeddings=262144,
            pad_token_id=523,
            rope_scaling={"alpha": 1000.0, "factor": 1.0, "type": "dynamic"},
            tie_word_embeddings=True,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention()),
            named("self_attn.query_layernorm", "self_attn.key_layernorm", size=HEAD),
            weights(mlp()),
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        files=generation(eos_token_id=[521, 524]),
    ),
}
