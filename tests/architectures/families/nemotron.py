"""Tiny checkpoints: Nemotron."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped, with_bias
from tests.architectures.parts.decoders import AT, HEAD, INNER, WIDTH, attention, config, weights

MODELS: dict[str, Tiny] = {
    # Layer norms with biases, half of each head rotated.
    "nemotron": Tiny(
        config=config(
            "NemotronForCausalLM",
            "nemotron",
            bos_token_id=1,
            eos_token_id=2,
            head_dim=HEAD,
            hidden_act="relu2",
            norm_eps=1e-5,
            partial_rotary_factor=0.5,
            rms_norm_eps=None,
            vocab_size=512,
        ),
        tensors=lambda _: shaped(
            {"model.embed_tokens.weight": (512, WIDTH), "lm_head.weight": (512, WIDTH)}
            | with_bias({"model.norm": (WIDTH,)}),
            [
                with_bias({AT + "input_layernorm": (WIDTH,), AT + "post_attention_layernorm": (WIDTH,)})
                | weights(attention())
                | {AT + "mlp.up_proj.weight": (INNER, WIDTH), AT + "mlp.down_proj.weight": (WIDTH, INNER)}
            ]
            * 2,
        ),
        tokenizer="llama2",
    ),
}
