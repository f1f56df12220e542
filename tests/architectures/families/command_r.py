"""Tiny checkpoints: Command R."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import attention, config, layers, mlp, named, weights

MODELS: dict[str, Tiny] = {
    "command-r": Tiny(
        config=config(
            "CohereForCausalLM",
            "cohere",
            layer_norm_eps=1e-5,
            logit_scale=0.75,
            model_max_length=512,
            rms_norm_eps=None,
            tie_word_embeddings=True,
            use_qk_norm=False,
        ),
        tensors=lambda _: layers(named("input_layernorm"), weights(attention()), weights(mlp()), head=False),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
