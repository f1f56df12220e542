"""Llama, Mistral and Mixtral, and InternLM 3, which exports call a Llama."""

from __future__ import annotations

from typing import Any, Final

from ..spec import ValueType
from .config import GGUFFacts, HFConfig
from .decoder import BLOCK, FFN, OUTPUT, PRE_NORMS, TIED, attention, experts, flag, head_count
from .keys import (
    CAUSAL,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    DerivedKey,
    FromTensorPresence,
    FromTensorRows,
    HeadDim,
    Key,
    Note,
    head_size,
)
from .mistral_scaling import YarnMultiplier
from .rope import Llama3Factors, Rope
from .table import Architecture, HFClass
from .tensors import Rule, only

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
_MIXTRAL_DEFAULTS: Final = _MISTRAL_DEFAULTS | {
    "num_experts_per_tok": 2,
    "num_local_experts": 8,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000.0,
    "sliding_window": None,
}
_NULLS: Final = _MISTRAL_NULLS | {"head_dim": head_size}


def _mixed(config: HFConfig, layer: int) -> bool:
    return config.find("num_local_experts") is not None


def _dense(config: HFConfig, layer: int) -> bool:
    return not _mixed(config, layer)


def _choose(facts: GGUFFacts) -> str:
    return "LlamaForCausalLM" if facts.find("expert_count") is None else "MixtralForCausalLM"


ARCHITECTURE: Final = Architecture(
    name="llama",
    classes=(
        HFClass("LlamaForCausalLM", "llama", _DEFAULTS, _NULLS),
        HFClass("LlamaModel", "llama", _DEFAULTS, _NULLS),
        HFClass("LLaMAForCausalLM", "llama", _DEFAULTS, _NULLS),
        HFClass("VLlama3ForCausalLM", "llama", _DEFAULTS | {"num_attention_heads": 32}, _NULLS),
        HFClass("VoxtralForConditionalGeneration", "voxtral", _DEFAULTS, _NULLS),
        HFClass("MistralForCausalLM", "mistral", _MISTRAL_DEFAULTS, _MISTRAL_NULLS),
        HFClass("LlavaForConditionalGeneration", "llava", _MISTRAL_DEFAULTS, _MISTRAL_NULLS),
        HFClass("MixtralForCausalLM", "mixtral", _MIXTRAL_DEFAULTS, _MISTRAL_NULLS),
        HFClass("InternLM3ForCausalLM", "internlm3", _DEFAULTS, _MISTRAL_NULLS),
    ),
    choose=_choose,
    tokenizer_kinds=("tekken", "spm", "llama-hf", "bpe"),
    keys=(
        *SIZES,
        KV_HEADS,
        CAUSAL,
        Rope(kinds=("linear", "yarn", "llama3", "dynamic")),
        RMS_EPS,
        Key("expert_count", "num_local_experts", optional=True),
        Key("expert_used_count", "num_experts_per_tok", optional=True),
        HeadDim(always=lambda facts: facts.find("expert_count") is None),
    ),
    family_keys=(
        Key("vocab_size", "vocab_size", optional=True),
        FromTensorRows("vocab_size", "token_embd.weight"),
        DerivedKey("rope.dimension_count", ValueType.UINT32, head_size),
        YarnMultiplier(),
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        FromTensorPresence("mlp_bias", "blk.0.ffn_gate.bias"),
        TIED,
        AssumedByRuntime("hidden_act", ("silu", "swish")),
        Note(
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
        *PRE_NORMS,
        *attention(bias=flag("attention_bias"), permuted=True),
        Rule((f"{BLOCK}.block_sparse_moe.gate.weight",), ("blk.{i}.ffn_gate_inp.weight",), when=_mixed),
        *experts(
            "num_local_experts", module="block_sparse_moe.experts", names=("w1", "w3", "w2"), when=_mixed
        ),
        *only(_dense, FFN),
    ),
)
