"""Llama 4's text model: stacked and transposed experts in every so many layers, three of four layers rotated.

Its weights are in the rotary layout of ggml already: nothing is permuted.
"""

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import decoder, gated, norms
from ..keys import (
    HEAD_DIM,
    INNER,
    ROPE_DIMENSION,
    VOCABULARY_SIZE,
    AssumedByRuntime,
    DerivedKey,
    Key,
    experts_keys,
    head_size,
)
from ..rope import Llama3Factors, Rope
from ..routing import transposed_experts
from ..table import HFClass
from ..tensors import limit_to, unless
from ..traits import GraphTraits, Routing, Window

_PERIOD = 4  # every fourth layer sees everything and is not rotated
_CHUNK = 8192
_UNNORMED_EXPERTS = 128  # llama.cpp normalizes queries and keys in all models but that of 128 experts
_WINDOW = "attention.sliding_window"
_FULL = "full_attention"


def _all_full(config: HFConfig) -> bool:
    kinds = config.find("layer_types")
    return isinstance(kinds, list) and bool(kinds) and all(kind == _FULL for kind in kinds)


def _rotated(config: HFConfig) -> tuple[list[int], ...]:
    layers = config.integer("num_hidden_layers")
    return ([int(_all_full(config) or (i + 1) % _PERIOD != 0) for i in range(layers)],)


def _layer_types(config: HFConfig) -> tuple[list[str], ...]:
    layers = config.integer("num_hidden_layers")
    usual = ["chunked_attention" if (i + 1) % _PERIOD else _FULL for i in range(layers)]
    return usual, [_FULL] * layers


def _normed(config: HFConfig) -> tuple[bool, ...]:
    return (config.find("num_local_experts") != _UNNORMED_EXPERTS,)


def _routed(config: HFConfig, layer: int) -> bool:
    return (layer + 1) % config.integer("interleave_moe_layer_step") == 0


UNLIMITED = DerivedKey(
    _WINDOW,
    ValueType.UINT32,
    lambda config: 0 if _all_full(config) else None,
    lambda facts, config: (
        {"layer_types": [_FULL] * config["num_hidden_layers"]} if facts.integer(_WINDOW, least=0) == 0 else {}
    ),
)
"""Layers that all see everything ↔ a window of 0; llama.cpp then rotates all of them."""

ARCHITECTURE = decoder(
    "llama4",
    HFClass("Llama4ForCausalLM", "llama4_text"),
    HFClass("Llama4ForConditionalGeneration", "llama4"),
    defaults={"intermediate_size": 8192},
    derived={"head_dim": head_size},
    sizes={INNER.gguf: INNER.named("intermediate_size_mlp")},
    rope=Rope(kinds=("linear", "yarn", "llama3")),
    expert_keys=experts_keys("num_local_experts"),
    head_dim=HEAD_DIM,
    own=(
        VOCABULARY_SIZE,
        ROPE_DIMENSION,
        Key("interleave_moe_layer_step", "interleave_moe_layer_step"),
        Key("expert_feed_forward_length", "intermediate_size"),
        UNLIMITED,
    ),
    assumed={"attention_chunk_size": _CHUNK, "floor_scale": _CHUNK, "attn_scale": 0.1},
    checks=(
        AssumedByRuntime("no_rope_layers", _rotated),
        AssumedByRuntime("layer_types", _layer_types, export=False),
        AssumedByRuntime("attn_temperature_tuning", (True, 4)),
        AssumedByRuntime("use_qk_norm", _normed),
    ),
    computed=(Llama3Factors(),),
    ffn=(
        *limit_to(unless(_routed), gated("feed_forward")),
        *limit_to(
            _routed,
            (
                *norms(("feed_forward.router", "ffn_gate_inp")),
                *gated("feed_forward.shared_expert", "_shexp"),
                *transposed_experts("feed_forward.experts"),
            ),
        ),
    ),
    graph=GraphTraits(window=Window(4, size=8192, fixed=True), routing=Routing.WEIGHTED_INPUTS),
)
