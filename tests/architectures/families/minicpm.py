"""Tiny checkpoints: MiniCPM."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import (
    LLAMA2,
    LLAMA2_ENDS,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    mlp,
    weights,
)

MODELS: dict[str, Tiny] = {
    "minicpm": Tiny(
        config=config(
            "MiniCPMForCausalLM",
            "minicpm",
            dim_model_base=64,
            scale_depth=1.4,
            scale_emb=12,
            **LLAMA2 | {"tie_word_embeddings": True},
        ),
        tensors=lambda _: shaped(
            {"model.embed_tokens.weight": (512, WIDTH), "model.norm.weight": (WIDTH,)},
            [PRE_NORMS | weights(attention()) | weights(mlp())] * 2,
        ),
        tokenizer="llama2",
        known=False,
    ),
    # Factors for long and for short texts.
    "minicpm-longrope": Tiny(
        config=config(
            "MiniCPMForCausalLM",
            "minicpm",
            dim_model_base=256,
            rope_scaling={
                "long_factor": [1 + 0.25 * i for i in range(32)],
                "original_max_position_embeddings": 512,
                "rope_type": "longrope",
                "short_factor": [1 + 0.0625 * i for i in range(32)],
            },
            scale_depth=1.4,
            scale_emb=12,
            **LLAMA2,
        ),
        tensors=lambda _: shaped(
            LLAMA2_ENDS | {"model.norm.weight": (WIDTH,)},
            [PRE_NORMS | weights(attention()) | weights(mlp())] * 2,
        ),
        tokenizer="llama2",
        known=False,
    ),
}
