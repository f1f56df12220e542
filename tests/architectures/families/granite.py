"""Tiny checkpoints: Granite."""

from __future__ import annotations

from tests.architectures.families.granitehybrid import GRANITE, GRANITE_SHARED
from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import PRE_NORMS, attention, config, ends, layers, mlp, weights
from tests.architectures.parts.mixers import mixed

MODELS: dict[str, Tiny] = {
    "granite": Tiny(
        config=config(
            "GraniteForCausalLM",
            "granite",
            attention_multiplier=0.0156,
            embedding_multiplier=12.0,
            logits_scaling=1.5,
            residual_multiplier=0.22,
        ),
        tensors=lambda _: layers(PRE_NORMS, weights(attention()), weights(mlp())),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # No state space at all: llama.cpp's converter makes an ordinary Granite of it.
    "granite-hybrid-attention": Tiny(
        config=config(
            "GraniteMoeHybridForCausalLM",
            "granitemoehybrid",
            **GRANITE | {"position_embedding_type": "rope", "num_hidden_layers": 2},
            layer_types=["attention"] * 2,
            num_experts_per_tok=0,
            num_local_experts=0,
        ),
        tensors=lambda _: mixed(ends(), [PRE_NORMS | weights(attention()) | GRANITE_SHARED] * 2),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
