"""Tiny checkpoints: Nomic's BERT."""

from __future__ import annotations

from tests.architectures.parts.base import Tensors, Tiny, shaped, with_bias
from tests.architectures.parts.encoders import HEADS, INNER, LAYERS, WIDTH, Config, sentence_transformer


def nomic_bert(config: Config) -> Tensors:
    """Tensors of version 1, or of version 2 with experts in every other layer."""
    moe = config.get("moe_every_n_layers")
    at = "encoder.layers.{i}."
    attention = {at + "attn.Wqkv": (3 * WIDTH, WIDTH), at + "attn.out_proj": (WIDTH, WIDTH)}
    norms = with_bias({at + "norm1": (WIDTH,), at + "norm2": (WIDTH,)})
    inner, outer = (INNER, WIDTH), (WIDTH, INNER)
    if moe:
        rows = config["num_experts"] * INNER
        dense = norms | with_bias(attention | {at + "mlp.fc1": inner, at + "mlp.fc2": outer})
        routed = norms | with_bias(attention)
        routed |= {
            at + "mlp.router.layer.weight": (config["num_experts"], WIDTH),
            at + "mlp.experts.mlp.w1": (rows, WIDTH),
            at + "mlp.experts.mlp.w2": (rows, WIDTH),
            at + "mlp.experts.bias": (WIDTH,),
        }
        blocks = [routed if i % moe == 1 else dense for i in range(config["n_layer"])]
    else:
        modules = attention | {at + "mlp.fc11": inner, at + "mlp.fc12": inner, at + "mlp.fc2": outer}
        blocks = [norms | {f"{name}.weight": shape for name, shape in modules.items()}] * config["n_layer"]
    outside: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], WIDTH),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], WIDTH),
        "emb_ln.weight": (WIDTH,),
        "emb_ln.bias": (WIDTH,),
    }
    return shaped(outside, blocks)


NOMIC_BERT: Config = {
    "activation_function": "swiglu",
    "architectures": ["NomicBertModel"],
    "causal": False,
    "layer_norm_epsilon": 1e-12,
    "max_trained_positions": 2048,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "model_type": "nomic_bert",
    "n_embd": WIDTH,
    "n_head": HEADS,
    "n_inner": INNER,
    "n_layer": LAYERS,
    "n_positions": 8192,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "torch_dtype": "float32",
    "transformers_version": "4.57.6",
    "type_vocab_size": 2,
    "use_rms_norm": False,
    "vocab_size": 448,
}

MODELS: dict[str, Tiny] = {
    # Their code is not in transformers.
    "nomic-bert": Tiny(
        config=NOMIC_BERT,
        tensors=nomic_bert,
        tokenizer="bert",
        pre="jina-v2-en",
        files=sentence_transformer("pooling_mode_mean_tokens"),
        runs=False,
        foreign=True,
        encoder=True,
    ),
}
