"""ERNIE 4.5, dense and with experts in all but the first layers."""

from __future__ import annotations

from typing import Any, Final

from ...spec import ValueType
from ..config import HFConfig
from ..decoder import BLOCK, FFN, OUTPUT, PRE_NORMS, TIED, attention, experts, flag, head_count, norms
from ..keys import (
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
from ..rope import Rope
from ..table import Architecture, HFClass
from ..tensors import Drop, Rule, limit_to
from ..transforms import Reshape

_DEFAULTS: Final[dict[str, Any]] = {
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "use_bias": False,
}
_NULLS: Final = {"num_key_value_heads": head_count}
_ASSUMED: Final[tuple[KeyRule, ...]] = (
    FromTensorRows("vocab_size", "token_embd.weight"),
    FromTensorPresence("use_bias", "blk.0.attn_q.bias"),
    TIED,
    AssumedByRuntime("hidden_act", ("silu", "swish")),
)
_BIAS: Final = flag("use_bias")

ERNIE: Final = Architecture(
    name="ernie4_5",
    classes=(
        HFClass(
            "Ernie4_5ForCausalLM",
            "ernie4_5",
            _DEFAULTS | {"head_dim": 128, "num_key_value_heads": 2},
            _NULLS | {"head_dim": head_size},
        ),
        HFClass(
            "Ernie4_5_ForCausalLM",
            "ernie4_5",
            _DEFAULTS | {"head_dim": 128, "num_key_value_heads": 2},
            _NULLS | {"head_dim": head_size},
        ),
    ),
    tokenizer_kinds=("spm", "llama-hf"),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(), RMS_EPS, HeadDim()),
    family_keys=_ASSUMED,
    tensors=(*OUTPUT, *PRE_NORMS, *attention(bias=_BIAS), *FFN),
)


def _is_mixed(config: HFConfig, layer: int) -> bool:
    first, step = config.integer("moe_layer_start_index", least=0), config.integer("moe_layer_interval")
    return layer >= first and (layer + 1) % step == 0


def _is_dense(config: HFConfig, layer: int) -> bool:
    return not _is_mixed(config, layer)


def _shared_size(config: HFConfig) -> int | None:
    """As llama.cpp's converter has it; the runtime takes the tensors' own."""
    if not config.integer("moe_num_shared_experts", least=0):
        return None
    return config.integer("intermediate_size") // config.integer("num_key_value_heads")


ERNIE_MOE: Final = Architecture(
    name="ernie4_5-moe",
    classes=(
        HFClass(
            "Ernie4_5_MoeForCausalLM",
            "ernie4_5_moe",
            _DEFAULTS
            | {
                "moe_intermediate_size": 1536,
                "moe_k": 6,
                "moe_layer_interval": 1,
                "moe_layer_start_index": 1,
                "moe_num_experts": 64,
                "moe_num_shared_experts": 2,
                "num_key_value_heads": 4,
            },
            _NULLS,
        ),
    ),
    tokenizer_kinds=("spm", "llama-hf"),
    keys=(*SIZES, KV_HEADS, CAUSAL, Rope(), RMS_EPS, HeadDim(always=False)),
    family_keys=(
        Key("expert_count", "moe_num_experts"),
        Key("expert_used_count", "moe_k"),
        Key("interleave_moe_layer_step", "moe_layer_interval"),
        Key("leading_dense_block_count", "moe_layer_start_index"),
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        Key("expert_shared_count", "moe_num_shared_experts"),
        DerivedKey("expert_shared_feed_forward_length", ValueType.UINT32, _shared_size),
        *_ASSUMED,
    ),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *attention(bias=_BIAS),
        *limit_to(_is_dense, FFN),
        *(
            Rule(rule.hf, rule.gguf, when=_is_mixed)
            for rule in norms(
                ("mlp.gate", "ffn_gate_inp"),
                ("mlp.shared_experts.gate_proj", "ffn_gate_shexp"),
                ("mlp.shared_experts.up_proj", "ffn_up_shexp"),
                ("mlp.shared_experts.down_proj", "ffn_down_shexp"),
            )
        ),
        Rule(
            (f"{BLOCK}.mlp.moe_statics.e_score_correction_bias",),
            ("blk.{i}.exp_probs_b.bias",),
            Reshape(gguf=lambda shape: shape[-1:], hf=lambda shape: (1, *shape)),
            when=_is_mixed,
        ),
        *experts("moe_num_experts", when=_is_mixed),
    ),
    drops=(Drop(r"model\.mtp_.*", "predicts several tokens at once"),),
)

ARCHITECTURES: Final = (ERNIE, ERNIE_MOE)
