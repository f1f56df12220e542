"""What tiny decoders share: a config, and the names and shapes of their tensors."""

from __future__ import annotations

import json
from typing import Any

from tests.architectures.parts.base import Tensors, shaped

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


def fused(rows: int, inner: int = 4 * WIDTH) -> Shapes:
    """Modules of Bloom, Falcon and GPT-NeoX."""
    return {
        "query_key_value": (rows, WIDTH),
        "dense": (WIDTH, WIDTH),
        "dense_h_to_4h": (inner, WIDTH),
        "dense_4h_to_h": (WIDTH, inner),
    }


LLAMA2 = {"bos_token_id": 1, "eos_token_id": 2, "vocab_size": 512}
"""What the config says of the tokenizer of that name."""

LLAMA2_ENDS = {"model.embed_tokens.weight": (512, WIDTH), "lm_head.weight": (512, WIDTH)}

LLAMA3 = {
    "factor": 8.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 64,
    "rope_type": "llama3",
}

NARROW = INNER // 4

GENERATION = {
    "do_sample": True,
    "temperature": 0.6,
    "top_p": 0.9,
    "top_k": 40,
    "transformers_version": "4.57.6",
}


def generation(**changes: Any) -> dict[str, str]:
    return {"generation_config.json": json.dumps(GENERATION | changes, indent=2) + "\n"}
