"""Tiny checkpoints: Nomic's BERT with experts."""

from __future__ import annotations

from tests.architectures.families.nomic_bert import NOMIC_BERT, nomic_bert
from tests.architectures.parts.base import Tiny

MODELS: dict[str, Tiny] = {
    "nomic-bert-moe": Tiny(
        config=NOMIC_BERT
        | {
            "activation_function": "gelu",
            "layer_norm_epsilon": 1e-05,
            "mlp_fc1_bias": True,
            "mlp_fc2_bias": True,
            "moe_every_n_layers": 2,
            "moe_top_k": 2,
            "n_layer": 4,
            "n_positions": 2048,
            "num_experts": 4,
            "pad_token_id": 1,
            "qkv_proj_bias": True,
            "rotary_emb_base": 10000,
            "type_vocab_size": 1,
            "vocab_size": 272,
        },
        tensors=nomic_bert,
        tokenizer="xlm-roberta",
        without=("sentencepiece.bpe.model",),
        gelu=True,
        runs=False,
        foreign=True,
        encoder=True,
    ),
}
