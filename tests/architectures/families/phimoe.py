"""Tiny checkpoints: Phi 3.5 with experts."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped, with_bias
from tests.architectures.parts.decoders import AT, INNER, WIDTH, attention, config, expert_weights, router

MODELS: dict[str, Tiny] = {
    # Experts, and biases of norms and output.
    "phimoe": Tiny(
        config=config(
            "PhiMoEForCausalLM",
            "phimoe",
            attention_bias=True,
            bos_token_id=1,
            eos_token_id=2,
            intermediate_size=INNER // 2,
            lm_head_bias=True,
            num_experts_per_tok=2,
            num_local_experts=4,
            original_max_position_embeddings=512,
            rope_scaling=None,
            router_jitter_noise=0.0,
            sliding_window=None,
            vocab_size=512,
        ),
        tensors=lambda _: shaped(
            {"model.embed_tokens.weight": (512, WIDTH)}
            | with_bias({"model.norm": (WIDTH,), "lm_head": (512, WIDTH)}),
            [
                with_bias(
                    {AT + "input_layernorm": (WIDTH,), AT + "post_attention_layernorm": (WIDTH,)}
                    | attention()
                )
                | router("block_sparse_moe.gate")
                | expert_weights(4, AT + "block_sparse_moe.experts", ("w1", "w3", "w2"))
            ]
            * 2,
        ),
        tokenizer="llama2",
        runs=False,  # transformers weighs experts by sparsemixer, llama.cpp by softmax
    ),
}
