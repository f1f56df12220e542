"""Tiny checkpoints: Orion."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped, with_bias
from tests.architectures.parts.decoders import AT, LLAMA2, LLAMA2_ENDS, WIDTH, attention, config, mlp, weights

MODELS: dict[str, Tiny] = {
    # Layer norms, whose epsilon the config gives as one of RMS norms.
    "orion": Tiny(
        config=config("OrionForCausalLM", "orion", max_sequence_length=512, **LLAMA2),
        tensors=lambda _: shaped(
            LLAMA2_ENDS | with_bias({"model.norm": (WIDTH,)}),
            [
                with_bias({AT + "input_layernorm": (WIDTH,), AT + "post_attention_layernorm": (WIDTH,)})
                | weights(attention())
                | weights(mlp())
            ]
            * 2,
        ),
        tokenizer="llama2",
        known=False,
    ),
}
