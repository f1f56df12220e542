"""Tiny checkpoints: Baichuan."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import AT, LLAMA2, config, named

MODELS: dict[str, Tiny] = {
    # Query, key and value in one, and as many layers as llama.cpp knows the rotated Baichuan by.
    # Its converter (b11434) ends in endless recursion on this class, so there is no golden of it.
    "baichuan": Tiny(
        config=config(
            "BaichuanForCausalLM",
            "baichuan",
            hidden_size=64,
            intermediate_size=64,
            model_max_length=512,
            num_attention_heads=2,
            num_hidden_layers=32,
            num_key_value_heads=None,
            rope_theta=None,
            **LLAMA2,
        ),
        tensors=lambda _: shaped(
            {
                "model.embed_tokens.weight": (512, 64),
                "model.norm.weight": (64,),
                "lm_head.weight": (512, 64),
            },
            [
                named("input_layernorm", "post_attention_layernorm", size=64)
                | {
                    AT + "self_attn.W_pack.weight": (3 * 64, 64),
                    AT + "self_attn.o_proj.weight": (64, 64),
                    AT + "mlp.gate_proj.weight": (64, 64),
                    AT + "mlp.up_proj.weight": (64, 64),
                    AT + "mlp.down_proj.weight": (64, 64),
                }
            ]
            * 32,
        ),
        tokenizer="llama2",
        known=False,
        apart=True,
    ),
}
