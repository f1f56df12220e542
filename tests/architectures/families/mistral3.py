"""Tiny checkpoints: Mistral Small 3.1 and Ministral 3."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import HEAD, PRE_NORMS, attention, config, layers, mlp, weights
from tests.architectures.parts.towers import wrapped

MODELS: dict[str, Tiny] = {
    "mistral3": wrapped(
        Tiny(
            config=config("MistralForCausalLM", "mistral", head_dim=HEAD, sliding_window=None)
            | {"sliding_window": None},
            tensors=lambda _: layers(PRE_NORMS, weights(attention()), weights(mlp())),
            tokenizer="llama3",
            pre="llama-bpe",
        ),
        "Mistral3ForConditionalGeneration",
        model_type="mistral3",
        vision={
            "head_dim": 32,
            "hidden_size": 64,
            "image_size": 28,
            "intermediate_size": 64,
            "model_type": "pixtral",
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "patch_size": 14,
        },
        towers={"vision_tower.ln_pre.weight": 64, "multi_modal_projector.norm.weight": 64},
    ),
    # Attention that cools with length; its class is not in the transformers that runs here.
    "ministral3": Tiny(
        config=config(
            "Ministral3ForCausalLM",
            "ministral3",
            head_dim=HEAD,
            rope_scaling={
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "factor": 4.0,
                "llama_4_scaling_beta": 0.125,
                "mscale": 1.0,
                "mscale_all_dim": 1.0,
                "original_max_position_embeddings": 128,
                "rope_type": "yarn",
            },
            sliding_window=None,
        )
        | {"sliding_window": None},
        tensors=lambda _: layers(PRE_NORMS, weights(attention()), weights(mlp())),
        tokenizer="llama3",
        pre="llama-bpe",
        foreign=True,
        runs=False,
    ),
}
