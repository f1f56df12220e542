"""Tiny checkpoints: Gemma 3n."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, shaped
from tests.architectures.parts.decoders import AT, HEAD, NARROW, Shapes, config

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

MODELS: dict[str, Tiny] = {
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
}
