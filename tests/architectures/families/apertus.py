"""Tiny checkpoints: Apertus."""

from __future__ import annotations

import numpy as np

from tests.architectures.parts.base import Tiny
from tests.architectures.parts.decoders import (
    AT,
    HEAD,
    INNER,
    LLAMA3,
    WIDTH,
    attention,
    config,
    layers,
    named,
    weights,
)

MODELS: dict[str, Tiny] = {
    # xIELU's four parameters are tensors of one value in every layer.
    "apertus": Tiny(
        config=config(
            "ApertusForCausalLM",
            "apertus",
            hidden_act="xielu",
            pad_token_id=524,
            rope_scaling=LLAMA3,
            rope_theta=12000000.0,
        ),
        tensors=lambda _: (
            layers(
                named("attention_layernorm", "feedforward_layernorm"),
                weights(attention()),
                named("self_attn.q_norm", "self_attn.k_norm", size=HEAD),
                {AT + "mlp.up_proj.weight": (INNER, WIDTH), AT + "mlp.down_proj.weight": (WIDTH, INNER)},
            )
            | {
                f"model.layers.{i}.mlp.act_fn.{name}": np.full(shape, value + i * change, np.float32)
                for i in range(2)
                for name, shape, value, change in (
                    ("alpha_n", (1,), -0.5, 0.25),
                    ("alpha_p", (1,), 0.5, 0.75),
                    ("beta", (), 0.5, 0.0),
                    ("eps", (), -1e-6, 0.0),
                )
            }
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
