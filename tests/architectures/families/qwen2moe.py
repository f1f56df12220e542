"""Tiny checkpoints: Qwen2Moe."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, with_bias
from tests.architectures.parts.decoders import (
    AT,
    INNER,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    expert_weights,
    layers,
    mlp,
    router,
    weights,
)

MODELS: dict[str, Tiny] = {
    # Biases on q, k, v, and a shared expert behind a gate.
    "qwen2-moe": Tiny(
        config=config(
            "Qwen2MoeForCausalLM",
            "qwen2_moe",
            moe_intermediate_size=INNER // 2,
            num_experts=4,
            num_experts_per_tok=2,
            shared_expert_intermediate_size=INNER,
            norm_topk_prob=False,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            with_bias(attention(), "q_proj", "k_proj", "v_proj"),
            router(),
            expert_weights(4),
            weights(mlp(AT + "mlp.shared_expert.")),
            {AT + "mlp.shared_expert_gate.weight": (1, WIDTH)},
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
