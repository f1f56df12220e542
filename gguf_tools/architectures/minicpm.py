"""MiniCPM, a Llama with three multipliers, and MiniCPM 3, with latent attention.

Neither has a class in transformers: code beside the checkpoints runs them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from ..spec import ValueType
from .config import GGUFFacts, HFConfig, rounded, simplest
from .decoder import FFN, OUTPUT, PRE_NORMS, TIED, attention, head_count, norms
from .keys import (
    CAUSAL,
    CONTEXT,
    HEADS,
    INNER,
    KV_HEADS,
    LAYERS,
    RMS_EPS,
    SIZES,
    WIDTH,
    Assumed,
    Entry,
    Key,
    KeyRule,
    RowsOf,
    head_size,
)
from .rope import LongropeFactors, Rope
from .table import Architecture, HFClass

_DEFAULTS: Final[dict[str, Any]] = {"tie_word_embeddings": True}
_NULLS: Final = {"num_key_value_heads": head_count}
_FACTORS: Final = (LongropeFactors("long"), LongropeFactors("short"))
_ASSUMED: Final[tuple[KeyRule, ...]] = (
    RowsOf("vocab_size", "token_embd.weight"),
    TIED,
    Assumed("hidden_act", ("silu", "swish")),
)


class _Multipliers:
    """What embeddings, residuals and logits are multiplied or divided by ↔ the same for each layer."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        layers, width = config.integer("num_hidden_layers"), config.integer("hidden_size")
        scales = {
            "embedding_scale": config.number("scale_emb"),
            "residual_scale": rounded(_depth(config) / math.sqrt(layers)),
            "logit_scale": rounded(width / config.integer("dim_model_base")),
        }
        for name, scale in scales.items():
            yield name, ValueType.FLOAT32, scale

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        root = math.sqrt(config["num_hidden_layers"])
        embedding, logits = facts.number("embedding_scale"), facts.number("logit_scale")
        residual = facts.number("residual_scale")
        if embedding is not None:
            config["scale_emb"] = embedding
        if residual is not None:
            config["scale_depth"] = simplest(residual * root, lambda depth: depth / root, residual)
        if logits:
            config["dim_model_base"] = round(config["hidden_size"] / logits)


def _depth(config: HFConfig) -> float:
    config.number("scale_depth")  # checks it; the division comes before the rounding
    return float(config["scale_depth"])


MINICPM: Final = Architecture(
    name="minicpm",
    classes=(HFClass("MiniCPMForCausalLM", "minicpm", _DEFAULTS, _NULLS),),
    tokenizer_kinds=("spm",),
    keys=(
        *SIZES,
        KV_HEADS,
        CAUSAL,
        Rope(kinds=("linear", "yarn", "longrope", "dynamic"), theta=None),
        RMS_EPS,
    ),
    own_keys=(_Multipliers(), *_ASSUMED),
    computed=_FACTORS,
    tensors=(*OUTPUT, *PRE_NORMS, *attention(permuted=True), *FFN),
)


class _Latent:
    """The size of a head of keys: the part that is rotated, and the rest."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        rotated = config.integer("qk_rope_head_dim")
        size = config.integer("qk_nope_head_dim") + rotated
        yield "attention.key_length", ValueType.UINT32, size
        yield "rope.dimension_count", ValueType.UINT32, rotated

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        rotated = facts.integer("rope.dimension_count") or 0
        config["qk_rope_head_dim"] = rotated
        config["qk_nope_head_dim"] = (facts.integer("attention.key_length") or 0) - rotated


MINICPM3: Final = Architecture(
    name="minicpm3",
    classes=(HFClass("MiniCPM3ForCausalLM", "minicpm3", _DEFAULTS, _NULLS),),
    tokenizer_kinds=("spm",),
    keys=(),
    own_keys=(
        CONTEXT,
        WIDTH,
        LAYERS,
        INNER,
        HEADS,
        KV_HEADS,
        RMS_EPS,
        Key("vocab_size", "vocab_size"),
        Key("attention.q_lora_rank", "q_lora_rank"),
        Key("attention.kv_lora_rank", "kv_lora_rank"),
        _Latent(),
        *_ASSUMED,
        # llama.cpp takes these from the only model there is
        Assumed("v_head_dim", lambda config: (head_size(config),)),
        Assumed("scale_emb", (12,)),
        Assumed("scale_depth", (1.4,)),
        Assumed("dim_model_base", (256,)),
        Assumed("rope_theta", (10000.0,)),
    ),
    computed=_FACTORS,
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *norms(
            ("self_attn.q_a_proj", "attn_q_a"),
            ("self_attn.q_a_layernorm", "attn_q_a_norm"),
            ("self_attn.q_b_proj", "attn_q_b"),
            ("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
            ("self_attn.kv_a_layernorm", "attn_kv_a_norm"),
            ("self_attn.kv_b_proj", "attn_kv_b"),
            ("self_attn.o_proj", "attn_output"),
        ),
        *FFN,
    ),
)

ARCHITECTURES: Final = (MINICPM, MINICPM3)
