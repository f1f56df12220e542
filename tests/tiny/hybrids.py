"""Hybrids of state-space layers and attention: Granite 4, Falcon H1, Jamba, Nemotron H; and RWKV."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .base import Tensors, Tiny, shaped
from .second import (
    AT,
    HEAD,
    HEADS,
    INNER,
    PRE_NORMS,
    TOKENS,
    WIDTH,
    Shapes,
    attention,
    config,
    ends,
    mlp,
    named,
    router,
    weights,
)


def mixed(outside: Shapes, blocks: Sequence[Shapes]) -> Tensors:
    """Tensors by name and shape, see ``shaped``; what decays, decays as mixers are initialised.

    Of these values torch's exponential is right to the last bit, so that whole files can be compared.
    """
    made = shaped(outside, blocks)
    for name, values in made.items():
        if name.endswith("A_log"):
            last = np.log(np.arange(1, values.shape[-1] + 1, dtype=np.float64)).astype(np.float32)
            made[name] = np.ascontiguousarray(np.broadcast_to(last, values.shape))
    return made


STATE = 32
SSM_HEADS = 2 * WIDTH // HEAD


def mamba2(groups: int, at: str = AT + "mamba.", inner: int = 2 * WIDTH, *, normed: bool = True) -> Shapes:
    """A Mamba 2 mixer of heads of ``HEAD``."""
    heads, mixed = inner // HEAD, inner + 2 * groups * STATE
    made: Shapes = {
        at + "A_log": (heads,),
        at + "D": (heads,),
        at + "dt_bias": (heads,),
        at + "conv1d.weight": (mixed, 1, 4),
        at + "conv1d.bias": (mixed,),
        at + "in_proj.weight": (inner + mixed + heads, WIDTH),
        at + "out_proj.weight": (WIDTH, inner),
    }
    return made | {at + "norm.weight": (inner,)} if normed else made


def mamba1(at: str = AT + "mamba.", inner: int = 2 * WIDTH, rank: int = 16, state: int = 16) -> Shapes:
    """A Mamba 1 mixer, with Jamba's norms."""
    return {
        at + "A_log": (inner, state),
        at + "D": (inner,),
        at + "conv1d.weight": (inner, 1, 4),
        at + "conv1d.bias": (inner,),
        at + "in_proj.weight": (2 * inner, WIDTH),
        at + "x_proj.weight": (rank + 2 * state, inner),
        at + "dt_proj.weight": (inner, rank),
        at + "dt_proj.bias": (inner,),
        at + "out_proj.weight": (WIDTH, inner),
        at + "dt_layernorm.weight": (rank,),
        at + "b_layernorm.weight": (state,),
        at + "c_layernorm.weight": (state,),
    }


GRANITE = {
    "attention_bias": False,
    "attention_multiplier": 0.015625,
    "embedding_multiplier": 12.0,
    "logits_scaling": 1.5,
    "mamba_chunk_size": 256,
    "mamba_conv_bias": True,
    "mamba_d_conv": 4,
    "mamba_d_head": HEAD,
    "mamba_d_state": STATE,
    "mamba_expand": 2,
    "mamba_n_groups": 1,
    "mamba_n_heads": SSM_HEADS,
    "mamba_proj_bias": False,
    "num_hidden_layers": 3,
    "position_embedding_type": "nope",
    "residual_multiplier": 0.22,
    "rope_scaling": None,
    "shared_intermediate_size": INNER,
}
GRANITE_SHARED = {
    AT + "shared_mlp.input_linear.weight": (2 * INNER, WIDTH),
    AT + "shared_mlp.output_linear.weight": (WIDTH, INNER),
}
GRANITE_EXPERTS = {
    AT + "block_sparse_moe.input_linear.weight": (3, INNER, WIDTH),
    AT + "block_sparse_moe.output_linear.weight": (3, WIDTH, INNER // 2),
    AT + "block_sparse_moe.router.layer.weight": (3, WIDTH),
}

FALCON = {
    "head_dim": HEAD,
    "mamba_chunk_size": 256,
    "mamba_conv_bias": True,
    "mamba_d_conv": 4,
    "mamba_d_head": HEAD,
    "mamba_d_ssm": 3 * HEAD,
    "mamba_d_state": STATE,
    "mamba_expand": 2,
    "mamba_n_heads": 3,
    "mamba_norm_before_gate": False,
    "mamba_proj_bias": False,
    "mlp_bias": False,
    "attention_bias": False,
    "projectors_bias": False,
    "rope_scaling": None,
    "rope_theta": 100000000000.0,
    "attention_in_multiplier": 1.0,
    "attention_out_multiplier": 1.0,
    "embedding_multiplier": 1.0,
    "key_multiplier": 1.0,
    "lm_head_multiplier": 1.0,
    "mlp_multipliers": [1.0, 1.0],
    "ssm_in_multiplier": 1.0,
    "ssm_multipliers": [1.0] * 5,
    "ssm_out_multiplier": 1.0,
}
FALCON_MULTIPLIED = FALCON | {
    "attention_in_multiplier": 0.9,
    "attention_out_multiplier": 0.5859375,
    "embedding_multiplier": 5.656854249492381,
    "key_multiplier": 0.39062500000000006,
    "lm_head_multiplier": 0.6875,
    "mamba_d_ssm": 2 * WIDTH,
    "mamba_n_heads": SSM_HEADS,
    "mlp_multipliers": [0.8838834764831844, 0.5859375],
    "ssm_in_multiplier": 1.25,
    "ssm_multipliers": [0.3535533905932738, 0.25, 0.3535533905932738, 0.5, 0.3535533905932738],
    "ssm_out_multiplier": 0.23570226039551587,
}
FALCON_BLOCK = (
    named("input_layernorm", "pre_ff_layernorm") | weights(attention()) | weights(mlp(AT + "feed_forward."))
)
FALCON_ENDS: Shapes = {
    "model.embed_tokens.weight": (TOKENS, WIDTH),
    "model.final_layernorm.weight": (WIDTH,),
    "lm_head.weight": (TOKENS, WIDTH),
}

JAMBA_BLOCK = named("input_layernorm", "pre_ff_layernorm")
JAMBA_DENSE = weights(mlp(AT + "feed_forward.", INNER // 2))
JAMBA_EXPERTS: Shapes = {
    f"{AT}feed_forward.experts.{expert}.{name}.weight": shape
    for expert in range(4)
    for name, shape in mlp("", INNER // 2).items()
}

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


RWKV_TOKENS = 464
RWKV_CONFIG = {
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_size": WIDTH,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.57.6",
    "use_cache": True,
    "vocab_size": RWKV_TOKENS,
}


def layer_norms(*modules: str) -> Shapes:
    return {f"{module}.{kind}": (WIDTH,) for module in modules for kind in ("weight", "bias")}


def rwkv6(layers: int) -> Tensors:
    attention, feed_forward = "rwkv.blocks.{i}.attention.", "rwkv.blocks.{i}.feed_forward."
    block: Shapes = {
        **layer_norms("rwkv.blocks.{i}.ln1", "rwkv.blocks.{i}.ln2", attention + "ln_x"),
        **{f"{attention}time_maa_{letter}": (1, 1, WIDTH) for letter in "xwkvrg"},
        attention + "time_maa_w1": (WIDTH, 5 * 32),
        attention + "time_maa_w2": (5, 32, WIDTH),
        attention + "time_decay": (1, 1, WIDTH),
        attention + "time_decay_w1": (WIDTH, 64),
        attention + "time_decay_w2": (64, WIDTH),
        attention + "time_faaaa": (HEADS, HEAD),
        **{f"{attention}{name}.weight": (WIDTH, WIDTH) for name in RWKV6_PROJECTIONS},
        feed_forward + "time_maa_k": (1, 1, WIDTH),
        feed_forward + "time_maa_r": (1, 1, WIDTH),
        feed_forward + "key.weight": (2 * WIDTH, WIDTH),
        feed_forward + "receptance.weight": (WIDTH, WIDTH),
        feed_forward + "value.weight": (WIDTH, 2 * WIDTH),
    }
    outside = {"rwkv.embeddings.weight": (RWKV_TOKENS, WIDTH), "head.weight": (RWKV_TOKENS, WIDTH)}
    return shaped(outside | layer_norms("rwkv.blocks.0.pre_ln", "rwkv.ln_out"), [block] * layers)


RWKV6_PROJECTIONS = ("receptance", "key", "value", "gate", "output")
RWKV7_RANKS = {"w": 64, "a": 32, "v": 32, "g": 96}


def rwkv7(layers: int) -> Tensors:
    attention, feed_forward = "model.layers.{i}.attn.", "model.layers.{i}.ffn."
    block: Shapes = {
        **{f"{attention}x_{letter}": (1, 1, WIDTH) for letter in "rwkvag"},
        attention + "k_k": (WIDTH,),
        attention + "k_a": (WIDTH,),
        attention + "r_k": (HEADS, HEAD),
        **{f"{attention}{letter}_proj.weight": (WIDTH, WIDTH) for letter in "rkvo"},
        **layer_norms(attention + "g_norm", "model.layers.{i}.attn_norm", "model.layers.{i}.ffn_norm"),
        feed_forward + "x_k": (WIDTH,),
        feed_forward + "key.weight": (3 * WIDTH, WIDTH),
        feed_forward + "value.weight": (WIDTH, 3 * WIDTH),
    }
    for letter, rank in RWKV7_RANKS.items():
        block[f"{attention}{letter}_lora.lora.0.weight"] = (rank, WIDTH)
        block[f"{attention}{letter}_lora.lora.2.weight"] = (WIDTH, rank)
        if letter != "g":
            block[f"{attention}{letter}_lora.lora.2.bias"] = (WIDTH,)
    first = {name: shape for name, shape in block.items() if "v_lora" not in name}
    outside = {"model.embeddings.weight": (RWKV_TOKENS, WIDTH), "lm_head.weight": (RWKV_TOKENS, WIDTH)}
    outside |= layer_norms("model.layers.0.pre_norm", "model.norm")
    return shaped(outside, [first] + [block] * (layers - 1))


MODELS = {
    # Experts and a shared one in every layer; the second layer has attention, without RoPE.
    "granite-hybrid": Tiny(
        config=config(
            "GraniteMoeHybridForCausalLM",
            "granitemoehybrid",
            **GRANITE | {"num_hidden_layers": 2},
            intermediate_size=INNER // 2,
            layer_types=["mamba", "attention"],
            num_experts_per_tok=2,
            num_local_experts=3,
        ),
        tensors=lambda _: mixed(
            ends(),
            [
                PRE_NORMS | mixer | GRANITE_EXPERTS | GRANITE_SHARED
                for mixer in (mamba2(1), weights(attention()))
            ],
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # No experts: what is called the shared one is all there is.
    "granite-hybrid-dense": Tiny(
        config=config(
            "GraniteMoeHybridForCausalLM",
            "granitemoehybrid",
            **GRANITE,
            layer_types=["mamba", "mamba", "attention"],
            num_experts_per_tok=0,
            num_local_experts=0,
            tie_word_embeddings=True,
        ),
        tensors=lambda _: mixed(
            ends(head=False),
            [PRE_NORMS | mixer | GRANITE_SHARED for mixer in (mamba2(1), mamba2(1), weights(attention()))],
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # No state space at all: llama.cpp's converter makes an ordinary Granite of it.
    "granite-hybrid-attention": Tiny(
        config=config(
            "GraniteMoeHybridForCausalLM",
            "granitemoehybrid",
            **GRANITE | {"position_embedding_type": "rope", "num_hidden_layers": 2},
            layer_types=["attention"] * 2,
            num_experts_per_tok=0,
            num_local_experts=0,
        ),
        tensors=lambda _: mixed(ends(), [PRE_NORMS | weights(attention()) | GRANITE_SHARED] * 2),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "falcon-h1": Tiny(
        config=config("FalconH1ForCausalLM", "falcon_h1", **FALCON, mamba_n_groups=1, mamba_rms_norm=False),
        tensors=lambda _: mixed(FALCON_ENDS, [FALCON_BLOCK | mamba2(1, inner=3 * HEAD, normed=False)] * 2),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # The multipliers become part of the weights.
    "falcon-h1-multipliers": Tiny(
        config=config(
            "FalconH1ForCausalLM",
            "falcon_h1",
            **FALCON_MULTIPLIED,
            mamba_n_groups=2,
            mamba_rms_norm=True,
        ),
        tensors=lambda _: mixed(FALCON_ENDS, [FALCON_BLOCK | mamba2(2)] * 2),
        tokenizer="llama3",
        pre="llama-bpe",
        folded=True,
    ),
    # Attention in the third layer, experts in the second.
    "jamba": Tiny(
        config=config(
            "JambaForCausalLM",
            "jamba",
            attn_layer_offset=2,
            attn_layer_period=3,
            bos_token_id=1,
            eos_token_id=2,
            expert_layer_offset=1,
            expert_layer_period=2,
            intermediate_size=INNER // 2,
            mamba_conv_bias=True,
            mamba_d_conv=4,
            mamba_d_state=16,
            mamba_dt_rank=16,
            mamba_expand=2,
            mamba_proj_bias=False,
            num_experts=4,
            num_experts_per_tok=3,
            num_hidden_layers=3,
            pad_token_id=0,
            rope_theta=None,
            sliding_window=None,
            use_mamba_kernels=False,
            vocab_size=512,
        ),
        tensors=lambda _: mixed(
            FALCON_ENDS | {"model.embed_tokens.weight": (512, WIDTH), "lm_head.weight": (512, WIDTH)},
            [
                JAMBA_BLOCK | mamba1() | JAMBA_DENSE,
                JAMBA_BLOCK | mamba1() | router("feed_forward.router") | JAMBA_EXPERTS,
                JAMBA_BLOCK | weights(attention()) | JAMBA_DENSE,
            ],
        ),
        tokenizer="llama2",
    ),
    # No experts.
    "jamba-dense": Tiny(
        config=config(
            "JambaForCausalLM",
            "jamba",
            attn_layer_offset=1,
            attn_layer_period=2,
            bos_token_id=1,
            eos_token_id=2,
            expert_layer_offset=1,
            expert_layer_period=2,
            intermediate_size=INNER // 2,
            mamba_conv_bias=True,
            mamba_d_conv=4,
            mamba_d_state=16,
            mamba_dt_rank=16,
            mamba_expand=2,
            mamba_proj_bias=False,
            num_experts=1,
            num_experts_per_tok=1,
            num_hidden_layers=2,
            pad_token_id=0,
            rope_theta=None,
            sliding_window=None,
            use_mamba_kernels=False,
            vocab_size=512,
        ),
        tensors=lambda _: mixed(
            FALCON_ENDS | {"model.embed_tokens.weight": (512, WIDTH), "lm_head.weight": (512, WIDTH)},
            [
                JAMBA_BLOCK | mamba1() | JAMBA_DENSE,
                JAMBA_BLOCK | weights(attention()) | JAMBA_DENSE,
            ],
        ),
        tokenizer="llama2",
    ),
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
    "nemotron-h-moe": Tiny(
        config=config(
            "NemotronHForCausalLM",
            "nemotron_h",
            **NEMOTRON,
            hybrid_override_pattern="ME*E",
            intermediate_size=INNER // 2,
            moe_intermediate_size=INNER // 2,
            moe_shared_expert_intermediate_size=INNER,
            n_group=1,
            n_routed_experts=4,
            n_shared_experts=1,
            norm_topk_prob=True,
            num_experts_per_tok=3,
            routed_scaling_factor=2.5,
            topk_group=1,
        ),
        tensors=lambda _: nemotron("ME*E"),
        tokenizer="llama3",
        pre="llama-bpe",
        known=False,
    ),
    # The second layer's outputs are halved.
    "rwkv6": Tiny(
        config=RWKV_CONFIG
        | {
            "architectures": ["Rwkv6ForCausalLM"],
            "attention_hidden_size": WIDTH,
            "head_size": HEAD,
            "head_size_divisor": 8,
            "intermediate_size": 2 * WIDTH,
            "layer_norm_epsilon": 1e-05,
            "model_type": "rwkv6",
            "num_hidden_layers": 2,
            "rescale_every": 1,
        },
        tensors=lambda _: rwkv6(2),
        tokenizer="rwkv",
        known=False,
    ),
    "rwkv7": Tiny(
        config=RWKV_CONFIG
        | {
            "a_low_rank_dim": RWKV7_RANKS["a"],
            "architectures": ["RWKV7ForCausalLM"],
            "decay_low_rank_dim": RWKV7_RANKS["w"],
            "gate_low_rank_dim": RWKV7_RANKS["g"],
            "head_dim": HEAD,
            "hidden_act": "sqrelu",
            "hidden_ratio": None,
            "intermediate_size": 3 * WIDTH,
            "model_type": "rwkv7",
            "norm_bias": True,
            "norm_eps": 1e-05,
            "norm_first": True,
            "num_heads": HEADS,
            "num_hidden_layers": 2,
            "v_low_rank_dim": RWKV7_RANKS["v"],
        },
        tensors=lambda _: rwkv7(2),
        tokenizer="rwkv",
        known=False,
    ),
}
