"""Tiny checkpoints: DeepSeek V2 and V3."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import (
    AT,
    HEADS,
    INNER,
    PRE_NORMS,
    WIDTH,
    Shapes,
    config,
    ends,
    expert_weights,
    mlp,
    named,
    router,
    weights,
)

RANK, NOPE, ROPE, VALUE = 64, 32, 32, 64
"""Of latent attention."""


def latent(*, low_rank: bool) -> Shapes:
    made: Shapes = {
        "kv_a_proj_with_mqa.weight": (RANK + ROPE, WIDTH),
        "kv_a_layernorm.weight": (RANK,),
        "kv_b_proj.weight": (HEADS * (NOPE + VALUE), RANK),
        "o_proj.weight": (WIDTH, HEADS * VALUE),
    }
    if low_rank:
        made |= {
            "q_a_proj.weight": (96, WIDTH),
            "q_a_layernorm.weight": (96,),
            "q_b_proj.weight": (HEADS * (NOPE + ROPE), 96),
        }
    else:
        made["q_proj.weight"] = (HEADS * (NOPE + ROPE), WIDTH)
    return {f"{AT}self_attn.{name}": shape for name, shape in made.items()}


LATENT = {
    "kv_lora_rank": RANK,
    "moe_intermediate_size": INNER // 2,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "num_key_value_heads": HEADS,
    "qk_nope_head_dim": NOPE,
    "qk_rope_head_dim": ROPE,
    "v_head_dim": VALUE,
}

SHARED = weights(mlp(AT + "mlp.shared_experts.", INNER // 2))

MODELS: dict[str, Tiny] = {
    # Latent attention, softmax routing.
    "deepseek-v2": Tiny(
        config=config(
            "DeepseekV2ForCausalLM",
            "deepseek_v2",
            first_k_dense_replace=1,
            norm_topk_prob=False,
            q_lora_rank=96,
            routed_scaling_factor=1.0,
            scoring_func="softmax",
            topk_method="greedy",
            **LATENT,
        ),
        tensors=lambda _: shaped(
            ends(),
            [
                PRE_NORMS | latent(low_rank=True) | weights(mlp()),
                PRE_NORMS | latent(low_rank=True) | router() | expert_weights(4) | SHARED,
            ],
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # Queries of low rank, sigmoid routing with a bias; a layer beyond the last.
    "deepseek-v3": Tiny(
        config=config(
            "DeepseekV3ForCausalLM",
            "deepseek_v3",
            first_k_dense_replace=1,
            n_group=2,
            norm_topk_prob=True,
            num_nextn_predict_layers=1,
            q_lora_rank=96,
            routed_scaling_factor=2.5,
            scoring_func="sigmoid",
            topk_group=1,
            topk_method="noaux_tc",
            **LATENT,
        ),
        tensors=lambda _: shaped(
            ends(),
            [
                PRE_NORMS | latent(low_rank=True) | weights(mlp()),
                PRE_NORMS
                | latent(low_rank=True)
                | router()
                | {AT + "mlp.gate.e_score_correction_bias": (4,)}
                | expert_weights(4)
                | SHARED,
                named("enorm", "hnorm"),
            ],
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
