"""Gemma 1 and 2: norms stored as the distance from one, a head tied to the embedding."""

from __future__ import annotations

from typing import Any, Final

from ..spec import ValueType
from .config import HFConfig
from .decoder import FFN, TIED, attention, norms
from .keys import (
    CONTEXT,
    HEAD_DIM,
    HEADS,
    INNER,
    KV_HEADS,
    LAYERS,
    RMS_EPS,
    WIDTH,
    AssumedByRuntime,
    FromTensorRows,
    Key,
    KeyRule,
    layer_type,
)
from .table import Architecture, HFClass
from .tensors import Drop, Rule
from .transforms import AddOne

_DEFAULTS: Final[dict[str, Any]] = {
    "head_dim": 256,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}
_KEYS: Final[tuple[KeyRule, ...]] = (
    CONTEXT,
    WIDTH,
    LAYERS,
    INNER,
    HEADS,
    KV_HEADS,
    RMS_EPS,
    HEAD_DIM,
)
_ASSUMED: Final[tuple[KeyRule, ...]] = (
    FromTensorRows("vocab_size", "token_embd.weight"),
    TIED,
    AssumedByRuntime("rope_theta", (10000.0,)),
    AssumedByRuntime("rope_scaling", (None,), export=False),
    AssumedByRuntime("attention_bias", (False,)),
)
_ENDS: Final = (
    Rule(("model.embed_tokens.weight",), ("token_embd.weight",)),
    Rule(("model.norm.weight",), ("output_norm.weight",), AddOne()),
)
_TIED_HEAD: Final = Drop(r"lm_head\.weight", "the embedding again")

GEMMA: Final = Architecture(
    name="gemma",
    classes=(HFClass("GemmaForCausalLM", "gemma", _DEFAULTS | {"num_key_value_heads": 16}),),
    tokenizer_kinds=("spm",),
    keys=_KEYS,
    family_keys=(*_ASSUMED, AssumedByRuntime("hidden_activation", ("gelu_pytorch_tanh", "gelu"))),
    tensors=(
        *_ENDS,
        *norms(
            ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"), transform=AddOne()
        ),
        *attention(),
        *FFN,
    ),
    drops=(_TIED_HEAD,),
)


def _layer_types(config: HFConfig) -> tuple[list[str], ...]:
    return ([layer_type(i % 2 == 0) for i in range(config.integer("num_hidden_layers"))],)


def _attention_scalar(config: HFConfig) -> tuple[int, ...]:
    """llama.cpp scales 27B's attention by width / heads, and all others' by the head size."""
    if config.integer("num_hidden_layers") == 46:
        return (config.integer("hidden_size") // config.integer("num_attention_heads"),)
    return (config.integer("head_dim"),)


GEMMA2: Final = Architecture(
    name="gemma2",
    classes=(
        HFClass(
            "Gemma2ForCausalLM",
            "gemma2",
            _DEFAULTS
            | {
                "attn_logit_softcapping": 50.0,
                "final_logit_softcapping": 30.0,
                "num_key_value_heads": 4,
                "query_pre_attn_scalar": 256,
                "sliding_window": 4096,
            },
        ),
    ),
    tokenizer_kinds=("spm",),
    keys=_KEYS,
    family_keys=(
        Key("attn_logit_softcapping", "attn_logit_softcapping", type=ValueType.FLOAT32),
        Key("final_logit_softcapping", "final_logit_softcapping", type=ValueType.FLOAT32),
        Key("attention.sliding_window", "sliding_window"),
        *_ASSUMED,
        AssumedByRuntime("hidden_activation", ("gelu_pytorch_tanh",)),
        AssumedByRuntime("query_pre_attn_scalar", _attention_scalar),
        AssumedByRuntime("layer_types", _layer_types, export=False),
    ),
    tensors=(
        *_ENDS,
        *norms(
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "post_attention_norm"),
            ("pre_feedforward_layernorm", "ffn_norm"),
            ("post_feedforward_layernorm", "post_ffw_norm"),
            transform=AddOne(),
        ),
        *attention(),
        *FFN,
    ),
    drops=(_TIED_HEAD,),
)

ARCHITECTURES: Final = (GEMMA, GEMMA2)
