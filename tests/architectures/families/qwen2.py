"""Tiny checkpoints: Qwen2."""

from __future__ import annotations

from tests.architectures.parts.base import ALL_KINDS, Tiny, decoder
from tests.architectures.parts.decoders import generation

MODELS: dict[str, Tiny] = {
    # Biases on q, k, v; tied.
    "qwen2": Tiny(
        config={
            "architectures": ["Qwen2ForCausalLM"],
            "attention_dropout": 0.0,
            "bos_token_id": 500,
            "eos_token_id": 502,
            "hidden_act": "silu",
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 512,
            "max_position_embeddings": 512,
            "max_window_layers": 2,
            "model_type": "qwen2",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_theta": 1000000.0,
            "sliding_window": 512,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": 512,
        },
        tensors=lambda config: decoder(config, qkv_bias=True),
        tokenizer="qwen2",
        pre="qwen2",
        files=generation(bos_token_id=500, eos_token_id=[502, 500], pad_token_id=500, repetition_penalty=1.1),
        kinds=ALL_KINDS,
    ),
}
