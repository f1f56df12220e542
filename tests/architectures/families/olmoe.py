"""Tiny checkpoints: OLMoE."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import (
    HEADS,
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
    "olmoe": Tiny(
        config=config(
            "OlmoeForCausalLM",
            "olmoe",
            intermediate_size=INNER // 2,
            num_experts=4,
            num_experts_per_tok=2,
            num_key_value_heads=HEADS,
            norm_topk_prob=False,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention(HEADS)),
            named("self_attn.q_norm", "self_attn.k_norm"),
            router(),
            expert_weights(4),
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
