"""Gemma 3's text model: norms stored as the distance from one, local and global layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import FFN, TIED, flag, has_head
from ..keys import (
    CAUSAL,
    HEAD_DIM,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    Entry,
    FromTensorPresence,
    FromTensorRows,
    Key,
)
from ..rope import Rope
from ..table import Architecture, HFClass
from ..tensors import Rule, weight_and_bias
from ..transforms import AddOne, KeepTokens

_BLOCK: Final = "model.layers.{i}"
_BIAS: Final = flag("attention_bias")
_PERIOD: Final = 6  # llama.cpp takes every sixth layer for a global one
_ODD_SCALE_LAYERS: Final = 62  # and scales 27B's attention by width / heads instead of the head size
DEFAULTS: Final[dict[str, Any]] = {
    "head_dim": 256,
    "max_position_embeddings": 131072,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-6,
    "rope_local_base_freq": 10000.0,
    "rope_theta": 1000000.0,
    "sliding_window": 4096,
    "tie_word_embeddings": True,
}


class _Window:
    """``sliding_window``, left out where every layer is global."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if config.find("sliding_window_pattern") != 1:
            yield "attention.sliding_window", ValueType.UINT32, config.integer("sliding_window")

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        window = facts.integer("attention.sliding_window")
        if window is None:
            config["sliding_window_pattern"] = 1
        else:
            config["sliding_window"] = window


def _layer_types(config: HFConfig) -> tuple[list[str], ...]:
    layers = config.integer("num_hidden_layers")
    period = 1 if config.find("sliding_window_pattern") == 1 else _PERIOD
    return ([("sliding" if (i + 1) % period else "full") + "_attention" for i in range(layers)],)


def _attention_scalar(config: HFConfig) -> tuple[int, ...]:
    if config.integer("num_hidden_layers") == _ODD_SCALE_LAYERS:
        return (config.integer("hidden_size") // config.integer("num_attention_heads"),)
    return (config.integer("head_dim"),)


ARCHITECTURE: Final = Architecture(
    name="gemma3",
    classes=(
        HFClass("Gemma3ForCausalLM", "gemma3_text", DEFAULTS),
        HFClass("Gemma3ForConditionalGeneration", "gemma3", DEFAULTS),
    ),
    tokenizer_kinds=("spm", "bpe"),
    keys=(
        *SIZES,
        KV_HEADS,
        CAUSAL,
        Rope(kinds=("linear", "yarn"), local="rope_local_base_freq", theta=1000000.0),
        RMS_EPS,
        HEAD_DIM,
    ),
    family_keys=(
        Key("final_logit_softcapping", "final_logit_softcapping", type=ValueType.FLOAT32, optional=True),
        _Window(),
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        TIED,
        AssumedByRuntime("hidden_activation", ("gelu_pytorch_tanh",)),
        AssumedByRuntime("query_pre_attn_scalar", _attention_scalar),
        AssumedByRuntime("attn_logit_softcapping", (None,)),
        AssumedByRuntime("layer_types", _layer_types, export=False),
        AssumedByRuntime("sliding_window_pattern", (_PERIOD, 1), export=False),
        AssumedByRuntime("use_bidirectional_attention", (False,), export=False),
    ),
    tensors=(
        Rule(("model.embed_tokens.weight",), ("token_embd.weight",), KeepTokens()),
        Rule(("model.norm.weight",), ("output_norm.weight",), AddOne()),
        Rule(("lm_head.weight",), ("output.weight",), needed=has_head),
        *weight_and_bias(f"{_BLOCK}.self_attn.q_proj", "blk.{i}.attn_q", bias=_BIAS),
        *weight_and_bias(f"{_BLOCK}.self_attn.k_proj", "blk.{i}.attn_k", bias=_BIAS),
        *weight_and_bias(f"{_BLOCK}.self_attn.v_proj", "blk.{i}.attn_v", bias=_BIAS),
        *weight_and_bias(f"{_BLOCK}.self_attn.o_proj", "blk.{i}.attn_output", bias=_BIAS),
        *(
            Rule((f"{_BLOCK}.{hf}.weight",), (f"blk.{{i}}.{gguf}.weight",), AddOne())
            for hf, gguf in (
                ("input_layernorm", "attn_norm"),
                ("self_attn.q_norm", "attn_q_norm"),
                ("self_attn.k_norm", "attn_k_norm"),
                ("post_attention_layernorm", "post_attention_norm"),
                ("pre_feedforward_layernorm", "ffn_norm"),
                ("post_feedforward_layernorm", "post_ffw_norm"),
            )
        ),
        *FFN,
    ),
)
