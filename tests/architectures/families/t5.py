"""Tiny checkpoints: T5 and umT5."""

from __future__ import annotations

from typing import Any

from tests.architectures.parts.base import Tensors, Tiny, shaped
from tests.architectures.parts.encoders import HEADS, INNER, LAYERS, WIDTH, Config


def t5(config: Config) -> Tensors:
    """Tensors of the encoder and, but for the encoder's own class, of the decoder."""
    alone = config["architectures"] == ["T5EncoderModel"]
    every = config["model_type"] == "umt5"
    gated = config["feed_forward_proj"].startswith("gated")
    inside = config["num_heads"] * config["d_kv"]

    def attention(at: str) -> dict[str, tuple[int, ...]]:
        return {at + f"{part}.weight": (inside, WIDTH) for part in "qkv"} | {at + "o.weight": (WIDTH, inside)}

    def feed_forward(at: str) -> dict[str, tuple[int, ...]]:
        names = ("wi_0", "wi_1") if gated else ("wi",)
        made = {at + f"DenseReluDense.{name}.weight": (INNER, WIDTH) for name in names}
        return made | {at + "DenseReluDense.wo.weight": (WIDTH, INNER), at + "layer_norm.weight": (WIDTH,)}

    def block(side: str, layer: int) -> dict[str, tuple[int, ...]]:
        at = f"{side}.block.{layer}.layer."
        made = attention(at + "0.SelfAttention.") | {at + "0.layer_norm.weight": (WIDTH,)}
        if layer == 0 or every:
            made[at + "0.SelfAttention.relative_attention_bias.weight"] = (32, config["num_heads"])
        if side == "decoder":
            made |= attention(at + "1.EncDecAttention.") | {at + "1.layer_norm.weight": (WIDTH,)}
        return made | feed_forward(at + ("2." if side == "decoder" else "1."))

    named: dict[str, tuple[int, ...]] = {"shared.weight": (config["vocab_size"], WIDTH)}
    for side, layers in (("encoder", config["num_layers"]), ("decoder", config.get("num_decoder_layers", 0))):
        if side == "encoder" or not alone:
            for layer in range(layers):
                named |= block(side, layer)
            named[f"{side}.final_layer_norm.weight"] = (WIDTH,)
    if not alone and not config["tie_word_embeddings"]:
        named["lm_head.weight"] = (config["vocab_size"], WIDTH)
    # T5 does not divide attention by the root of the head's size: its queries are small instead
    return {
        name: values / 8 if name.endswith("Attention.q.weight") else values
        for name, values in shaped(named, []).items()
    }


def t5_config(hf_class: str, model_type: str, **changes: Any) -> Config:
    """Config of a small T5."""
    return {
        "architectures": [hf_class],
        "d_ff": INNER,
        "d_kv": 32,
        "d_model": WIDTH,
        "decoder_start_token_id": 0,
        "dropout_rate": 0.1,
        "eos_token_id": 1,
        "feed_forward_proj": "gated-gelu",
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-06,
        "model_type": model_type,
        "n_positions": 512,
        "num_decoder_layers": 2,
        "num_heads": HEADS,
        "num_layers": LAYERS,
        "pad_token_id": 0,
        "relative_attention_max_distance": 128,
        "relative_attention_num_buckets": 32,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.57.6",
        "vocab_size": 288,
    } | changes


def repeated(config: Config) -> Tensors:
    """T5 as its first checkpoints store it: the embedding under every name it has."""
    made = t5(config)
    return made | {f"{side}.embed_tokens.weight": made["shared.weight"] for side in ("encoder", "decoder")}


MODELS: dict[str, Tiny] = {
    # Fewer layers in the decoder, gated, untied; padding after the tokens.
    "t5": Tiny(
        config=t5_config("T5ForConditionalGeneration", "t5"),
        tensors=repeated,
        tokenizer="t5",
        gelu=True,
    ),
    # The first T5: tied, not gated.
    "t5-tied": Tiny(
        config=t5_config(
            "T5ForConditionalGeneration",
            "t5",
            feed_forward_proj="relu",
            num_decoder_layers=LAYERS,
            tie_word_embeddings=True,
            vocab_size=280,
        ),
        tensors=t5,
        tokenizer="t5",
    ),
    "umt5": Tiny(
        config=t5_config("UMT5ForConditionalGeneration", "umt5", num_decoder_layers=LAYERS),
        tensors=t5,
        tokenizer="t5",
        gelu=True,
    ),
}
