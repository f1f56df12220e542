"""Tiny checkpoints: StableLM."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped, with_bias
from tests.architectures.parts.decoders import AT, WIDTH, attention, config, ends, mlp, weights

MODELS: dict[str, Tiny] = {
    "stablelm": Tiny(
        config=config(
            "StableLmForCausalLM",
            "stablelm",
            layer_norm_eps=1e-5,
            partial_rotary_factor=0.25,
            rms_norm_eps=None,
            use_parallel_residual=False,
            use_qkv_bias=True,
        ),
        tensors=lambda _: shaped(
            ends() | {"model.norm.bias": (WIDTH,)},
            [
                with_bias({AT + "input_layernorm": (WIDTH,), AT + "post_attention_layernorm": (WIDTH,)})
                | with_bias(attention(), "q_proj", "k_proj", "v_proj")
                | weights(mlp())
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
