"""Tiny checkpoints: Llama, Mistral, Mixtral and InternLM 3."""

from __future__ import annotations

from typing import Any

from tests.architectures.parts.base import ALL_KINDS, Tiny, decoder, shaped
from tests.architectures.parts.decoders import (
    AT,
    HEAD,
    INNER,
    LLAMA2,
    LLAMA2_ENDS,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    expert_weights,
    generation,
    layers,
    mlp,
    router,
    weights,
)


def llama_config(**changes: Any) -> dict[str, Any]:
    """Config of a small Llama; ``changes`` replace or add keys, None removes one."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 520,
        "eos_token_id": 524,
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": 256,
        "initializer_range": 0.02,
        "intermediate_size": 256,
        "max_position_embeddings": 512,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.57.6",
        "use_cache": True,
        "vocab_size": 544,
    } | changes
    return {key: value for key, value in config.items() if key not in changes or value is not None}


CARD = """---
license: apache-2.0
license_name: tiny
base_model:
- tiny-labs/Tiny-Llama-2M
datasets:
- tiny-labs/corpus
language:
- en
- fr
tags:
- text-generation
- tiny
library_name: transformers
pipeline_tag: text-generation
---

# Tiny Llama Tied

Made of hashes, for tests.
"""

MODELS: dict[str, Tiny] = {
    # Grouped heads, untied, two shards, a vocabulary padded from 525 to 544.
    "llama": Tiny(
        config=llama_config(),
        tensors=decoder,
        tokenizer="llama3",
        pre="llama-bpe",
        shards=2,
        files=generation(bos_token_id=520, eos_token_id=[521, 524]),
        kinds=ALL_KINDS,
    ),
    # Rows of 288 (no multiple of 256), F16, tied, RoPE factors of Llama 3.1, a model card.
    "llama-tied": Tiny(
        config=llama_config(
            hidden_size=288,
            num_hidden_layers=2,
            rope_scaling={
                "factor": 8.0,
                "high_freq_factor": 4.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 128,
                "rope_type": "llama3",
            },
            tie_word_embeddings=True,
            torch_dtype="float16",
            vocab_size=525,
        ),
        tensors=decoder,
        tokenizer="llama3",
        pre="llama-bpe",
        dtype="F16",
        files={"README.md": CARD},
        kinds=ALL_KINDS,
    ),
    # An old Llama: tokenizer.json of the SentencePiece kind only, RoPE buffers in the file, no head_dim.
    "llama-hf": Tiny(
        config=llama_config(
            bos_token_id=1,
            eos_token_id=2,
            head_dim=None,
            num_hidden_layers=1,
            num_key_value_heads=4,
            rope_theta=10000.0,
            torch_dtype="float32",
            vocab_size=512,
        ),
        tensors=lambda config: decoder(config, inv_freq=True),
        tokenizer="llama2",
        dtype="F32",
        without=("tokenizer.model",),
        kinds=ALL_KINDS,
    ),
    # SentencePiece model; rows of 336, which no block format divides.
    "mistral": Tiny(
        config={
            "architectures": ["MistralForCausalLM"],
            "attention_dropout": 0.0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "head_dim": 32,
            "hidden_act": "silu",
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 336,
            "max_position_embeddings": 512,
            "model_type": "mistral",
            "num_attention_heads": 8,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-05,
            "rope_theta": 1000000.0,
            "sliding_window": None,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "use_cache": True,
            "vocab_size": 512,
        },
        tensors=decoder,
        tokenizer="llama2",
        kinds=ALL_KINDS,
    ),
    # Two of four experts; every expert half as wide.
    "mixtral": Tiny(
        config=config(
            "MixtralForCausalLM",
            "mixtral",
            intermediate_size=INNER // 2,
            num_local_experts=4,
            num_experts_per_tok=2,
            sliding_window=None,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention()),
            router("block_sparse_moe.gate"),
            expert_weights(4, AT + "block_sparse_moe.experts", ("w1", "w3", "w2")),
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "internlm3": Tiny(
        config=config(
            "InternLM3ForCausalLM",
            "internlm3",
            bias=False,
            head_dim=HEAD,
            qkv_bias=False,
            rope_scaling={"factor": 6.0, "rope_type": "dynamic"},
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
