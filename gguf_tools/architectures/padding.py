"""Embeddings of tokens that have none in the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..source import SelfContained, Source, row_count, row_length
from ..spec import GGMLType, row_bytes
from .config import HFConfig
from .views import Concat

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PadTokens"]


class _Zeros(SelfContained):
    """Rows of zeros, stored as another source is."""

    def __init__(self, shape: tuple[int, ...], storage: GGMLType | None) -> None:
        self.shape, self.storage = shape, storage

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.zeros((stop - start, row_length(self.shape)), np.float32)

    def raw(self, start: int, stop: int) -> NDArray[np.uint8]:
        if self.storage is None:
            raise TypeError("this source has no stored form")
        return np.zeros((stop - start, row_bytes(self.storage, row_length(self.shape))), np.uint8)


@dataclass(frozen=True)
class PadTokens:
    """Embeddings of as many tokens as the vocabulary has; those of pictures and sounds are zeros.

    The way back cuts them to ``vocab_size_per_layer_input``.
    """

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        wanted, columns = config.integer("vocab_size"), row_length(source.shape)
        missing = wanted - row_count(source.shape)
        if missing <= 0:
            return [source]
        return [Concat([source, _Zeros((missing, columns), source.storage)], (wanted, columns))]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        (source,) = sources
        kept = min(config.integer("vocab_size_per_layer_input"), row_count(source.shape))
        return [Concat([source], (kept, row_length(source.shape)))]
