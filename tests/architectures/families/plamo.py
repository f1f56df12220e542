"""Tiny checkpoints: PLaMo."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import LLAMA2, config


def plamo(width: int, heads: int, shared: int) -> Tiny:
    """A layer of PLaMo, with ``shared`` heads of queries to one of keys.

    llama.cpp's converter (b11434) takes no sizes but PLaMo 13B's, which are too large to be rebuilt in every
    test, so there is no golden of a small one.
    """
    at, keys = "model.layers.layers.{i}.", width // shared
    block = {
        "norm": (width,),
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (64, width),
        "mlp.up_proj": (64, width),
        "mlp.down_proj": (width, 64),
    }
    return Tiny(
        config=config(
            "PlamoForCausalLM",
            "plamo",
            hidden_size=width,
            intermediate_size=64,
            max_position_embeddings=None,
            n_shared_head=shared,
            num_attention_heads=heads,
            num_hidden_layers=1,
            num_key_value_heads=1,
            rope_theta=None,
            **LLAMA2,
        ),
        tensors=lambda _: shaped(
            {
                "model.embed_tokens.weight": (512, width),
                "model.norm.weight": (width,),
                "lm_head.weight": (512, width),
            },
            [{f"{at}{name}.weight": shape for name, shape in block.items()}],
        ),
        tokenizer="llama2",
        known=False,
        apart=True,
    )


MODELS: dict[str, Tiny] = {"plamo": plamo(256, 8, 4)}
