"""More decoders: experts, Gemma, Granite, OLMo, Cohere, StableLM, and the fused ones after GPT-2."""

from __future__ import annotations

from typing import Any

from .base import Tensors, Tiny, decoder, shaped, with_bias

Shapes = dict[str, tuple[int, ...]]

WIDTH, INNER, HEADS, KV_HEADS, HEAD, TOKENS = 256, 256, 4, 2, 64, 544
AT = "model.layers.{i}."


def config(name: str, model_type: str, **changes: Any) -> dict[str, Any]:
    """A small decoder's config; ``changes`` replace or add keys, None removes one."""
    made = {
        "architectures": [name],
        "bos_token_id": 520,
        "eos_token_id": 524,
        "hidden_act": "silu",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "max_position_embeddings": 512,
        "model_type": model_type,
        "num_attention_heads": HEADS,
        "num_hidden_layers": 2,
        "num_key_value_heads": KV_HEADS,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.57.6",
        "vocab_size": TOKENS,
    } | changes
    return {key: value for key, value in made.items() if key not in changes or value is not None}


def ends(*, head: bool = True, norm: bool = True) -> Shapes:
    made: Shapes = {"model.embed_tokens.weight": (TOKENS, WIDTH)}
    if norm:
        made["model.norm.weight"] = (WIDTH,)
    if head:
        made["lm_head.weight"] = (TOKENS, WIDTH)
    return made


def attention(kv_heads: int = KV_HEADS, output: str = "o_proj") -> Shapes:
    return {
        AT + "self_attn.q_proj": (HEADS * HEAD, WIDTH),
        AT + "self_attn.k_proj": (kv_heads * HEAD, WIDTH),
        AT + "self_attn.v_proj": (kv_heads * HEAD, WIDTH),
        AT + f"self_attn.{output}": (WIDTH, HEADS * HEAD),
    }


def mlp(at: str = AT + "mlp.", inner: int = INNER) -> Shapes:
    return {
        at + "gate_proj": (inner, WIDTH),
        at + "up_proj": (inner, WIDTH),
        at + "down_proj": (WIDTH, inner),
    }


def named(*names: str, size: int = WIDTH) -> Shapes:
    return {AT + name + ".weight": (size,) for name in names}


def weights(shapes: Shapes) -> Shapes:
    return {f"{module}.weight": shape for module, shape in shapes.items()}


PRE_NORMS = named("input_layernorm", "post_attention_layernorm")
QK_NORMS = {**named("self_attn.q_norm", size=HEADS * HEAD), **named("self_attn.k_norm", size=KV_HEADS * HEAD)}


def expert_weights(
    count: int,
    at: str = AT + "mlp.experts",
    names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj"),
) -> Shapes:
    """One matrix for each projection of each expert, half as wide as ``INNER``."""
    gate, up, down = names
    made: Shapes = {}
    for expert in range(count):
        made[f"{at}.{expert}.{gate}.weight"] = (INNER // 2, WIDTH)
        made[f"{at}.{expert}.{up}.weight"] = (INNER // 2, WIDTH)
        made[f"{at}.{expert}.{down}.weight"] = (WIDTH, INNER // 2)
    return made


def router(name: str = "mlp.gate", count: int = 4) -> Shapes:
    return {AT + name + ".weight": (count, WIDTH)}


def layers(*parts: Shapes, head: bool = True, norm: bool = True, count: int = 2) -> Tensors:
    """A decoder named as Llama's, of equal layers."""
    return shaped(ends(head=head, norm=norm), [{k: v for part in parts for k, v in part.items()}] * count)


def gpt2_like(
    block: Shapes, *, at: str = "transformer.h.{i}.", final: str = "transformer.ln_f", positions: bool = True
) -> Tensors:
    outside: Shapes = {"transformer.wte.weight": (TOKENS, WIDTH)}
    if positions:
        outside["transformer.wpe.weight"] = (512, WIDTH)
    outside |= {f"{final}.weight": (WIDTH,), f"{final}.bias": (WIDTH,)}
    return shaped(outside, [{at + name: shape for name, shape in block.items()}] * 2)


def fused(rows: int, inner: int = 4 * WIDTH) -> Shapes:
    """Modules of Bloom, Falcon and GPT-NeoX."""
    return {
        "query_key_value": (rows, WIDTH),
        "dense": (WIDTH, WIDTH),
        "dense_h_to_4h": (inner, WIDTH),
        "dense_4h_to_h": (WIDTH, inner),
    }


MODELS = {
    # Two of four experts; every expert half as wide.
    "mixtral": Tiny(
        config=config(
            "MixtralForCausalLM",
            "mixtral",
            intermediate_size=INNER // 2,
            num_local_experts=4,
            num_experts_per_tok=2,
            sliding_window=None,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention()),
            router("block_sparse_moe.gate"),
            expert_weights(4, AT + "block_sparse_moe.experts", ("w1", "w3", "w2")),
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # Biases on q, k, v, and a shared expert behind a gate.
    "qwen2-moe": Tiny(
        config=config(
            "Qwen2MoeForCausalLM",
            "qwen2_moe",
            moe_intermediate_size=INNER // 2,
            num_experts=4,
            num_experts_per_tok=2,
            shared_expert_intermediate_size=INNER,
            norm_topk_prob=False,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            with_bias(attention(), "q_proj", "k_proj", "v_proj"),
            router(),
            expert_weights(4),
            weights(mlp(AT + "mlp.shared_expert.")),
            {AT + "mlp.shared_expert_gate.weight": (1, WIDTH)},
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "qwen3-moe": Tiny(
        config=config(
            "Qwen3MoeForCausalLM",
            "qwen3_moe",
            head_dim=HEAD,
            moe_intermediate_size=INNER // 2,
            num_experts=4,
            num_experts_per_tok=2,
            norm_topk_prob=True,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention()),
            named("self_attn.q_norm", "self_attn.k_norm", size=HEAD),
            router(),
            expert_weights(4),
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # Norms without weights, clamped queries, keys and values.
    "olmo": Tiny(
        config=config("OlmoForCausalLM", "olmo", rms_norm_eps=None, clip_qkv=4.0),
        tensors=lambda _: layers(weights(attention()), weights(mlp()), norm=False),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # Norms after, not before; norms on all heads of q and k at once.
    "olmo2": Tiny(
        config=config("Olmo2ForCausalLM", "olmo2"),
        tensors=lambda _: layers(
            weights(attention()),
            QK_NORMS,
            named("post_attention_layernorm", "post_feedforward_layernorm"),
            weights(mlp()),
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "olmo3": Tiny(
        config=config(
            "Olmo3ForCausalLM",
            "olmo3",
            num_hidden_layers=4,
            sliding_window=8,
            layer_types=["sliding_attention"] * 3 + ["full_attention"],
        ),
        tensors=lambda _: layers(
            weights(attention()),
            QK_NORMS,
            named("post_attention_layernorm", "post_feedforward_layernorm"),
            weights(mlp()),
            count=4,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "olmoe": Tiny(
        config=config(
            "OlmoeForCausalLM",
            "olmoe",
            intermediate_size=INNER // 2,
            num_experts=4,
            num_experts_per_tok=2,
            num_key_value_heads=HEADS,
            norm_topk_prob=False,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention(HEADS)),
            named("self_attn.q_norm", "self_attn.k_norm"),
            router(),
            expert_weights(4),
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "seed-oss": Tiny(
        config=config(
            "SeedOssForCausalLM", "seed_oss", head_dim=HEAD, attention_bias=True, attention_out_bias=False
        ),
        tensors=lambda _: layers(
            PRE_NORMS, with_bias(attention(), "q_proj", "k_proj", "v_proj"), weights(mlp())
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "gemma": Tiny(
        config=config(
            "GemmaForCausalLM",
            "gemma",
            bos_token_id=2,
            eos_token_id=1,
            pad_token_id=0,
            head_dim=HEAD,
            hidden_act="gelu_pytorch_tanh",
            hidden_activation="gelu_pytorch_tanh",
            tie_word_embeddings=True,
            vocab_size=528,
        ),
        tensors=lambda c: {
            name: values
            for name, values in decoder(c, gemma=True, stored_output=False).items()
            if "_feedforward_" not in name
        },
        tokenizer="gemma",
        gelu=True,
    ),
    # Soft-capped, every other layer with a window shorter than the prompts.
    "gemma2": Tiny(
        config=config(
            "Gemma2ForCausalLM",
            "gemma2",
            attn_logit_softcapping=50.0,
            bos_token_id=2,
            eos_token_id=1,
            pad_token_id=0,
            final_logit_softcapping=30.0,
            head_dim=HEAD,
            hidden_act=None,
            hidden_activation="gelu_pytorch_tanh",
            query_pre_attn_scalar=HEAD,
            sliding_window=8,
            tie_word_embeddings=True,
            vocab_size=528,
        ),
        tensors=lambda c: decoder(c, gemma=True, stored_output=False),
        tokenizer="gemma",
        gelu=True,
    ),
    "granite": Tiny(
        config=config(
            "GraniteForCausalLM",
            "granite",
            attention_multiplier=0.0156,
            embedding_multiplier=12.0,
            logits_scaling=1.5,
            residual_multiplier=0.22,
        ),
        tensors=lambda _: layers(PRE_NORMS, weights(attention()), weights(mlp())),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "granite-moe": Tiny(
        config=config(
            "GraniteMoeSharedForCausalLM",
            "granitemoeshared",
            attention_multiplier=0.0156,
            embedding_multiplier=12.0,
            intermediate_size=INNER // 2,
            logits_scaling=1.5,
            num_local_experts=4,
            num_experts_per_tok=2,
            residual_multiplier=0.22,
            shared_intermediate_size=INNER,
        ),
        tensors=lambda _: layers(
            PRE_NORMS,
            weights(attention()),
            router("block_sparse_moe.router.layer"),
            {
                AT + "block_sparse_moe.input_linear.weight": (4, INNER, WIDTH),
                AT + "block_sparse_moe.output_linear.weight": (4, WIDTH, INNER // 2),
                AT + "shared_mlp.input_linear.weight": (2 * INNER, WIDTH),
                AT + "shared_mlp.output_linear.weight": (WIDTH, INNER),
            },
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "starcoder2": Tiny(
        config=config(
            "Starcoder2ForCausalLM",
            "starcoder2",
            hidden_act="gelu_pytorch_tanh",
            norm_epsilon=1e-5,
            rms_norm_eps=None,
            sliding_window=None,
            tie_word_embeddings=True,
            use_bias=True,
        ),
        tensors=lambda _: shaped(
            ends(head=False) | {"model.norm.bias": (WIDTH,)},
            [
                with_bias(
                    attention()
                    | {AT + "input_layernorm": (WIDTH,), AT + "post_attention_layernorm": (WIDTH,)}
                    | {AT + "mlp.c_fc": (INNER, WIDTH), AT + "mlp.c_proj": (WIDTH, INNER)}
                )
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
    "stablelm": Tiny(
        config=config(
            "StableLmForCausalLM",
            "stablelm",
            layer_norm_eps=1e-5,
            partial_rotary_factor=0.25,
            rms_norm_eps=None,
            use_parallel_residual=False,
            use_qkv_bias=True,
        ),
        tensors=lambda _: shaped(
            ends() | {"model.norm.bias": (WIDTH,)},
            [
                with_bias({AT + "input_layernorm": (WIDTH,), AT + "post_attention_layernorm": (WIDTH,)})
                | with_bias(attention(), "q_proj", "k_proj", "v_proj")
                | weights(mlp())
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    "command-r": Tiny(
        config=config(
            "CohereForCausalLM",
            "cohere",
            layer_norm_eps=1e-5,
            logit_scale=0.75,
            model_max_length=512,
            rms_norm_eps=None,
            tie_word_embeddings=True,
            use_qk_norm=False,
        ),
        tensors=lambda _: layers(named("input_layernorm"), weights(attention()), weights(mlp()), head=False),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # The fourth layer attends to everything and is not rotated.
    "cohere2": Tiny(
        config=config(
            "Cohere2ForCausalLM",
            "cohere2",
            head_dim=HEAD,
            layer_norm_eps=1e-5,
            layer_types=["sliding_attention"] * 3 + ["full_attention"],
            logit_scale=0.75,
            num_hidden_layers=4,
            rms_norm_eps=None,
            rotary_pct=1.0,
            sliding_window=8,
            tie_word_embeddings=True,
        ),
        tensors=lambda _: layers(
            named("input_layernorm"), weights(attention()), weights(mlp()), head=False, count=4
        ),
        tokenizer="llama3",
        pre="llama-bpe",
    ),
    # Matrices stored as (inputs, outputs).
    "gpt2": Tiny(
        config={
            "activation_function": "gelu_new",
            "architectures": ["GPT2LMHeadModel"],
            "bos_token_id": 520,
            "eos_token_id": 524,
            "layer_norm_epsilon": 1e-05,
            "model_type": "gpt2",
            "n_ctx": 512,
            "n_embd": WIDTH,
            "n_head": HEADS,
            "n_layer": 2,
            "n_positions": 512,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "vocab_size": TOKENS,
        },
        tensors=lambda _: gpt2_like(
            with_bias({"ln_1": (WIDTH,), "ln_2": (WIDTH,)})
            | with_bias(
                {
                    "attn.c_attn": (WIDTH, 3 * WIDTH),
                    "attn.c_proj": (WIDTH, WIDTH),
                    "mlp.c_fc": (WIDTH, 4 * WIDTH),
                    "mlp.c_proj": (4 * WIDTH, WIDTH),
                },
                out=1,
            )
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
    # One head of keys and values for all.
    "starcoder": Tiny(
        config={
            "activation_function": "gelu_pytorch_tanh",
            "architectures": ["GPTBigCodeForCausalLM"],
            "bos_token_id": 520,
            "eos_token_id": 524,
            "layer_norm_epsilon": 1e-05,
            "model_type": "gpt_bigcode",
            "multi_query": True,
            "n_embd": WIDTH,
            "n_head": HEADS,
            "n_layer": 2,
            "n_positions": 512,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "vocab_size": TOKENS,
        },
        tensors=lambda _: gpt2_like(
            with_bias(
                {
                    "ln_1": (WIDTH,),
                    "ln_2": (WIDTH,),
                    "attn.c_attn": (WIDTH + 2 * HEAD, WIDTH),
                    "attn.c_proj": (WIDTH, WIDTH),
                    "mlp.c_fc": (4 * WIDTH, WIDTH),
                    "mlp.c_proj": (WIDTH, 4 * WIDTH),
                }
            )
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
    "gpt-neox": Tiny(
        config=config(
            "GPTNeoXForCausalLM",
            "gpt_neox",
            hidden_act="gelu",
            intermediate_size=2 * WIDTH,
            layer_norm_eps=1e-5,
            num_key_value_heads=None,
            rms_norm_eps=None,
            rope_theta=None,
            rotary_emb_base=10000,
            rotary_pct=0.25,
            use_parallel_residual=True,
        ),
        tensors=lambda _: shaped(
            {
                "gpt_neox.embed_in.weight": (TOKENS, WIDTH),
                "gpt_neox.final_layer_norm.weight": (WIDTH,),
                "gpt_neox.final_layer_norm.bias": (WIDTH,),
                "embed_out.weight": (TOKENS, WIDTH),
            },
            [
                with_bias(
                    {
                        "gpt_neox.layers.{i}." + name: (WIDTH,)
                        for name in ("input_layernorm", "post_attention_layernorm")
                    }
                    | {
                        f"gpt_neox.layers.{{i}}.{'mlp' if '4h' in name else 'attention'}.{name}": shape
                        for name, shape in fused(3 * WIDTH, 2 * WIDTH).items()
                    }
                )
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
    "bloom": Tiny(
        config={
            "architectures": ["BloomForCausalLM"],
            "bos_token_id": 520,
            "eos_token_id": 524,
            "hidden_size": WIDTH,
            "layer_norm_epsilon": 1e-05,
            "model_type": "bloom",
            "n_head": HEADS,
            "n_layer": 2,
            "seq_length": 512,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "vocab_size": TOKENS,
        },
        tensors=lambda _: shaped(
            {"transformer.word_embeddings.weight": (TOKENS, WIDTH)}
            | with_bias({"transformer.word_embeddings_layernorm": (WIDTH,), "transformer.ln_f": (WIDTH,)}),
            [
                with_bias(
                    {
                        "transformer.h.{i}." + name: (WIDTH,)
                        for name in ("input_layernorm", "post_attention_layernorm")
                    }
                    | {
                        f"transformer.h.{{i}}.{'mlp' if '4h' in name else 'self_attention'}.{name}": shape
                        for name, shape in fused(3 * WIDTH).items()
                    }
                )
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
    # Groups of heads, each with its own keys and values; two norms side by side.
    "falcon": Tiny(
        config=config(
            "FalconForCausalLM",
            "falcon",
            alibi=False,
            bias=False,
            hidden_act=None,
            intermediate_size=None,
            layer_norm_epsilon=1e-5,
            multi_query=True,
            new_decoder_architecture=True,
            num_key_value_heads=None,
            num_kv_heads=KV_HEADS,
            parallel_attn=True,
            rms_norm_eps=None,
            tie_word_embeddings=None,
        ),
        tensors=lambda _: shaped(
            {"transformer.word_embeddings.weight": (TOKENS, WIDTH)}
            | with_bias({"transformer.ln_f": (WIDTH,)}),
            [
                with_bias({"transformer.h.{i}.ln_attn": (WIDTH,), "transformer.h.{i}.ln_mlp": (WIDTH,)})
                | weights(
                    {
                        f"transformer.h.{{i}}.{'mlp' if '4h' in name else 'self_attention'}.{name}": shape
                        for name, shape in fused(WIDTH + 2 * KV_HEADS * HEAD).items()
                    }
                )
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
    "mpt": Tiny(
        config={
            "architectures": ["MPTForCausalLM"],
            "attn_config": {"alibi": True, "alibi_bias_max": 8, "clip_qkv": None, "qk_ln": False},
            "bos_token_id": 520,
            "d_model": WIDTH,
            "eos_token_id": 524,
            "max_seq_len": 512,
            "model_type": "mpt",
            "n_heads": HEADS,
            "n_layers": 2,
            "no_bias": True,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "vocab_size": TOKENS,
        },
        tensors=lambda _: shaped(
            {"transformer.wte.weight": (TOKENS, WIDTH), "transformer.norm_f.weight": (WIDTH,)},
            [
                weights(
                    {
                        "transformer.blocks.{i}." + name: shape
                        for name, shape in {
                            "norm_1": (WIDTH,),
                            "norm_2": (WIDTH,),
                            "attn.Wqkv": (3 * WIDTH, WIDTH),
                            "attn.out_proj": (WIDTH, WIDTH),
                            "ffn.up_proj": (4 * WIDTH, WIDTH),
                            "ffn.down_proj": (WIDTH, 4 * WIDTH),
                        }.items()
                    }
                )
            ]
            * 2,
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
}
