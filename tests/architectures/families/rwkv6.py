"""Tiny checkpoints: RWKV 6."""

from __future__ import annotations

from tests.architectures.parts.base import Tensors, Tiny, shaped
from tests.architectures.parts.decoders import HEAD, HEADS, WIDTH, Shapes

RWKV_TOKENS = 464

RWKV_CONFIG = {
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_size": WIDTH,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.57.6",
    "use_cache": True,
    "vocab_size": RWKV_TOKENS,
}


def layer_norms(*modules: str) -> Shapes:
    return {f"{module}.{kind}": (WIDTH,) for module in modules for kind in ("weight", "bias")}


def rwkv6(layers: int) -> Tensors:
    attention, feed_forward = "rwkv.blocks.{i}.attention.", "rwkv.blocks.{i}.feed_forward."
    block: Shapes = {
        **layer_norms("rwkv.blocks.{i}.ln1", "rwkv.blocks.{i}.ln2", attention + "ln_x"),
        **{f"{attention}time_maa_{letter}": (1, 1, WIDTH) for letter in "xwkvrg"},
        attention + "time_maa_w1": (WIDTH, 5 * 32),
        attention + "time_maa_w2": (5, 32, WIDTH),
        attention + "time_decay": (1, 1, WIDTH),
        attention + "time_decay_w1": (WIDTH, 64),
        attention + "time_decay_w2": (64, WIDTH),
        attention + "time_faaaa": (HEADS, HEAD),
        **{f"{attention}{name}.weight": (WIDTH, WIDTH) for name in RWKV6_PROJECTIONS},
        feed_forward + "time_maa_k": (1, 1, WIDTH),
        feed_forward + "time_maa_r": (1, 1, WIDTH),
        feed_forward + "key.weight": (2 * WIDTH, WIDTH),
        feed_forward + "receptance.weight": (WIDTH, WIDTH),
        feed_forward + "value.weight": (WIDTH, 2 * WIDTH),
    }
    outside = {"rwkv.embeddings.weight": (RWKV_TOKENS, WIDTH), "head.weight": (RWKV_TOKENS, WIDTH)}
    return shaped(outside | layer_norms("rwkv.blocks.0.pre_ln", "rwkv.ln_out"), [block] * layers)


RWKV6_PROJECTIONS = ("receptance", "key", "value", "gate", "output")

MODELS: dict[str, Tiny] = {
    # The second layer's outputs are halved.
    "rwkv6": Tiny(
        config=RWKV_CONFIG
        | {
            "architectures": ["Rwkv6ForCausalLM"],
            "attention_hidden_size": WIDTH,
            "head_size": HEAD,
            "head_size_divisor": 8,
            "intermediate_size": 2 * WIDTH,
            "layer_norm_epsilon": 1e-05,
            "model_type": "rwkv6",
            "num_hidden_layers": 2,
            "rescale_every": 1,
        },
        tensors=lambda _: rwkv6(2),
        tokenizer="rwkv",
        known=False,
    ),
}
