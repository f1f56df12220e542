"""Tiny checkpoints: Mamba."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import TOKENS, WIDTH

MODELS: dict[str, Tiny] = {
    "mamba": Tiny(
        config={
            "architectures": ["MambaForCausalLM"],
            "bos_token_id": 520,
            "conv_kernel": 4,
            "eos_token_id": 524,
            "expand": 2,
            "hidden_act": "silu",
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "layer_norm_epsilon": 1e-05,
            "model_type": "mamba",
            "num_hidden_layers": 2,
            "state_size": 16,
            "tie_word_embeddings": True,
            "time_step_rank": 16,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "use_bias": False,
            "use_conv_bias": True,
            "vocab_size": TOKENS,
        },
        tensors=lambda _: shaped(
            {"backbone.embeddings.weight": (TOKENS, WIDTH), "backbone.norm_f.weight": (WIDTH,)},
            [
                {
                    "backbone.layers.{i}." + name: shape
                    for name, shape in {
                        "norm.weight": (WIDTH,),
                        "mixer.A_log": (2 * WIDTH, 16),
                        "mixer.D": (2 * WIDTH,),
                        "mixer.conv1d.weight": (2 * WIDTH, 1, 4),
                        "mixer.conv1d.bias": (2 * WIDTH,),
                        "mixer.in_proj.weight": (4 * WIDTH, WIDTH),
                        "mixer.x_proj.weight": (48, 2 * WIDTH),
                        "mixer.dt_proj.weight": (2 * WIDTH, 16),
                        "mixer.dt_proj.bias": (2 * WIDTH,),
                        "mixer.out_proj.weight": (WIDTH, 2 * WIDTH),
                    }.items()
                }
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
}
