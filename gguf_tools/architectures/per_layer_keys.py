"""What models with layers of several kinds have in common: keys that differ from layer to layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..container.metadata import Array
from ..errors import ArchitectureError, FormatError
from ..spec import MAX_LAYERS, ValueType
from .config import GGUFFacts, HFConfig
from .keys import Entry
from .tensors import Condition

__all__ = [
    "AnyTensor",
    "Heads",
    "LayerArray",
    "SSMInner",
    "listed",
    "per_layer",
    "periodic",
    "periods",
]


def per_layer(config: HFConfig, value: Callable[[int], int]) -> Array:
    """An array of a whole number for each layer."""
    layers = config.integer("num_hidden_layers", most=MAX_LAYERS)
    return Array(ValueType.INT32, [value(layer) for layer in range(layers)])


def listed(config: HFConfig, key: str) -> list[Any]:
    """A list of the config with a value for each layer.

    Raises:
        ArchitectureError: it is not such a list.
    """
    values, count = config.find(key), config.integer("num_hidden_layers", most=MAX_LAYERS)
    if not isinstance(values, list) or len(values) != count:
        raise ArchitectureError(
            "not a list with a value for every layer",
            path="config.json",
            key=key,
            found=values,
            expected=f"{count} values",
        )
    return values


@dataclass(frozen=True)
class LayerArray:
    """An HF size that holds in layers of one kind ↔ an array with zeros for the others.

    Attributes:
        gguf: the GGUF key.
        hf: the HF key.
        there: which layers it holds in.
        restore: puts what tells the layers apart into the config, given which they are.
        none: what an export states where no layer has it; nothing where it is not given.
    """

    gguf: str
    hf: str
    there: Condition
    restore: Callable[[list[bool], dict[str, Any]], None] = lambda layers, config: None
    none: Callable[[HFConfig], int] | None = None

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        size = config.integer(self.hf)
        sizes = per_layer(config, lambda layer: size if self.there(config, layer) else 0)
        yield self.gguf, ValueType.ARRAY, sizes

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        values = facts.hyperparameters.one_for_each(self.gguf)
        sizes = {value for value in values if value}
        if len(sizes) > 1:
            raise FormatError(
                "layers differ in a size that config.json states once",
                key=facts.key(self.gguf),
                found=sorted(sizes),
            )
        if sizes:
            config[self.hf] = sizes.pop()
        elif self.none is not None:
            config[self.hf] = self.none(HFConfig(config))
        self.restore([value > 0 for value in values], config)


def periodic(period: str, offset: str) -> Condition:
    """The condition that a layer is one of those ``offset`` behind every ``period``-th; by HF keys."""
    return lambda config, layer: layer % config.integer(period) == config.integer(offset, least=0)


def periods(layers: Sequence[bool], usual: tuple[int, int]) -> tuple[int, int]:
    """Period and offset that give these layers: the ``usual`` ones if they do, else the shortest.

    Raises:
        ArchitectureError: the layers do not come at a fixed distance.
    """
    if not any(layers):
        return len(layers) + 1, len(layers)
    offset = layers.index(True)
    candidates = [usual, *((period, offset) for period in range(offset + 1, len(layers) + 1))]
    for period, start in candidates:
        if all(there is (layer % period == start) for layer, there in enumerate(layers)):
            return period, start
    raise ArchitectureError(
        "layers of a kind do not come at a fixed distance, which config.json cannot express",
        found=[layer for layer, there in enumerate(layers) if there],
    )


@dataclass(frozen=True)
class AnyTensor:
    """An HF flag that GGUF tells by tensors of a layer being there; not every layer has them.

    Attributes:
        hf: the HF flag.
        suffix: how the names of the tensors end.
    """

    hf: str
    suffix: str

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        config.flag(self.hf)
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config[self.hf] = any(name.endswith(self.suffix) for name in facts.tensors)


@dataclass(frozen=True)
class SSMInner:
    """The width of the mixers, as a multiple of the model's (two for llama.cpp) ↔ ``ssm.inner_size``."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        factor = config.integer("mamba_expand")
        if factor != 2:
            raise ArchitectureError(
                "the mixers must be twice as wide as the model in this architecture",
                path="config.json",
                key="mamba_expand",
                found=factor,
                expected=2,
            )
        yield "ssm.inner_size", ValueType.UINT32, factor * config.integer("hidden_size")

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["mamba_expand"] = (facts.integer("ssm.inner_size") or 0) // config["hidden_size"]


@dataclass(frozen=True)
class Heads:
    """The number of a Mamba 2 mixer's heads ↔ the time step's rank; their size follows.

    Attributes:
        inner: the mixer's width.
        count: the HF key with their number.
        size: the HF key with their size; ``"auto"`` is allowed.
    """

    inner: Callable[[HFConfig], int]
    count: str = "mamba_n_heads"
    size: str = "mamba_d_head"

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        count, inner = config.integer(self.count), self.inner(config)
        size = config.find(self.size)
        if inner % count or size not in (None, "auto", inner // count):
            raise ArchitectureError(
                f"{count} heads do not make the mixer's width",
                path="config.json",
                key=self.size,
                found=size,
                expected=f"{inner} / {count}",
            )
        yield "ssm.time_step_rank", ValueType.UINT32, count

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        count, inner = facts.integer("ssm.time_step_rank") or 1, facts.integer("ssm.inner_size") or 0
        config[self.count], config[self.size] = count, inner // count
