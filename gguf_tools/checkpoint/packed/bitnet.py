"""BitNet: weights of −1, 0 and 1, four to a byte, and a scale.

    NAME.weight        U8 (rows / 4, columns): row r + k × rows / 4 in bits 2 k and 2 k + 1, plus one
    NAME.weight_scale  one float; the values are divided by it

From ``unpack_weights`` of transformers' BitNet integration.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import CheckpointError
from ..reader import SafetensorsTensor
from .components import DequantizedSource, Parts, checked_scales, require_shape, whole_floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["unpack"]


def unpack(settings: Mapping[str, Any], parts: Parts) -> None:
    """Ternary matrices, divided by their scales."""
    exact: list[bool] = []
    for base in list(parts.bases(".weight_scale")):
        weight, scale = parts.take(base, ".weight"), parts.take(base, ".weight_scale")
        if weight is not None and scale is not None:
            made = _Ternary(weight, scale)
            parts.make(base, weight.name, made, at=weight.name, form="BITNET")
            exact.append(made.is_exact)
    if exact:
        parts.notes.append(
            f"TQ1_0 and TQ2_0 keep every level of {len(exact)} ternary tensors, and scales as float16: "
            f"exactly {sum(exact)} of these"
        )


class _Ternary(DequantizedSource):
    def __init__(self, weight: SafetensorsTensor, scale: SafetensorsTensor) -> None:
        if len(weight.shape) != 2:
            raise CheckpointError("not a matrix", tensor=weight.name, found=weight.shape)
        require_shape(weight, [weight.shape], ["U8"])
        if int(np.prod(scale.shape)) != 1:
            raise CheckpointError("not one scale", tensor=scale.name, found=scale.shape)
        super().__init__(weight.name, (4 * weight.shape[0], weight.shape[1]))
        self._weight, self._scale = weight, scale

    @property
    def is_exact(self) -> bool:
        """Whether float16 holds what the levels are multiplied with."""
        with np.errstate(all="ignore"):  # what is unusable is said when rows are read
            scale = np.float32(1) / whole_floats(self._scale).reshape(1)
            return bool((scale.astype(np.float16) == scale).all())

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        from . import kernels

        quarter, scale = self._weight.shape[0], self._checked_scale
        out = np.empty((stop - start, self.shape[1]), np.float32)
        for part in range(4):
            a, b = max(start, part * quarter), min(stop, (part + 1) * quarter)
            if a < b:
                packed = self._weight.raw(a - part * quarter, b - part * quarter)
                mask, unit = np.uint8(3 << 2 * part), np.float32(0.25**part)
                kernels.ternary(packed, mask, unit, scale, out[a - start : b - start])
        return out

    @cached_property
    def _checked_scale(self) -> np.float32:
        (scale,) = checked_scales(whole_floats(self._scale).reshape(1), self._scale.name)
        return np.float32(scale)
