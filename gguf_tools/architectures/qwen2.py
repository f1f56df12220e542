"""Qwen2 and Qwen2.5: Llama's shape with biases on query, key and value, and unpermuted heads."""

from __future__ import annotations

from typing import Any, Final

from .decoder import FFN, OUTPUT, TIED, head_count
from .keys import CAUSAL, KV_HEADS, RMS_EPS, SIZES, AssumedByRuntime, FromTensorRows, HeadDim
from .pooling import Pooling, pooling_files
from .rope import Rope
from .table import Architecture, HFClass
from .tensors import Rule, weight_and_bias

_BLOCK: Final = "model.layers.{i}"
_DEFAULTS: Final[dict[str, Any]] = {
    "max_position_embeddings": 32768,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
_NULLS: Final = {"num_key_value_heads": head_count}

ARCHITECTURE: Final = Architecture(
    name="qwen2",
    classes=(
        HFClass("Qwen2ForCausalLM", "qwen2", _DEFAULTS, _NULLS),
        HFClass("Qwen2Model", "qwen2", _DEFAULTS, _NULLS),
        HFClass("Qwen2AudioForConditionalGeneration", "qwen2_audio", _DEFAULTS, _NULLS),
        HFClass("AudioFlamingo3ForConditionalGeneration", "audioflamingo3", _DEFAULTS, _NULLS),
        HFClass("DotsOCRForCausalLM", "dots_ocr", _DEFAULTS, _NULLS),
    ),
    tokenizer_kinds=("spm", "bpe"),
    keys=(
        *SIZES,
        KV_HEADS,
        CAUSAL,
        Rope(),
        RMS_EPS,
        HeadDim(always=False),
    ),
    family_keys=(
        Pooling(),
        FromTensorRows("vocab_size", "token_embd.weight"),
        TIED,
        AssumedByRuntime("hidden_act", ("silu", "swish")),
        AssumedByRuntime("use_sliding_window", (False,)),
    ),
    tensors=(
        *OUTPUT,
        Rule((f"{_BLOCK}.input_layernorm.weight",), ("blk.{i}.attn_norm.weight",)),
        *weight_and_bias(f"{_BLOCK}.self_attn.q_proj", "blk.{i}.attn_q"),
        *weight_and_bias(f"{_BLOCK}.self_attn.k_proj", "blk.{i}.attn_k"),
        *weight_and_bias(f"{_BLOCK}.self_attn.v_proj", "blk.{i}.attn_v"),
        Rule((f"{_BLOCK}.self_attn.o_proj.weight",), ("blk.{i}.attn_output.weight",)),
        Rule((f"{_BLOCK}.post_attention_layernorm.weight",), ("blk.{i}.ffn_norm.weight",)),
        *FFN,
    ),
    extras=pooling_files,
)
