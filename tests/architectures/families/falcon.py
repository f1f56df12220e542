"""Tiny checkpoints: Falcon."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped, with_bias
from tests.architectures.parts.decoders import HEAD, KV_HEADS, TOKENS, WIDTH, config, fused, weights

MODELS: dict[str, Tiny] = {
    # Groups of heads, each with its own keys and values; two norms side by side.
    "falcon": Tiny(
        config=config(
            "FalconForCausalLM",
            "falcon",
            alibi=False,
            bias=False,
            hidden_act=None,
            intermediate_size=None,
            layer_norm_epsilon=1e-5,
            multi_query=True,
            new_decoder_architecture=True,
            num_key_value_heads=None,
            num_kv_heads=KV_HEADS,
            parallel_attn=True,
            rms_norm_eps=None,
            tie_word_embeddings=None,
        ),
        tensors=lambda _: shaped(
            {"transformer.word_embeddings.weight": (TOKENS, WIDTH)}
            | with_bias({"transformer.ln_f": (WIDTH,)}),
            [
                with_bias({"transformer.h.{i}.ln_attn": (WIDTH,), "transformer.h.{i}.ln_mlp": (WIDTH,)})
                | weights(
                    {
                        f"transformer.h.{{i}}.{'mlp' if '4h' in name else 'self_attention'}.{name}": shape
                        for name, shape in fused(WIDTH + 2 * KV_HEADS * HEAD).items()
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
