"""Phi 1.5 and 2, Phi 3 and 4, and Phi 3.5 with experts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import (
    OUTPUT,
    PRE_NORMS,
    TIED,
    attention,
    experts,
    flag,
    has_head,
    head_count,
    modules,
    norms,
    renamed,
)
from ..keys import (
    CONTEXT,
    HEADS,
    INNER,
    KV_HEADS,
    LAYER_EPS,
    LAYERS,
    RMS_EPS,
    WIDTH,
    AssumedByRuntime,
    DerivedKey,
    Entry,
    FromTensorPresence,
    FromTensorRows,
    Key,
    KeyRule,
    experts_keys,
)
from ..rope import LongropeFactors, PartialRotary, longrope_scale
from ..table import Architecture, HFClass
from ..tensors import Rule, always

_NULLS: Final = {"num_key_value_heads": head_count}


class _FourTimes:
    """The converter takes the feed-forward for four times as wide as the model, as it is in all releases."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        yield "feed_forward_length", ValueType.UINT32, 4 * config.integer("hidden_size")

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["intermediate_size"] = facts.integer("feed_forward_length")


PHI2: Final = Architecture(
    name="phi2",
    classes=(
        HFClass(
            "PhiForCausalLM",
            "phi",
            {
                "layer_norm_eps": 1e-5,
                "max_position_embeddings": 2048,
                "partial_rotary_factor": 0.5,
                "qk_layernorm": False,
                "rope_theta": 10000.0,
                "tie_word_embeddings": False,
            },
            _NULLS,
        ),
    ),
    tokenizer_kinds=("bpe",),
    keys=(
        CONTEXT,
        WIDTH,
        _FourTimes(),
        LAYERS,
        HEADS,
        DerivedKey("attention.head_count_kv", ValueType.UINT32, head_count),
        LAYER_EPS,
        PartialRotary(whole=True),
    ),
    family_keys=(
        FromTensorRows("vocab_size", "token_embd.weight"),
        TIED,
        AssumedByRuntime("rope_theta", (10000.0,)),
        AssumedByRuntime("hidden_act", ("gelu_new", "gelu", "gelu_pytorch_tanh")),
        AssumedByRuntime("qk_layernorm", (False,)),
    ),
    tensors=(
        *renamed(("model.embed_tokens", "token_embd")),
        *renamed(("model.final_layernorm", "output_norm"), ("lm_head", "output"), bias=always),
        *modules(("input_layernorm", "attn_norm"), ("mlp.fc1", "ffn_up"), ("mlp.fc2", "ffn_down")),
        *attention(bias=always, output="self_attn.dense"),
    ),
)


class _Window:
    """``sliding_window``, of which 0 stands for none."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        given = config.find("sliding_window")
        window = 0 if given is None else config.integer("sliding_window", least=0)
        yield "attention.sliding_window", ValueType.UINT32, window

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["sliding_window"] = facts.integer("attention.sliding_window", least=0) or None


_KEYS: Final[tuple[KeyRule, ...]] = (
    CONTEXT,
    Key("rope.scaling.original_context_length", "original_max_position_embeddings"),
    WIDTH,
    INNER,
    LAYERS,
    HEADS,
    KV_HEADS,
    RMS_EPS,
    PartialRotary(whole=True),
    Key("rope.freq_base", "rope_theta", type=ValueType.FLOAT32),
)
_SCALE: Final = DerivedKey("rope.scaling.attn_factor", ValueType.FLOAT32, longrope_scale)
_FACTORS: Final = (LongropeFactors("long"), LongropeFactors("short"))
_ASSUMED: Final[tuple[KeyRule, ...]] = (
    _Window(),
    FromTensorRows("vocab_size", "token_embd.weight"),
    TIED,
    AssumedByRuntime("hidden_act", ("silu", "swish")),
)

PHI3: Final = Architecture(
    name="phi3",
    classes=(
        HFClass(
            "Phi3ForCausalLM",
            "phi3",
            {
                "max_position_embeddings": 4096,
                "original_max_position_embeddings": 4096,
                "partial_rotary_factor": 1.0,
                "rms_norm_eps": 1e-5,
                "rope_theta": 10000.0,
                "tie_word_embeddings": False,
            },
            _NULLS,
        ),
    ),
    tokenizer_kinds=("spm", "bpe"),
    leading_keys=(_SCALE,),
    keys=_KEYS,
    family_keys=_ASSUMED,
    computed=_FACTORS,
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *norms(
            ("self_attn.qkv_proj", "attn_qkv"),
            ("self_attn.o_proj", "attn_output"),
            ("mlp.gate_up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
        ),
    ),
)

PHIMOE: Final = Architecture(
    name="phimoe",
    classes=(
        HFClass(
            "PhiMoEForCausalLM",
            "phimoe",
            {
                "attention_bias": False,
                "lm_head_bias": False,
                "max_position_embeddings": 131072,
                "num_experts_per_tok": 2,
                "num_key_value_heads": 8,
                "num_local_experts": 16,
                "original_max_position_embeddings": 4096,
                "partial_rotary_factor": 1.0,
                "rms_norm_eps": 1e-5,
                "rope_theta": 1000000.0,
                "tie_word_embeddings": False,
            },
            _NULLS,
        ),
    ),
    tokenizer_kinds=("spm", "bpe"),
    leading_keys=(_SCALE,),
    keys=_KEYS,
    family_keys=(
        _ASSUMED[0],
        *reversed(experts_keys("num_local_experts")),
        *_ASSUMED[1:],
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        FromTensorPresence("lm_head_bias", "output.bias"),
    ),
    computed=_FACTORS,
    tensors=(
        *renamed(("model.embed_tokens", "token_embd")),
        *renamed(("model.norm", "output_norm"), bias=always),
        Rule(("lm_head.weight",), ("output.weight",), needed=has_head),
        Rule(("lm_head.bias",), ("output.bias",), needed=flag("lm_head_bias")),
        *modules(("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm")),
        *attention(bias=flag("attention_bias")),
        *norms(("block_sparse_moe.gate", "ffn_gate_inp")),
        *experts("num_local_experts", module="block_sparse_moe.experts", names=("w1", "w3", "w2")),
    ),
)

ARCHITECTURES: Final = (PHI2, PHI3, PHIMOE)
