"""Tiny checkpoints: OpenELM."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import HEAD, WIDTH

MODELS: dict[str, Tiny] = {
    # Layers of different widths.
    "openelm": Tiny(
        config={
            "activation_fn_name": "swish",
            "architectures": ["OpenELMForCausalLM"],
            "bos_token_id": 1,
            "eos_token_id": 2,
            "ffn_dim_divisor": 128,
            "ffn_multipliers": [0.5, 1.4],
            "ffn_with_glu": True,
            "head_dim": HEAD,
            "max_context_length": 512,
            "model_dim": WIDTH,
            "model_type": "openelm",
            "normalize_qk_projections": True,
            "num_gqa_groups": 2,
            "num_kv_heads": [1, 2],
            "num_query_heads": [2, 4],
            "num_transformer_layers": 2,
            "rope_freq_constant": 10000,
            "share_input_output_layers": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "vocab_size": 512,
        },
        tensors=lambda _: shaped(
            {"transformer.token_embeddings.weight": (512, WIDTH), "transformer.norm.weight": (WIDTH,)},
            [
                {
                    "transformer.layers.{i}." + name + ".weight": shape
                    for name, shape in {
                        "attn.qkv_proj": ((heads + 2 * keys) * HEAD, WIDTH),
                        "attn.q_norm": (HEAD,),
                        "attn.k_norm": (HEAD,),
                        "attn.out_proj": (WIDTH, heads * HEAD),
                        "ffn.proj_1": (2 * inner, WIDTH),
                        "ffn.proj_2": (WIDTH, inner),
                        "ffn_norm": (WIDTH,),
                        "attn_norm": (WIDTH,),
                    }.items()
                }
                for heads, keys, inner in ((2, 1, 128), (4, 2, 384))
            ],
        ),
        tokenizer="llama2",
        known=False,
    ),
}
