"""Weights of three values: −s, 0 and s."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np

from ..source import Source, row_count, row_length
from ..spec import GGMLType
from .config import HFConfig
from .views import Elementwise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rounding = Callable[[NDArray[np.float32], GGMLType | None], NDArray[np.float32]]

__all__ = ["Ternary"]

_CHUNK: Final = 1 << 22  # values looked at together
_LEAST: Final = 1e-5
"""The least scale, as BitNet's authors have it."""


class _Scale:
    """The mean of all absolute values of a tensor, found when it is first asked for, by whatever thread.

    None where there are only three values already: then they are what rounding made of others, and doing
    it again would shrink them by the share of zeros.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = Lock()
        self._found: tuple[np.float32 | None] | None = None

    def __call__(self) -> np.float32 | None:
        with self._lock:
            if self._found is None:
                self._found = (self._measure(),)
            return self._found[0]

    def _measure(self) -> np.float32 | None:
        rows, length = row_count(self._source.shape), row_length(self._source.shape)
        step = max(1, _CHUNK // max(1, length))
        total, largest, smallest = 0.0, np.float32(0), np.float32(np.inf)
        for start in range(0, rows, step):
            sizes = np.abs(self._source.rows(start, min(start + step, rows)))
            total += float(sizes.sum(dtype=np.float64))
            largest = max(largest, sizes.max(initial=0))
            smallest = min(smallest, sizes.min(initial=np.inf, where=sizes > 0))
        if largest <= smallest:  # one size, or nothing but zeros
            return None
        return np.float32(max(total / (rows * length), _LEAST))


@dataclass(frozen=True)
class Ternary:
    """Weights ↔ the nearest of −s, 0 and s, s being the mean of their absolute values.

    Rounded weights stay what they are: the way back has nothing to restore, and going on again changes
    nothing. The mean is rounded correctly, which torch's is not always.
    """

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return [Elementwise(source, _rounding(_Scale(source))) for source in sources]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return list(sources)


def _rounding(scale: _Scale) -> Rounding:
    def rounded(x: NDArray[np.float32], storage: GGMLType | None) -> NDArray[np.float32]:
        mean = scale()
        if mean is None:
            return x
        # divided twice, as the authors' code does it
        over = np.float32(1) / mean
        made: NDArray[np.float32] = np.clip(np.rint(x * over), -1, 1).astype(np.float32) / over
        return made.astype(np.float16).astype(np.float32) if storage is GGMLType.F16 else made

    return rounded
