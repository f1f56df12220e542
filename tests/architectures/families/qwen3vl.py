"""Tiny checkpoints: Qwen3-VL."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import (
    HEAD,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    layers,
    mlp,
    named,
    weights,
)
from tests.architectures.parts.towers import wrapped

MODELS: dict[str, Tiny] = {
    "qwen3-vl": wrapped(
        Tiny(
            config=config(
                "Qwen3ForCausalLM",
                "qwen3_vl_text",
                head_dim=HEAD,
                rope_scaling={
                    "mrope_interleaved": True,
                    "mrope_section": [12, 10, 10],
                    "rope_type": "default",
                },
                tie_word_embeddings=True,
            ),
            tensors=lambda _: layers(
                PRE_NORMS,
                weights(attention()),
                named("self_attn.q_norm", "self_attn.k_norm", size=HEAD),
                weights(mlp()),
                head=False,
            ),
            tokenizer="qwen2",
            pre="qwen2",
            difference=1e-2,
        ),
        "Qwen3VLForConditionalGeneration",
        model_type="qwen3_vl",
        vision={
            "deepstack_visual_indexes": [0],
            "depth": 1,
            "hidden_size": 64,
            "intermediate_size": 64,
            "model_type": "qwen3_vl",
            "num_heads": 2,
            "out_hidden_size": WIDTH,
        },
        towers={"model.visual.merger.norm.weight": 64},
        prefix=("model.", "model.language_model."),
    ),
}
