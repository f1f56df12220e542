"""Tiny checkpoints: Mamba 2."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import TOKENS, WIDTH

STATE = 32


def mamba2(groups: int, *, runs: bool = True) -> Tiny:
    """Two layers of Mamba 2 with eight heads."""
    mixed = 2 * WIDTH + 2 * groups * STATE
    return Tiny(
        config={
            "architectures": ["Mamba2ForCausalLM"],
            "bos_token_id": 520,
            "conv_kernel": 4,
            "eos_token_id": 524,
            "expand": 2,
            "head_dim": 64,
            "hidden_act": "silu",
            "hidden_size": WIDTH,
            "layer_norm_epsilon": 1e-05,
            "model_type": "mamba2",
            "n_groups": groups,
            "num_heads": 8,
            "num_hidden_layers": 2,
            "state_size": STATE,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "use_bias": False,
            "use_conv_bias": True,
            "vocab_size": TOKENS,
        },
        tensors=lambda _: shaped(
            {
                "backbone.embeddings.weight": (TOKENS, WIDTH),
                "backbone.norm_f.weight": (WIDTH,),
                "lm_head.weight": (TOKENS, WIDTH),
            },
            [
                {
                    "backbone.layers.{i}." + name: shape
                    for name, shape in {
                        "norm.weight": (WIDTH,),
                        "mixer.A_log": (8,),
                        "mixer.D": (8,),
                        "mixer.dt_bias": (8,),
                        "mixer.conv1d.weight": (mixed, 1, 4),
                        "mixer.conv1d.bias": (mixed,),
                        "mixer.in_proj.weight": (2 * WIDTH + mixed + 8, WIDTH),
                        "mixer.norm.weight": (2 * WIDTH,),
                        "mixer.out_proj.weight": (WIDTH, 2 * WIDTH),
                    }.items()
                }
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        runs=runs,
        newer=True,
    )


MODELS: dict[str, Tiny] = {
    # transformers norms all groups together, where the original and llama.cpp norm each of them
    "mamba2": mamba2(groups=2, runs=False),
    "mamba2-one-group": mamba2(groups=1),
}
