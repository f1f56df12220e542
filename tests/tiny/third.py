"""More decoders: SmolLM3, Arcee, EXAONE, ERNIE, Phi, DeepSeek, gpt-oss, Mamba."""

from __future__ import annotations

from .base import Tiny, shaped, with_bias
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
    expert_weights,
    layers,
    mlp,
    named,
    router,
    weights,
)

RANK, NOPE, ROPE, VALUE = 64, 32, 32, 64
"""Of latent attention."""


def latent(*, low_rank: bool) -> Shapes:
    made: Shapes = {
        "kv_a_proj_with_mqa.weight": (RANK + ROPE, WIDTH),
        "kv_a_layernorm.weight": (RANK,),
        "kv_b_proj.weight": (HEADS * (NOPE + VALUE), RANK),
        "o_proj.weight": (WIDTH, HEADS * VALUE),
    }
    if low_rank:
        made |= {
            "q_a_proj.weight": (96, WIDTH),
            "q_a_layernorm.weight": (96,),
            "q_b_proj.weight": (HEADS * (NOPE + ROPE), 96),
        }
    else:
        made["q_proj.weight"] = (HEADS * (NOPE + ROPE), WIDTH)
    return {f"{AT}self_attn.{name}": shape for name, shape in made.items()}


LATENT = {
    "kv_lora_rank": RANK,
    "moe_intermediate_size": INNER // 2,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "num_key_value_heads": HEADS,
    "qk_nope_head_dim": NOPE,
    "qk_rope_head_dim": ROPE,
    "v_head_dim": VALUE,
}
EXAONE = (
    weights(attention()),
    named("self_attn.q_norm", "self_attn.k_norm", size=HEAD),
    named("post_attention_layernorm", "post_feedforward_layernorm"),
    weights(mlp()),
)
OSS = (
    PRE_NORMS,
    with_bias(attention()),
    {
        AT + "self_attn.sinks": (HEADS,),
        AT + "mlp.router.weight": (4, WIDTH),
        AT + "mlp.router.bias": (4,),
        AT + "mlp.experts.gate_up_proj": (4, WIDTH, INNER),
        AT + "mlp.experts.gate_up_proj_bias": (4, INNER),
        AT + "mlp.experts.down_proj": (4, INNER // 2, WIDTH),
        AT + "mlp.experts.down_proj_bias": (4, WIDTH),
    },
)
OSS_CONFIG = config(
    "GptOssForCausalLM",
    "gpt_oss",
    attention_bias=True,
    head_dim=HEAD,
    intermediate_size=INNER // 2,
    layer_types=["sliding_attention", "full_attention"],
    max_position_embeddings=4096,
    num_experts_per_tok=2,
    num_local_experts=4,
    rope_theta=150000.0,
    sliding_window=8,
)
YARN = {
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "factor": 8.0,
    "original_max_position_embeddings": 512,
    "rope_type": "yarn",
    "truncate": False,
}
SHARED = weights(mlp(AT + "mlp.shared_experts.", INNER // 2))
FUSED_PHI = {
    AT + "self_attn.qkv_proj.weight": (2 * HEADS * HEAD, WIDTH),
    AT + "self_attn.o_proj.weight": (WIDTH, HEADS * HEAD),
    AT + "mlp.gate_up_proj.weight": (2 * INNER, WIDTH),
    AT + "mlp.down_proj.weight": (WIDTH, INNER),
}


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


MODELS = {
    # The fourth layer is not rotated.
    "smollm3": Tiny(
        config=config(
            "SmolLM3ForCausalLM",
            "smollm3",
            no_rope_layer_interval=4,
            no_rope_layers=[1, 1, 1, 0],
            num_hidden_layers=4,
            pad_token_id=524,
            tie_word_embeddings=True,
        ),
        tensors=lambda _: layers(PRE_NORMS, weights(attention()), weights(mlp()), head=False, count=4),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "arcee": Tiny(
        config=config("ArceeForCausalLM", "arcee", head_dim=HEAD, hidden_act="relu2"),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention()),
            {AT + "mlp.up_proj.weight": (INNER, WIDTH), AT + "mlp.down_proj.weight": (WIDTH, INNER)},
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "exaone4": Tiny(
        config=config("Exaone4ForCausalLM", "exaone4", layer_types=["full_attention"] * 2)
        | {"sliding_window": None},
        tensors=lambda _: layers(*EXAONE),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # Windows in three of four layers, and the fourth not rotated; llama.cpp does that with 64 layers only.
    "exaone4-windows": Tiny(
        config=config(
            "Exaone4ForCausalLM",
            "exaone4",
            layer_types=["sliding_attention"] * 3 + ["full_attention"],
            num_hidden_layers=4,
            sliding_window=8,
            sliding_window_pattern="LLLG",
        ),
        tensors=lambda _: layers(*EXAONE, count=4),
        tokenizer="llama3",
        pre="llama-bpe",
        runs=False,
    ),
    "ernie": Tiny(
        config=config(
            "Ernie4_5ForCausalLM",
            "ernie4_5",
            bos_token_id=1,
            eos_token_id=2,
            head_dim=HEAD,
            rope_theta=500000.0,
            tie_word_embeddings=True,
            use_bias=False,
            vocab_size=512,
        ),
        tensors=lambda c: shaped(
            ends(head=False) | {"model.embed_tokens.weight": (512, WIDTH)},
            [PRE_NORMS | weights(attention()) | weights(mlp())] * 2,
        ),
        tokenizer="llama2",
    ),
    # The first layer is dense.
    "ernie-moe": Tiny(
        config=config(
            "Ernie4_5_MoeForCausalLM",
            "ernie4_5_moe",
            bos_token_id=1,
            eos_token_id=2,
            intermediate_size=2 * INNER,
            moe_intermediate_size=INNER // 2,
            moe_k=2,
            moe_layer_end_index=1,
            moe_layer_interval=1,
            moe_layer_start_index=1,
            moe_num_experts=4,
            moe_num_shared_experts=2,
            rope_theta=500000.0,
            tie_word_embeddings=True,
            use_bias=False,
            vocab_size=512,
        ),
        tensors=lambda c: shaped(
            ends(head=False) | {"model.embed_tokens.weight": (512, WIDTH)},
            [
                PRE_NORMS | weights(attention()) | weights(mlp(inner=2 * INNER)),
                PRE_NORMS
                | weights(attention())
                | router()
                | {AT + "mlp.moe_statics.e_score_correction_bias": (1, 4)}
                | expert_weights(4)
                | weights(mlp(AT + "mlp.shared_experts.")),
            ],
        ),
        tokenizer="llama2",
    ),
    "phi2": Tiny(
        config=config(
            "PhiForCausalLM",
            "phi",
            hidden_act="gelu_new",
            intermediate_size=4 * WIDTH,
            layer_norm_eps=1e-5,
            num_key_value_heads=HEADS,
            partial_rotary_factor=0.5,
            rms_norm_eps=None,
        ),
        tensors=lambda _: shaped(
            {"model.embed_tokens.weight": (TOKENS, WIDTH)}
            | with_bias({"model.final_layernorm": (WIDTH,), "lm_head": (TOKENS, WIDTH)}),
            [
                with_bias(
                    attention(HEADS, "dense")
                    | {AT + "input_layernorm": (WIDTH,)}
                    | {AT + "mlp.fc1": (4 * WIDTH, WIDTH), AT + "mlp.fc2": (WIDTH, 4 * WIDTH)}
                )
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
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
    # Latent attention, softmax routing.
    "deepseek-v2": Tiny(
        config=config(
            "DeepseekV2ForCausalLM",
            "deepseek_v2",
            first_k_dense_replace=1,
            norm_topk_prob=False,
            q_lora_rank=96,
            routed_scaling_factor=1.0,
            scoring_func="softmax",
            topk_method="greedy",
            **LATENT,
        ),
        tensors=lambda _: shaped(
            ends(),
            [
                PRE_NORMS | latent(low_rank=True) | weights(mlp()),
                PRE_NORMS | latent(low_rank=True) | router() | expert_weights(4) | SHARED,
            ],
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # Queries of low rank, sigmoid routing with a bias; a layer beyond the last.
    "deepseek-v3": Tiny(
        config=config(
            "DeepseekV3ForCausalLM",
            "deepseek_v3",
            first_k_dense_replace=1,
            n_group=2,
            norm_topk_prob=True,
            num_nextn_predict_layers=1,
            q_lora_rank=96,
            routed_scaling_factor=2.5,
            scoring_func="sigmoid",
            topk_group=1,
            topk_method="noaux_tc",
            **LATENT,
        ),
        tensors=lambda _: shaped(
            ends(),
            [
                PRE_NORMS | latent(low_rank=True) | weights(mlp()),
                PRE_NORMS
                | latent(low_rank=True)
                | router()
                | {AT + "mlp.gate.e_score_correction_bias": (4,)}
                | expert_weights(4)
                | SHARED,
                named("enorm", "hnorm"),
            ],
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # Interleaved experts with biases, sinks, a window in every other layer.
    "gpt-oss": Tiny(
        config=OSS_CONFIG | {"rope_scaling": None},
        tensors=lambda _: layers(*OSS),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # ggml rounds the bounds of YaRN's ramp, which these models do not: logits differ by 0.4.
    "gpt-oss-yarn": Tiny(
        config=OSS_CONFIG | {"rope_scaling": YARN},
        tensors=lambda _: layers(*OSS),
        tokenizer="llama3",
        pre="llama-bpe",
        runs=False,
    ),
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
    # transformers norms all groups together, where the original and llama.cpp norm each of them
    "mamba2": mamba2(groups=2, runs=False),
    "mamba2-one-group": mamba2(groups=1),
}
