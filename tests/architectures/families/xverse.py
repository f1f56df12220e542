"""Tiny checkpoints: XVERSE."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import (
    HEADS,
    LLAMA2,
    LLAMA2_ENDS,
    PRE_NORMS,
    WIDTH,
    attention,
    config,
    mlp,
    weights,
)

MODELS: dict[str, Tiny] = {
    "xverse": Tiny(
        config=config("XverseForCausalLM", "xverse", num_key_value_heads=None, rope_theta=None, **LLAMA2),
        tensors=lambda _: shaped(
            LLAMA2_ENDS | {"model.norm.weight": (WIDTH,)},
            [PRE_NORMS | weights(attention(HEADS)) | weights(mlp())] * 2,
        ),
        tokenizer="llama2",
        known=False,
    ),
}
