"""Tensors that GGUF has beside another one, of what its values are to be multiplied with.

``blk.0.attn_q.scale`` belongs to ``blk.0.attn_q.weight``, whatever the architecture, and ``….input_scale`` to
the inputs it is multiplied with. They hold one number, or one for each expert; that of a 1 is left out. A
source says what it needs by `Factors`; no table of an architecture speaks of them.

From ``_write_scale_tensor`` and ``_write_scales_tensor`` of llama.cpp's converter and the "generic pass" of
its ``load_tensors`` (b11434).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import FormatError
from ..source import ArraySource, ComputedSource, Source, row_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["INPUT_SCALE", "SCALE", "applied", "factor_tensors"]

SCALE: Final = ".scale"
INPUT_SCALE: Final = ".input_scale"

_WEIGHT: Final = ".weight"
_CLOSE: Final = 1e-6
_RELATIVE: Final = 1e-5
"""How close to 1 counts as 1: the first for one number; for those of experts, both together."""


def factor_tensors(name: str, source: Source) -> list[tuple[str, Source]]:
    """What stands beside a tensor that keeps its stored form: GGUF names and vectors.

    Args:
        name: of the tensor, ending in ``.weight``.
        source: its rows.
    """
    return [
        (name.removesuffix(_WEIGHT) + ending, ArraySource(np.array(values, np.float32)))
        for ending, values in source.factors.items()
        if not _all_one(values)
    ]


def _all_one(values: Sequence[float]) -> bool:
    limit = _CLOSE if len(values) == 1 else _CLOSE + _RELATIVE
    return all(abs(value - 1) < limit for value in values)


def applied(tensors: Mapping[str, Source]) -> dict[str, Source]:
    """A GGUF file's tensors without such ones: those they belong to include them.

    Raises:
        FormatError: there are not as many factors as experts.
    """
    found = dict(tensors)
    for name in tensors:
        if not name.endswith(_WEIGHT):
            continue
        base = name.removesuffix(_WEIGHT)
        scale, _ = found.pop(base + SCALE, None), found.pop(base + INPUT_SCALE, None)
        if scale is not None:
            found[name] = _Scaled(name, tensors[name], scale)
    return found


class _Scaled(ComputedSource):
    """Rows times a factor, of the tensor or of the expert; only float32 exists of them."""

    def __init__(self, name: str, base: Source, scale: Source) -> None:
        experts = base.shape[0] if len(base.shape) > 2 else 1
        count = row_count((*scale.shape, 1))
        if count not in (1, experts):
            raise FormatError("not one factor for each expert", tensor=name, found=count, expected=experts)
        self._base, self._scale, self._count = base, scale, count

    @property
    def shape(self) -> tuple[int, ...]:
        return self._base.shape

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        scales = self._scale.rows(0, 1).reshape(-1)
        expert = np.arange(start, stop) // (row_count(self.shape) // self._count)
        made: NDArray[np.float32] = self._base.rows(start, stop) * scales[expert, None]
        return made
