"""GLM 4.5 to 4.7: experts routed by sigmoid beside a shared one, and a block that predicts one token more."""

from __future__ import annotations

from typing import Any, Final

from ...spec import ValueType
from ..decoder import OUTPUT, QK_NORMS, TIED, attention, flag, head_count, norms, optional
from ..keys import (
    CAUSAL,
    CONTEXT,
    HEADS,
    INNER,
    KV_HEADS,
    RMS_EPS,
    WIDTH,
    AssumedByRuntime,
    DerivedKey,
    FromTensorPresence,
    FromTensorRows,
    HeadDim,
    Key,
    experts_keys,
)
from ..mrope import Axes
from ..mtp import NEXT_TENSORS, Blocks, Predicting
from ..rope import PartialRotary
from ..routing import dense_then_routed
from ..table import Architecture, HFClass
from ..tensors import limit_to

_SIGMOID: Final = 2  # llama.cpp's number for it
_FURTHER: Final = "num_nextn_predict_layers"
_DEFAULTS: Final[dict[str, Any]] = {
    "attention_bias": False,
    "first_k_dense_replace": 1,
    "max_position_embeddings": 131072,
    "moe_intermediate_size": 1408,
    "n_group": 1,
    "n_routed_experts": 128,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_experts_per_tok": 8,
    "num_key_value_heads": 8,
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "routed_scaling_factor": 1.0,
    "tie_word_embeddings": False,
    "topk_group": 1,
    "use_qk_norm": False,
}
_NULLS: Final = {"num_key_value_heads": head_count}


ARCHITECTURE: Final = Architecture(
    name="glm4moe",
    classes=(
        HFClass("Glm4MoeForCausalLM", "glm4_moe", _DEFAULTS, _NULLS),
        HFClass(
            "Glm4vMoeForConditionalGeneration", "glm4v_moe", _DEFAULTS | {"attention_bias": True}, _NULLS
        ),
    ),
    tokenizer_kinds=("bpe",),
    keys=(
        Blocks(_FURTHER),
        CONTEXT,
        WIDTH,
        INNER,
        HEADS,
        KV_HEADS,
        CAUSAL,
        Axes(),
        RMS_EPS,
        *experts_keys("n_routed_experts"),
        Key("expert_group_count", "n_group"),
        Key("expert_group_used_count", "topk_group"),
        HeadDim(always=False),
    ),
    family_keys=(
        PartialRotary(),
        Key("expert_feed_forward_length", "moe_intermediate_size"),
        Key("expert_shared_count", "n_shared_experts"),
        Key("leading_dense_block_count", "first_k_dense_replace", least=0),
        DerivedKey("expert_gating_func", ValueType.UINT32, lambda config: _SIGMOID),
        Key("expert_weights_scale", "routed_scaling_factor", type=ValueType.FLOAT32),
        Key("expert_weights_norm", "norm_topk_prob", type=ValueType.BOOL),
        Predicting(_FURTHER),
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        FromTensorPresence("use_qk_norm", "blk.0.attn_q_norm.weight"),
        TIED,
        AssumedByRuntime("hidden_act", ("silu", "swish")),
    ),
    tensors=(
        *OUTPUT,
        *norms(("input_layernorm", "attn_norm"), ("post_attention_layernorm", "post_attention_norm")),
        *attention(bias=flag("attention_bias"), output_bias=optional),
        *limit_to(flag("use_qk_norm"), QK_NORMS),
        *dense_then_routed(),
        *NEXT_TENSORS,
    ),
)
