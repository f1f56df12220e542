"""Granite and GraniteMoe: Llama's shape with four multipliers, and experts with fused gate and up."""

from __future__ import annotations

from typing import Any, Final

from ..spec import ValueType
from .config import HFConfig
from .decoder import BLOCK, FFN, OUTPUT, PRE_NORMS, TIED, attention, flag, head_count, norms
from .keys import (
    CAUSAL,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    Assumed,
    Computed,
    Key,
    KeyRule,
    Present,
    RowsOf,
    experts_keys,
)
from .rope import Rope
from .table import Architecture, HFClass
from .tensors import Rule, only
from .transforms import SplitMiddle, SplitRows

__all__ = [
    "ARCHITECTURES",
    "ATTENTION",
    "DEFAULTS",
    "EXPERTS",
    "MULTIPLIERS",
    "NULLS",
    "has_shared",
    "shared_mlp",
]

DEFAULTS: Final[dict[str, Any]] = {
    "attention_multiplier": 1.0,
    "embedding_multiplier": 1.0,
    "logits_scaling": 1.0,
    "max_position_embeddings": 2048,
    "residual_multiplier": 1.0,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
NULLS: Final = {"num_key_value_heads": head_count}


def _rotary(config: HFConfig) -> int:
    return config.integer("hidden_size") // config.integer("num_attention_heads")


MULTIPLIERS: Final[tuple[KeyRule, ...]] = (
    Key("vocab_size", "vocab_size"),
    Computed("rope.dimension_count", ValueType.UINT32, _rotary),
    Key("attention.scale", "attention_multiplier", type=ValueType.FLOAT32),
    Key("embedding_scale", "embedding_multiplier", type=ValueType.FLOAT32),
    Key("residual_scale", "residual_multiplier", type=ValueType.FLOAT32),
    Key("logit_scale", "logits_scaling", type=ValueType.FLOAT32),
)
_ASSUMED: Final[tuple[KeyRule, ...]] = (
    RowsOf("vocab_size", "token_embd.weight"),
    Present("attention_bias", "blk.0.attn_q.bias"),
    TIED,
    Assumed("hidden_act", ("silu", "swish")),
)
ATTENTION: Final = attention(bias=flag("attention_bias"), permuted=True)

GRANITE: Final = Architecture(
    name="granite",
    classes=(HFClass("GraniteForCausalLM", "granite", DEFAULTS, NULLS),),
    tokenizer_kinds=("spm", "llama-hf", "bpe"),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(), RMS_EPS),
    own_keys=(*MULTIPLIERS, *_ASSUMED, Present("mlp_bias", "blk.0.ffn_gate.bias")),
    tensors=(*OUTPUT, *PRE_NORMS, *ATTENTION, *FFN),
)


def has_shared(config: HFConfig, layer: int) -> bool:
    return config.find("shared_intermediate_size") not in (None, 0)


def _shared_sizes(config: HFConfig) -> tuple[int, int]:
    size = config.integer("shared_intermediate_size")
    return size, size


EXPERTS: Final = (
    *norms(
        ("block_sparse_moe.router.layer", "ffn_gate_inp"),
        ("block_sparse_moe.output_linear", "ffn_down_exps"),
    ),
    Rule(
        (f"{BLOCK}.block_sparse_moe.input_linear.weight",),
        ("blk.{i}.ffn_gate_exps.weight", "blk.{i}.ffn_up_exps.weight"),
        SplitMiddle(),
    ),
)


def shared_mlp(suffix: str) -> tuple[Rule, ...]:
    """The feed-forward part that is not routed, with gate and up fused; ``suffix`` is for its GGUF names."""
    return (
        Rule(
            (f"{BLOCK}.shared_mlp.input_linear.weight",),
            (f"blk.{{i}}.ffn_gate{suffix}.weight", f"blk.{{i}}.ffn_up{suffix}.weight"),
            SplitRows(_shared_sizes),
        ),
        Rule((f"{BLOCK}.shared_mlp.output_linear.weight",), (f"blk.{{i}}.ffn_down{suffix}.weight",)),
    )


GRANITEMOE: Final = Architecture(
    name="granitemoe",
    classes=(
        HFClass("GraniteMoeForCausalLM", "granitemoe", DEFAULTS, NULLS),
        HFClass("GraniteMoeSharedForCausalLM", "granitemoeshared", DEFAULTS, NULLS),
    ),
    choose=lambda facts: (
        "GraniteMoeForCausalLM"
        if facts.find("expert_shared_feed_forward_length") is None
        else "GraniteMoeSharedForCausalLM"
    ),
    tokenizer_kinds=("spm", "llama-hf", "bpe"),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(), RMS_EPS, *experts_keys("num_local_experts")),
    own_keys=(
        *MULTIPLIERS,
        Key("expert_shared_feed_forward_length", "shared_intermediate_size", optional=True),
        *_ASSUMED,
    ),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *ATTENTION,
        *EXPERTS,
        *only(has_shared, shared_mlp("_shexp")),
    ),
)

ARCHITECTURES: Final = (GRANITE, GRANITEMOE)
