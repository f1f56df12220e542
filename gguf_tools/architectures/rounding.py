"""Exponentials, logarithms and powers, rounded correctly: the same everywhere.

How exactly numpy and the C library compute them depends on the processor and on their versions. What they
find is rounded to float32 here, which hides that but where the result is all but halfway between two of
them: there it is computed again in decimals, with enough digits to tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["exponentials", "logarithms", "power", "powers", "square_root_of_logarithms"]

_MARGIN: Final = 2.0**-46
"""Relative error that is allowed for: 64 units of the last place, where the worst library has a few."""

_DIGITS: Final = 60
"""Decimal digits. What comes nearest to a halfway point, among all float32, is told apart by 25."""

_BEYOND: Final = Decimal(2) ** 128
"""What an infinity stands for in rounding: the number after the largest float32."""


def exponentials(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """eˣ of each value, of any shape."""
    with np.errstate(over="ignore"):
        near = np.exp(x.astype(np.float64))
    return _rounded(near, lambda at: Decimal(float(x[at])).exp())


def logarithms(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The natural logarithm of each value, of any shape; NaN of negative ones."""
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.log(x.astype(np.float64))
    return _rounded(near, lambda at: Decimal(float(x[at])).ln())


def powers(base: float, exponents: NDArray[np.float32]) -> NDArray[np.float32]:
    """``base`` to the power of each value, of any shape."""
    with np.errstate(all="ignore"):
        near = np.float64(base) ** exponents.astype(np.float64)
    return _rounded(near, lambda at: (Decimal(base).ln() * Decimal(float(exponents[at]))).exp())


def power(base: float, exponent: float) -> float:
    """One power in double precision, of a base that is not negative."""
    if base <= 0 or not math.isfinite(base):
        return math.pow(base, exponent)
    with localcontext(prec=_DIGITS):
        return float((Decimal(base).ln() * Decimal(exponent)).exp())


def square_root_of_logarithms(ratio: float, base: float) -> float:
    """√(1 + ln ratio ÷ ln base) in double precision, of a ratio of at least 1 and a base above it."""
    with localcontext(prec=_DIGITS):
        return float((1 + Decimal(ratio).ln() / Decimal(base).ln()).sqrt())


def _rounded(near: NDArray[np.float64], exact: Callable[[Any], Decimal]) -> NDArray[np.float32]:
    """Values that are off by less than `_MARGIN`, rounded as the exact ones would be."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        found = (near * (1 - _MARGIN)).astype(np.float32)
        other = (near * (1 + _MARGIN)).astype(np.float32)
    for at in zip(*np.nonzero((found != other) & np.isfinite(near)), strict=True):
        with localcontext(prec=_DIGITS):
            value, one, two = exact(at), _decimal(found[at]), _decimal(other[at])
            if abs(value - two) < abs(value - one):  # never equal: what is halfway is no value of these
                found[at] = other[at]
    return found


def _decimal(value: np.float32) -> Decimal:
    return Decimal(float(value)) if np.isfinite(value) else _BEYOND.copy_sign(Decimal(float(value)))
