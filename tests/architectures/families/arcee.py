"""Tiny checkpoints: Arcee."""

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
    layers,
    weights,
)

MODELS: dict[str, Tiny] = {
    "arcee": Tiny(
        config=config("ArceeForCausalLM", "arcee", head_dim=HEAD, hidden_act="relu2"),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention()),
            {AT + "mlp.up_proj.weight": (INNER, WIDTH), AT + "mlp.down_proj.weight": (WIDTH, INNER)},
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
