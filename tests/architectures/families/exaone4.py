"""Tiny checkpoints: EXAONE 4."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import HEAD, attention, config, layers, mlp, named, weights

EXAONE = (
    weights(attention()),
    named("self_attn.q_norm", "self_attn.k_norm", size=HEAD),
    named("post_attention_layernorm", "post_feedforward_layernorm"),
    weights(mlp()),
)

MODELS: dict[str, Tiny] = {
    "exaone4": Tiny(
        config=config("Exaone4ForCausalLM", "exaone4", layer_types=["full_attention"] * 2)
        | {"sliding_window": None},
        tensors=lambda _: layers(*EXAONE),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # Windows in three of four layers, and the fourth not rotated; llama.cpp does that with 64 layers only.
    "exaone4-windows": Tiny(
        config=config(
            "Exaone4ForCausalLM",
            "exaone4",
            layer_types=["sliding_attention"] * 3 + ["full_attention"],
            num_hidden_layers=4,
            sliding_window=8,
            sliding_window_pattern="LLLG",
        ),
        tensors=lambda _: layers(*EXAONE, count=4),
        tokenizer="llama3",
        pre="llama-bpe",
        runs=False,
    ),
}
