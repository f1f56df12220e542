"""Tiny checkpoints: ChatGLM and Glm."""

from __future__ import annotations

from tests.architectures.families.glm4 import GATE_UP, GLM_TOKENS
from tests.architectures.parts.base import Tiny, shaped, with_bias
from tests.architectures.parts.decoders import (
    HEAD,
    HEADS,
    INNER,
    KV_HEADS,
    PRE_NORMS,
    TOKENS,
    WIDTH,
    attention,
    config,
    layers,
    weights,
)

REMOTE = "transformer.encoder.layers.{i}."

MODELS: dict[str, Tiny] = {
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
}
