"""Tiny checkpoints: T5's encoder alone."""

from __future__ import annotations

from tests.architectures.families.t5 import t5, t5_config
from tests.architectures.parts.base import Tiny

MODELS: dict[str, Tiny] = {
    "t5-encoder": Tiny(
        config=t5_config("T5EncoderModel", "t5"),
        tensors=t5,
        tokenizer="t5",
        gelu=True,
        encoder=True,
    ),
}
