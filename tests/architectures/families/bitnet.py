"""Tiny checkpoints: BitNet."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import (
    LLAMA2,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    mlp,
    named,
    weights,
)

MODELS: dict[str, Tiny] = {
    # Weights of any value, which conversion rounds to three: what an export cannot undo.
    "bitnet": Tiny(
        config=config(
            "BitnetForCausalLM",
            "llama",
            **LLAMA2 | {"tie_word_embeddings": True},
        ),
        tensors=lambda _: shaped(
            {"model.embed_tokens.weight": (512, WIDTH), "model.norm.weight": (WIDTH,)},
            [
                PRE_NORMS
                | named("self_attn.inner_attn_ln", "mlp.ffn_layernorm")
                | weights(attention())
                | weights(mlp())
            ]
            * 2,
        ),
        tokenizer="llama2",
        known=False,
        apart=True,
    ),
}
