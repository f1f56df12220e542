"""Tiny checkpoints: RoBERTa."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, encoder
from tests.architectures.parts.encoders import bert_config, classifier, sentence_transformer

_SENTIMENT = {"0": "negative", "1": "neutral", "2": "positive"}

MODELS: dict[str, Tiny] = {
    # A position embedding with two rows no token uses; the bare model.
    "roberta": Tiny(
        config=bert_config("RobertaModel", "roberta", 481),
        tensors=encoder,
        tokenizer="roberta",
        pre="roberta-bpe",
        dtype="F16",
        files=sentence_transformer("pooling_mode_mean_tokens"),
        gelu=True,
        encoder=True,
    ),
    "roberta-classifier": Tiny(
        config=bert_config(
            "RobertaForSequenceClassification",
            "roberta",
            482,
            id2label=_SENTIMENT,
            label2id={label: int(i) for i, label in _SENTIMENT.items()},
        ),
        tensors=classifier,
        tokenizer="roberta",
        pre="roberta-bpe",
        gelu=True,
        encoder=True,
    ),
}
