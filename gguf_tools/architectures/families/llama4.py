"""Llama 4's text model: stacked and transposed experts in every so many layers, three of four layers rotated.

Its weights are in the rotary layout of ggml already: nothing is permuted.
"""

from collections.abc import Iterator
from typing import Any

from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import BLOCK, OUTPUT, PRE_NORMS, TIED, attention, flag, head_count, norms
from ..keys import (
    CAUSAL,
    CONTEXT,
    HEADS,
    INNER,
    KV_HEADS,
    LAYERS,
    RMS_EPS,
    WIDTH,
    AssumedByRuntime,
    DerivedKey,
    Entry,
    FromTensorPresence,
    FromTensorRows,
    HeadDim,
    Key,
    experts_keys,
    head_size,
)
from ..rope import Llama3Factors, Rope
from ..table import Architecture, HFClass
from ..tensors import Rule
from ..traits import GraphTraits, Routing, Window
from ..transforms import Chain, SplitMiddle, Transpose

_PERIOD = 4  # every fourth layer sees everything and is not rotated
_CHUNK = 8192
_UNNORMED_EXPERTS = 128  # llama.cpp normalizes queries and keys in all models but that of 128 experts
_WINDOW = "attention.sliding_window"
_FULL = "full_attention"
_DEFAULTS = {
    "head_dim": 128,
    "interleave_moe_layer_step": 1,
    "intermediate_size": 8192,
    "intermediate_size_mlp": 16384,
    "max_position_embeddings": 131072,
    "num_experts_per_tok": 1,
    "num_key_value_heads": 8,
    "num_local_experts": 16,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
}
_NULLS = {"num_key_value_heads": head_count, "head_dim": head_size}


def _all_full(config: HFConfig) -> bool:
    kinds = config.find("layer_types")
    return isinstance(kinds, list) and bool(kinds) and all(kind == _FULL for kind in kinds)


class _Unlimited:
    """Layers that all see everything ↔ a window of 0; llama.cpp then rotates all of them."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if _all_full(config):
            yield _WINDOW, ValueType.UINT32, 0

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        if facts.integer(_WINDOW, least=0) == 0:
            config["layer_types"] = [_FULL] * config["num_hidden_layers"]


def _rotated(config: HFConfig) -> tuple[list[int], ...]:
    layers = config.integer("num_hidden_layers")
    return ([int(_all_full(config) or (i + 1) % _PERIOD != 0) for i in range(layers)],)


def _layer_types(config: HFConfig) -> tuple[list[str], ...]:
    layers = config.integer("num_hidden_layers")
    usual = ["chunked_attention" if (i + 1) % _PERIOD else _FULL for i in range(layers)]
    return usual, [_FULL] * layers


def _normed(config: HFConfig) -> tuple[bool, ...]:
    return (config.find("num_local_experts") != _UNNORMED_EXPERTS,)


def _is_mixed(config: HFConfig, layer: int) -> bool:
    return (layer + 1) % config.integer("interleave_moe_layer_step") == 0


def _is_dense(config: HFConfig, layer: int) -> bool:
    return not _is_mixed(config, layer)


_FORWARD = "feed_forward"

ARCHITECTURE = Architecture(
    name="llama4",
    classes=(
        HFClass("Llama4ForCausalLM", "llama4_text", _DEFAULTS, _NULLS),
        HFClass("Llama4ForConditionalGeneration", "llama4", _DEFAULTS, _NULLS),
    ),
    tokenizer_kinds=("bpe",),
    keys=(
        LAYERS,
        CONTEXT,
        WIDTH,
        INNER.named("intermediate_size_mlp"),
        HEADS,
        KV_HEADS,
        CAUSAL,
        Rope(kinds=("linear", "yarn", "llama3")),
        RMS_EPS,
        *experts_keys("num_local_experts"),
        HeadDim(),
    ),
    family_keys=(
        Key("vocab_size", "vocab_size"),
        DerivedKey("rope.dimension_count", ValueType.UINT32, head_size),
        Key("interleave_moe_layer_step", "interleave_moe_layer_step"),
        Key("expert_feed_forward_length", "intermediate_size"),
        _Unlimited(),
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        TIED,
        AssumedByRuntime("hidden_act", ("silu", "swish")),
        AssumedByRuntime("no_rope_layers", _rotated),
        AssumedByRuntime("layer_types", _layer_types, export=False),
        AssumedByRuntime("attention_chunk_size", (_CHUNK,)),
        AssumedByRuntime("attn_temperature_tuning", (True, 4)),
        AssumedByRuntime("floor_scale", (_CHUNK,)),
        AssumedByRuntime("attn_scale", (0.1,)),
        AssumedByRuntime("use_qk_norm", _normed),
    ),
    computed=(Llama3Factors(),),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *attention(bias=flag("attention_bias")),
        *(
            Rule(rule.hf, rule.gguf, when=_is_dense)
            for rule in norms(
                (f"{_FORWARD}.gate_proj", "ffn_gate"),
                (f"{_FORWARD}.up_proj", "ffn_up"),
                (f"{_FORWARD}.down_proj", "ffn_down"),
            )
        ),
        *(
            Rule(rule.hf, rule.gguf, when=_is_mixed)
            for rule in norms(
                (f"{_FORWARD}.router", "ffn_gate_inp"),
                (f"{_FORWARD}.shared_expert.gate_proj", "ffn_gate_shexp"),
                (f"{_FORWARD}.shared_expert.up_proj", "ffn_up_shexp"),
                (f"{_FORWARD}.shared_expert.down_proj", "ffn_down_shexp"),
            )
        ),
        Rule(
            (f"{BLOCK}.{_FORWARD}.experts.gate_up_proj",),
            ("blk.{i}.ffn_gate_exps.weight", "blk.{i}.ffn_up_exps.weight"),
            Chain(Transpose(), SplitMiddle()),
            when=_is_mixed,
        ),
        Rule(
            (f"{BLOCK}.{_FORWARD}.experts.down_proj",),
            ("blk.{i}.ffn_down_exps.weight",),
            Transpose(),
            when=_is_mixed,
        ),
    ),
    graph=GraphTraits(window=Window(4, size=8192, fixed=True), routing=Routing.WEIGHTED_INPUTS),
)
