"""Rules that decoder families named after Llama's modules have in common."""

from __future__ import annotations

from typing import Final

from .config import HFConfig
from .keys import FromTensorPresence
from .table import class_name
from .tensors import Condition, Rule, always, weight_and_bias
from .transforms import IDENTITY, PermuteHeads, SplitMiddle, StackExperts, Transform

__all__ = [
    "BLOCK",
    "FFN",
    "OUTPUT",
    "PRE_NORMS",
    "QK_NORMS",
    "TIED",
    "attention",
    "experts",
    "flag",
    "has_head",
    "head_count",
    "modules",
    "norms",
    "optional",
    "renamed",
]

BLOCK: Final = "model.layers.{i}"


def flag(key: str) -> Condition:
    """The condition that a boolean of the config is set."""
    return lambda config, layer: config.flag(key)


def optional(config: HFConfig, layer: int) -> bool:
    """The condition that holds nowhere: what it is about may be there, but need not."""
    return False


def head_count(config: HFConfig) -> int:
    """The number of attention heads: what the number of key-value heads is when null."""
    return config.integer("num_attention_heads")


def has_head(config: HFConfig, layer: int) -> bool:
    """Whether the model has an output matrix of its own: not tied, and not a bare ``…Model``."""
    return not config.flag("tie_word_embeddings") and not class_name(config).endswith("Model")


TIED: Final = FromTensorPresence("tie_word_embeddings", "output.weight", absent=True)

OUTPUT: Final = (
    Rule(("model.embed_tokens.weight",), ("token_embd.weight",)),
    Rule(("model.norm.weight",), ("output_norm.weight",)),
    # Kept even where the config ties it and it is stored all the same, as llama.cpp's converter does.
    Rule(("lm_head.weight",), ("output.weight",), needed=has_head),
)

_MLP_BIAS: Final = flag("mlp_bias")
FFN: Final = (
    *weight_and_bias("model.layers.{i}.mlp.gate_proj", "blk.{i}.ffn_gate", bias=_MLP_BIAS),
    *weight_and_bias("model.layers.{i}.mlp.up_proj", "blk.{i}.ffn_up", bias=_MLP_BIAS),
    *weight_and_bias("model.layers.{i}.mlp.down_proj", "blk.{i}.ffn_down", bias=_MLP_BIAS),
)
"""Gated feed-forward, with biases where ``mlp_bias`` says so."""


def norms(*pairs: tuple[str, str], transform: Transform = IDENTITY, block: str = BLOCK) -> tuple[Rule, ...]:
    """Weights without bias: (HF module of a block, GGUF name)."""
    return tuple(
        Rule((f"{block}.{hf}.weight",), (f"blk.{{i}}.{gguf}.weight",), transform) for hf, gguf in pairs
    )


def modules(*pairs: tuple[str, str], bias: Condition = always, block: str = BLOCK) -> tuple[Rule, ...]:
    """Weights, and biases where ``bias`` says so: (HF module of a block, GGUF name)."""
    return tuple(
        rule
        for hf, gguf in pairs
        for rule in weight_and_bias(f"{block}.{hf}", f"blk.{{i}}.{gguf}", bias=bias)
    )


def renamed(*pairs: tuple[str, str], bias: Condition | None = None) -> tuple[Rule, ...]:
    """Modules outside of blocks: (HF module, GGUF name), with a bias where one is given."""
    return tuple(
        rule
        for hf, gguf in pairs
        for rule in (
            weight_and_bias(hf, gguf, bias=bias) if bias else (Rule((f"{hf}.weight",), (f"{gguf}.weight",)),)
        )
    )


PRE_NORMS: Final = norms(("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"))
QK_NORMS: Final = norms(("self_attn.q_norm", "attn_q_norm"), ("self_attn.k_norm", "attn_k_norm"))


def attention(
    *,
    bias: Condition = optional,
    output_bias: Condition | None = None,
    permuted: bool = False,
    output: str = "self_attn.o_proj",
    block: str = BLOCK,
) -> tuple[Rule, ...]:
    """Projections of query, key, value and output.

    Args:
        bias: where query, key and value must have one.
        output_bias: where the output must; as ``bias`` where not given.
        permuted: rows of query and key go from HF's rotary layout to ggml's.
        output: the output's module.
        block: what blocks are called.
    """
    query = PermuteHeads("num_attention_heads") if permuted else IDENTITY
    key = PermuteHeads("num_key_value_heads") if permuted else IDENTITY
    return (
        *weight_and_bias(f"{block}.self_attn.q_proj", "blk.{i}.attn_q", query, bias=bias),
        *weight_and_bias(f"{block}.self_attn.k_proj", "blk.{i}.attn_k", key, bias=bias),
        *weight_and_bias(f"{block}.self_attn.v_proj", "blk.{i}.attn_v", bias=bias),
        *weight_and_bias(f"{block}.{output}", "blk.{i}.attn_output", bias=output_bias or bias),
    )


def experts(
    count: str,
    *,
    module: str = "mlp.experts",
    names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj"),
    when: Condition = always,
    block: str = BLOCK,
) -> tuple[Rule, ...]:
    """Routed experts: a matrix for each, as all releases publish them, or stacked, as transformers 5 does.

    Args:
        count: HF config key with their number.
        module: what holds them.
        names: what gate, up and down projections are called.
        when: which layers have them.
        block: what blocks are called.
    """
    gguf = [f"blk.{{i}}.ffn_{part}_exps.weight" for part in ("gate", "up", "down")]
    return (
        *(
            Rule(
                (f"{block}.{module}.{{e}}.{name}.weight",),
                (target,),
                StackExperts(),
                when=when,
                experts=count,
            )
            for name, target in zip(names, gguf, strict=True)
        ),
        Rule((f"{block}.{module}.gate_up_proj",), (gguf[0], gguf[1]), SplitMiddle(), when=when),
        Rule((f"{block}.{module}.down_proj",), (gguf[2],), when=when),
    )
