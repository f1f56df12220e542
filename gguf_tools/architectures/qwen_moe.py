"""Qwen2Moe and Qwen3Moe: Qwen2 and Qwen3 with routed experts in every layer."""

from __future__ import annotations

from typing import Any, Final

from .decoder import (
    BLOCK,
    OUTPUT,
    PRE_NORMS,
    QK_NORMS,
    TIED,
    attention,
    experts,
    flag,
    head_count,
    norms,
    optional,
)
from .keys import (
    CAUSAL,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    FromTensorPresence,
    FromTensorRows,
    HeadDim,
    Key,
    KeyRule,
    experts_keys,
)
from .rope import Rope
from .table import Architecture, HFClass
from .tensors import Rule, always
from .transforms import Reshape

_DEFAULTS: Final[dict[str, Any]] = {
    "decoder_sparse_step": 1,
    "max_position_embeddings": 32768,
    "mlp_only_layers": [],
    "norm_topk_prob": False,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
_NULLS: Final = {"num_key_value_heads": head_count}

_SHARED: Final[tuple[KeyRule, ...]] = (
    *SIZES,
    KV_HEADS,
    CAUSAL,
    Rope(),
    RMS_EPS,
    *experts_keys("num_experts"),
    HeadDim(always=False),
)
_EXPERT_SIZE: Final = Key("expert_feed_forward_length", "moe_intermediate_size")
_ASSUMED: Final[tuple[KeyRule, ...]] = (
    FromTensorRows("vocab_size", "token_embd.weight"),
    TIED,
    AssumedByRuntime("hidden_act", ("silu", "swish")),
    AssumedByRuntime("use_sliding_window", (False,)),
    AssumedByRuntime("decoder_sparse_step", (1,)),
    AssumedByRuntime("mlp_only_layers", ([],)),
)
_ROUTER: Final = Rule((f"{BLOCK}.mlp.gate.weight",), ("blk.{i}.ffn_gate_inp.weight",))

QWEN2MOE: Final = Architecture(
    name="qwen2moe",
    classes=(
        HFClass(
            "Qwen2MoeForCausalLM",
            "qwen2_moe",
            _DEFAULTS
            | {
                "moe_intermediate_size": 1408,
                "num_experts": 60,
                "num_experts_per_tok": 4,
                "num_key_value_heads": 16,
                "shared_expert_intermediate_size": 5632,
            },
            _NULLS,
        ),
    ),
    tokenizer_kinds=("spm", "bpe"),
    keys=_SHARED,
    family_keys=(
        _EXPERT_SIZE,
        Key("expert_shared_feed_forward_length", "shared_expert_intermediate_size"),
        *_ASSUMED,
        AssumedByRuntime("norm_topk_prob", (False,)),
    ),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *attention(bias=always, output_bias=optional),
        _ROUTER,
        *experts("num_experts"),
        *norms(
            ("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
            ("mlp.shared_expert.up_proj", "ffn_up_shexp"),
            ("mlp.shared_expert.down_proj", "ffn_down_shexp"),
        ),
        *norms(
            ("mlp.shared_expert_gate", "ffn_gate_inp_shexp"),
            # ggml's own files have one dimension
            transform=Reshape(gguf=lambda shape: shape, hf=lambda shape: (1, shape[-1])),
        ),
    ),
)

QWEN3MOE: Final = Architecture(
    name="qwen3moe",
    classes=(
        HFClass(
            "Qwen3MoeForCausalLM",
            "qwen3_moe",
            _DEFAULTS
            | {
                "moe_intermediate_size": 768,
                "num_experts": 128,
                "num_experts_per_tok": 8,
                "num_key_value_heads": 4,
            },
            _NULLS,
        ),
    ),
    tokenizer_kinds=("spm", "bpe"),
    keys=_SHARED,
    family_keys=(
        _EXPERT_SIZE,
        *_ASSUMED,
        FromTensorPresence("attention_bias", "blk.0.attn_q.bias"),
        AssumedByRuntime("norm_topk_prob", (True,)),
    ),
    tensors=(
        *OUTPUT,
        *PRE_NORMS,
        *attention(bias=flag("attention_bias")),
        *QK_NORMS,
        _ROUTER,
        *experts("num_experts"),
    ),
)

ARCHITECTURES: Final = (QWEN2MOE, QWEN3MOE)
