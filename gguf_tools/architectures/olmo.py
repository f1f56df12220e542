"""OLMo, OLMo 2 and 3, OLMoE."""

from __future__ import annotations

from typing import Any, Final

from ..spec import ValueType
from .config import GGUFFacts, rounded
from .decoder import BLOCK, FFN, OUTPUT, PRE_NORMS, QK_NORMS, TIED, attention, experts, head_count, norms
from .keys import (
    CAUSAL,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    DerivedKey,
    FromTensorRows,
    HeadDim,
    Key,
    KeyRule,
    Windows,
    experts_keys,
)
from .rope import Rope
from .table import Architecture, HFClass
from .tensors import Rule

_DEFAULTS: Final[dict[str, Any]] = {
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
_NULLS: Final = {"num_key_value_heads": head_count}
_EPS: Final = 1e-5  # fixed in OLMo and, for llama.cpp, in OLMoE

_ASSUMED: Final[tuple[KeyRule, ...]] = (
    FromTensorRows("vocab_size", "token_embd.weight"),
    TIED,
    AssumedByRuntime("hidden_act", ("silu", "swish")),
    AssumedByRuntime("attention_bias", (False,)),
)

OLMO: Final = Architecture(
    name="olmo",
    classes=(HFClass("OlmoForCausalLM", "olmo", _DEFAULTS | {"rms_norm_eps": None}, _NULLS),),
    tokenizer_kinds=("bpe",),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(), HeadDim(always=False)),
    family_keys=(
        DerivedKey("attention.layer_norm_epsilon", ValueType.FLOAT32, lambda config: rounded(_EPS)),
        Key("attention.clamp_kqv", "clip_qkv", type=ValueType.FLOAT32, optional=True),
        *_ASSUMED,
    ),
    # Its norms have no weights.
    tensors=(*(rule for rule in OUTPUT if "norm" not in rule.gguf[0]), *attention(permuted=True), *FFN),
)


def _choose(facts: GGUFFacts) -> str:
    return "Olmo2ForCausalLM" if facts.find("attention.sliding_window") is None else "Olmo3ForCausalLM"


OLMO2: Final = Architecture(
    name="olmo2",
    classes=(
        HFClass("Olmo2ForCausalLM", "olmo2", _DEFAULTS, _NULLS),
        HFClass("Olmo3ForCausalLM", "olmo3", _DEFAULTS | {"sliding_window": 4096}, _NULLS),
    ),
    tokenizer_kinds=("bpe",),
    choose=_choose,
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(), RMS_EPS, HeadDim(always=False)),
    family_keys=(Windows(lambda config, layer: (layer + 1) % 4 != 0), *_ASSUMED),
    tensors=(
        *OUTPUT,
        *attention(),
        *QK_NORMS,
        *norms(
            ("post_attention_layernorm", "post_attention_norm"),
            ("post_feedforward_layernorm", "post_ffw_norm"),
        ),
        *FFN,
    ),
)

OLMOE: Final = Architecture(
    name="olmoe",
    classes=(
        HFClass(
            "OlmoeForCausalLM",
            "olmoe",
            _DEFAULTS
            | {
                "max_position_embeddings": 4096,
                "norm_topk_prob": False,
                "num_experts": 64,
                "num_experts_per_tok": 8,
            },
            _NULLS,
        ),
    ),
    tokenizer_kinds=("bpe",),
    keys=(
        *SIZES,
        KV_HEADS,
        CAUSAL,
        Rope(),
        DerivedKey("attention.layer_norm_rms_epsilon", ValueType.FLOAT32, lambda config: rounded(_EPS)),
        *experts_keys("num_experts"),
        HeadDim(always=False),
    ),
    family_keys=(
        *_ASSUMED,
        AssumedByRuntime("rms_norm_eps", (_EPS,)),
        AssumedByRuntime("norm_topk_prob", (False,)),
        AssumedByRuntime("clip_qkv", (None,)),
    ),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *attention(),
        *QK_NORMS,
        Rule((f"{BLOCK}.mlp.gate.weight",), ("blk.{i}.ffn_gate_inp.weight",)),
        *experts("num_experts"),
    ),
)

ARCHITECTURES: Final = (OLMO, OLMO2, OLMOE)
