"""Operations on values of a graph, in the terms models are described in."""

from __future__ import annotations

from math import prod
from typing import Final

from .graph import ACCELERATOR, HOST, Graph, Value
from .model import Model
from .settings import Sizes

__all__ = ["BEFORE", "Builder"]

BEFORE: Final = -1
"""Stands for a layer where the embeddings are meant, which are always on the host."""


class Builder:
    """A graph in the making, of one micro-batch.

    Attributes:
        graph: what there is so far.
        tokens: of the micro-batch.
        embedded: the embeddings, with those of pictures for several layers behind.
    """

    def __init__(self, model: Model, sizes: Sizes) -> None:
        self.model = model
        self.sizes = sizes
        self.graph = Graph()
        self.tokens = sizes.ubatch
        self.embedded: Value | None = None
        self._overwrites = model.hparams.has("attention.layer_norm_rms_epsilon")

    def place(self, layer: int | None) -> int:
        """The device of a layer's weights and cache; None is the output's, `BEFORE` the embeddings'."""
        index = self.model.stored_layers if layer is None else layer
        on_device = layer != BEFORE and index >= self.sizes.first_on_device
        return ACCELERATOR if on_device else HOST

    def input(self, *shape: int, width: int = 4) -> Value:
        """Something given with every batch."""
        return Value(shape, "leaf", width=width, is_input=True, place=HOST)

    def weight(self, layer: int | None) -> Value:
        """A weight of a layer, of the output, or of the embeddings."""
        return Value((1,), "leaf", stored=True, place=self.place(layer))

    def cache(self, layer: int) -> Value:
        """A layer's cache or state."""
        return Value((1,), "leaf", stored=True, place=self.place(layer))

    def has(self, name: str, layer: int | None) -> bool:
        """Whether the model has this weight."""
        return self.model.has(name, None if layer == BEFORE else layer)

    def matmul(self, name: str, layer: int | None, value: Value) -> Value:
        """A weight times a value, and its bias if there is one."""
        made = self.multiplied(self.model.rows(name, layer), layer, value)
        return self.biased(name, layer, made)

    def multiplied(self, rows: int, layer: int | None, value: Value) -> Value:
        """A matrix of so many rows times a value."""
        weight = self.weight(layer)
        return Value((rows, *value.shape[1:]), "matmul", (weight, value), place=weight.place)

    def biased(self, name: str, layer: int | None, value: Value) -> Value:
        """Plus the bias of a weight, if there is one."""
        return self.weighed("add", layer, value) if self.has(f"{name}.bias", layer) else value

    def weighed(self, operation: str, layer: int | None, value: Value) -> Value:
        """A value and a small weight, added or multiplied."""
        weight = self.weight(layer)
        return Value(value.shape, operation, (value, weight), place=weight.place)

    def elementwise(self, operation: str, *values: Value) -> Value:
        """One element of each makes one of the result."""
        return Value(values[0].shape, operation, values)

    def fresh(self, operation: str, shape: tuple[int, ...], *values: Value, width: int = 4) -> Value:
        """An operation whose result has memory of its own."""
        return Value(shape, operation, values, width=width)

    def reshaped(self, value: Value, *shape: int) -> Value:
        """The same elements in other dimensions."""
        return Value(shape, "view", (value,), base=value, dense=value.dense)

    def part(self, value: Value, *shape: int) -> Value:
        """A view of some of the elements, with gaps between."""
        dense = prod(shape) == prod(value.shape) and value.dense
        return Value(shape, "view", (value,), base=value, dense=dense)

    def turned(self, value: Value, *shape: int) -> Value:
        """A view with dimensions swapped."""
        return Value(shape, "view", (value,), base=value, dense=False)

    def packed(self, value: Value, *shape: int, width: int = 4) -> Value:
        """A copy without gaps."""
        return Value(shape or value.shape, "cont", (value,), width=width)

    def stored_in(self, cache: Value, *values: Value) -> None:
        """Write values into a cache."""
        self.graph.expand(Value((1,), "store", (*values, cache), base=cache, place=cache.place))

    def norm(self, name: str, layer: int | None, value: Value) -> Value:
        """A normalized value, with the weight and bias there are."""
        made = self.elementwise("rms_norm" if self._overwrites else "norm", value)
        if self.has(name, layer):
            made = self.weighed("mul", layer, made)
        if self.has(f"{name}.bias", layer):
            made = self.weighed("add", layer, made)
        return made

    def rows(self, value: Value, index: Value) -> Value:
        """Some of a value's tokens."""
        return Value((*value.shape[:-1], index.shape[0]), "get_rows", (value, index))
