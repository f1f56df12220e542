"""Tiny checkpoints: Falcon H1."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import (
    AT,
    HEAD,
    TOKENS,
    WIDTH,
    Shapes,
    attention,
    config,
    mlp,
    named,
    weights,
)
from tests.architectures.parts.mixers import SSM_HEADS, STATE, mamba2, mixed

FALCON = {
    "head_dim": HEAD,
    "mamba_chunk_size": 256,
    "mamba_conv_bias": True,
    "mamba_d_conv": 4,
    "mamba_d_head": HEAD,
    "mamba_d_ssm": 3 * HEAD,
    "mamba_d_state": STATE,
    "mamba_expand": 2,
    "mamba_n_heads": 3,
    "mamba_norm_before_gate": False,
    "mamba_proj_bias": False,
    "mlp_bias": False,
    "attention_bias": False,
    "projectors_bias": False,
    "rope_scaling": None,
    "rope_theta": 100000000000.0,
    "attention_in_multiplier": 1.0,
    "attention_out_multiplier": 1.0,
    "embedding_multiplier": 1.0,
    "key_multiplier": 1.0,
    "lm_head_multiplier": 1.0,
    "mlp_multipliers": [1.0, 1.0],
    "ssm_in_multiplier": 1.0,
    "ssm_multipliers": [1.0] * 5,
    "ssm_out_multiplier": 1.0,
}

FALCON_MULTIPLIED = FALCON | {
    "attention_in_multiplier": 0.9,
    "attention_out_multiplier": 0.5859375,
    "embedding_multiplier": 5.656854249492381,
    "key_multiplier": 0.39062500000000006,
    "lm_head_multiplier": 0.6875,
    "mamba_d_ssm": 2 * WIDTH,
    "mamba_n_heads": SSM_HEADS,
    "mlp_multipliers": [0.8838834764831844, 0.5859375],
    "ssm_in_multiplier": 1.25,
    "ssm_multipliers": [0.3535533905932738, 0.25, 0.3535533905932738, 0.5, 0.3535533905932738],
    "ssm_out_multiplier": 0.23570226039551587,
}

FALCON_BLOCK = (
    named("input_layernorm", "pre_ff_layernorm") | weights(attention()) | weights(mlp(AT + "feed_forward."))
)

FALCON_ENDS: Shapes = {
    "model.embed_tokens.weight": (TOKENS, WIDTH),
    "model.final_layernorm.weight": (WIDTH,),
    "lm_head.weight": (TOKENS, WIDTH),
}

MODELS: dict[str, Tiny] = {
    "falcon-h1": Tiny(
        config=config("FalconH1ForCausalLM", "falcon_h1", **FALCON, mamba_n_groups=1, mamba_rms_norm=False),
        tensors=lambda _: mixed(FALCON_ENDS, [FALCON_BLOCK | mamba2(1, inner=3 * HEAD, normed=False)] * 2),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # The multipliers become part of the weights.
    "falcon-h1-multipliers": Tiny(
        config=config(
            "FalconH1ForCausalLM",
            "falcon_h1",
            **FALCON_MULTIPLIED,
            mamba_n_groups=2,
            mamba_rms_norm=True,
        ),
        tensors=lambda _: mixed(FALCON_ENDS, [FALCON_BLOCK | mamba2(2)] * 2),
        tokenizer="llama3",
        pre="llama-bpe",
        folded=True,
    ),
}
