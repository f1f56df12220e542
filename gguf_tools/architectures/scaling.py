"""Weights that absorb numbers of config.json, which the runtime then need not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..errors import ArchitectureError
from ..source import Source
from ..spec import GGMLType
from .config import GGUFFacts, HFConfig, real
from .keys import Entry
from .views import Concat, Elementwise, RowSlice

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Factors", "Multipliers", "Scaled"]

Factors: TypeAlias = Sequence[float]


@dataclass(frozen=True)
class Scaled:
    """A matrix ↔ the same times numbers of config.json, by ranges of rows.

    ``parts`` gives for each range, in their order, its number of rows and the factors; one range without
    a number is all rows. The factors are applied one after the other, each product rounded to float32,
    or to float16 for a float16 checkpoint, as llama.cpp's converter does. Where all are one the rows stay
    what they are; otherwise the way back is off by a rounding.
    """

    parts: Callable[[HFConfig], Sequence[tuple[int | None, Factors]]]

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self._ranges(sources, config, _multiplied)

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self._ranges(sources, config, _divided)

    def _ranges(
        self, sources: Sequence[Source], config: HFConfig, apply: Callable[[Source, Factors], Source]
    ) -> list[Source]:
        (source,) = sources
        parts = self.parts(config)
        if all(factor == 1 for _, factors in parts for factor in factors):
            return [source]
        if len(parts) == 1:
            return [apply(source, parts[0][1])]
        sizes = [size or 0 for size, _ in parts]
        if len(source.shape) != 2 or source.shape[0] != sum(sizes):
            raise ArchitectureError(
                "the fused projection has the wrong number of rows", found=source.shape, expected=sum(sizes)
            )
        bounds = np.cumsum([0, *sizes]).tolist()
        pieces = [
            apply(RowSlice(source, start, (stop - start, source.shape[1])), factors)
            for (start, stop), (_, factors) in zip(pairwise(bounds), parts, strict=True)
        ]
        return [Concat(pieces, source.shape)]


def _multiplied(source: Source, factors: Factors) -> Source:
    def product(x: NDArray[np.float32], storage: GGMLType | None) -> NDArray[np.float32]:
        for factor in factors:
            x = x * np.float32(factor)
            if storage is GGMLType.F16:
                x = x.astype(np.float16).astype(np.float32)
        return x

    return Elementwise(source, product)


def _divided(source: Source, factors: Factors) -> Source:
    def quotient(x: NDArray[np.float32], _: GGMLType | None) -> NDArray[np.float32]:
        for factor in reversed(factors):
            x = x / np.float32(factor)
        return x

    return Elementwise(source, quotient)


@dataclass(frozen=True)
class Multipliers:
    """Multipliers of config.json that become part of the weights; an export says that they are one.

    Attributes:
        single: HF keys with one number.
        listed: HF keys with a list, and how many numbers that has.
    """

    single: tuple[str, ...]
    listed: Mapping[str, int]

    def of(self, config: HFConfig, key: str) -> list[float]:
        """The numbers of a key.

        Raises:
            ArchitectureError: they are not as many as there must be, or not usable.
        """
        found, count = config.find(key), self.listed.get(key, 1)
        values = [found] if key in self.single else found
        if not isinstance(values, list) or len(values) != count:
            raise ArchitectureError(
                "not a list of multipliers",
                path="config.json",
                key=key,
                found=found,
                expected=f"{count} numbers",
            )
        return [real(value, key) for value in values]

    def times(self, *keys: str, at: int = 0) -> Scaled:
        """All rows times the multipliers of some keys, of lists the one ``at`` this place."""
        return Scaled(lambda config: [(None, [self.of(config, key)[at] for key in keys])])

    def ones(self) -> dict[str, Any]:
        """What changes nothing."""
        return dict.fromkeys(self.single, 1.0) | {key: [1.0] * count for key, count in self.listed.items()}

    def where_null(self) -> dict[str, Callable[[HFConfig], Any]]:
        """The same as functions of the config, for keys that are null."""
        return {key: partial(_constant, one) for key, one in self.ones().items()}

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        for key in (*self.single, *self.listed):
            self.of(config, key)
        yield from ()

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config.update(self.ones())


def _constant(value: Any, config: HFConfig) -> Any:
    return value
