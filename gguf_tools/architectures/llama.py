"""Llama and Mistral."""

from __future__ import annotations

from typing import Any, Final

from ..spec import ValueType
from .decoder import FFN, OUTPUT, TIED, flag, head_count
from .keys import (
    CAUSAL,
    HEAD_DIM,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    Assumed,
    Computed,
    Key,
    Noted,
    Present,
    RowsOf,
    head_size,
)
from .rope import Llama3Factors, Rope
from .table import Architecture, HFClass
from .tensors import Rule, weight_and_bias
from .transforms import PermuteHeads

_BLOCK: Final = "model.layers.{i}"
_BIAS: Final = flag("attention_bias")
_DEFAULTS: Final[dict[str, Any]] = {
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
_MISTRAL_DEFAULTS: Final = _DEFAULTS | {
    "max_position_embeddings": 131072,
    "num_key_value_heads": 8,
    "sliding_window": 4096,
}
_MISTRAL_NULLS: Final = {"num_key_value_heads": head_count}
_NULLS: Final = _MISTRAL_NULLS | {"head_dim": head_size}

ARCHITECTURE: Final = Architecture(
    name="llama",
    classes=(
        HFClass("LlamaForCausalLM", "llama", _DEFAULTS, _NULLS),
        HFClass("LlamaModel", "llama", _DEFAULTS, _NULLS),
        HFClass("MistralForCausalLM", "mistral", _MISTRAL_DEFAULTS, _MISTRAL_NULLS),
    ),
    tokenizer_kinds=("spm", "llama-hf", "bpe"),
    keys=(
        *SIZES,
        KV_HEADS,
        CAUSAL,
        Rope(kinds=("linear", "yarn", "llama3")),
        RMS_EPS,
        HEAD_DIM,
    ),
    own_keys=(
        Key("vocab_size", "vocab_size", optional=True),
        RowsOf("vocab_size", "token_embd.weight"),
        Computed("rope.dimension_count", ValueType.UINT32, head_size),
        Present("attention_bias", "blk.0.attn_q.bias"),
        Present("mlp_bias", "blk.0.ffn_gate.bias"),
        TIED,
        Assumed("hidden_act", ("silu", "swish")),
        Noted(
            lambda config: (
                config.find("sliding_window") is not None
                and config.integer("sliding_window", least=0) < config.integer("max_position_embeddings")
            ),
            "config.json has a sliding window; llama.cpp attends to the whole context in this architecture",
        ),
    ),
    computed=(Llama3Factors(),),
    tensors=(
        *OUTPUT,
        Rule((f"{_BLOCK}.input_layernorm.weight",), ("blk.{i}.attn_norm.weight",)),
        *weight_and_bias(
            f"{_BLOCK}.self_attn.q_proj",
            "blk.{i}.attn_q",
            PermuteHeads("num_attention_heads"),
            bias=_BIAS,
        ),
        *weight_and_bias(
            f"{_BLOCK}.self_attn.k_proj",
            "blk.{i}.attn_k",
            PermuteHeads("num_key_value_heads"),
            bias=_BIAS,
        ),
        *weight_and_bias(f"{_BLOCK}.self_attn.v_proj", "blk.{i}.attn_v", bias=_BIAS),
        *weight_and_bias(f"{_BLOCK}.self_attn.o_proj", "blk.{i}.attn_output", bias=_BIAS),
        Rule((f"{_BLOCK}.post_attention_layernorm.weight",), ("blk.{i}.ffn_norm.weight",)),
        *FFN,
    ),
)
