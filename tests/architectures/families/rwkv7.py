"""Tiny checkpoints: RWKV 7."""

from __future__ import annotations

from tests.architectures.families.rwkv6 import RWKV_CONFIG, RWKV_TOKENS, layer_norms
from tests.architectures.parts.base import Tensors, Tiny, shaped
from tests.architectures.parts.decoders import HEAD, HEADS, WIDTH, Shapes

RWKV7_RANKS = {"w": 64, "a": 32, "v": 32, "g": 96}


def rwkv7(layers: int) -> Tensors:
    attention, feed_forward = "model.layers.{i}.attn.", "model.layers.{i}.ffn."
    block: Shapes = {
        **{f"{attention}x_{letter}": (1, 1, WIDTH) for letter in "rwkvag"},
        attention + "k_k": (WIDTH,),
        attention + "k_a": (WIDTH,),
        attention + "r_k": (HEADS, HEAD),
        **{f"{attention}{letter}_proj.weight": (WIDTH, WIDTH) for letter in "rkvo"},
        **layer_norms(attention + "g_norm", "model.layers.{i}.attn_norm", "model.layers.{i}.ffn_norm"),
        feed_forward + "x_k": (WIDTH,),
        feed_forward + "key.weight": (3 * WIDTH, WIDTH),
        feed_forward + "value.weight": (WIDTH, 3 * WIDTH),
    }
    for letter, rank in RWKV7_RANKS.items():
        block[f"{attention}{letter}_lora.lora.0.weight"] = (rank, WIDTH)
        block[f"{attention}{letter}_lora.lora.2.weight"] = (WIDTH, rank)
        if letter != "g":
            block[f"{attention}{letter}_lora.lora.2.bias"] = (WIDTH,)
    first = {name: shape for name, shape in block.items() if "v_lora" not in name}
    outside = {"model.embeddings.weight": (RWKV_TOKENS, WIDTH), "lm_head.weight": (RWKV_TOKENS, WIDTH)}
    outside |= layer_norms("model.layers.0.pre_norm", "model.norm")
    return shaped(outside, [first] + [block] * (layers - 1))


MODELS: dict[str, Tiny] = {
    "rwkv7": Tiny(
        config=RWKV_CONFIG
        | {
            "a_low_rank_dim": RWKV7_RANKS["a"],
            "architectures": ["RWKV7ForCausalLM"],
            "decay_low_rank_dim": RWKV7_RANKS["w"],
            "gate_low_rank_dim": RWKV7_RANKS["g"],
            "head_dim": HEAD,
            "hidden_act": "sqrelu",
            "hidden_ratio": None,
            "intermediate_size": 3 * WIDTH,
            "model_type": "rwkv7",
            "norm_bias": True,
            "norm_eps": 1e-05,
            "norm_first": True,
            "num_heads": HEADS,
            "num_hidden_layers": 2,
            "v_low_rank_dim": RWKV7_RANKS["v"],
        },
        tensors=lambda _: rwkv7(2),
        tokenizer="rwkv",
        known=False,
    ),
}
