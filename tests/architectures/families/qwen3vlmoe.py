"""Tiny checkpoints: Qwen3-VL with experts."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import (
    AT,
    HEAD,
    INNER,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    layers,
    named,
    router,
    weights,
)
from tests.architectures.parts.towers import wrapped

MODELS: dict[str, Tiny] = {
    # Experts stacked and transposed.
    "qwen3-vl-moe": wrapped(
        Tiny(
            config=config(
                "Qwen3MoeForCausalLM",
                "qwen3_vl_moe_text",
                head_dim=HEAD,
                moe_intermediate_size=INNER // 2,
                norm_topk_prob=True,
                num_experts=4,
                num_experts_per_tok=2,
                rope_scaling={
                    "mrope_interleaved": True,
                    "mrope_section": [12, 10, 10],
                    "rope_type": "default",
                },
            ),
            tensors=lambda _: layers(
                PRE_NORMS,
                weights(attention()),
                named("self_attn.q_norm", "self_attn.k_norm", size=HEAD),
                router(),
                {
                    AT + "mlp.experts.gate_up_proj": (4, WIDTH, INNER),
                    AT + "mlp.experts.down_proj": (4, INNER // 2, WIDTH),
                },
            ),
            tokenizer="llama3",
            pre="llama-bpe",
            regrouped=True,
            difference=1e-2,
        ),
        "Qwen3VLMoeForConditionalGeneration",
        model_type="qwen3_vl_moe",
        vision={
            "deepstack_visual_indexes": [0],
            "depth": 1,
            "hidden_size": 64,
            "intermediate_size": 64,
            "model_type": "qwen3_vl_moe",
            "num_heads": 2,
            "out_hidden_size": WIDTH,
        },
        towers={"model.visual.merger.norm.weight": 64},
        prefix=("model.", "model.language_model."),
    ),
}
