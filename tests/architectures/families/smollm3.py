"""Tiny checkpoints: SmolLM3."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import PRE_NORMS, attention, config, layers, mlp, weights

MODELS: dict[str, Tiny] = {
    # The fourth layer is not rotated.
    "smollm3": Tiny(
        config=config(
            "SmolLM3ForCausalLM",
            "smollm3",
            no_rope_layer_interval=4,
            no_rope_layers=[1, 1, 1, 0],
            num_hidden_layers=4,
            pad_token_id=524,
            tie_word_embeddings=True,
        ),
        tensors=lambda _: layers(PRE_NORMS, weights(attention()), weights(mlp()), head=False, count=4),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
