"""Tiny checkpoints: Seed-OSS."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, with_bias
from tests.architectures.parts.decoders import HEAD, PRE_NORMS, attention, config, layers, mlp, weights

MODELS: dict[str, Tiny] = {
    "seed-oss": Tiny(
        config=config(
            "SeedOssForCausalLM", "seed_oss", head_dim=HEAD, attention_bias=True, attention_out_bias=False
        ),
        tensors=lambda _: layers(
            PRE_NORMS, with_bias(attention(), "q_proj", "k_proj", "v_proj"), weights(mlp())
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
