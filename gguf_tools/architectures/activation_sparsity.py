"""Feed-forward layers that cut off all but their largest activations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from ..container.metadata import Array
from ..errors import ArchitectureError, FormatError
from ..spec import ValueType
from .config import GGUFFacts, HFConfig, shortest
from .keys import Entry
from .per_layer_keys import listed

__all__ = ["ActivationSparsity"]

_SCALES: Final = "activation_sparsity_scale"
_SHARES: Final = "activation_sparsity_pattern"


class ActivationSparsity:
    """The share of a layer's activations that is cut off ↔ how many deviations above the mean that is."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        scales = [_deviations(share) for share in listed(config, _SHARES)]
        yield _SCALES, ValueType.ARRAY, Array(ValueType.FLOAT32, scales)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        scales = facts.find(_SCALES)
        if not isinstance(scales, Array):
            raise FormatError("the key is missing", key=facts.key(_SCALES), found=scales)
        config[_SHARES] = [_share(scale) for scale in scales]


def _deviations(share: Any) -> float:
    """The normal distribution's quantile, −inf for a share of nothing; as float32, as torch has it."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise ArchitectureError(
            "not a share",
            path="config.json",
            key=_SHARES,
            found=share,
            expected="0 to 1",
        )
    if share == 0:
        return -np.inf
    # torch: erfinv(2 p − 1) · √2, every step in float32
    doubled = np.float32(2) * np.float32(share) - np.float32(1)
    inverse = np.float32(NormalDist().inv_cdf((float(doubled) + 1) / 2) / math.sqrt(2))
    return float(inverse * np.float32(math.sqrt(2)))


def _share(scale: float) -> float:
    """The shortest decimal of which `_deviations` makes this."""
    share = NormalDist().cdf(scale) if scale > -np.inf else 0.0
    tried = (round(share, digits) for digits in range(1, 10))
    return next((short for short in tried if 0 < short < 1 and _deviations(short) == scale), shortest(share))
