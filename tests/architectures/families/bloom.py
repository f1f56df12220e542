"""Tiny checkpoints: Bloom."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped, with_bias
from tests.architectures.parts.decoders import HEADS, TOKENS, WIDTH, fused

MODELS: dict[str, Tiny] = {
    "bloom": Tiny(
        config={
            "architectures": ["BloomForCausalLM"],
            "bos_token_id": 520,
            "eos_token_id": 524,
            "hidden_size": WIDTH,
            "layer_norm_epsilon": 1e-05,
            "model_type": "bloom",
            "n_head": HEADS,
            "n_layer": 2,
            "seq_length": 512,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "vocab_size": TOKENS,
        },
        tensors=lambda _: shaped(
            {"transformer.word_embeddings.weight": (TOKENS, WIDTH)}
            | with_bias({"transformer.word_embeddings_layernorm": (WIDTH,), "transformer.ln_f": (WIDTH,)}),
            [
                with_bias(
                    {
                        "transformer.h.{i}." + name: (WIDTH,)
                        for name in ("input_layernorm", "post_attention_layernorm")
                    }
                    | {
                        f"transformer.h.{{i}}.{'mlp' if '4h' in name else 'self_attention'}.{name}": shape
                        for name, shape in fused(3 * WIDTH).items()
                    }
                )
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
}
