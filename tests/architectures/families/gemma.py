"""Tiny checkpoints: Gemma."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, decoder
from tests.architectures.parts.decoders import HEAD, config

MODELS: dict[str, Tiny] = {
    "gemma": Tiny(
        config=config(
            "GemmaForCausalLM",
            "gemma",
            bos_token_id=2,
            eos_token_id=1,
            pad_token_id=0,
            head_dim=HEAD,
            hidden_act="gelu_pytorch_tanh",
            hidden_activation="gelu_pytorch_tanh",
            tie_word_embeddings=True,
            vocab_size=528,
        ),
        tensors=lambda c: {
            name: values
            for name, values in decoder(c, gemma=True, stored_output=False).items()
            if "_feedforward_" not in name
        },
        tokenizer="gemma",
        gelu=True,
    ),
}
