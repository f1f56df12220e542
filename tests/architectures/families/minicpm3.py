"""Tiny checkpoints: MiniCPM 3."""

from __future__ import annotations

from tests.architectures.families.deepseek2 import NOPE, RANK, ROPE, latent
from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import HEADS, LLAMA2, PRE_NORMS, WIDTH, config, mlp, weights

MODELS: dict[str, Tiny] = {
    # Latent attention, computed head by head.
    "minicpm3": Tiny(
        config=config(
            "MiniCPM3ForCausalLM",
            "minicpm3",
            dim_model_base=256,
            kv_lora_rank=RANK,
            q_lora_rank=96,
            qk_nope_head_dim=NOPE,
            qk_rope_head_dim=ROPE,
            rope_scaling={
                "long_factor": [1 + 0.25 * i for i in range(16)],
                "original_max_position_embeddings": 512,
                "short_factor": [1 + 0.0625 * i for i in range(16)],
                "type": "longrope",
            },
            scale_depth=1.4,
            scale_emb=12,
            **LLAMA2 | {"num_key_value_heads": HEADS, "tie_word_embeddings": True},
        ),
        tensors=lambda _: shaped(
            {"model.embed_tokens.weight": (512, WIDTH), "model.norm.weight": (WIDTH,)},
            [PRE_NORMS | latent(low_rank=True) | weights(mlp())] * 2,
        ),
        tokenizer="llama2",
        known=False,
    ),
}
