"""Tiny checkpoints: Jina's BERT."""

from __future__ import annotations

from typing import Any

from tests.architectures.parts.base import Tensors, Tiny, shaped, with_bias
from tests.architectures.parts.encoders import INNER, LAYERS, WIDTH, Config, bert_config, sentence_transformer


def jina_bert(config: Config) -> Tensors:
    """Tensors of the models for text, or of that for code, which has more norms and other names."""
    code = "qk-post-norm" in config["auto_map"]["AutoConfig"]
    at = "encoder.layer.{i}."
    down, last = ("mlp.down_layer", "layer_norm_2") if code else ("mlp.wo", "mlp.layernorm")
    modules: dict[str, tuple[int, ...]] = {
        **{at + f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")},
        at + "attention.output.dense": (WIDTH, WIDTH),
        at + "attention.output.LayerNorm": (WIDTH,),
        at + down: (WIDTH, INNER),
        at + last: (WIDTH,),
    }
    if code:
        modules |= {
            at + name: (WIDTH,)
            for name in ("attention.self.layer_norm_q", "attention.self.layer_norm_k", "layer_norm_1")
        }
    block = with_bias(modules) | {
        at + f"mlp.{'up_gated_layer' if code else 'gated_layers'}.weight": (192, WIDTH)
    }
    outside: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
        "pooler.dense.weight": (WIDTH, WIDTH),
        "pooler.dense.bias": (WIDTH,),
    }
    return shaped(outside, [block] * LAYERS)


def jina_config(vocab_size: int, code: str, **changes: Any) -> Config:
    """Config as Jina publishes it: ``code`` is the repository of the model's code."""
    names = {"AutoConfig": "configuration_bert.JinaBertConfig", "AutoModel": "modeling_bert.JinaBertModel"}
    return bert_config(
        "JinaBertModel",
        "bert",
        vocab_size,
        auto_map={key: f"{code}--{name}" for key, name in names.items()},
        feed_forward_type="geglu",
        layer_norm_eps=1e-12,
        max_position_embeddings=8192,
        position_embedding_type="alibi",
        type_vocab_size=2,
        **changes,
    )


MODELS: dict[str, Tiny] = {
    "jina-bert-v2": Tiny(
        config=jina_config(437, "jinaai/jina-bert-implementation", pad_token_id=0),
        tensors=jina_bert,
        tokenizer="bert",
        pre="jina-v2-en",
        dtype="F16",
        files=sentence_transformer("pooling_mode_mean_tokens"),
        gelu=True,
        runs=False,
        foreign=True,
        encoder=True,
    ),
    "jina-bert-v2-code": Tiny(
        config=jina_config(481, "jinaai/jina-bert-v2-qk-post-norm"),
        tensors=jina_bert,
        tokenizer="roberta",
        pre="roberta-bpe",
        dtype="F16",
        gelu=True,
        runs=False,
        foreign=True,
        encoder=True,
    ),
}
