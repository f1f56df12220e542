"""Tiny checkpoints: Command R7B."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import HEAD, attention, config, layers, mlp, named, weights

MODELS: dict[str, Tiny] = {
    # The fourth layer attends to everything and is not rotated.
    "cohere2": Tiny(
        config=config(
            "Cohere2ForCausalLM",
            "cohere2",
            head_dim=HEAD,
            layer_norm_eps=1e-5,
            layer_types=["sliding_attention"] * 3 + ["full_attention"],
            logit_scale=0.75,
            num_hidden_layers=4,
            rms_norm_eps=None,
            rotary_pct=1.0,
            sliding_window=8,
            tie_word_embeddings=True,
        ),
        tensors=lambda _: layers(
            named("input_layernorm"), weights(attention()), weights(mlp()), head=False, count=4
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
