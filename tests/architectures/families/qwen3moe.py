"""Tiny checkpoints: Qwen3Moe."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import (
    HEAD,
    INNER,
    PRE_NORMS,
    attention,
    config,
    expert_weights,
    layers,
    named,
    router,
    weights,
)

MODELS: dict[str, Tiny] = {
    "qwen3-moe": Tiny(
        config=config(
            "Qwen3MoeForCausalLM",
            "qwen3_moe",
            head_dim=HEAD,
            moe_intermediate_size=INNER // 2,
            num_experts=4,
            num_experts_per_tok=2,
            norm_topk_prob=True,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention()),
            named("self_attn.q_norm", "self_attn.k_norm", size=HEAD),
            router(),
            expert_weights(4),
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
