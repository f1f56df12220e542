"""Tiny checkpoints: ERNIE 4.5 with experts."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import (
    AT,
    INNER,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    ends,
    expert_weights,
    mlp,
    router,
    weights,
)

MODELS: dict[str, Tiny] = {
    # The first layer is dense.
    "ernie-moe": Tiny(
        config=config(
            "Ernie4_5_MoeForCausalLM",
            "ernie4_5_moe",
            bos_token_id=1,
            eos_token_id=2,
            intermediate_size=2 * INNER,
            moe_intermediate_size=INNER // 2,
            moe_k=2,
            moe_layer_end_index=1,
            moe_layer_interval=1,
            moe_layer_start_index=1,
            moe_num_experts=4,
            moe_num_shared_experts=2,
            rope_theta=500000.0,
            tie_word_embeddings=True,
            use_bias=False,
            vocab_size=512,
        ),
        tensors=lambda c: shaped(
            ends(head=False) | {"model.embed_tokens.weight": (512, WIDTH)},
            [
                PRE_NORMS | weights(attention()) | weights(mlp(inner=2 * INNER)),
                PRE_NORMS
                | weights(attention())
                | router()
                | {AT + "mlp.moe_statics.e_score_correction_bias": (1, 4)}
                | expert_weights(4)
                | weights(mlp(AT + "mlp.shared_experts.")),
            ],
        ),
        tokenizer="llama2",
    ),
}
