"""Tiny checkpoints: Llama 4."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import (
    AT,
    HEAD,
    INNER,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    ends,
    mlp,
    weights,
)

FORWARD = AT + "feed_forward."

MODELS: dict[str, Tiny] = {
    # Experts in every other layer, and the fourth layer not rotated.
    "llama4": Tiny(
        config=config(
            "Llama4ForCausalLM",
            "llama4_text",
            attention_chunk_size=8192,
            head_dim=HEAD,
            interleave_moe_layer_step=2,
            intermediate_size=INNER // 4,
            intermediate_size_mlp=INNER,
            max_position_embeddings=1024,
            no_rope_layers=[1, 1, 1, 0],
            num_experts_per_tok=2,
            num_hidden_layers=4,
            num_local_experts=3,
            rope_scaling={
                "factor": 16.0,
                "high_freq_factor": 1.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 256,
                "rope_type": "llama3",
            },
            rope_theta=500000.0,
            use_qk_norm=True,
        ),
        tensors=lambda _: shaped(
            ends(),
            [
                PRE_NORMS | weights(attention()) | weights(mlp(FORWARD)),
                PRE_NORMS
                | weights(attention())
                | weights(mlp(FORWARD + "shared_expert.", INNER // 4))
                | {
                    FORWARD + "router.weight": (3, WIDTH),
                    FORWARD + "experts.gate_up_proj": (3, WIDTH, INNER // 2),
                    FORWARD + "experts.down_proj": (3, INNER // 4, WIDTH),
                },
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
