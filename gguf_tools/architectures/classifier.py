"""Classification heads of encoders: names of the classes, and which class of model an export is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ..container.metadata import Array
from ..errors import ArchitectureError
from ..spec import ValueType
from .config import GGUFFacts, HFConfig
from .keys import Entry
from .table import class_name
from .tensors import Rule

__all__ = ["Labels", "chosen_by_head", "classifies", "dense_head", "labels", "projection"]

_MAX_LABELS: Final = 1 << 16  # names made up for a bare number stay a bounded list


def labels(config: HFConfig) -> list[str]:
    """Names of the classes in order; none for the two that transformers makes up where nothing is said."""
    given = config.find("id2label")
    if given is None:
        count = 2 if config.find("num_labels") is None else config.integer("num_labels", least=0)
        given = {i: f"LABEL_{i}" for i in range(min(count, _MAX_LABELS))}
    try:
        named = [label for _, label in sorted((int(key), label) for key, label in given.items())]
        if not all(isinstance(label, str) for label in named):
            raise TypeError
    except (AttributeError, TypeError, ValueError) as error:
        raise ArchitectureError(
            "not an object from class numbers to names", path="config.json", key="id2label", found=given
        ) from error
    return [] if len(named) == 2 and named[0] == "LABEL_0" else named


class Labels:
    """``id2label`` ↔ ``classifier.output_labels``."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        if named := labels(config):
            yield "classifier.output_labels", ValueType.ARRAY, Array(ValueType.STRING, named)

    def inverse(self, facts: GGUFFacts, config: dict[str, object]) -> None:
        named = facts.find("classifier.output_labels")
        if isinstance(named, Array):
            config["id2label"] = {str(i): label for i, label in enumerate(named)}
            config["label2id"] = {label: i for i, label in enumerate(named)}


def classifies(config: HFConfig, layer: int) -> bool:
    """The condition that the model is one for classification."""
    return class_name(config).endswith("ForSequenceClassification")


def chosen_by_head(model: str, classifier: str) -> Callable[[GGUFFacts], str]:
    """Picks the class of an export: the classifier where the file has a head."""
    return lambda facts: classifier if facts.has("cls.output.weight") or facts.has("cls.weight") else model


def projection() -> tuple[Rule, ...]:
    """A head of one projection. llama.cpp's converter calls it another name where its classes have names."""
    return tuple(
        Rule((f"classifier.{part}",), (f"{gguf}.{part}",), when=when, needed=classifies)
        for gguf, when in (
            ("cls.output", lambda config, layer: bool(labels(config))),
            ("cls", lambda config, layer: not labels(config)),
        )
        for part in ("weight", "bias")
    )


def dense_head(dense: str, output: str) -> tuple[Rule, ...]:
    """A head of two projections by their HF modules, both with biases."""
    return tuple(
        Rule((f"{hf}.{part}",), (f"{gguf}.{part}",), needed=classifies)
        for hf, gguf in ((dense, "cls"), (output, "cls.output"))
        for part in ("weight", "bias")
    )
