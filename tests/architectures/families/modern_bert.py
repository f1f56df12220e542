"""Tiny checkpoints: ModernBERT."""

from __future__ import annotations

from tests.architectures.parts.base import Tensors, Tiny, shaped
from tests.architectures.parts.encoders import HEADS, INNER, WIDTH, Config, sentence_transformer


def modern_bert(config: Config) -> Tensors:
    """Tensors of the bare model, or with the head its class has."""
    hf_class = config["architectures"][0]
    prefix = "" if hf_class == "ModernBertModel" else "model."
    at = prefix + "layers.{i}."
    block: dict[str, tuple[int, ...]] = {
        at + "attn.Wqkv.weight": (3 * WIDTH, WIDTH),
        at + "attn.Wo.weight": (WIDTH, WIDTH),
        at + "mlp_norm.weight": (WIDTH,),
        at + "mlp.Wi.weight": (2 * INNER, WIDTH),
        at + "mlp.Wo.weight": (WIDTH, INNER),
    }
    later = {at + "attn_norm.weight": (WIDTH,)} | block
    outside: dict[str, tuple[int, ...]] = {
        prefix + "embeddings.tok_embeddings.weight": (config["vocab_size"], WIDTH),
        prefix + "embeddings.norm.weight": (WIDTH,),
        prefix + "final_norm.weight": (WIDTH,),
    }
    if prefix:
        outside |= {"head.dense.weight": (WIDTH, WIDTH), "head.norm.weight": (WIDTH,)}
        labels = len(config["id2label"])
        outside |= {"classifier.weight": (labels, WIDTH), "classifier.bias": (labels,)}
    return shaped(outside, [block] + [later] * (config["num_hidden_layers"] - 1))


MODERN_BERT: Config = {
    "attention_bias": False,
    "classifier_pooling": "mean",
    "decoder_bias": True,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "hidden_activation": "gelu",
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "layer_norm_eps": 1e-05,
    "local_attention": 16,
    "local_rope_theta": 10000.0,
    "max_position_embeddings": 128,
    "mlp_bias": False,
    "model_type": "modernbert",
    "norm_bias": False,
    "norm_eps": 1e-05,
    "num_attention_heads": HEADS,
    "num_hidden_layers": 4,
    "pad_token_id": 473,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.57.6",
}

MODELS: dict[str, Tiny] = {
    # Windows shorter than the text in three layers of four.
    "modern-bert": Tiny(
        config=MODERN_BERT | {"architectures": ["ModernBertModel"], "vocab_size": 480},
        tensors=modern_bert,
        tokenizer="modern-bert",
        pre="modern-bert",
        files=sentence_transformer("pooling_mode_cls_token"),
        gelu=True,
        encoder=True,
    ),
    "modern-bert-classifier": Tiny(
        config=MODERN_BERT
        | {
            "architectures": ["ModernBertForSequenceClassification"],
            "id2label": {"0": "LABEL_0"},
            "label2id": {"LABEL_0": 0},
            "vocab_size": 475,
        },
        tensors=modern_bert,
        tokenizer="modern-bert",
        pre="modern-bert",
        gelu=True,
        encoder=True,
    ),
}
