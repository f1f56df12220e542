"""Tiny checkpoints: Gemma 2."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, decoder
from tests.architectures.parts.decoders import HEAD, config

MODELS: dict[str, Tiny] = {
    # Soft-capped, every other layer with a window shorter than the prompts.
    "gemma2": Tiny(
        config=config(
            "Gemma2ForCausalLM",
            "gemma2",
            attn_logit_softcapping=50.0,
            bos_token_id=2,
            eos_token_id=1,
            pad_token_id=0,
            final_logit_softcapping=30.0,
            head_dim=HEAD,
            hidden_act=None,
            hidden_activation="gelu_pytorch_tanh",
            query_pre_attn_scalar=HEAD,
            sliding_window=8,
            tie_word_embeddings=True,
            vocab_size=528,
        ),
        tensors=lambda c: decoder(c, gemma=True, stored_output=False),
        tokenizer="gemma",
        gelu=True,
    ),
}
