"""Tiny checkpoints: dots.llm1."""

from __future__ import annotations

from tests.architectures.families.deepseek2 import SHARED
from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import (
    AT,
    HEAD,
    HEADS,
    INNER,
    PRE_NORMS,
    attention,
    config,
    ends,
    expert_weights,
    mlp,
    named,
    router,
    weights,
)

DOTS = PRE_NORMS | weights(attention(HEADS)) | named("self_attn.q_norm", "self_attn.k_norm", size=HEAD)

MODELS: dict[str, Tiny] = {
    "dots1": Tiny(
        config=config(
            "Dots1ForCausalLM",
            "dots1",
            first_k_dense_replace=1,
            layer_types=["full_attention"] * 2,
            moe_intermediate_size=INNER // 2,
            n_group=1,
            n_routed_experts=4,
            n_shared_experts=1,
            norm_topk_prob=True,
            num_experts_per_tok=2,
            num_key_value_heads=HEADS,
            routed_scaling_factor=2.5,
            scoring_func="sigmoid",
            topk_group=1,
        ),
        tensors=lambda _: shaped(
            ends(),
            [
                DOTS | weights(mlp()),
                DOTS
                | router()
                | {AT + "mlp.gate.e_score_correction_bias": (4,)}
                | expert_weights(4)
                | SHARED,
            ],
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
