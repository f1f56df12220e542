"""Apertus: Llama without a gate, with norms on query and key, and xIELU, whose parameters are trained."""

from __future__ import annotations

from typing import Any, Final

from ...spec import ValueType
from ..decoder import BLOCK, OUTPUT, QK_NORMS, TIED, attention, flag, head_count, norms
from ..keys import (
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
    head_size,
)
from ..rope import Llama3Factors, Rope
from ..table import Architecture, HFClass
from ..tensor_to_key import Scalars

_DEFAULTS: Final[dict[str, Any]] = {
    "hidden_act": "xielu",
    "max_position_embeddings": 65536,
    "rms_norm_eps": 1e-5,
    "rope_scaling": {
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 12000000.0,
    "tie_word_embeddings": False,
}

ARCHITECTURE: Final = Architecture(
    name="apertus",
    classes=(HFClass("ApertusForCausalLM", "apertus", _DEFAULTS, {"num_key_value_heads": head_count}),),
    tokenizer_kinds=("spm", "llama-hf", "bpe"),
    keys=(
        *SIZES,
        KV_HEADS,
        CAUSAL,
        Rope(kinds=("linear", "yarn", "llama3", "dynamic")),
        RMS_EPS,
        HeadDim(always=False),
    ),
    family_keys=(
        Key("vocab_size", "vocab_size"),
        DerivedKey("rope.dimension_count", ValueType.UINT32, head_size),
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        TIED,
        AssumedByRuntime("hidden_act", ("xielu",)),
    ),
    computed=(Llama3Factors(),),
    scalars=tuple(
        Scalars(f"{BLOCK}.mlp.act_fn.{name}", f"xielu.{name}", shape)
        for name, shape in (("alpha_n", (1,)), ("alpha_p", (1,)), ("beta", ()), ("eps", ()))
    ),
    tensors=(
        *OUTPUT,
        *norms(("attention_layernorm", "attn_norm"), ("feedforward_layernorm", "ffn_norm")),
        *attention(bias=flag("attention_bias")),
        *QK_NORMS,
        *norms(("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down")),
    ),
)
