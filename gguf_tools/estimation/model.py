"""What of a model decides how much memory it takes: read from names, shapes and metadata alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from .. import architectures
from ..architectures.traits import GraphTraits, Memory, Mixer, Stack
from ..errors import ArchitectureError, FormatError
from ..hyperparameters import CheckedHyperparameters

__all__ = ["Layer", "Model", "Stored", "read_model"]


class Stored(Protocol):
    """A tensor as far as memory goes; the shape slowest dimension first."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def nbytes(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Attributes:
        heads, kv_heads: of its attention; no ``kv_heads`` where it does not attend.
        key_size, value_size: values in a head.
        windowed: whether it looks back through the window only.
        cached: whether it has a cache of keys and values of its own.
        shift, state: float32 values it keeps of a sequence: of a convolution or token shift, and the state.
    """

    heads: int
    kv_heads: int
    key_size: int
    value_size: int
    windowed: bool
    cached: bool
    shift: int
    state: int

    @property
    def keys(self) -> int:
        """Values of a token's keys."""
        return self.kv_heads * self.key_size

    @property
    def values(self) -> int:
        """Values of a token's values."""
        return self.kv_heads * self.value_size

    @property
    def recurrent(self) -> bool:
        """Whether it keeps a state."""
        return bool(self.shift or self.state)


@dataclass(frozen=True)
class Model:
    """A model.

    Attributes:
        path: where it is from, for errors.
        architecture: ``general.architecture``.
        graph: what the runtime's graph does without the file saying so.
        hparams: what its metadata says.
        layers: from the first; those that predict further tokens are not among them.
        stored_layers: with those.
        tensors: shapes, slowest dimension first, by name.
        sizes: bytes by name.
        width: of the hidden states.
        vocabulary: tokens.
        trained_context: tokens it was trained with.
        window: tokens a windowed layer looks back; 0 without such layers.
        latent: whether only compressed keys are cached, as DeepSeek's attention does.
    """

    path: str
    architecture: str
    graph: GraphTraits
    hparams: CheckedHyperparameters
    layers: tuple[Layer, ...]
    stored_layers: int
    tensors: Mapping[str, tuple[int, ...]]
    sizes: Mapping[str, int]
    width: int
    vocabulary: int
    trained_context: int
    window: int
    latent: bool

    @property
    def remembers(self) -> bool:
        """Whether anything is kept from one batch to the next; encoders do not."""
        return self.graph.memory is not Memory.NOTHING

    @property
    def weights(self) -> int:
        """Bytes of all tensors."""
        return sum(self.sizes.values())

    @property
    def attends(self) -> bool:
        """Whether any layer has a cache of keys and values."""
        return any(layer.cached for layer in self.layers)

    def has(self, name: str, layer: int | None = None) -> bool:
        """Whether there is such a weight, in a layer or outside of them."""
        return self._name(name, layer) in self.tensors

    def rows(self, name: str, layer: int | None = None) -> int:
        """Length of what a weight makes of a token: its second dimension as GGUF counts them."""
        shape = self._shape(name, layer)
        return shape[-2] if len(shape) > 1 else 1

    def columns(self, name: str, layer: int | None = None) -> int:
        """Length of what a weight is applied to: its first dimension as GGUF counts them."""
        return self._shape(name, layer)[-1]

    def _shape(self, name: str, layer: int | None) -> tuple[int, ...]:
        found = self._name(name, layer)
        if not self.tensors.get(found):
            raise FormatError("needed for the estimate", path=self.path, tensor=found)
        return self.tensors[found]

    def _name(self, name: str, layer: int | None) -> str:
        """The full name of a weight; a few families leave its end out."""
        at = "" if layer is None else f"blk.{layer}."
        whole = name if "." in name else f"{name}.weight"
        candidates = [f"{prefix}{at}{end}" for prefix in ("", "dec.", "enc.") for end in (whole, name)]
        return next((found for found in candidates if found in self.tensors), f"{at}{whole}")


def read_model(
    metadata: Mapping[str, object], tensors: Iterable[Stored], path: str | os.PathLike[str]
) -> Model:
    """Gather the facts.

    Raises:
        ArchitectureError: the file names no architecture, or one that is unknown here.
        FormatError: a key is missing or no number, or a tensor has a type of unknown size.
    """
    name = metadata.get("general.architecture")
    if not isinstance(name, str):
        raise ArchitectureError(
            "the file does not name its architecture",
            path=path,
            key="general.architecture",
            found=name,
            expected="a name such as llama",
        )
    family = architectures.by_name(name)
    if family is None:
        raise ArchitectureError(
            "no estimate for this architecture", path=path, key="general.architecture", found=name
        )
    hparams = CheckedHyperparameters(metadata, path=path, use="the estimate")
    stored = list(tensors)
    sizes = {tensor.name: _size(tensor, path) for tensor in stored}
    layers = _Layers(family.graph, hparams)
    return Model(
        path=os.fspath(path),
        architecture=name,
        graph=family.graph,
        hparams=hparams,
        layers=layers.all(),
        stored_layers=layers.stored,
        tensors={tensor.name: tensor.shape for tensor in stored},
        sizes=sizes,
        width=layers.width,
        vocabulary=hparams.vocabulary_size,
        trained_context=hparams.number("context_length"),
        window=layers.window,
        latent=hparams.latent,
    )


def _size(tensor: Stored, path: str | os.PathLike[str]) -> int:
    if tensor.nbytes is None:
        raise FormatError("of a type of unknown size", path=path, tensor=tensor.name)
    return tensor.nbytes


class _Layers:
    """The layers of a model, from its keys."""

    def __init__(self, graph: GraphTraits, hparams: CheckedHyperparameters) -> None:
        self._graph = graph
        self._hparams = hparams
        self.stored, self.count = hparams.block_count, hparams.hidden_layers
        self.width = hparams.number("embedding_length")
        self.window, self._windowed = self._windows()

    def all(self) -> tuple[Layer, ...]:
        """The layers that compute the next token."""
        hparams, count = self._hparams, self.count
        no_heads = 0 if self._graph.memory is Memory.STATE else None
        heads, kv_heads = hparams.head_count_by_layer(no_heads), hparams.kv_head_count_by_layer(no_heads)
        inner = hparams.feed_forward_length_by_layer(0)
        key_size, value_size = hparams.key_size or 0, hparams.value_size or 0
        window_key_size, window_value_size = hparams.window_key_size or 0, hparams.window_value_size or 0
        remembers = self._graph.memory is not Memory.NOTHING
        cached = count if self._graph.cached_layers is None else self._graph.cached_layers
        shift, state = self._state()
        made = []
        for index in range(count):
            attends, recurs = self._kinds(index, kv_heads[index], inner[index])
            windowed = self._windowed[index]
            made.append(
                Layer(
                    heads=heads[index] if attends else 0,
                    kv_heads=kv_heads[index] if attends else 0,
                    key_size=window_key_size if windowed else key_size,
                    value_size=window_value_size if windowed else value_size,
                    windowed=windowed,
                    cached=attends and remembers and index < cached,
                    shift=shift if recurs else 0,
                    state=state if recurs else 0,
                )
            )
        return tuple(made)

    def _kinds(self, index: int, kv_heads: int, inner: int) -> tuple[bool, bool]:
        """Whether a layer attends, and whether it keeps a state."""
        memory = self._graph.memory
        if memory is Memory.STATE:
            return False, True
        if memory is Memory.BOTH:
            return True, True
        if memory is Memory.PERIODIC:
            attends = (index + 1) % self._hparams.number("full_attention_interval", 4) == 0
            return attends, not attends
        if memory is Memory.EITHER:
            return bool(kv_heads), not kv_heads
        if memory is Memory.EITHER_OR_NEITHER:
            return bool(not inner and kv_heads), bool(not inner and not kv_heads)
        return True, False

    def _state(self) -> tuple[int, int]:
        """Float32 values a layer keeps of a sequence: shift or convolution, and state."""
        hparams = self._hparams
        if self._graph.memory in (Memory.CACHE, Memory.NOTHING):
            return 0, 0
        if self._graph.stack is Stack.RWKV:
            return hparams.number("token_shift_count", 2) * self.width, self.width * hparams.number(
                "wkv.head_size", least=1
            )
        if self._graph.mixer is Mixer.SHORT_CONVOLUTION:
            return self.width * (hparams.number("shortconv.l_cache", least=1) - 1), 0
        inner, state = hparams.number("ssm.inner_size"), hparams.number("ssm.state_size")
        channels = inner + 2 * hparams.number("ssm.group_count", 0) * state
        return (hparams.number("ssm.conv_kernel", least=1) - 1) * channels, inner * state

    def _windows(self) -> tuple[int, list[bool]]:
        """The window's length, and which layers look through it."""
        family = self._graph.window
        nowhere = [False] * self.stored
        if family is None or family.layers not in (None, self.count):
            return 0, nowhere
        default = None if family.required else family.size or 0
        size = self._hparams.number("attention.sliding_window", default)
        if not size:
            return 0, nowhere
        if family.fixed and family.size:
            size = family.size
        return size, self._hparams.windowed(family.period, first=family.first)
