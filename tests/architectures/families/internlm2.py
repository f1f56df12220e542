"""Tiny checkpoints: InternLM 2."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import AT, INNER, LLAMA2, WIDTH, config, named

MODELS: dict[str, Tiny] = {
    # Query, key and value in one, by groups of heads.
    "internlm2": Tiny(
        config=config(
            "InternLM2ForCausalLM",
            "internlm2",
            rope_scaling={"factor": 2.0, "type": "dynamic"},
            **LLAMA2 | {"rope_theta": 1000000.0},
        ),
        tensors=lambda _: shaped(
            {
                "model.tok_embeddings.weight": (512, WIDTH),
                "model.norm.weight": (WIDTH,),
                "output.weight": (512, WIDTH),
            },
            [
                named("attention_norm", "ffn_norm")
                | {
                    AT + "attention.wqkv.weight": (2 * WIDTH, WIDTH),
                    AT + "attention.wo.weight": (WIDTH, WIDTH),
                    AT + "feed_forward.w1.weight": (INNER, WIDTH),
                    AT + "feed_forward.w3.weight": (INNER, WIDTH),
                    AT + "feed_forward.w2.weight": (WIDTH, INNER),
                }
            ]
            * 2,
        ),
        tokenizer="llama2",
        known=False,
    ),
}
