"""Tiny checkpoints: Jamba."""

from __future__ import annotations

from tests.architectures.families.falcon_h1 import FALCON_ENDS
from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import (
    AT,
    INNER,
    WIDTH,
    Shapes,
    attention,
    config,
    mlp,
    named,
    router,
    weights,
)
from tests.architectures.parts.mixers import mixed


def mamba1(at: str = AT + "mamba.", inner: int = 2 * WIDTH, rank: int = 16, state: int = 16) -> Shapes:
    """A Mamba 1 mixer, with Jamba's norms."""
    return {
        at + "A_log": (inner, state),
        at + "D": (inner,),
        at + "conv1d.weight": (inner, 1, 4),
        at + "conv1d.bias": (inner,),
        at + "in_proj.weight": (2 * inner, WIDTH),
        at + "x_proj.weight": (rank + 2 * state, inner),
        at + "dt_proj.weight": (inner, rank),
        at + "dt_proj.bias": (inner,),
        at + "out_proj.weight": (WIDTH, inner),
        at + "dt_layernorm.weight": (rank,),
        at + "b_layernorm.weight": (state,),
        at + "c_layernorm.weight": (state,),
    }


JAMBA_BLOCK = named("input_layernorm", "pre_ff_layernorm")

JAMBA_DENSE = weights(mlp(AT + "feed_forward.", INNER // 2))

JAMBA_EXPERTS: Shapes = {
    f"{AT}feed_forward.experts.{expert}.{name}.weight": shape
    for expert in range(4)
    for name, shape in mlp("", INNER // 2).items()
}

MODELS: dict[str, Tiny] = {
    # Attention in the third layer, experts in the second.
    "jamba": Tiny(
        config=config(
            "JambaForCausalLM",
            "jamba",
            attn_layer_offset=2,
            attn_layer_period=3,
            bos_token_id=1,
            eos_token_id=2,
            expert_layer_offset=1,
            expert_layer_period=2,
            intermediate_size=INNER // 2,
            mamba_conv_bias=True,
            mamba_d_conv=4,
            mamba_d_state=16,
            mamba_dt_rank=16,
            mamba_expand=2,
            mamba_proj_bias=False,
            num_experts=4,
            num_experts_per_tok=3,
            num_hidden_layers=3,
            pad_token_id=0,
            rope_theta=None,
            sliding_window=None,
            use_mamba_kernels=False,
            vocab_size=512,
        ),
        tensors=lambda _: mixed(
            FALCON_ENDS | {"model.embed_tokens.weight": (512, WIDTH), "lm_head.weight": (512, WIDTH)},
            [
                JAMBA_BLOCK | mamba1() | JAMBA_DENSE,
                JAMBA_BLOCK | mamba1() | router("feed_forward.router") | JAMBA_EXPERTS,
                JAMBA_BLOCK | weights(attention()) | JAMBA_DENSE,
            ],
        ),
        tokenizer="llama2",
    ),
    # No experts.
    "jamba-dense": Tiny(
        config=config(
            "JambaForCausalLM",
            "jamba",
            attn_layer_offset=1,
            attn_layer_period=2,
            bos_token_id=1,
            eos_token_id=2,
            expert_layer_offset=1,
            expert_layer_period=2,
            intermediate_size=INNER // 2,
            mamba_conv_bias=True,
            mamba_d_conv=4,
            mamba_d_state=16,
            mamba_dt_rank=16,
            mamba_expand=2,
            mamba_proj_bias=False,
            num_experts=1,
            num_experts_per_tok=1,
            num_hidden_layers=2,
            pad_token_id=0,
            rope_theta=None,
            sliding_window=None,
            use_mamba_kernels=False,
            vocab_size=512,
        ),
        tensors=lambda _: mixed(
            FALCON_ENDS | {"model.embed_tokens.weight": (512, WIDTH), "lm_head.weight": (512, WIDTH)},
            [
                JAMBA_BLOCK | mamba1() | JAMBA_DENSE,
                JAMBA_BLOCK | weights(attention()) | JAMBA_DENSE,
            ],
        ),
        tokenizer="llama2",
    ),
}
