"""Tiny checkpoints: Gemma 3."""

from __future__ import annotations

from tests.architectures.parts.base import ALL_KINDS, Tiny, decoder
from tests.architectures.parts.decoders import generation
from tests.architectures.parts.towers import wrapped

# Seven layers, so that one attends globally; a window shorter than the prompts; linear RoPE scaling.
GEMMA3 = Tiny(
    config={
        "architectures": ["Gemma3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attn_logit_softcapping": None,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "final_logit_softcapping": None,
        "head_dim": 64,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": 256,
        "initializer_range": 0.02,
        "intermediate_size": 128,
        "layer_types": ["full_attention" if layer == 5 else "sliding_attention" for layer in range(7)],
        "max_position_embeddings": 512,
        "model_type": "gemma3_text",
        "num_attention_heads": 2,
        "num_hidden_layers": 7,
        "num_key_value_heads": 1,
        "pad_token_id": 0,
        "query_pre_attn_scalar": 64,
        "rms_norm_eps": 1e-06,
        "rope_local_base_freq": 10000.0,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "rope_theta": 1000000.0,
        "sliding_window": 8,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.57.6",
        "use_cache": True,
        "vocab_size": 528,
    },
    tensors=lambda config: decoder(config, qk_norm=True, gemma=True, stored_output=False),
    tokenizer="gemma",
    files=generation(top_k=64, top_p=0.95, temperature=None),
    kinds=ALL_KINDS,
    gelu=True,
)

MODELS: dict[str, Tiny] = {
    "gemma3": GEMMA3,
    "gemma3-vision": wrapped(
        GEMMA3,
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
}
