"""Tiny checkpoints: LFM2."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import AT, HEAD, TOKENS, WIDTH, attention, config, named, weights

LFM = named("operator_norm", "ffn_norm") | {
    AT + "feed_forward.w1.weight": (384, WIDTH),
    AT + "feed_forward.w2.weight": (WIDTH, 384),
    AT + "feed_forward.w3.weight": (384, WIDTH),
}

MODELS: dict[str, Tiny] = {
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
