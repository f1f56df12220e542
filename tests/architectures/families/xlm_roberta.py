"""Tiny checkpoints: XLM-RoBERTa."""

from __future__ import annotations

from tests.architectures.parts.base import Tiny, encoder
from tests.architectures.parts.encoders import bert_config, classifier, sentence_transformer

MODELS: dict[str, Tiny] = {
    # From the SentencePiece model, whose ids are not the tokenizer's.
    "xlm-roberta": Tiny(
        config=bert_config("XLMRobertaModel", "xlm-roberta", 264),
        tensors=encoder,
        tokenizer="xlm-roberta",
        files=sentence_transformer("pooling_mode_cls_token"),
        gelu=True,
        encoder=True,
    ),
    # From tokenizer.json.
    "xlm-roberta-json": Tiny(
        config=bert_config(
            "XLMRobertaForSequenceClassification",
            "xlm-roberta",
            262,
            id2label={"0": "LABEL_0"},
            label2id={"LABEL_0": 0},
        ),
        tensors=classifier,
        tokenizer="xlm-roberta",
        without=("sentencepiece.bpe.model",),
        gelu=True,
        encoder=True,
    ),
}
