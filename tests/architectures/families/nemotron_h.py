"""Tiny checkpoints: Nemotron H."""

from __future__ import annotations

from tests.architectures.parts.base import Tensors, Tiny
from tests.architectures.parts.decoders import HEAD, INNER, TOKENS, WIDTH, Shapes, attention, config, weights
from tests.architectures.parts.mixers import STATE, mamba2, mixed

NEMOTRON = {
    "attention_bias": False,
    "chunk_size": 256,
    "conv_kernel": 4,
    "expand": 2,
    "head_dim": HEAD,
    "hidden_act": None,
    "hidden_size": WIDTH,
    "layer_norm_epsilon": 1e-05,
    "mamba_head_dim": HEAD,
    "mamba_hidden_act": "silu",
    "mamba_num_heads": 6,
    "mamba_proj_bias": False,
    "mlp_bias": False,
    "mlp_hidden_act": "relu2",
    "n_groups": 2,
    "num_hidden_layers": 4,
    "rope_theta": None,
    "ssm_state_size": STATE,
    "use_bias": False,
    "use_conv_bias": True,
}

NEMOTRON_ENDS: Shapes = {
    "backbone.embeddings.weight": (TOKENS, WIDTH),
    "backbone.norm_f.weight": (WIDTH,),
    "lm_head.weight": (TOKENS, WIDTH),
}

NEMOTRON_NORM: Shapes = {"backbone.layers.{i}.norm.weight": (WIDTH,)}

NEMOTRON_MIXERS: dict[str, Shapes] = {
    "M": mamba2(2, "backbone.layers.{i}.mixer.", 6 * HEAD),
    "*": {
        name.replace("model.", "backbone.").replace("self_attn", "mixer"): shape
        for name, shape in weights(attention()).items()
    },
    "-": {
        "backbone.layers.{i}.mixer.up_proj.weight": (2 * INNER, WIDTH),
        "backbone.layers.{i}.mixer.down_proj.weight": (WIDTH, 2 * INNER),
    },
    "E": {
        "backbone.layers.{i}.mixer.gate.weight": (4, WIDTH),
        "backbone.layers.{i}.mixer.gate.e_score_correction_bias": (4,),
        **{
            f"backbone.layers.{{i}}.mixer.experts.{expert}.{name}.weight": shape
            for expert in range(4)
            for name, shape in (("up_proj", (INNER // 2, WIDTH)), ("down_proj", (WIDTH, INNER // 2)))
        },
        "backbone.layers.{i}.mixer.shared_experts.up_proj.weight": (INNER, WIDTH),
        "backbone.layers.{i}.mixer.shared_experts.down_proj.weight": (WIDTH, INNER),
    },
}


def nemotron(pattern: str) -> Tensors:
    return mixed(NEMOTRON_ENDS, [NEMOTRON_NORM | NEMOTRON_MIXERS[kind] for kind in pattern])


MODELS: dict[str, Tiny] = {
    # Each layer is a mixer, attention or a feed-forward part.
    "nemotron-h": Tiny(
        config=config(
            "NemotronHForCausalLM",
            "nemotron_h",
            **NEMOTRON,
            hybrid_override_pattern="M-*M",
            intermediate_size=2 * INNER,
        ),
        tensors=lambda _: nemotron("M-*M"),
        tokenizer="llama3",
        pre="llama-bpe",
        known=False,
    ),
}
