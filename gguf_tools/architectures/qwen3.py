"""Qwen3 (dense): per-head norms on query and key, biases only where ``attention_bias`` says so."""

from __future__ import annotations

from typing import Any, Final

from .decoder import FFN, OUTPUT, TIED, flag, head_count
from .keys import (
    CAUSAL,
    HEAD_DIM,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    FromTensorPresence,
    FromTensorRows,
)
from .pooling import Pooling, pooling_files
from .rope import Rope
from .table import Architecture, HFClass
from .tensors import Rule, weight_and_bias

_BLOCK: Final = "model.layers.{i}"
_BIAS: Final = flag("attention_bias")
_DEFAULTS: Final[dict[str, Any]] = {
    "head_dim": 128,
    "max_position_embeddings": 32768,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
_NULLS: Final = {"num_key_value_heads": head_count}

ARCHITECTURE: Final = Architecture(
    name="qwen3",
    classes=(
        HFClass("Qwen3ForCausalLM", "qwen3", _DEFAULTS, _NULLS),
        HFClass("Qwen3Model", "qwen3", _DEFAULTS, _NULLS),
    ),
    tokenizer_kinds=("spm", "bpe"),
    keys=(
        *SIZES,
        KV_HEADS,
        CAUSAL,
        Rope(),
        RMS_EPS,
        HEAD_DIM,
    ),
    family_keys=(
        Pooling(),
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        TIED,
        AssumedByRuntime("hidden_act", ("silu", "swish")),
        AssumedByRuntime("use_sliding_window", (False,)),
    ),
    tensors=(
        *OUTPUT,
        Rule((f"{_BLOCK}.input_layernorm.weight",), ("blk.{i}.attn_norm.weight",)),
        *weight_and_bias(f"{_BLOCK}.self_attn.q_proj", "blk.{i}.attn_q", bias=_BIAS),
        *weight_and_bias(f"{_BLOCK}.self_attn.k_proj", "blk.{i}.attn_k", bias=_BIAS),
        *weight_and_bias(f"{_BLOCK}.self_attn.v_proj", "blk.{i}.attn_v", bias=_BIAS),
        *weight_and_bias(f"{_BLOCK}.self_attn.o_proj", "blk.{i}.attn_output", bias=_BIAS),
        Rule((f"{_BLOCK}.self_attn.q_norm.weight",), ("blk.{i}.attn_q_norm.weight",)),
        Rule((f"{_BLOCK}.self_attn.k_norm.weight",), ("blk.{i}.attn_k_norm.weight",)),
        Rule((f"{_BLOCK}.post_attention_layernorm.weight",), ("blk.{i}.ffn_norm.weight",)),
        *FFN,
    ),
    extras=pooling_files,
)
