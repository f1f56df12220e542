"""F32: the values themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...spec import GGMLType
from ..codec import Codec


def _encode(values: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    out[:] = values.view(np.uint8)


def _decode(data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    out.view(np.uint8)[:] = data


CODEC = Codec(GGMLType.F32, _encode, _decode, finite_only=False)
