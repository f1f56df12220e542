"""More decoders: dots.llm1, LFM2, Nemotron."""

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
    attention,
    config,
    ends,
    expert_weights,
    mlp,
    named,
    router,
    weights,
)
from .third import SHARED

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
}
