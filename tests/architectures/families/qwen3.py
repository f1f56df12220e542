"""Tiny checkpoints: Qwen3."""

from __future__ import annotations

from tests.architectures.parts.base import ALL_KINDS, Tiny, decoder

MODELS: dict[str, Tiny] = {
    # Norms on q and k; heads × head_dim (384) is not the width; tied, and the output is stored as well.
    "qwen3": Tiny(
        config={
            "architectures": ["Qwen3ForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": 500,
            "eos_token_id": 502,
            "head_dim": 64,
            "hidden_act": "silu",
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 512,
            "max_position_embeddings": 512,
            "max_window_layers": 2,
            "model_type": "qwen3",
            "num_attention_heads": 6,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-06,
            "rope_scaling": None,
            "rope_theta": 1000000,
            "sliding_window": None,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "use_cache": True,
            "use_sliding_window": False,
            "vocab_size": 512,
        },
        tensors=lambda config: decoder(config, qk_norm=True, stored_output=True),
        tokenizer="qwen2",
        pre="qwen2",
        without=("vocab.json", "merges.txt"),
        kinds=ALL_KINDS,
    ),
}
