"""Tiny checkpoints: DistilBERT."""

from __future__ import annotations

from tests.architectures.parts.base import Tensors, Tiny, shaped, with_bias
from tests.architectures.parts.encoders import HEADS, INNER, LAYERS, WIDTH, Config


def distilbert(config: Config) -> Tensors:
    """Tensors of the bare model."""
    at = "transformer.layer.{i}."
    block = with_bias(
        {at + f"attention.{part}": (WIDTH, WIDTH) for part in ("q_lin", "k_lin", "v_lin", "out_lin")}
        | {at + "sa_layer_norm": (WIDTH,), at + "output_layer_norm": (WIDTH,)}
        | {at + "ffn.lin1": (INNER, WIDTH), at + "ffn.lin2": (WIDTH, INNER)}
    )
    outside: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], WIDTH),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
    }
    return shaped(outside, [block] * config["n_layers"])


MODELS: dict[str, Tiny] = {
    "distilbert": Tiny(
        config={
            "activation": "gelu",
            "architectures": ["DistilBertModel"],
            "dim": WIDTH,
            "hidden_dim": INNER,
            "max_position_embeddings": 64,
            "model_type": "distilbert",
            "n_heads": HEADS,
            "n_layers": LAYERS,
            "pad_token_id": 0,
            "sinusoidal_pos_embds": False,
            "tie_weights_": True,
            "torch_dtype": "float32",
            "transformers_version": "4.57.6",
            "vocab_size": 437,
        },
        tensors=distilbert,
        tokenizer="bert",
        pre="jina-v2-en",
        gelu=True,
        encoder=True,
    ),
}
