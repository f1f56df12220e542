"""SmolLM3 and Arcee: Llama with layers that are not rotated, or without a gate."""

from __future__ import annotations

from typing import Any, Final

from ..spec import ValueType
from .config import HFConfig
from .decoder import FFN, OUTPUT, PRE_NORMS, TIED, attention, flag, head_count, modules
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
    KeyRule,
    head_size,
)
from .rope import Llama3Factors, Rope
from .table import Architecture, HFClass

_NULLS: Final = {"num_key_value_heads": head_count}
_DEFAULTS: Final[dict[str, Any]] = {"rms_norm_eps": 1e-6, "tie_word_embeddings": False}
_KEYS: Final[tuple[KeyRule, ...]] = (
    *SIZES,
    KV_HEADS,
    CAUSAL,
    Rope(kinds=("linear", "yarn", "llama3")),
    RMS_EPS,
)
_OWN: Final[tuple[KeyRule, ...]] = (
    Key("vocab_size", "vocab_size"),
    DerivedKey("rope.dimension_count", ValueType.UINT32, head_size),
    FromTensorRows("vocab_size", "token_embd.weight"),
    FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
    TIED,
)
_NO_ROPE_PERIOD: Final = 4  # llama.cpp leaves every fourth layer unrotated


def _rotated(config: HFConfig) -> tuple[list[int], ...]:
    layers = config.integer("num_hidden_layers")
    return ([int((i + 1) % _NO_ROPE_PERIOD != 0) for i in range(layers)],)


SMOLLM3: Final = Architecture(
    name="smollm3",
    classes=(
        HFClass(
            "SmolLM3ForCausalLM",
            "smollm3",
            _DEFAULTS
            | {
                "max_position_embeddings": 32768,
                "no_rope_layer_interval": 4,
                "num_key_value_heads": 4,
                "rope_theta": 2000000.0,
                "tie_word_embeddings": True,
            },
            _NULLS,
        ),
    ),
    tokenizer_kinds=("spm", "llama-hf", "bpe"),
    keys=(*_KEYS, HeadDim(always=False)),
    family_keys=(
        *_OWN,
        FromTensorPresence("mlp_bias", "blk.0.ffn_gate.bias"),
        AssumedByRuntime("hidden_act", ("silu", "swish")),
        AssumedByRuntime("no_rope_layer_interval", (_NO_ROPE_PERIOD,)),
        AssumedByRuntime("no_rope_layers", _rotated, export=False),
        AssumedByRuntime("use_sliding_window", (False,)),
    ),
    computed=(Llama3Factors(),),
    tensors=(*OUTPUT, *PRE_NORMS, *attention(bias=flag("attention_bias"), permuted=True), *FFN),
)

ARCEE: Final = Architecture(
    name="arcee",
    classes=(
        HFClass(
            "ArceeForCausalLM",
            "arcee",
            _DEFAULTS | {"max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0},
            _NULLS | {"head_dim": head_size},
        ),
    ),
    tokenizer_kinds=("spm", "llama-hf", "bpe"),
    keys=(*_KEYS, HeadDim()),
    family_keys=(
        *_OWN,
        FromTensorPresence("mlp_bias", "blk.0.ffn_up.bias"),
        AssumedByRuntime("hidden_act", ("relu2",)),
    ),
    computed=(Llama3Factors(),),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *attention(bias=flag("attention_bias"), permuted=True),
        *modules(("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"), bias=flag("mlp_bias")),
    ),
)

ARCHITECTURES: Final = (SMOLLM3, ARCEE)
