"""More decoders: the GLM family, text models inside of others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from . import first
from .base import TOKENIZERS, Tensors, Tiny, normal, shaped, with_bias
from .second import (
    AT,
    HEAD,
    HEADS,
    INNER,
    KV_HEADS,
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


def with_tokens(tokenizer: str, *texts: str) -> dict[str, str]:
    """tokenizer.json of a tiny tokenizer with further special tokens."""
    document = json.loads((TOKENIZERS / tokenizer / "tokenizer.json").read_text(encoding="utf-8"))
    added = document["added_tokens"]
    first = added[-1]["id"] + 1
    added += [added[-1] | {"id": first + i, "content": text} for i, text in enumerate(texts)]
    return {"tokenizer.json": json.dumps(document, ensure_ascii=False, indent=1) + "\n"}


GLM_TOKENS = with_tokens("llama3", "<|endoftext|>", "[gMASK]", "<sop>", "<|user|>", "<|observation|>")
"""525 to 529; the converter gives them roles by their texts."""

GATE_UP = {AT + "mlp.gate_up_proj.weight": (2 * INNER, WIDTH), AT + "mlp.down_proj.weight": (WIDTH, INNER)}
MOE_BLOCK = (
    PRE_NORMS
    | with_bias(attention(), "q_proj", "k_proj", "v_proj")
    | named("self_attn.q_norm", "self_attn.k_norm", size=HEAD)
    | router(count=3)
    | {AT + "mlp.gate.e_score_correction_bias": (3,)}
    | expert_weights(3)
    | weights(mlp(AT + "mlp.shared_experts.", INNER // 2))
)
NARROW = INNER // 4
KEYS, VALUES, DELTA = 2, 4, 32
"""Heads of the delta net, and their size."""

QWEN3_NEXT = config(
    "Qwen3NextForCausalLM",
    "qwen3_next",
    full_attention_interval=2,
    head_dim=HEAD,
    layer_types=["linear_attention", "full_attention"],
    linear_conv_kernel_dim=4,
    linear_key_head_dim=DELTA,
    linear_num_key_heads=KEYS,
    linear_num_value_heads=VALUES,
    linear_value_head_dim=DELTA,
    moe_intermediate_size=NARROW,
    norm_topk_prob=True,
    num_experts=4,
    num_experts_per_tok=3,
    partial_rotary_factor=0.25,
    shared_expert_intermediate_size=INNER // 2,
)
NEXT_EXPERTS = (
    router()
    | {
        name: tuple(NARROW if size == INNER // 2 else size for size in shape)
        for name, shape in expert_weights(4).items()
    }
    | weights(mlp(AT + "mlp.shared_expert.", INNER // 2))
    | {AT + "mlp.shared_expert_gate.weight": (1, WIDTH)}
)
NEXT_ATTENTION = (
    PRE_NORMS
    | weights(attention())
    | {AT + "self_attn.q_proj.weight": (2 * HEADS * HEAD, WIDTH)}
    | named("self_attn.q_norm", "self_attn.k_norm", size=HEAD)
    | NEXT_EXPERTS
)
NEXT_DELTA = (
    PRE_NORMS
    | {
        AT + "linear_attn." + name: shape
        for name, shape in {
            "A_log": (VALUES,),
            "conv1d.weight": ((2 * KEYS + VALUES) * DELTA, 1, 4),
            "dt_bias": (VALUES,),
            "in_proj_ba.weight": (2 * VALUES, WIDTH),
            "in_proj_qkvz.weight": (2 * (KEYS + VALUES) * DELTA, WIDTH),
            "norm.weight": (DELTA,),
            "out_proj.weight": (WIDTH, VALUES * DELTA),
        }.items()
    }
    | NEXT_EXPERTS
)


def qwen3_next(*blocks: Shapes) -> Tensors:
    """Its tensors; convolutions strong enough for SiLU to bend, so that queries and keys have much in common
    and rounding does not decide what a delta net remembers."""
    made = shaped(ends(), blocks)
    return {name: values * 16 if "conv1d" in name else values for name, values in made.items()}


THIN = 128
GEMMA3N_ENDS: Shapes = {
    "model.embed_tokens.weight": (528, THIN),
    "model.embed_tokens_per_layer.weight": (528, 5 * 256),
    "model.norm.weight": (THIN,),
    "model.per_layer_model_projection.weight": (5 * 256, THIN),
    "model.per_layer_projection_norm.weight": (256,),
    **{f"model.altup_projections.{i}.weight": (THIN, THIN) for i in range(3)},
    **{f"model.altup_unembed_projections.{i}.weight": (THIN, THIN) for i in range(3)},
}
GEMMA3N_BLOCK: Shapes = {
    AT + name: shape
    for name, shape in {
        "altup.correct_output_scale": (THIN,),
        "altup.correction_coefs.weight": (4, 4),
        "altup.modality_router.weight": (4, THIN),
        "altup.prediction_coefs.weight": (16, 4),
        "altup.router_norm.weight": (THIN,),
        "input_layernorm.weight": (THIN,),
        "laurel.linear_left.weight": (64, THIN),
        "laurel.linear_right.weight": (THIN, 64),
        "laurel.post_laurel_norm.weight": (THIN,),
        "mlp.down_proj.weight": (THIN, NARROW),
        "mlp.gate_proj.weight": (NARROW, THIN),
        "mlp.up_proj.weight": (NARROW, THIN),
        "per_layer_input_gate.weight": (256, THIN),
        "per_layer_projection.weight": (THIN, 256),
        "post_attention_layernorm.weight": (THIN,),
        "post_feedforward_layernorm.weight": (THIN,),
        "post_per_layer_input_norm.weight": (THIN,),
        "pre_feedforward_layernorm.weight": (THIN,),
        "self_attn.k_norm.weight": (HEAD,),
        "self_attn.k_proj.weight": (HEAD, THIN),
        "self_attn.o_proj.weight": (THIN, 2 * HEAD),
        "self_attn.q_norm.weight": (HEAD,),
        "self_attn.q_proj.weight": (2 * HEAD, THIN),
        "self_attn.v_proj.weight": (HEAD, THIN),
    }.items()
}
FORWARD = AT + "feed_forward."


def wrapped(
    model: Tiny,
    name: str,
    *,
    model_type: str,
    vision: dict[str, Any],
    towers: dict[str, int],
    prefix: tuple[str, str] = ("", "language_model."),
) -> Tiny:
    """A text model inside of a model that sees.

    Args:
        model: the text model.
        name: the outer class.
        model_type: the outer type.
        vision: settings of the part that sees.
        towers: some vectors of that part, enough to be left out, and their sizes.
        prefix: what the names of the text model begin with, and with what instead here.
    """

    def tensors(config: dict[str, Any]) -> Tensors:
        made = {tower: normal(tower, (size,), 1.0) for tower, size in towers.items()}
        text = model.tensors(config["text_config"])
        old, new = prefix
        return made | {
            new + name.removeprefix(old) if name.startswith(old) else name: values
            for name, values in text.items()
        }

    inner = {key: value for key, value in model.config.items() if key not in OUTSIDE}
    outer = {key: value for key, value in model.config.items() if key in OUTSIDE - {"architectures"}}
    return replace(
        model,
        config=outer
        | {
            "architectures": [name],
            "model_type": model_type,
            "text_config": inner,
            "vision_config": vision,
        },
        tensors=tensors,
        kinds=("F32", "BF16", "Q8_0", "Q4_K_M"),
    )


OUTSIDE = {
    "architectures",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "torch_dtype",
    "transformers_version",
}
REMOTE = "transformer.encoder.layers.{i}."

MODELS = {
    "glm": Tiny(
        config=config(
            "GlmForCausalLM",
            "glm",
            attention_bias=True,
            eos_token_id=[525, 528],
            head_dim=HEAD,
            pad_token_id=525,
            partial_rotary_factor=0.5,
            rms_norm_eps=1.5625e-07,
        ),
        tensors=lambda _: layers(
            PRE_NORMS, with_bias(attention(), "q_proj", "k_proj", "v_proj"), weights(attention()), GATE_UP
        ),
        tokenizer="llama3",
        pre="glm4",
        files=GLM_TOKENS,
    ),
    # As the repositories before transformers knew it: everything fused, and keys of its own.
    "chatglm": Tiny(
        config={
            "add_bias_linear": False,
            "add_qkv_bias": True,
            "apply_residual_connection_post_layernorm": False,
            "architectures": ["ChatGLMModel"],
            "eos_token_id": [525, 528],
            "ffn_hidden_size": INNER,
            "hidden_size": WIDTH,
            "kv_channels": HEAD,
            "layernorm_epsilon": 1e-05,
            "model_type": "chatglm",
            "multi_query_attention": True,
            "multi_query_group_num": KV_HEADS,
            "num_attention_heads": HEADS,
            "num_layers": 2,
            "pad_token_id": 525,
            "padded_vocab_size": TOKENS,
            "rmsnorm": True,
            "rope_ratio": 50,
            "seq_length": 512,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "vocab_size": TOKENS,
        },
        tensors=lambda _: shaped(
            {
                "transformer.embedding.word_embeddings.weight": (TOKENS, WIDTH),
                "transformer.encoder.final_layernorm.weight": (WIDTH,),
                "transformer.output_layer.weight": (TOKENS, WIDTH),
                "transformer.rotary_pos_emb.inv_freq": (HEAD // 4,),
            },
            [
                {
                    REMOTE + name: shape
                    for name, shape in {
                        "input_layernorm.weight": (WIDTH,),
                        "mlp.dense_4h_to_h.weight": (WIDTH, INNER),
                        "mlp.dense_h_to_4h.weight": (2 * INNER, WIDTH),
                        "post_attention_layernorm.weight": (WIDTH,),
                        "self_attention.dense.weight": (WIDTH, HEADS * HEAD),
                        "self_attention.query_key_value.bias": ((HEADS + 2 * KV_HEADS) * HEAD,),
                        "self_attention.query_key_value.weight": ((HEADS + 2 * KV_HEADS) * HEAD, WIDTH),
                    }.items()
                }
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="glm4",
        files=GLM_TOKENS,
        foreign=True,
        runs=False,
    ),
    # Norms before and after.
    "glm4": Tiny(
        config=config(
            "Glm4ForCausalLM",
            "glm4",
            attention_bias=True,
            eos_token_id=[525, 528],
            head_dim=HEAD,
            pad_token_id=525,
            partial_rotary_factor=0.5,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            named("post_self_attn_layernorm", "post_mlp_layernorm"),
            with_bias(attention(), "q_proj", "k_proj", "v_proj"),
            GATE_UP,
        ),
        tokenizer="llama3",
        pre="glm4",
        files=GLM_TOKENS,
    ),
    # A dense block, one with experts, and one that predicts the token after next.
    "glm4-moe": Tiny(
        config=config(
            "Glm4MoeForCausalLM",
            "glm4_moe",
            attention_bias=True,
            eos_token_id=[525, 528],
            first_k_dense_replace=1,
            head_dim=HEAD,
            moe_intermediate_size=INNER // 2,
            n_group=1,
            n_routed_experts=3,
            n_shared_experts=1,
            norm_topk_prob=True,
            num_experts_per_tok=2,
            num_nextn_predict_layers=1,
            pad_token_id=525,
            partial_rotary_factor=0.5,
            routed_scaling_factor=1.5,
            topk_group=1,
            use_qk_norm=True,
        ),
        tensors=lambda _: shaped(
            ends(),
            [
                PRE_NORMS
                | with_bias(attention(), "q_proj", "k_proj", "v_proj")
                | named("self_attn.q_norm", "self_attn.k_norm", size=HEAD)
                | weights(mlp()),
                MOE_BLOCK,
                MOE_BLOCK
                | named("enorm", "hnorm", "shared_head.norm")
                | {AT + "eh_proj.weight": (WIDTH, 2 * WIDTH)},
            ],
        ),
        tokenizer="llama3",
        pre="glm4",
        files=GLM_TOKENS,
    ),
    # Experts in every other layer, and the fourth layer not rotated.
    "llama4": Tiny(
        config=config(
            "Llama4ForCausalLM",
            "llama4_text",
            attention_chunk_size=8192,
            head_dim=HEAD,
            interleave_moe_layer_step=2,
            intermediate_size=INNER // 4,
            intermediate_size_mlp=INNER,
            max_position_embeddings=1024,
            no_rope_layers=[1, 1, 1, 0],
            num_experts_per_tok=2,
            num_hidden_layers=4,
            num_local_experts=3,
            rope_scaling={
                "factor": 16.0,
                "high_freq_factor": 1.0,
                "low_freq_factor": 1.0,
                "original_max_position_embeddings": 256,
                "rope_type": "llama3",
            },
            rope_theta=500000.0,
            use_qk_norm=True,
        ),
        tensors=lambda _: shaped(
            ends(),
            [
                PRE_NORMS | weights(attention()) | weights(mlp(FORWARD)),
                PRE_NORMS
                | weights(attention())
                | weights(mlp(FORWARD + "shared_expert.", INNER // 4))
                | {
                    FORWARD + "router.weight": (3, WIDTH),
                    FORWARD + "experts.gate_up_proj": (3, WIDTH, INNER // 2),
                    FORWARD + "experts.down_proj": (3, INNER // 4, WIDTH),
                },
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "gemma3-vision": wrapped(
        first.MODELS["gemma3"],
        "Gemma3ForConditionalGeneration",
        model_type="gemma3",
        vision={
            "hidden_size": 64,
            "image_size": 28,
            "intermediate_size": 64,
            "model_type": "siglip_vision_model",
            "num_attention_heads": 1,
            "num_hidden_layers": 1,
            "patch_size": 14,
        },
        towers={
            "vision_tower.vision_model.post_layernorm.weight": 64,
            "multi_modal_projector.mm_soft_emb_norm.weight": 64,
        },
    ),
    # A delta net and gated attention, as a fine-tune saved by transformers has them.
    "qwen3-next": Tiny(
        config=QWEN3_NEXT,
        tensors=lambda _: qwen3_next(NEXT_DELTA, NEXT_ATTENTION),
        tokenizer="llama3",
        pre="llama-bpe",
        options=("--no-mtp",),
        alike=0.95,  # a delta net's output is normalized however small it is, and its rounding with it
    ),
    # With the block that predicts the token after next, which config.json does not tell of.
    "qwen3-next-mtp": Tiny(
        config=QWEN3_NEXT,
        tensors=lambda _: qwen3_next(
            NEXT_DELTA,
            NEXT_ATTENTION,
            {name.replace(AT, "mtp.layers.0."): shape for name, shape in NEXT_ATTENTION.items()}
            | {
                "mtp.fc.weight": (WIDTH, 2 * WIDTH),
                "mtp.norm.weight": (WIDTH,),
                "mtp.pre_fc_norm_embedding.weight": (WIDTH,),
                "mtp.pre_fc_norm_hidden.weight": (WIDTH,),
            },
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        kinds=("F32", "BF16"),
        runs=False,  # its likeliest token ends the text, of which the newer llama.cpp tells nothing
        newer=True,
    ),
    "mistral3": wrapped(
        Tiny(
            config=config("MistralForCausalLM", "mistral", head_dim=HEAD, sliding_window=None)
            | {"sliding_window": None},
            tensors=lambda _: layers(PRE_NORMS, weights(attention()), weights(mlp())),
            tokenizer="llama3",
            pre="llama-bpe",
        ),
        "Mistral3ForConditionalGeneration",
        model_type="mistral3",
        vision={
            "head_dim": 32,
            "hidden_size": 64,
            "image_size": 28,
            "intermediate_size": 64,
            "model_type": "pixtral",
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "patch_size": 14,
        },
        towers={"vision_tower.ln_pre.weight": 64, "multi_modal_projector.norm.weight": 64},
    ),
    # Attention that cools with length; its class is not in the transformers that runs here.
    "ministral3": Tiny(
        config=config(
            "Ministral3ForCausalLM",
            "ministral3",
            head_dim=HEAD,
            rope_scaling={
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "factor": 4.0,
                "llama_4_scaling_beta": 0.125,
                "mscale": 1.0,
                "mscale_all_dim": 1.0,
                "original_max_position_embeddings": 128,
                "rope_type": "yarn",
            },
            sliding_window=None,
        )
        | {"sliding_window": None},
        tensors=lambda _: layers(PRE_NORMS, weights(attention()), weights(mlp())),
        tokenizer="llama3",
        pre="llama-bpe",
        foreign=True,
        runs=False,
    ),
    # llama.cpp cuts off at 1.6448534 deviations (a share of 0.95) of n − 1 values, transformers of n: with so
    # few values this share makes it the same.
    "gemma3n": Tiny(
        config=config(
            "Gemma3nForCausalLM",
            "gemma3n_text",
            activation_sparsity_pattern=[0.9513268] * 5,
            altup_active_idx=0,
            altup_correct_scale=True,
            altup_num_inputs=4,
            bos_token_id=2,
            eos_token_id=1,
            final_logit_softcapping=30.0,
            head_dim=HEAD,
            hidden_act=None,
            hidden_activation="gelu_pytorch_tanh",
            hidden_size=THIN,
            hidden_size_per_layer_input=256,
            intermediate_size=[NARROW] * 5,
            laurel_rank=64,
            layer_types=["sliding_attention"] * 4 + ["full_attention"],
            num_attention_heads=2,
            num_hidden_layers=5,
            num_key_value_heads=1,
            num_kv_shared_layers=0,
            pad_token_id=0,
            rope_local_base_freq=10000.0,
            rope_theta=1000000.0,
            sliding_window=8,
            tie_word_embeddings=True,
            vocab_size=528,
            vocab_size_per_layer_input=528,
        ),
        tensors=lambda _: shaped(GEMMA3N_ENDS, [GEMMA3N_BLOCK] * 5),
        tokenizer="gemma",
        gelu=True,
        quantized_from="BF16",
        alike=0.8,  # which few activations are left is decided by small differences
    ),
    # Several axes of rotation, which in text are one. With these weights llama.cpp is as close as 4e-6 to the
    # plain Qwen2, and 2e-2 to this.
    "qwen2-vl": wrapped(
        Tiny(
            config=config(
                "Qwen2ForCausalLM",
                "qwen2_vl_text",
                rope_scaling={"mrope_section": [8, 12, 12], "type": "mrope"},
                tie_word_embeddings=True,
                use_sliding_window=False,
            ),
            tensors=lambda _: layers(
                PRE_NORMS,
                with_bias(attention(), "q_proj", "k_proj", "v_proj"),
                weights(mlp()),
                head=False,
            ),
            tokenizer="qwen2",
            pre="qwen2",
            difference=3e-2,
        ),
        "Qwen2VLForConditionalGeneration",
        model_type="qwen2_vl",
        vision={
            "depth": 1,
            "embed_dim": 64,
            "hidden_size": WIDTH,
            "model_type": "qwen2_vl",
            "num_heads": 2,
        },
        towers={"visual.merger.ln_q.weight": 64},
        prefix=("model.", "model."),
    ),
    "qwen3-vl": wrapped(
        Tiny(
            config=config(
                "Qwen3ForCausalLM",
                "qwen3_vl_text",
                head_dim=HEAD,
                rope_scaling={
                    "mrope_interleaved": True,
                    "mrope_section": [12, 10, 10],
                    "rope_type": "default",
                },
                tie_word_embeddings=True,
            ),
            tensors=lambda _: layers(
                PRE_NORMS,
                weights(attention()),
                named("self_attn.q_norm", "self_attn.k_norm", size=HEAD),
                weights(mlp()),
                head=False,
            ),
            tokenizer="qwen2",
            pre="qwen2",
            difference=1e-2,
        ),
        "Qwen3VLForConditionalGeneration",
        model_type="qwen3_vl",
        vision={
            "deepstack_visual_indexes": [0],
            "depth": 1,
            "hidden_size": 64,
            "intermediate_size": 64,
            "model_type": "qwen3_vl",
            "num_heads": 2,
            "out_hidden_size": WIDTH,
        },
        towers={"model.visual.merger.norm.weight": 64},
        prefix=("model.", "model.language_model."),
    ),
    "glm4-moe-vision": wrapped(
        Tiny(
            config=config(
                "Glm4MoeForCausalLM",
                "glm4v_moe_text",
                attention_bias=True,
                eos_token_id=[525, 528],
                first_k_dense_replace=1,
                head_dim=HEAD,
                moe_intermediate_size=INNER // 2,
                n_group=1,
                n_routed_experts=3,
                n_shared_experts=1,
                norm_topk_prob=True,
                num_experts_per_tok=2,
                pad_token_id=525,
                partial_rotary_factor=0.5,
                rope_scaling={"mrope_section": [8, 4, 4], "type": "default"},
                routed_scaling_factor=1.5,
                topk_group=1,
            ),
            tensors=lambda _: shaped(
                ends(),
                [
                    PRE_NORMS | with_bias(attention(), "q_proj", "k_proj", "v_proj") | weights(mlp()),
                    {name: shape for name, shape in MOE_BLOCK.items() if not name.endswith("_norm.weight")},
                ],
            ),
            tokenizer="llama3",
            pre="glm4",
            files=GLM_TOKENS,
            alike=0.9,  # a token of the test text gets another second expert
        ),
        "Glm4vMoeForConditionalGeneration",
        model_type="glm4v_moe",
        vision={
            "depth": 1,
            "hidden_size": 64,
            "intermediate_size": 64,
            "model_type": "glm4v_moe",
            "num_heads": 2,
            "out_hidden_size": WIDTH,
        },
        towers={"model.visual.post_layernorm.weight": 64},
        prefix=("model.", "model.language_model."),
    ),
    # Experts stacked and transposed.
    "qwen3-vl-moe": wrapped(
        Tiny(
            config=config(
                "Qwen3MoeForCausalLM",
                "qwen3_vl_moe_text",
                head_dim=HEAD,
                moe_intermediate_size=INNER // 2,
                norm_topk_prob=True,
                num_experts=4,
                num_experts_per_tok=2,
                rope_scaling={
                    "mrope_interleaved": True,
                    "mrope_section": [12, 10, 10],
                    "rope_type": "default",
                },
            ),
            tensors=lambda _: layers(
                PRE_NORMS,
                weights(attention()),
                named("self_attn.q_norm", "self_attn.k_norm", size=HEAD),
                router(),
                {
                    AT + "mlp.experts.gate_up_proj": (4, WIDTH, INNER),
                    AT + "mlp.experts.down_proj": (4, INNER // 2, WIDTH),
                },
            ),
            tokenizer="llama3",
            pre="llama-bpe",
            regrouped=True,
            difference=1e-2,
        ),
        "Qwen3VLMoeForConditionalGeneration",
        model_type="qwen3_vl_moe",
        vision={
            "deepstack_visual_indexes": [0],
            "depth": 1,
            "hidden_size": 64,
            "intermediate_size": 64,
            "model_type": "qwen3_vl_moe",
            "num_heads": 2,
            "out_hidden_size": WIDTH,
        },
        towers={"model.visual.merger.norm.weight": 64},
        prefix=("model.", "model.language_model."),
    ),
}
