"""Tiny checkpoints: GraniteMoe."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import (
    AT,
    INNER,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    layers,
    router,
    weights,
)

MODELS: dict[str, Tiny] = {
    "granite-moe": Tiny(
        config=config(
            "GraniteMoeSharedForCausalLM",
            "granitemoeshared",
            attention_multiplier=0.0156,
            embedding_multiplier=12.0,
            intermediate_size=INNER // 2,
            logits_scaling=1.5,
            num_local_experts=4,
            num_experts_per_tok=2,
            residual_multiplier=0.22,
            shared_intermediate_size=INNER,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention()),
            router("block_sparse_moe.router.layer"),
            {
                AT + "block_sparse_moe.input_linear.weight": (4, INNER, WIDTH),
                AT + "block_sparse_moe.output_linear.weight": (4, WIDTH, INNER // 2),
                AT + "shared_mlp.input_linear.weight": (2 * INNER, WIDTH),
                AT + "shared_mlp.output_linear.weight": (WIDTH, INNER),
            },
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
