"""Tiny checkpoints: GPT-NeoX."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped, with_bias
from tests.architectures.parts.decoders import TOKENS, WIDTH, config, fused

MODELS: dict[str, Tiny] = {
    "gpt-neox": Tiny(
        config=config(
            "GPTNeoXForCausalLM",
            "gpt_neox",
            hidden_act="gelu",
            intermediate_size=2 * WIDTH,
            layer_norm_eps=1e-5,
            num_key_value_heads=None,
            rms_norm_eps=None,
            rope_theta=None,
            rotary_emb_base=10000,
            rotary_pct=0.25,
            use_parallel_residual=True,
        ),
        tensors=lambda _: shaped(
            {
                "gpt_neox.embed_in.weight": (TOKENS, WIDTH),
                "gpt_neox.final_layer_norm.weight": (WIDTH,),
                "gpt_neox.final_layer_norm.bias": (WIDTH,),
                "embed_out.weight": (TOKENS, WIDTH),
            },
            [
                with_bias(
                    {
                        "gpt_neox.layers.{i}." + name: (WIDTH,)
                        for name in ("input_layernorm", "post_attention_layernorm")
                    }
                    | {
                        f"gpt_neox.layers.{{i}}.{'mlp' if '4h' in name else 'attention'}.{name}": shape
                        for name, shape in fused(3 * WIDTH, 2 * WIDTH).items()
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
