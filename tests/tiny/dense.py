"""More decoders: dots.llm1, LFM2, Nemotron, and those whose code stands beside the weights."""

from __future__ import annotations

import numpy as np

from .base import Tiny, shaped, with_bias
from .first import generation
from .second import (
    AT,
    HEAD,
    HEADS,
    INNER,
    PRE_NORMS,
    TOKENS,
    WIDTH,
    attention,
    config,
    ends,
    expert_weights,
    layers,
    mlp,
    named,
    router,
    weights,
)
from .third import NOPE, RANK, ROPE, SHARED, latent

LLAMA2 = {"bos_token_id": 1, "eos_token_id": 2, "vocab_size": 512}
"""What the config says of the tokenizer of that name."""

LLAMA2_ENDS = {"model.embed_tokens.weight": (512, WIDTH), "lm_head.weight": (512, WIDTH)}
LLAMA3 = {
    "factor": 8.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 64,
    "rope_type": "llama3",
}

DOTS = PRE_NORMS | weights(attention(HEADS)) | named("self_attn.q_norm", "self_attn.k_norm", size=HEAD)
LFM = named("operator_norm", "ffn_norm") | {
    AT + "feed_forward.w1.weight": (384, WIDTH),
    AT + "feed_forward.w2.weight": (WIDTH, 384),
    AT + "feed_forward.w3.weight": (384, WIDTH),
}


MODELS = {
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
    "dots1": Tiny(
        config=config(
            "Dots1ForCausalLM",
            "dots1",
            first_k_dense_replace=1,
            layer_types=["full_attention"] * 2,
            moe_intermediate_size=INNER // 2,
            n_group=1,
            n_routed_experts=4,
            n_shared_experts=1,
            norm_topk_prob=True,
            num_experts_per_tok=2,
            num_key_value_heads=HEADS,
            routed_scaling_factor=2.5,
            scoring_func="sigmoid",
            topk_group=1,
        ),
        tensors=lambda _: shaped(
            ends(),
            [
                DOTS | weights(mlp()),
                DOTS
                | router()
                | {AT + "mlp.gate.e_score_correction_bias": (4,)}
                | expert_weights(4)
                | SHARED,
            ],
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # A convolution, then attention.
    "lfm2": Tiny(
        config=config(
            "Lfm2ForCausalLM",
            "lfm2",
            block_auto_adjust_ff_dim=True,
            block_ffn_dim_multiplier=1.0,
            block_multiple_of=128,
            conv_L_cache=3,
            conv_bias=False,
            hidden_act=None,
            intermediate_size=512,
            layer_types=["conv", "full_attention"],
            norm_eps=1e-5,
            pad_token_id=524,
            rms_norm_eps=None,
            tie_word_embeddings=True,
        ),
        tensors=lambda _: shaped(
            {"model.embed_tokens.weight": (TOKENS, WIDTH), "model.embedding_norm.weight": (WIDTH,)},
            [
                LFM
                | {
                    AT + "conv.conv.weight": (WIDTH, 1, 3),
                    AT + "conv.in_proj.weight": (3 * WIDTH, WIDTH),
                    AT + "conv.out_proj.weight": (WIDTH, WIDTH),
                },
                LFM
                | weights(attention(output="out_proj"))
                | named("self_attn.q_layernorm", "self_attn.k_layernorm", size=HEAD),
            ],
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
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
    "xverse": Tiny(
        config=config("XverseForCausalLM", "xverse", num_key_value_heads=None, rope_theta=None, **LLAMA2),
        tensors=lambda _: shaped(
            LLAMA2_ENDS | {"model.norm.weight": (WIDTH,)},
            [PRE_NORMS | weights(attention(HEADS)) | weights(mlp())] * 2,
        ),
        tokenizer="llama2",
        known=False,
    ),
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
    "internlm3": Tiny(
        config=config(
            "InternLM3ForCausalLM",
            "internlm3",
            bias=False,
            head_dim=HEAD,
            qkv_bias=False,
            rope_scaling={"factor": 6.0, "rope_type": "dynamic"},
            **LLAMA2,
        ),
        tensors=lambda _: shaped(
            LLAMA2_ENDS | {"model.norm.weight": (WIDTH,)},
            [PRE_NORMS | weights(attention()) | weights(mlp())] * 2,
        ),
        tokenizer="llama2",
        known=False,
    ),
    "minicpm": Tiny(
        config=config(
            "MiniCPMForCausalLM",
            "minicpm",
            dim_model_base=64,
            scale_depth=1.4,
            scale_emb=12,
            **LLAMA2 | {"tie_word_embeddings": True},
        ),
        tensors=lambda _: shaped(
            {"model.embed_tokens.weight": (512, WIDTH), "model.norm.weight": (WIDTH,)},
            [PRE_NORMS | weights(attention()) | weights(mlp())] * 2,
        ),
        tokenizer="llama2",
        known=False,
    ),
    # Factors for long and for short texts.
    "minicpm-longrope": Tiny(
        config=config(
            "MiniCPMForCausalLM",
            "minicpm",
            dim_model_base=256,
            rope_scaling={
                "long_factor": [1 + 0.25 * i for i in range(32)],
                "original_max_position_embeddings": 512,
                "rope_type": "longrope",
                "short_factor": [1 + 0.0625 * i for i in range(32)],
            },
            scale_depth=1.4,
            scale_emb=12,
            **LLAMA2,
        ),
        tensors=lambda _: shaped(
            LLAMA2_ENDS | {"model.norm.weight": (WIDTH,)},
            [PRE_NORMS | weights(attention()) | weights(mlp())] * 2,
        ),
        tokenizer="llama2",
        known=False,
    ),
    # Latent attention, computed head by head.
    "minicpm3": Tiny(
        config=config(
            "MiniCPM3ForCausalLM",
            "minicpm3",
            dim_model_base=256,
            kv_lora_rank=RANK,
            q_lora_rank=96,
            qk_nope_head_dim=NOPE,
            qk_rope_head_dim=ROPE,
            rope_scaling={
                "long_factor": [1 + 0.25 * i for i in range(16)],
                "original_max_position_embeddings": 512,
                "short_factor": [1 + 0.0625 * i for i in range(16)],
                "type": "longrope",
            },
            scale_depth=1.4,
            scale_emb=12,
            **LLAMA2 | {"num_key_value_heads": HEADS, "tie_word_embeddings": True},
        ),
        tensors=lambda _: shaped(
            {"model.embed_tokens.weight": (512, WIDTH), "model.norm.weight": (WIDTH,)},
            [PRE_NORMS | latent(low_rank=True) | weights(mlp())] * 2,
        ),
        tokenizer="llama2",
        known=False,
    ),
    # Layers of different widths.
    "openelm": Tiny(
        config={
            "activation_fn_name": "swish",
            "architectures": ["OpenELMForCausalLM"],
            "bos_token_id": 1,
            "eos_token_id": 2,
            "ffn_dim_divisor": 128,
            "ffn_multipliers": [0.5, 1.4],
            "ffn_with_glu": True,
            "head_dim": HEAD,
            "max_context_length": 512,
            "model_dim": WIDTH,
            "model_type": "openelm",
            "normalize_qk_projections": True,
            "num_gqa_groups": 2,
            "num_kv_heads": [1, 2],
            "num_query_heads": [2, 4],
            "num_transformer_layers": 2,
            "rope_freq_constant": 10000,
            "share_input_output_layers": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "vocab_size": 512,
        },
        tensors=lambda _: shaped(
            {"transformer.token_embeddings.weight": (512, WIDTH), "transformer.norm.weight": (WIDTH,)},
            [
                {
                    "transformer.layers.{i}." + name + ".weight": shape
                    for name, shape in {
                        "attn.qkv_proj": ((heads + 2 * keys) * HEAD, WIDTH),
                        "attn.q_norm": (HEAD,),
                        "attn.k_norm": (HEAD,),
                        "attn.out_proj": (WIDTH, heads * HEAD),
                        "ffn.proj_1": (2 * inner, WIDTH),
                        "ffn.proj_2": (WIDTH, inner),
                        "ffn_norm": (WIDTH,),
                        "attn_norm": (WIDTH,),
                    }.items()
                }
                for heads, keys, inner in ((2, 1, 128), (4, 2, 384))
            ],
        ),
        tokenizer="llama2",
        known=False,
    ),
    # xIELU's four parameters are tensors of one value in every layer.
    "apertus": Tiny(
        config=config(
            "ApertusForCausalLM",
            "apertus",
            hidden_act="xielu",
            pad_token_id=524,
            rope_scaling=LLAMA3,
            rope_theta=12000000.0,
        ),
        tensors=lambda _: (
            layers(
                named("attention_layernorm", "feedforward_layernorm"),
                weights(attention()),
                named("self_attn.q_norm", "self_attn.k_norm", size=HEAD),
                {AT + "mlp.up_proj.weight": (INNER, WIDTH), AT + "mlp.down_proj.weight": (WIDTH, INNER)},
            )
            | {
                f"model.layers.{i}.mlp.act_fn.{name}": np.full(shape, value + i * change, np.float32)
                for i in range(2)
                for name, shape, value, change in (
                    ("alpha_n", (1,), -0.5, 0.25),
                    ("alpha_p", (1,), 0.5, 0.75),
                    ("beta", (), 0.5, 0.0),
                    ("eps", (), -1e-6, 0.0),
                )
            }
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # The base of RoPE stretched, the head both tied and stored.
    "hunyuan": Tiny(
        config=config(
            "HunYuanDenseV1ForCausalLM",
            "hunyuan_v1_dense",
            eod_token_id=521,
            head_dim=HEAD,
            max_position_embeddings=262144,
            pad_token_id=523,
            rope_scaling={"alpha": 1000.0, "factor": 1.0, "type": "dynamic"},
            tie_word_embeddings=True,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention()),
            named("self_attn.query_layernorm", "self_attn.key_layernorm", size=HEAD),
            weights(mlp()),
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        files=generation(eos_token_id=[521, 524]),
    ),
}

BAICHUAN = Tiny(
    config=config(
        "BaichuanForCausalLM",
        "baichuan",
        hidden_size=64,
        intermediate_size=64,
        model_max_length=512,
        num_attention_heads=2,
        num_hidden_layers=32,
        num_key_value_heads=None,
        rope_theta=None,
        **LLAMA2,
    ),
    tensors=lambda _: shaped(
        {
            "model.embed_tokens.weight": (512, 64),
            "model.norm.weight": (64,),
            "lm_head.weight": (512, 64),
        },
        [
            named("input_layernorm", "post_attention_layernorm", size=64)
            | {
                AT + "self_attn.W_pack.weight": (3 * 64, 64),
                AT + "self_attn.o_proj.weight": (64, 64),
                AT + "mlp.gate_proj.weight": (64, 64),
                AT + "mlp.up_proj.weight": (64, 64),
                AT + "mlp.down_proj.weight": (64, 64),
            }
        ]
        * 32,
    ),
    tokenizer="llama2",
    known=False,
)
"""Query, key and value in one, and as many layers as llama.cpp knows the rotated Baichuan by. Its converter
(b11434) ends in endless recursion on this class, so there is no golden of it, and it is not among the others.
"""

BITNET = Tiny(
    config=config(
        "BitnetForCausalLM",
        "llama",
        **LLAMA2 | {"tie_word_embeddings": True},
    ),
    tensors=lambda _: shaped(
        {"model.embed_tokens.weight": (512, WIDTH), "model.norm.weight": (WIDTH,)},
        [
            PRE_NORMS
            | named("self_attn.inner_attn_ln", "mlp.ffn_layernorm")
            | weights(attention())
            | weights(mlp())
        ]
        * 2,
    ),
    tokenizer="llama2",
    known=False,
)
"""Weights of any value, which conversion rounds to three: what an export cannot undo, so it is not among the
others either."""


def plamo(width: int, heads: int, shared: int) -> Tiny:
    """A layer of PLaMo, with ``shared`` heads of queries to one of keys.

    llama.cpp's converter (b11434) takes no sizes but PLaMo 13B's, which are too large to be rebuilt in every
    test, so it is not among the others.
    """
    at, keys = "model.layers.layers.{i}.", width // shared
    block = {
        "norm": (width,),
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (64, width),
        "mlp.up_proj": (64, width),
        "mlp.down_proj": (width, 64),
    }
    return Tiny(
        config=config(
            "PlamoForCausalLM",
            "plamo",
            hidden_size=width,
            intermediate_size=64,
            max_position_embeddings=None,
            n_shared_head=shared,
            num_attention_heads=heads,
            num_hidden_layers=1,
            num_key_value_heads=1,
            rope_theta=None,
            **LLAMA2,
        ),
        tensors=lambda _: shaped(
            {
                "model.embed_tokens.weight": (512, width),
                "model.norm.weight": (width,),
                "lm_head.weight": (512, width),
            },
            [{f"{at}{name}.weight": shape for name, shape in block.items()}],
        ),
        tokenizer="llama2",
        known=False,
    )
