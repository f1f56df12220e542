"""Query heads in the order of the key heads they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ArchitectureError
from ..source import Source
from .config import HFConfig
from .views import ColumnPermutation, RowPermutation

__all__ = ["GroupHeads"]


@dataclass(frozen=True)
class GroupHeads:
    """Query heads whose key heads take turns ↔ in groups, one for each key head.

    HF's query head h asks key head h mod k; llama.cpp wants those of one key head side by side.

    Attributes:
        key_heads: k, by the config.
        columns: heads lie along rows (as in the output's matrix), and not one below the other.
    """

    key_heads: Callable[[HFConfig], int]
    columns: bool = False

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self._moved(sources, config, inverse=False)

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return self._moved(sources, config, inverse=True)

    def _moved(self, sources: Sequence[Source], config: HFConfig, *, inverse: bool) -> list[Source]:
        (source,) = sources
        heads, keys = config.integer("num_attention_heads"), self.key_heads(config)
        if len(source.shape) != 2 or source.shape[self.columns] % heads:
            raise ArchitectureError(
                f"cannot be divided into {heads} heads",
                found=source.shape,
                expected=f"a multiple of {heads} {'columns' if self.columns else 'rows'}",
            )
        size = source.shape[self.columns] // heads
        order = np.arange(heads).reshape(-1, keys).T.reshape(-1)
        if inverse:
            order = np.argsort(order)
        if self.columns:
            return [ColumnPermutation(source, (order[:, None] * size + np.arange(size)).reshape(-1))]
        return [RowPermutation(source, lambda row: order[row // size] * size + row % size)]
