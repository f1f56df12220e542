"""dots.llm1: norms on query and key, experts routed by sigmoid with a bias, dense first layers."""

from __future__ import annotations

from typing import Any, Final

from ...spec import ValueType
from ..decoder import (
    OUTPUT,
    PRE_NORMS,
    QK_NORMS,
    TIED,
    attention,
    flag,
    head_count,
)
from ..keys import (
    CAUSAL,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    FromTensorPresence,
    FromTensorRows,
    HeadDim,
    Key,
    experts_keys,
)
from ..rope import Rope
from ..routing import Gating, dense_then_routed
from ..table import Architecture, HFClass

_DEFAULTS: Final[dict[str, Any]] = {
    "first_k_dense_replace": 0,
    "max_position_embeddings": 2048,
    "moe_intermediate_size": 1408,
    "n_group": 1,
    "norm_topk_prob": False,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "routed_scaling_factor": 1.0,
    "scoring_func": "sigmoid",
    "tie_word_embeddings": False,
    "topk_group": 1,
}


ARCHITECTURE: Final = Architecture(
    name="dots1",
    classes=(HFClass("Dots1ForCausalLM", "dots1", _DEFAULTS, {"num_key_value_heads": head_count}),),
    tokenizer_kinds=("spm", "bpe"),
    keys=(
        *SIZES,
        KV_HEADS,
        CAUSAL,
        Rope(),
        RMS_EPS,
        *experts_keys("n_routed_experts"),
        Key("expert_group_count", "n_group"),
        Key("expert_group_used_count", "topk_group"),
        Gating({"noaux_tc": "sigmoid"}),
        HeadDim(always=False),
    ),
    family_keys=(
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        Key("leading_dense_block_count", "first_k_dense_replace"),
        Key("expert_shared_count", "n_shared_experts"),
        Key("expert_weights_scale", "routed_scaling_factor", type=ValueType.FLOAT32),
        Key("expert_weights_norm", "norm_topk_prob", type=ValueType.BOOL),
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        TIED,
        AssumedByRuntime("hidden_act", ("silu", "swish")),
    ),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *attention(bias=flag("attention_bias")),
        *QK_NORMS,
        *dense_then_routed(),
    ),
)
