"""Tiny checkpoints: GLM 4.5."""

from __future__ import annotations

from tests.architectures.families.glm4 import GLM_TOKENS
from tests.architectures.parts.base import Tiny, shaped, with_bias
from tests.architectures.parts.decoders import (
    AT,
    HEAD,
    INNER,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    ends,
    expert_weights,
    mlp,
    named,
    router,
    weights,
)
from tests.architectures.parts.towers import wrapped

MOE_BLOCK = (
    PRE_NORMS
    | with_bias(attention(), "q_proj", "k_proj", "v_proj")
    | named("self_attn.q_norm", "self_attn.k_norm", size=HEAD)
    | router(count=3)
    | {AT + "mlp.gate.e_score_correction_bias": (3,)}
    | expert_weights(3)
    | weights(mlp(AT + "mlp.shared_experts.", INNER // 2))
)

MODELS: dict[str, Tiny] = {
    # A dense block, one with experts, and one that predicts the token after next.
    "glm4-moe": Tiny(
        config=config(
            "Glm4MoeForCausalLM",
            "glm4_moe",
            attention_bias=True,
            eos_token_id=[525, 528],
            first_k_dense_replace=1,
            head_dim=HEAD,
            moe_intermediate_size=INNER // 2,
            n_group=1,
            n_routed_experts=3,
            n_shared_experts=1,
            norm_topk_prob=True,
            num_experts_per_tok=2,
            num_nextn_predict_layers=1,
            pad_token_id=525,
            partial_rotary_factor=0.5,
            routed_scaling_factor=1.5,
            topk_group=1,
            use_qk_norm=True,
        ),
        tensors=lambda _: shaped(
            ends(),
            [
                PRE_NORMS
                | with_bias(attention(), "q_proj", "k_proj", "v_proj")
                | named("self_attn.q_norm", "self_attn.k_norm", size=HEAD)
                | weights(mlp()),
                MOE_BLOCK,
                MOE_BLOCK
                | named("enorm", "hnorm", "shared_head.norm")
                | {AT + "eh_proj.weight": (WIDTH, 2 * WIDTH)},
            ],
        ),
        tokenizer="llama3",
        pre="glm4",
        files=GLM_TOKENS,
    ),
    "glm4-moe-vision": wrapped(
        Tiny(
            config=config(
                "Glm4MoeForCausalLM",
                "glm4v_moe_text",
                attention_bias=True,
                eos_token_id=[525, 528],
                first_k_dense_replace=1,
                head_dim=HEAD,
                moe_intermediate_size=INNER // 2,
                n_group=1,
                n_routed_experts=3,
                n_shared_experts=1,
                norm_topk_prob=True,
                num_experts_per_tok=2,
                pad_token_id=525,
                partial_rotary_factor=0.5,
                rope_scaling={"mrope_section": [8, 4, 4], "type": "default"},
                routed_scaling_factor=1.5,
                topk_group=1,
            ),
            tensors=lambda _: shaped(
                ends(),
                [
                    PRE_NORMS | with_bias(attention(), "q_proj", "k_proj", "v_proj") | weights(mlp()),
                    {name: shape for name, shape in MOE_BLOCK.items() if not name.endswith("_norm.weight")},
                ],
            ),
            tokenizer="llama3",
            pre="glm4",
            files=GLM_TOKENS,
            alike=0.9,  # a token of the test text gets another second expert
        ),
        "Glm4vMoeForConditionalGeneration",
        model_type="glm4v_moe",
        vision={
            "depth": 1,
            "hidden_size": 64,
            "intermediate_size": 64,
            "model_type": "glm4v_moe",
            "num_heads": 2,
            "out_hidden_size": WIDTH,
        },
        towers={"model.visual.post_layernorm.weight": 64},
        prefix=("model.", "model.language_model."),
    ),
}
