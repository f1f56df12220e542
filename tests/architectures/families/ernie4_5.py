"""Tiny checkpoints: ERNIE 4.5."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import HEAD, PRE_NORMS, WIDTH, attention, config, ends, mlp, weights

MODELS: dict[str, Tiny] = {
    "ernie": Tiny(
        config=config(
            "Ernie4_5ForCausalLM",
            "ernie4_5",
            bos_token_id=1,
            eos_token_id=2,
            head_dim=HEAD,
            rope_theta=500000.0,
            tie_word_embeddings=True,
            use_bias=False,
            vocab_size=512,
        ),
        tensors=lambda c: shaped(
            ends(head=False) | {"model.embed_tokens.weight": (512, WIDTH)},
            [PRE_NORMS | weights(attention()) | weights(mlp())] * 2,
        ),
        tokenizer="llama2",
    ),
}
