"""Granite and GraniteMoe: Llama's shape with four multipliers, and experts with fused gate and up."""

from __future__ import annotations

from typing import Any, Final

from ...errors import ArchitectureError
from ...spec import ValueType
from ..config import MAX_LAYERS, HFConfig
from ..decoder import BLOCK, FFN, OUTPUT, PRE_NORMS, TIED, attention, flag, head_count, norms
from ..keys import (
    CAUSAL,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    Conditional,
    DerivedKey,
    FromTensorPresence,
    FromTensorRows,
    Key,
    KeyRule,
    experts_keys,
)
from ..per_layer_keys import Heads, LayerArray, SSMInner
from ..rope import Rope
from ..table import Architecture, HFClass, class_name
from ..tensors import Rule, limit_to
from ..transforms import SplitMiddle, SplitRows

__all__ = [
    "ARCHITECTURES",
    "ATTENTION",
    "EXPERTS",
    "HYBRID_DEFAULTS",
    "KV_ARRAY",
    "MIXER_KEYS",
    "MULTIPLIERS",
    "NULLS",
    "all_attention",
    "attends",
    "has_shared",
    "shared_mlp",
]

_DEFAULTS: Final[dict[str, Any]] = {
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
    DerivedKey("rope.dimension_count", ValueType.UINT32, _rotary),
    Key("attention.scale", "attention_multiplier", type=ValueType.FLOAT32),
    Key("embedding_scale", "embedding_multiplier", type=ValueType.FLOAT32),
    Key("residual_scale", "residual_multiplier", type=ValueType.FLOAT32),
    Key("logit_scale", "logits_scaling", type=ValueType.FLOAT32),
)
_ASSUMED: Final[tuple[KeyRule, ...]] = (
    FromTensorRows("vocab_size", "token_embd.weight"),
    FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
    TIED,
    AssumedByRuntime("hidden_act", ("silu", "swish")),
)
ATTENTION: Final = attention(bias=flag("attention_bias"), permuted=True)

_HYBRID: Final = "GraniteMoeHybridForCausalLM"
HYBRID_DEFAULTS: Final[dict[str, Any]] = _DEFAULTS | {
    "mamba_conv_bias": True,
    "mamba_d_conv": 4,
    "mamba_d_state": 256,
    "mamba_expand": 2,
    "mamba_n_groups": 1,
    "mamba_n_heads": 128,
    "num_experts_per_tok": 2,
    "num_local_experts": 8,
    "shared_intermediate_size": 1024,
}


def attends(config: HFConfig, layer: int) -> bool:
    """Whether a layer of a Granite 4 has attention; the others have mixers.

    Raises:
        ArchitectureError: ``layer_types`` does not say so for every layer.
    """
    kinds, count = config.find("layer_types"), config.integer("num_hidden_layers", most=MAX_LAYERS)
    known = (
        isinstance(kinds, list) and len(kinds) == count and all(k in ("attention", "mamba") for k in kinds)
    )
    if not known:
        raise ArchitectureError(
            "not a list of attention or mamba for every layer",
            path="config.json",
            key="layer_types",
            found=str(kinds)[:80],
            expected=f"{count} of them",
        )
    return bool(kinds[layer] == "attention")


def layer_types(attends: list[bool], config: dict[str, Any]) -> None:
    """Put the kinds of the layers into the config."""
    config["layer_types"] = ["attention" if there else "mamba" for there in attends]


def all_attention(config: HFConfig) -> bool:
    """Whether a Granite 4 has no mixers at all, and no experts: then it is an ordinary Granite to GGUF."""
    layers = range(config.integer("num_hidden_layers", most=MAX_LAYERS))
    routed = config.integer("num_local_experts", least=0) or config.integer("num_experts_per_tok", least=0)
    return not routed and all(attends(config, layer) for layer in layers)


def _inner(config: HFConfig) -> int:
    return config.integer("mamba_expand") * config.integer("hidden_size")


KV_ARRAY: Final = LayerArray(
    "attention.head_count_kv", "num_key_value_heads", attends, layer_types, none=head_count
)
MIXER_KEYS: Final[tuple[KeyRule, ...]] = (
    Key("expert_shared_feed_forward_length", "shared_intermediate_size"),
    Key("ssm.conv_kernel", "mamba_d_conv"),
    Key("ssm.state_size", "mamba_d_state"),
    Key("ssm.group_count", "mamba_n_groups"),
    SSMInner(),
    Heads(_inner),
)
"""Of Granite 4, whether it has mixers or not."""


def _is_hybrid(config: HFConfig) -> bool:
    return class_name(config) == _HYBRID


def _is_plain(config: HFConfig) -> bool:
    return not _is_hybrid(config)


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


GRANITE: Final = Architecture(
    name="granite",
    classes=(
        HFClass("GraniteForCausalLM", "granite", _DEFAULTS, NULLS),
        HFClass(_HYBRID, "granitemoehybrid", HYBRID_DEFAULTS, NULLS, when=all_attention),
    ),
    choose=lambda facts: "GraniteForCausalLM" if facts.find("ssm.conv_kernel") is None else _HYBRID,
    tokenizer_kinds=("spm", "llama-hf", "bpe"),
    keys=(
        *SIZES,
        Conditional(_is_plain, KV_HEADS),
        Conditional(_is_hybrid, KV_ARRAY),
        CAUSAL,
        Rope(),
        RMS_EPS,
        Conditional(_is_hybrid, *experts_keys("num_local_experts", least=0)),
    ),
    family_keys=(
        *MULTIPLIERS,
        Conditional(
            _is_hybrid,
            *MIXER_KEYS,
            DerivedKey("rope.scaling.finetuned", ValueType.BOOL, lambda config: True),
            AssumedByRuntime("position_embedding_type", ("rope",)),
        ),
        *_ASSUMED,
        Conditional(_is_plain, FromTensorPresence("mlp_bias", "blk.0.ffn_gate.bias")),
    ),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *ATTENTION,
        *limit_to(lambda config, _: _is_plain(config), FFN),
        *limit_to(lambda config, _: _is_hybrid(config), shared_mlp("")),
    ),
)

GRANITEMOE: Final = Architecture(
    name="granitemoe",
    classes=(
        HFClass("GraniteMoeForCausalLM", "granitemoe", _DEFAULTS, NULLS),
        HFClass("GraniteMoeSharedForCausalLM", "granitemoeshared", _DEFAULTS, NULLS),
    ),
    choose=lambda facts: (
        "GraniteMoeForCausalLM"
        if facts.find("expert_shared_feed_forward_length") is None
        else "GraniteMoeSharedForCausalLM"
    ),
    tokenizer_kinds=("spm", "llama-hf", "bpe"),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(), RMS_EPS, *experts_keys("num_local_experts")),
    family_keys=(
        *MULTIPLIERS,
        Key("expert_shared_feed_forward_length", "shared_intermediate_size", optional=True),
        *_ASSUMED,
    ),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *ATTENTION,
        *EXPERTS,
        *limit_to(has_shared, shared_mlp("_shexp")),
    ),
)

ARCHITECTURES: Final = (GRANITE, GRANITEMOE)
