"""Tiny checkpoints: EXAONE 3."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import HEAD, INNER, LLAMA3, TOKENS, WIDTH, config

MODELS: dict[str, Tiny] = {
    # Names after GPT-2's, frequencies as in Llama 3.
    "exaone": Tiny(
        config=config(
            "ExaoneForCausalLM",
            "exaone",
            activation_function="silu",
            head_dim=HEAD,
            hidden_act=None,
            layer_norm_epsilon=1e-5,
            num_hidden_layers=None,
            num_layers=2,
            rms_norm_eps=None,
            rope_scaling=LLAMA3,
            tie_word_embeddings=True,
        ),
        tensors=lambda _: shaped(
            {"transformer.wte.weight": (TOKENS, WIDTH), "transformer.ln_f.weight": (WIDTH,)},
            [
                {
                    "transformer.h.{i}." + name + ".weight": shape
                    for name, shape in {
                        "ln_1": (WIDTH,),
                        "attn.attention.q_proj": (WIDTH, WIDTH),
                        "attn.attention.k_proj": (WIDTH // 2, WIDTH),
                        "attn.attention.v_proj": (WIDTH // 2, WIDTH),
                        "attn.attention.out_proj": (WIDTH, WIDTH),
                        "ln_2": (WIDTH,),
                        "mlp.c_fc_0": (INNER, WIDTH),
                        "mlp.c_fc_1": (INNER, WIDTH),
                        "mlp.c_proj": (WIDTH, INNER),
                    }.items()
                }
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        kinds=("F32", "BF16"),  # llama.cpp does not load what its converter makes
        known=False,
    ),
}
