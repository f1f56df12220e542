"""Tiny checkpoints: Phi 2."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped, with_bias
from tests.architectures.parts.decoders import AT, HEADS, TOKENS, WIDTH, attention, config

MODELS: dict[str, Tiny] = {
    "phi2": Tiny(
        config=config(
            "PhiForCausalLM",
            "phi",
            hidden_act="gelu_new",
            intermediate_size=4 * WIDTH,
            layer_norm_eps=1e-5,
            num_key_value_heads=HEADS,
            partial_rotary_factor=0.5,
            rms_norm_eps=None,
        ),
        tensors=lambda _: shaped(
            {"model.embed_tokens.weight": (TOKENS, WIDTH)}
            | with_bias({"model.final_layernorm": (WIDTH,), "lm_head": (TOKENS, WIDTH)}),
            [
                with_bias(
                    attention(HEADS, "dense")
                    | {AT + "input_layernorm": (WIDTH,)}
                    | {AT + "mlp.fc1": (4 * WIDTH, WIDTH), AT + "mlp.fc2": (WIDTH, 4 * WIDTH)}
                )
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
}
