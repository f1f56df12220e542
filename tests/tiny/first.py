"""The first families: every kind of file is recorded of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from .base import ALL_KINDS, Tiny, decoder, encoder


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

GENERATION = {
    "do_sample": True,
    "temperature": 0.6,
    "top_p": 0.9,
    "top_k": 40,
    "transformers_version": "4.57.6",
}


def generation(**changes: Any) -> dict[str, str]:
    return {"generation_config.json": json.dumps(GENERATION | changes, indent=2) + "\n"}


MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
POOLING = {
    "word_embedding_dimension": 256,
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
}

_MODELS: dict[str, Tiny] = {
    # Grouped heads, untied, two shards, a vocabulary padded from 525 to 544.
    "llama": Tiny(
        config=llama_config(),
        tensors=decoder,
        tokenizer="llama3",
        pre="llama-bpe",
        shards=2,
        files=generation(bos_token_id=520, eos_token_id=[521, 524]),
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
    ),
    # Biases on q, k, v; tied.
    "qwen2": Tiny(
        config={
            "architectures": ["Qwen2ForCausalLM"],
            "attention_dropout": 0.0,
            "bos_token_id": 500,
            "eos_token_id": 502,
            "hidden_act": "silu",
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 512,
            "max_position_embeddings": 512,
            "max_window_layers": 2,
            "model_type": "qwen2",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_theta": 1000000.0,
            "sliding_window": 512,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": 512,
        },
        tensors=lambda config: decoder(config, qkv_bias=True),
        tokenizer="qwen2",
        pre="qwen2",
        files=generation(bos_token_id=500, eos_token_id=[502, 500], pad_token_id=500, repetition_penalty=1.1),
    ),
    # Norms on q and k; heads × head_dim (384) is not the width; tied, and the output is stored as well.
    "qwen3": Tiny(
        config={
            "architectures": ["Qwen3ForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": 500,
            "eos_token_id": 502,
            "head_dim": 64,
            "hidden_act": "silu",
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 512,
            "max_position_embeddings": 512,
            "max_window_layers": 2,
            "model_type": "qwen3",
            "num_attention_heads": 6,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_scaling": None,
            "rope_theta": 1000000,
            "sliding_window": None,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": 512,
        },
        tensors=lambda config: decoder(config, qk_norm=True, stored_output=True),
        tokenizer="qwen2",
        pre="qwen2",
        without=("vocab.json", "merges.txt"),
    ),
    # Seven layers, so that one attends globally; a window shorter than the prompts; linear RoPE scaling.
    "gemma3": Tiny(
        config={
            "architectures": ["Gemma3ForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "attn_logit_softcapping": None,
            "bos_token_id": 2,
            "eos_token_id": 1,
            "final_logit_softcapping": None,
            "head_dim": 64,
            "hidden_activation": "gelu_pytorch_tanh",
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 128,
            "layer_types": ["full_attention" if layer == 5 else "sliding_attention" for layer in range(7)],
            "max_position_embeddings": 512,
            "model_type": "gemma3_text",
            "num_attention_heads": 2,
            "num_hidden_layers": 7,
            "num_key_value_heads": 1,
            "pad_token_id": 0,
            "query_pre_attn_scalar": 64,
            "rms_norm_eps": 1e-06,
            "rope_local_base_freq": 10000.0,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            "rope_theta": 1000000.0,
            "sliding_window": 8,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "use_cache": True,
            "vocab_size": 528,
        },
        tensors=lambda config: decoder(config, qk_norm=True, gemma=True, stored_output=False),
        tokenizer="gemma",
        files=generation(top_k=64, top_p=0.95, temperature=None),
    ),
    # F32, sentence-transformers' mean pooling.
    "bert": Tiny(
        config={
            "architectures": ["BertModel"],
            "attention_probs_dropout_prob": 0.1,
            "classifier_dropout": None,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 64,
            "layer_norm_eps": 1e-12,
            "max_position_embeddings": 64,
            "model_type": "bert",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "pad_token_id": 0,
            "position_embedding_type": "absolute",
            "torch_dtype": "float32",
            "transformers_version": "4.57.6",
            "type_vocab_size": 2,
            "use_cache": True,
            "vocab_size": 437,
        },
        tensors=encoder,
        tokenizer="bert",
        pre="jina-v2-en",
        dtype="F32",
        files={
            "modules.json": json.dumps(MODULES, indent=2) + "\n",
            "1_Pooling/config.json": json.dumps(POOLING, indent=2) + "\n",
        },
    ),
}

MODELS = {
    name: replace(model, kinds=ALL_KINDS, gelu=name in ("gemma3", "bert"), encoder=name == "bert")
    for name, model in _MODELS.items()
}
