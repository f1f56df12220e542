"""Rules that decoder families named after Llama's modules have in common."""

from __future__ import annotations

from typing import Final

from .config import HFConfig
from .keys import Present
from .table import class_name
from .tensors import Condition, Rule, weight_and_bias

__all__ = ["FFN", "OUTPUT", "TIED", "flag", "has_head", "head_count"]


def flag(key: str) -> Condition:
    """The condition that a boolean of the config is set."""
    return lambda config, layer: config.flag(key)


def head_count(config: HFConfig) -> int:
    """The number of attention heads: what the number of key-value heads is when null."""
    return config.integer("num_attention_heads")


def has_head(config: HFConfig, layer: int) -> bool:
    """Whether the model has an output matrix of its own: not tied, and not a bare ``…Model``."""
    return not config.flag("tie_word_embeddings") and not class_name(config).endswith("Model")


TIED: Final = Present("tie_word_embeddings", "output.weight", absent=True)

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
