"""Plain numbers that are not weights: integers and double precision, decoded only."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from ...spec import GGMLType
from ..codec import Codec
from ..layouts import LAYOUTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NUMBERS", "number_codec"]

NUMBERS: Final = frozenset({GGMLType.F64, GGMLType.I8, GGMLType.I16, GGMLType.I32, GGMLType.I64})


@cache
def number_codec(type_: GGMLType) -> Codec:
    """The codec of one of NUMBERS.

    Integers beyond 2^24 and doubles are rounded; doubles beyond float32's range become infinite.
    """
    stored = LAYOUTS[type_]["value"]

    def decode(data: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(out, data.view(stored), casting="same_kind")

    return Codec(type_, None, decode)
