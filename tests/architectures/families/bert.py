"""Tiny checkpoints: BERT."""

from __future__ import annotations

import json

from tests.architectures.parts.base import ALL_KINDS, Tiny, encoder
from tests.architectures.parts.encoders import MODULES, POOLING

MODELS: dict[str, Tiny] = {
    # F32, sentence-transformers' mean pooling.
    "bert": Tiny(
        config={
            "architectures": ["BertModel"],
            "attention_probs_dropout_prob": 0.1,
            "classifier_dropout": None,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 64,
            "layer_norm_eps": 1e-12,
            "max_position_embeddings": 64,
            "model_type": "bert",
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "pad_token_id": 0,
            "position_embedding_type": "absolute",
            "torch_dtype": "float32",
            "transformers_version": "4.57.6",
            "type_vocab_size": 2,
            "use_cache": True,
            "vocab_size": 437,
        },
        tensors=encoder,
        tokenizer="bert",
        pre="jina-v2-en",
        dtype="F32",
        files={
            "modules.json": json.dumps(MODULES, indent=2) + "\n",
            "1_Pooling/config.json": json.dumps(POOLING, indent=2) + "\n",
        },
        kinds=ALL_KINDS,
        gelu=True,
        encoder=True,
    ),
}
