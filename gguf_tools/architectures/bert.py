"""BERT encoders, for embeddings and classification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..container.metadata import Array
from ..errors import ArchitectureError
from ..spec import ValueType
from .config import GGUFFacts, HFConfig
from .keys import SIZES, Assumed, Computed, Entry, Key, RowsOf
from .pooling import Pooling, pooling_files
from .table import Architecture, HFClass, class_name
from .tensors import Drop, Rule, weight_and_bias

_BLOCK: Final = "bert.encoder.layer.{i}"
_MAX_LABELS: Final = 1 << 16  # names made up for a bare number stay a bounded list
_CLASSIFIER: Final = "BertForSequenceClassification"
_DEFAULTS: Final[dict[str, Any]] = {
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}


def _labels(config: HFConfig) -> list[str]:
    """Names of the classes in order; none for the two that transformers makes up where nothing is said."""
    given = config.find("id2label")
    if given is None:
        count = 2 if config.find("num_labels") is None else config.integer("num_labels", least=0)
        given = {i: f"LABEL_{i}" for i in range(min(count, _MAX_LABELS))}
    try:
        labels = [label for _, label in sorted((int(key), label) for key, label in given.items())]
        if not all(isinstance(label, str) for label in labels):
            raise TypeError
    except (AttributeError, TypeError, ValueError) as error:
        raise ArchitectureError(
            "not an object from class numbers to names", path="config.json", key="id2label", found=given
        ) from error
    return [] if len(labels) == 2 and labels[0] == "LABEL_0" else labels


class _Labels:
    """``id2label`` ↔ ``classifier.output_labels``."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if labels := _labels(config):
            yield "classifier.output_labels", ValueType.ARRAY, Array(ValueType.STRING, labels)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        labels = facts.find("classifier.output_labels")
        if isinstance(labels, Array):
            config["id2label"] = {str(i): label for i, label in enumerate(labels)}
            config["label2id"] = {label: i for i, label in enumerate(labels)}


def _choose(facts: GGUFFacts) -> str:
    return _CLASSIFIER if facts.has("cls.output.weight") or facts.has("cls.weight") else "BertModel"


def _classifies(config: HFConfig, layer: int) -> bool:
    return class_name(config) == _CLASSIFIER


ARCHITECTURE: Final = Architecture(
    name="bert",
    classes=(
        HFClass("BertModel", "bert", _DEFAULTS, prefixed=False),
        HFClass("BertForMaskedLM", "bert", _DEFAULTS),
        HFClass(_CLASSIFIER, "bert", _DEFAULTS),
    ),
    tokenizer_kinds=("wordpiece",),
    prefix="bert.",
    heads=("cls.", "classifier."),
    renames=((r"\.gamma$", ".weight"), (r"\.beta$", ".bias")),  # checkpoints that came from TensorFlow
    choose=_choose,
    keys=(
        *SIZES,
        Key("attention.layer_norm_epsilon", "layer_norm_eps", "layer_norm_epsilon", type=ValueType.FLOAT32),
    ),
    own_keys=(
        Computed("attention.causal", ValueType.BOOL, lambda config: False),
        Pooling(),
        _Labels(),
        RowsOf("vocab_size", "token_embd.weight"),
        RowsOf("type_vocab_size", "token_types.weight"),
        Assumed("hidden_act", ("gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast")),
        Assumed("position_embedding_type", ("absolute",)),
    ),
    tensors=(
        Rule(("bert.embeddings.word_embeddings.weight",), ("token_embd.weight",)),
        Rule(("bert.embeddings.token_type_embeddings.weight",), ("token_types.weight",)),
        Rule(("bert.embeddings.position_embeddings.weight",), ("position_embd.weight",)),
        *weight_and_bias("bert.embeddings.LayerNorm", "token_embd_norm"),
        *(
            rule
            for hf, gguf in (
                ("attention.self.query", "attn_q"),
                ("attention.self.key", "attn_k"),
                ("attention.self.value", "attn_v"),
                ("attention.output.dense", "attn_output"),
                ("attention.output.LayerNorm", "attn_output_norm"),
                ("intermediate.dense", "ffn_up"),
                ("output.dense", "ffn_down"),
                ("output.LayerNorm", "layer_output_norm"),
            )
            for rule in weight_and_bias(f"{_BLOCK}.{hf}", f"blk.{{i}}.{gguf}")
        ),
        *(
            Rule((f"classifier.{part}",), (f"{gguf}.{part}",), when=when, needed=_classifies)
            for gguf, when in (
                ("cls.output", lambda config, layer: bool(_labels(config))),
                ("cls", lambda config, layer: not _labels(config)),
            )
            for part in ("weight", "bias")
        ),
    ),
    drops=(
        Drop(r"bert\.embeddings\.position_ids", "a buffer: 0, 1, 2, …"),
        Drop(r"bert\.pooler\.dense\.(weight|bias)", "llama.cpp pools without it"),
        Drop(r"cls\.predictions\..*", "the masked-word head: llama.cpp uses BERT for embeddings"),
        Drop(r"cls\.seq_relationship\..*", "the next-sentence head: llama.cpp uses BERT for embeddings"),
    ),
    lost=("pooler.dense is not in GGUF; transformers will start it at random values",),
    extras=pooling_files,
)
