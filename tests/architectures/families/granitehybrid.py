"""Tiny checkpoints: Granite 4."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import (
    AT,
    HEAD,
    INNER,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    ends,
    weights,
)
from tests.architectures.parts.mixers import SSM_HEADS, STATE, mamba2, mixed

GRANITE = {
    "attention_bias": False,
    "attention_multiplier": 0.015625,
    "embedding_multiplier": 12.0,
    "logits_scaling": 1.5,
    "mamba_chunk_size": 256,
    "mamba_conv_bias": True,
    "mamba_d_conv": 4,
    "mamba_d_head": HEAD,
    "mamba_d_state": STATE,
    "mamba_expand": 2,
    "mamba_n_groups": 1,
    "mamba_n_heads": SSM_HEADS,
    "mamba_proj_bias": False,
    "num_hidden_layers": 3,
    "position_embedding_type": "nope",
    "residual_multiplier": 0.22,
    "rope_scaling": None,
    "shared_intermediate_size": INNER,
}

GRANITE_SHARED = {
    AT + "shared_mlp.input_linear.weight": (2 * INNER, WIDTH),
    AT + "shared_mlp.output_linear.weight": (WIDTH, INNER),
}

GRANITE_EXPERTS = {
    AT + "block_sparse_moe.input_linear.weight": (3, INNER, WIDTH),
    AT + "block_sparse_moe.output_linear.weight": (3, WIDTH, INNER // 2),
    AT + "block_sparse_moe.router.layer.weight": (3, WIDTH),
}

MODELS: dict[str, Tiny] = {
    # Experts and a shared one in every layer; the second layer has attention, without RoPE.
    "granite-hybrid": Tiny(
        config=config(
            "GraniteMoeHybridForCausalLM",
            "granitemoehybrid",
            **GRANITE | {"num_hidden_layers": 2},
            intermediate_size=INNER // 2,
            layer_types=["mamba", "attention"],
            num_experts_per_tok=2,
            num_local_experts=3,
        ),
        tensors=lambda _: mixed(
            ends(),
            [
                PRE_NORMS | mixer | GRANITE_EXPERTS | GRANITE_SHARED
                for mixer in (mamba2(1), weights(attention()))
            ],
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # No experts: what is called the shared one is all there is.
    "granite-hybrid-dense": Tiny(
        config=config(
            "GraniteMoeHybridForCausalLM",
            "granitemoehybrid",
            **GRANITE,
            layer_types=["mamba", "mamba", "attention"],
            num_experts_per_tok=0,
            num_local_experts=0,
            tie_word_embeddings=True,
        ),
        tensors=lambda _: mixed(
            ends(head=False),
            [PRE_NORMS | mixer | GRANITE_SHARED for mixer in (mamba2(1), mamba2(1), weights(attention()))],
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
