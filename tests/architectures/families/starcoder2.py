"""Tiny checkpoints: StarCoder2."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped, with_bias
from tests.architectures.parts.decoders import AT, INNER, WIDTH, attention, config, ends

MODELS: dict[str, Tiny] = {
    "starcoder2": Tiny(
        config=config(
            "Starcoder2ForCausalLM",
            "starcoder2",
            hidden_act="gelu_pytorch_tanh",
            norm_epsilon=1e-5,
            rms_norm_eps=None,
            sliding_window=None,
            tie_word_embeddings=True,
            use_bias=True,
        ),
        tensors=lambda _: shaped(
            ends(head=False) | {"model.norm.bias": (WIDTH,)},
            [
                with_bias(
                    attention()
                    | {AT + "input_layernorm": (WIDTH,), AT + "post_attention_layernorm": (WIDTH,)}
                    | {AT + "mlp.c_fc": (INNER, WIDTH), AT + "mlp.c_proj": (WIDTH, INNER)}
                )
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
}
