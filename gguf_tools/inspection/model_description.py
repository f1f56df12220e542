"""What metadata says about a model, under names that are the same for every architecture."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import copysign, inf
from typing import Any, Final

from ..container.metadata import Array
from ..hyperparameters import Hyperparameters, LayerSizes, whole_number
from ..spec import FileType

__all__ = ["ModelDescription", "describe_model"]

_TEMPLATE: Final = "tokenizer.chat_template"

_GENERAL: Final = (
    *("organization", "author", "basename", "finetune", "version", "size_label", "description"),
    *("license", "license.name", "license.link", "languages", "tags", "url", "source.url", "repo_url"),
    *("source.huggingface.repository", "quantized_by", "type"),
)
"""Keys after ``general.`` that say where a model is from and what may be done with it."""

_SPECIAL: Final = {
    **{kind: kind for kind in ("bos", "eos", "eot", "unknown", "padding", "cls", "mask")},
    "separator": "seperator",  # as llama.cpp spells it
}
"""Special tokens, and what stands before ``_token_id`` in their keys."""


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """Facts about a model; None (or an empty mapping) is what its metadata does not say.

    Attributes:
        architecture: ``general.architecture``.
        name: ``general.name``.
        file_type: the recipe's name by ``general.file_type``.
        layers, context_length, embedding_length, feed_forward_length: sizes; the last may differ by layer.
        heads, kv_heads: of attention; may differ by layer.
        key_length, value_length: values in a head, where that is said.
        experts, experts_used, experts_shared: counts for each layer that has experts.
        expert_feed_forward_length: of each of them.
        sliding_window: tokens a layer with a window looks back.
        rope: what stands under ``rope.``, such as ``freq_base`` and ``scaling.factor``.
        ssm: what stands under ``ssm.``: sizes of state space layers.
        pooling: of an embedding model: NONE, MEAN, CLS, LAST or RANK.
        causal: whether tokens only look back, where that is said.
        general: where the model is from: license, organization and their like.
        base_models: names or URLs of the models it was made from.
        tokenizer, pre_tokenizer: kinds, as llama.cpp calls them.
        vocabulary: tokens in it.
        special_tokens: ids by kind (``bos``, ``eos``, …).
        chat_template: whether there is one.
        chat_template_length: its characters.
        chat_templates: names of further ones.
        imatrix: what stands under ``quantize.imatrix.``.
        model_class: the transformers class, of a checkpoint.
        packing: what a checkpoint's ``quantization_config`` says, such as ``quant_method`` and ``bits``.
        head_size: values in a head: what is said, else the width over the heads where it is a multiple.
    """

    architecture: str | None = None
    name: str | None = None
    file_type: str | None = None
    layers: int | None = None
    context_length: int | None = None
    embedding_length: int | None = None
    feed_forward_length: LayerSizes = None
    heads: LayerSizes = None
    kv_heads: LayerSizes = None
    key_length: int | None = None
    value_length: int | None = None
    experts: int | None = None
    experts_used: int | None = None
    experts_shared: int | None = None
    expert_feed_forward_length: LayerSizes = None
    sliding_window: int | None = None
    rope: Mapping[str, Any] = field(default_factory=dict)
    ssm: Mapping[str, Any] = field(default_factory=dict)
    pooling: str | None = None
    causal: bool | None = None
    general: Mapping[str, Any] = field(default_factory=dict)
    base_models: list[str] = field(default_factory=list)
    tokenizer: str | None = None
    pre_tokenizer: str | None = None
    vocabulary: int | None = None
    special_tokens: Mapping[str, int] = field(default_factory=dict)
    chat_template: bool = False
    chat_template_length: int | None = None
    chat_templates: list[str] = field(default_factory=list)
    imatrix: Mapping[str, Any] = field(default_factory=dict)
    model_class: str | None = None
    packing: Mapping[str, Any] = field(default_factory=dict)
    head_size: int | None = None

    @property
    def query_groups(self) -> int | None:
        """Query heads for each key-value head, where that is one number for all layers."""
        heads, kv_heads = self.heads, self.kv_heads
        if not isinstance(heads, int) or not isinstance(kv_heads, int) or kv_heads <= 0 or heads % kv_heads:
            return None
        return heads // kv_heads


def describe_model(metadata: Mapping[str, Any]) -> ModelDescription:
    """Gather what GGUF metadata says. Values of unexpected types count as not said."""
    known, model = _Reader(metadata), Hyperparameters(metadata)
    template = known.text(_TEMPLATE)
    return ModelDescription(
        architecture=model.architecture,
        name=known.text("general.name"),
        file_type=_named(known.integer("general.file_type"), lambda number: FileType(number).name),
        layers=model.block_count,
        context_length=model.context_length,
        embedding_length=model.embedding_length,
        feed_forward_length=model.feed_forward_lengths,
        heads=model.heads,
        kv_heads=model.kv_heads,
        key_length=model.key_length,
        value_length=model.value_length,
        experts=model.expert_count,
        experts_used=model.expert_used_count,
        experts_shared=model.expert_shared_count,
        expert_feed_forward_length=model.expert_feed_forward_lengths,
        sliding_window=model.sliding_window,
        rope=_all_plain(model.under("rope.")),
        ssm=_all_plain(model.under("ssm.")),
        pooling=_named(model.integer("pooling_type"), lambda number: _POOLING[number]),
        causal=model.flag("attention.causal"),
        general={
            key: value for key in _GENERAL if (value := known.plain(f"general.{key}")) not in (None, [])
        },
        base_models=known.base_models(),
        tokenizer=known.text("tokenizer.ggml.model"),
        pre_tokenizer=known.text("tokenizer.ggml.pre"),
        vocabulary=model.token_count,
        special_tokens={
            kind: number
            for kind, spelled in _SPECIAL.items()
            if (number := known.integer(f"tokenizer.ggml.{spelled}_token_id")) is not None
        },
        chat_template=template is not None,
        chat_template_length=None if template is None else len(template),
        chat_templates=[key[len(_TEMPLATE) + 1 :] for key in metadata if key.startswith(f"{_TEMPLATE}.")],
        imatrix=known.under("quantize.imatrix."),
        head_size=model.exact_key_size,
    )


_POOLING: Final = ("NONE", "MEAN", "CLS", "LAST", "RANK")
"""``enum llama_pooling_type``."""


class _Reader:
    """Values of the expected kind, or None: a summary of an odd file is still a summary."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._metadata = metadata

    def text(self, key: str) -> str | None:
        value = self._metadata.get(key)
        return value if isinstance(value, str) else None

    def integer(self, key: str) -> int | None:
        return whole_number(self._metadata.get(key))

    def plain(self, key: str) -> Any:
        """A value of any kind as JSON has it; floats with the digits they need in float32."""
        return _plain(self._metadata.get(key))

    def under(self, prefix: str) -> dict[str, Any]:
        """All values whose keys begin so, by the rest of the key."""
        return _all_plain({k[len(prefix) :]: v for k, v in self._metadata.items() if k.startswith(prefix)})

    def base_models(self) -> list[str]:
        """``general.base_model.N.repo_url``, or the name where there is no URL."""
        count = self.integer("general.base_model.count") or 0
        places = [f"general.base_model.{i}" for i in range(min(count, _MOST_BASES))]
        found = (self.text(f"{place}.repo_url") or self.text(f"{place}.name") for place in places)
        return [text for text in found if text]


_MOST_BASES: Final = 100
"""Base models that are read; a hostile count could be any number."""


def _all_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Array):
        return [_plain(item) for item in value]
    return _shortest(value) if isinstance(value, float) else value


def _shortest(value: float) -> float:
    """The value rounded to as few digits as leave it the same in float32; as it is if it is no float32."""
    candidates = (float(f"{value:.{digits}g}") for digits in range(1, _DIGITS + 1))
    return next((short for short in candidates if _single(short) == value), value)


_DIGITS: Final = 9
"""Significant ones; so many tell any float32 from all others."""


def _single(value: float) -> float:
    """The nearest float32."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return copysign(inf, value)


def _named(number: int | None, name: Callable[[int], str]) -> str | None:
    if number is None:
        return None
    try:
        if number < 0:
            raise IndexError
        return name(number)
    except (ValueError, IndexError):
        return f"unknown ({number})"
