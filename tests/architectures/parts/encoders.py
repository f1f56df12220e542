"""What tiny encoders share: a config, a classifier's tensors, the files of sentence-transformers."""

from __future__ import annotations

import json
from typing import Any

from tests.architectures.parts.base import Tensors, encoder, norm, weight

Config = dict[str, Any]

WIDTH, INNER, LAYERS, HEADS = 256, 96, 3, 4

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]

POOLING = {
    "word_embedding_dimension": 256,
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
}


def sentence_transformer(flag: str) -> dict[str, str]:
    """The files that say how token embeddings become one."""
    pooling = {key: key == flag for key in POOLING if key.startswith("pooling_mode")}
    settings = {"word_embedding_dimension": WIDTH} | pooling
    return {
        "modules.json": json.dumps(MODULES, indent=2) + "\n",
        "1_Pooling/config.json": json.dumps(settings, indent=2) + "\n",
    }


def bert_config(hf_class: str, model_type: str, vocab_size: int, **changes: Any) -> Config:
    """Config of a small encoder of BERT's shape."""
    return {
        "architectures": [hf_class],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": INNER,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 66,
        "model_type": model_type,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "pad_token_id": 1,
        "position_embedding_type": "absolute",
        "torch_dtype": "float32",
        "transformers_version": "4.57.6",
        "type_vocab_size": 1,
        "use_cache": True,
        "vocab_size": vocab_size,
    } | changes


def classifier(config: Config) -> Tensors:
    """RoBERTa with a head, and the prefix that comes with one."""
    labels = len(config["id2label"])
    made: Tensors = {
        f"roberta.{name}": values for name, values in encoder(config).items() if not name.startswith("pooler")
    }
    made.update(
        [
            norm("classifier.dense.bias", WIDTH, 0.0),
            weight("classifier.dense.weight", WIDTH, WIDTH),
            norm("classifier.out_proj.bias", labels, 0.0),
            weight("classifier.out_proj.weight", labels, WIDTH),
        ]
    )
    return made
