"""Tiny checkpoints: Phi 3."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import AT, HEAD, HEADS, INNER, PRE_NORMS, WIDTH, config, ends

FUSED_PHI = {
    AT + "self_attn.qkv_proj.weight": (2 * HEADS * HEAD, WIDTH),
    AT + "self_attn.o_proj.weight": (WIDTH, HEADS * HEAD),
    AT + "mlp.gate_up_proj.weight": (2 * INNER, WIDTH),
    AT + "mlp.down_proj.weight": (WIDTH, INNER),
}

MODELS: dict[str, Tiny] = {
    # Everything fused; longrope, whose short factors hold for short prompts.
    # (llama.cpp looks for tokens of its vocabulary in every model that is called Phi 3.)
    "phi-longrope": Tiny(
        config=config(
            "Phi3ForCausalLM",
            "phi3",
            bos_token_id=1,
            eos_token_id=2,
            max_position_embeddings=1024,
            original_max_position_embeddings=512,
            pad_token_id=0,
            rope_scaling={
                "type": "longrope",
                "long_factor": [1 + 0.25 * i for i in range(32)],
                "short_factor": [1 + 0.0625 * i for i in range(32)],
            },
            sliding_window=None,
            vocab_size=512,
        ),
        tensors=lambda _: shaped(
            ends() | {"model.embed_tokens.weight": (512, WIDTH), "lm_head.weight": (512, WIDTH)},
            [PRE_NORMS | FUSED_PHI] * 2,
        ),
        tokenizer="llama2",
    ),
}
