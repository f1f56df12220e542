"""Tiny checkpoints: MPT."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import HEADS, TOKENS, WIDTH, weights

MODELS: dict[str, Tiny] = {
    "mpt": Tiny(
        config={
            "architectures": ["MPTForCausalLM"],
            "attn_config": {"alibi": True, "alibi_bias_max": 8, "clip_qkv": None, "qk_ln": False},
            "bos_token_id": 520,
            "d_model": WIDTH,
            "eos_token_id": 524,
            "max_seq_len": 512,
            "model_type": "mpt",
            "n_heads": HEADS,
            "n_layers": 2,
            "no_bias": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "vocab_size": TOKENS,
        },
        tensors=lambda _: shaped(
            {"transformer.wte.weight": (TOKENS, WIDTH), "transformer.norm_f.weight": (WIDTH,)},
            [
                weights(
                    {
                        "transformer.blocks.{i}." + name: shape
                        for name, shape in {
                            "norm_1": (WIDTH,),
                            "norm_2": (WIDTH,),
                            "attn.Wqkv": (3 * WIDTH, WIDTH),
                            "attn.out_proj": (WIDTH, WIDTH),
                            "ffn.up_proj": (4 * WIDTH, WIDTH),
                            "ffn.down_proj": (WIDTH, 4 * WIDTH),
                        }.items()
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
