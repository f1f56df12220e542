"""A model's hyperparameters by its GGUF metadata: which key says what, and what holds where none does.

`Hyperparameters` never fails: a value of an unexpected type counts as not said. `CheckedHyperparameters` is
for those who compute with the values, and raises instead. Defaults are those of llama.cpp's loader
(``load_hparams``). Neither imports numpy: ``inspect`` reads headers without it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from .container.metadata import Array
from .errors import FormatError
from .spec import MAX_LAYERS

__all__ = ["CheckedHyperparameters", "Hyperparameters", "LayerSizes", "whole_number"]

LayerSizes = int | list[int] | None
"""One for all layers, one for each, or none that is said."""

_LARGEST: Final = 2**31
"""No dimension, count or length of a model is as large."""

_BLOCKS: Final = "block_count"
_HEADS: Final = "attention.head_count"
_KV_HEADS: Final = "attention.head_count_kv"
_FEED_FORWARD: Final = "feed_forward_length"
_EXPERT_FEED_FORWARD: Final = "expert_feed_forward_length"
_PATTERN: Final = "attention.sliding_window_pattern"


def whole_number(value: object) -> int | None:
    """The value if it is a whole number, which a truth value is not; else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class Hyperparameters:
    """What metadata says of one architecture; None is what it does not say.

    Names of keys are given without the architecture's. Values are as they stand in the file: only
    `CheckedHyperparameters` looks whether they are possible.

    Args:
        metadata: all keys of a file.
        architecture: whose keys to read, where it is not ``general.architecture``.
    """

    def __init__(self, metadata: Mapping[str, Any], architecture: str | None = None) -> None:
        self._metadata = metadata
        name = metadata.get("general.architecture") if architecture is None else architecture
        self.architecture: str | None = name if isinstance(name, str) else None

    def key(self, name: str) -> str:
        """The full key."""
        return f"{self.architecture}.{name}"

    def find(self, name: str) -> Any:
        """The value of a key, whatever it is, or None."""
        return self._metadata.get(self.key(name))

    def has(self, name: str) -> bool:
        """Whether the key is there."""
        return self.key(name) in self._metadata

    def under(self, prefix: str) -> dict[str, Any]:
        """All values whose keys begin so, by the rest of the key."""
        start = self.key(prefix)
        return {key[len(start) :]: value for key, value in self._metadata.items() if key.startswith(start)}

    def integer(self, name: str) -> int | None:
        """A whole number."""
        value = self.find(name)
        return None if value is None else self._whole(name, value)

    def of_layer(self, name: str, layer: int = 0) -> int | None:
        """A whole number of one layer: of an array its item, else the same for all."""
        value = self.find(name)
        if isinstance(value, Array):
            value = self._item(name, value, layer)
        return None if value is None else self._whole(name, value)

    def stated(self, name: str) -> LayerSizes:
        """A whole number, or the whole array."""
        value = self.find(name)
        if not isinstance(value, Array):
            return self.integer(name)
        items = [whole_number(item) for item in value]
        return None if None in items else [item for item in items if item is not None]

    def flag(self, name: str, default: bool | None = None) -> bool | None:
        """A truth value."""
        value = self.find(name)
        return value if isinstance(value, bool) else default

    def real(self, name: str) -> float:
        """A number of any kind; zero where it is not said."""
        value = self.find(name)
        return float(value) if isinstance(value, int | float) else 0.0

    @property
    def block_count(self) -> int | None:
        """Layers that are stored; with those that predict further tokens."""
        return self.integer(_BLOCKS)

    @property
    def context_length(self) -> int | None:
        """Tokens of context the model was trained with."""
        return self.integer("context_length")

    @property
    def embedding_length(self) -> int | None:
        """Values of a hidden state: the model's width."""
        return self.integer("embedding_length")

    @property
    def feed_forward_lengths(self) -> LayerSizes:
        """Values inside of feed-forward networks."""
        return self.stated(_FEED_FORWARD)

    def feed_forward_length(self, layer: int = 0) -> int | None:
        """Values inside of a layer's feed-forward network."""
        return self.of_layer(_FEED_FORWARD, layer)

    @property
    def heads(self) -> LayerSizes:
        """Heads of queries."""
        return self.stated(_HEADS)

    @property
    def kv_heads(self) -> LayerSizes:
        """Heads of keys and values, only where that is said."""
        return self.stated(_KV_HEADS)

    def head_count(self, layer: int = 0) -> int | None:
        """Heads of a layer's queries; 0 where it does not attend."""
        return self.of_layer(_HEADS, layer)

    def kv_head_count(self, layer: int = 0) -> int | None:
        """Heads of a layer's keys and values; without the key as many as of queries."""
        said = self.of_layer(_KV_HEADS, layer)
        return self.head_count(layer) if said is None else said

    @property
    def key_length(self) -> int | None:
        """Values in a head's key, only where that is said; with latent attention in the cache's."""
        return self.integer("attention.key_length")

    @property
    def value_length(self) -> int | None:
        """Values in a head's value, only where that is said; with latent attention in the cache's."""
        return self.integer("attention.value_length")

    @property
    def divided_width(self) -> int | None:
        """Values in a head of a model that does not say: the width over the heads of the first layer."""
        width, heads = self.embedding_length, self.head_count()
        return None if width is None or heads is None or heads <= 0 else width // heads

    @property
    def key_size(self) -> int | None:
        """Values in a head's key: what is said, else the share of the width."""
        return self.divided_width if (said := self.key_length) is None else said

    @property
    def value_size(self) -> int | None:
        """Values in a head's value: what is said, else the share of the width."""
        return self.divided_width if (said := self.value_length) is None else said

    @property
    def exact_key_size(self) -> int | None:
        """`key_size`; nothing where it is not said and the width is no multiple of the heads."""
        if (said := self.key_length) is not None:
            return said
        width, heads = self.embedding_length or 0, self.head_count() or 0
        return width // heads if width > 0 < heads and width % heads == 0 else None

    @property
    def window_key_size(self) -> int | None:
        """`key_size` in layers with a sliding window."""
        return self.key_size if (said := self.integer("attention.key_length_swa")) is None else said

    @property
    def window_value_size(self) -> int | None:
        """`value_size` in layers with a sliding window."""
        return self.value_size if (said := self.integer("attention.value_length_swa")) is None else said

    @property
    def latent(self) -> bool:
        """Whether keys and values are cached in a compressed form, as DeepSeek's attention does."""
        return self.has("attention.key_length_mla") and self.has("attention.value_length_mla")

    def full_key_size(self, layer: int = 0) -> int | None:
        """`key_size`, with latent attention once the keys are opened; where there is an array, a layer's."""
        return self._full_size("attention.key_length", layer)

    def full_value_size(self, layer: int = 0) -> int | None:
        """`value_size`, likewise."""
        return self._full_size("attention.value_length", layer)

    def _full_size(self, name: str, layer: int) -> int | None:
        said = (self.of_layer(key, layer) for key in (f"{name}_mla", name))
        return next((size for size in said if size is not None), self.divided_width)

    @property
    def expert_count(self) -> int | None:
        """Experts of each layer that has some."""
        return self.integer("expert_count")

    @property
    def expert_used_count(self) -> int | None:
        """Experts of a layer that each token uses."""
        return self.integer("expert_used_count")

    @property
    def expert_shared_count(self) -> int | None:
        """Experts of a layer that all tokens use."""
        return self.integer("expert_shared_count")

    @property
    def expert_feed_forward_lengths(self) -> LayerSizes:
        """Values inside of experts, only where that is said."""
        return self.stated(_EXPERT_FEED_FORWARD)

    def expert_feed_forward_length(self, layer: int = 0) -> int | None:
        """Values inside of a layer's experts; as in other networks where that is not said."""
        return self.of_layer(_EXPERT_FEED_FORWARD, layer) or self.feed_forward_length(layer)

    @property
    def sliding_window(self) -> int | None:
        """Tokens that a layer with a window looks back."""
        return self.integer("attention.sliding_window")

    @property
    def token_count(self) -> int | None:
        """Tokens of the vocabulary in the file."""
        tokens = self._metadata.get("tokenizer.ggml.tokens")
        return len(tokens) if isinstance(tokens, Array) else None

    def _whole(self, name: str, value: object) -> int | None:
        """A value as a whole number."""
        return whole_number(value)

    def _item(self, name: str, values: Array, layer: int) -> object:
        """What an array has for a layer."""
        return values[layer] if 0 <= layer < len(values) else None


class CheckedHyperparameters(Hyperparameters):
    """The same for those who compute with the values: what is there but unusable is an error.

    Methods and properties raise a `FormatError` that names the key where a count or size is no whole number
    from 0 up to 2^31, where an array is shorter than the model, and where there are more than `MAX_LAYERS`
    layers.

    Args:
        metadata: all keys of a file.
        architecture: whose keys to read, where it is not ``general.architecture``.
        path: the file, for errors.
        use: what the values are needed for, for errors.
    """

    def __init__(
        self,
        metadata: Mapping[str, Any],
        architecture: str | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        use: str = "the model",
    ) -> None:
        super().__init__(metadata, architecture)
        self._path = path
        self._use = use

    def number(self, name: str, default: int | None = None, *, least: int = 0, most: int = _LARGEST) -> int:
        """A count or a size, from ``least`` to ``most``.

        Raises:
            FormatError: it is missing and there is no default, or it is no such number.
        """
        found = self.integer(name)
        if found is None:
            return self._needed(name) if default is None else default
        if not least <= found <= most:
            raise self._fault("out of range", name, found, f"{least} to {most}")
        return found

    @property
    def block_count(self) -> int:
        """Layers that are stored; with those that predict further tokens."""
        stored = self.number(_BLOCKS)
        if not 0 < stored <= MAX_LAYERS:
            raise self._fault("no such count of layers", _BLOCKS, stored, f"1 to {MAX_LAYERS}")
        return stored

    @property
    def hidden_layers(self) -> int:
        """Layers that compute the next token, at least one; HF's ``num_hidden_layers``."""
        return max(self.block_count - self.number("nextn_predict_layers", 0), 1)

    @property
    def vocabulary_size(self) -> int:
        """Tokens the model tells apart: those in the file, else what a file without a vocabulary says."""
        return self.number("vocab_size") if (tokens := self.token_count) is None else tokens

    def by_layer(self, name: str, default: int | list[int] | None = None) -> list[int]:
        """A number for each layer that is stored.

        Raises:
            FormatError: it is missing and there is no default, or unusable.
        """
        value = self.find(name)
        if value is None and isinstance(default, list):
            return default
        if isinstance(value, Array):
            items = (self._item(name, value, layer) for layer in range(self.block_count))
            return [self._whole(name, item) for item in items]
        return [self.number(name, None if isinstance(default, list) else default)] * self.block_count

    def head_count_by_layer(self, default: int | None = None) -> list[int]:
        """`head_count` of each layer that is stored."""
        return self.by_layer(_HEADS, default)

    def kv_head_count_by_layer(self, default: int | None = None) -> list[int]:
        """`kv_head_count` of each layer that is stored."""
        return self.by_layer(_KV_HEADS, self.head_count_by_layer(default))

    def feed_forward_length_by_layer(self, default: int | None = None) -> list[int]:
        """`feed_forward_length` of each layer that is stored."""
        return self.by_layer(_FEED_FORWARD, default)

    def windowed(self, period: int, *, first: bool) -> list[bool]:
        """Which of the layers that are stored look through the window.

        As the file says for each, or all but one of every so many.

        Args:
            period: how many, where the file does not say; 0 for all layers alike.
            first: whether the first of them looks everywhere, else the last.
        """
        count, pattern = self.block_count, self.find(_PATTERN)
        if isinstance(pattern, Array):
            items = (self._item(_PATTERN, pattern, layer) for layer in range(count))
            return [item if isinstance(item, bool) else self._whole(_PATTERN, item) > 0 for item in items]
        period = self.number(_PATTERN, period)
        seeing = 0 if first else period - 1
        return [not period or layer % period != seeing for layer in range(count)]

    @property
    def exact_key_size(self) -> int:
        """`key_size`, above zero.

        Raises:
            FormatError: it is not said and the width is no multiple of the heads.
        """
        if self.key_length is not None:
            return self.number("attention.key_length", least=1)
        share = super().exact_key_size
        if share is None:
            found = self.find(_HEADS)
            raise self._fault("the width is not a multiple of the heads", _HEADS, found, None)
        return share

    def one_for_each(self, name: str) -> list[int]:
        """A number for each layer that is stored: of an array with neither more nor less, or one for all.

        Raises:
            FormatError: the key is missing, or its value is not as many numbers as there are layers.
        """
        layers, found = self.block_count, self.find(name)
        items = list(found) if isinstance(found, Array) else [found] * layers
        numbers = [number for item in items if (number := whole_number(item)) is not None and number >= 0]
        if not len(numbers) == len(items) == layers:
            raise self._fault("not a number for every layer", name, found, f"{layers} whole numbers")
        return numbers

    def _whole(self, name: str, value: object) -> int:
        number = whole_number(value)
        if number is None or not 0 <= number < _LARGEST:
            raise self._fault("not a count or size", name, value, "a whole number below 2^31")
        return number

    def _item(self, name: str, values: Array, layer: int) -> object:
        if len(values) < self.block_count:
            raise self._fault("one number per layer is needed", name, len(values), self.block_count)
        return values[layer]

    def _needed(self, name: str) -> int:
        raise FormatError(f"needed for {self._use}", path=self._path, key=self.key(name))

    def _fault(self, message: str, name: str, found: object, expected: object) -> FormatError:
        return FormatError(message, path=self._path, key=self.key(name), found=found, expected=expected)
