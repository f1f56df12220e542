"""Tensors of a single value in each layer, which GGUF keeps as a list among its keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..container.metadata import Array
from ..errors import ArchitectureError, FormatError
from ..source import ArraySource, Source
from ..spec import ValueType
from .config import GGUFFacts
from .tensors import listed
from .views import Reshaped

__all__ = ["Scalars"]


@dataclass(frozen=True)
class Scalars:
    """One number per layer.

    Attributes:
        hf: pattern of the HF tensors' names, with ``{i}`` for the layer.
        gguf: the key, which in GGUF goes without the architecture's name.
        shape: of each tensor: ``()`` or ``(1,)``.
    """

    hf: str
    gguf: str
    shape: tuple[int, ...] = ()

    def forward(self, sources: dict[str, Source], layers: int) -> tuple[str, ValueType, Array]:
        """Take the tensors out of ``sources`` and make the list of them.

        Raises:
            ArchitectureError: one is missing, or holds more than one value.
        """
        names = [self.hf.format(i=layer) for layer in range(layers)]
        missing = [name for name in names if name not in sources]
        if missing:
            raise ArchitectureError(
                f"the tensors do not match the architecture: {listed('missing', missing)}"
            )
        taken = [sources.pop(name) for name in names]
        for name, source in zip(names, taken, strict=True):
            if source.shape not in ((), (1,)):
                raise ArchitectureError("not a single value", tensor=name, found=source.shape)
        values = [float(source.rows(0, 1)[0, 0]) for source in taken]
        return self.gguf, ValueType.ARRAY, Array(ValueType.FLOAT32, values)

    def inverse(self, facts: GGUFFacts, layers: int) -> Iterator[tuple[str, Source]]:
        """The tensors again.

        Raises:
            FormatError: the key is missing, or is no list with a number for each layer.
        """
        values = facts.metadata.get(self.gguf)
        if (
            not isinstance(values, Array)
            or len(values) != layers
            or not all(isinstance(value, int | float) for value in values)
        ):
            raise FormatError(
                "not a list with a number for each layer",
                key=self.gguf,
                found="nothing" if values is None else values,
                expected=f"{layers} numbers",
            )
        for layer, value in enumerate(values):
            source = ArraySource(np.array([value], np.float32))
            yield self.hf.format(i=layer), Reshaped(source, self.shape)
