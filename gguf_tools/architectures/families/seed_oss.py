"""Seed-OSS: Llama's shape with biases on query, key and value."""

from __future__ import annotations

from typing import Any, Final

from ..decoder import FFN, OUTPUT, TIED, attention, flag, head_count, norms
from ..keys import (
    CAUSAL,
    HEAD_DIM,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    FromTensorPresence,
    FromTensorRows,
    head_size,
)
from ..rope import Rope
from ..table import Architecture, HFClass

_DEFAULTS: Final[dict[str, Any]] = {
    "attention_bias": True,
    "attention_out_bias": False,
    "head_dim": 128,
    "max_position_embeddings": 524288,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}

ARCHITECTURE: Final = Architecture(
    name="seed_oss",
    classes=(
        HFClass(
            "SeedOssForCausalLM",
            "seed_oss",
            _DEFAULTS,
            {"num_key_value_heads": head_count, "head_dim": head_size},
        ),
    ),
    tokenizer_kinds=("bpe",),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(), RMS_EPS, HEAD_DIM),
    family_keys=(
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        FromTensorPresence("attention_out_bias", "blk.0.attn_output.bias"),
        FromTensorPresence("mlp_bias", "blk.0.ffn_gate.bias"),
        TIED,
        AssumedByRuntime("hidden_act", ("silu", "swish")),
    ),
    tensors=(
        *OUTPUT,
        *norms(("input_layernorm", "attn_norm"), ("post_attention_layernorm", "post_attention_norm")),
        *attention(bias=flag("attention_bias"), output_bias=flag("attention_out_bias")),
        *FFN,
    ),
)
