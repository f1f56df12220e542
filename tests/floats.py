"""The one way tests compare decoded values: bit for bit, except that any NaN is a NaN.

What a NaN's sign and payload are is nobody's promise, see `gguf_tools.quants.codec`. All else counts: the
sign of a zero, and the last bit of a number.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["assert_same_floats", "one_nan", "same_floats"]

_BITS: Final = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def one_nan(values: NDArray[Any]) -> NDArray[Any]:
    """A copy in which every NaN is numpy's: what a digest of decoded values may be taken of."""
    made = values.copy()
    made[np.isnan(made)] = np.nan
    return made


def same_floats(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are the same: equal bits, or a NaN in both places.

    Raises:
        AssertionError: the arrays differ in shape or are not of the same type of float.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    assert ours.dtype.kind == "f"
    bits = _BITS[ours.dtype.itemsize]
    equal = np.ascontiguousarray(ours).view(bits) == np.ascontiguousarray(theirs).view(bits)
    found: NDArray[np.bool_] = equal.reshape(ours.shape) | (np.isnan(ours) & np.isnan(theirs))
    return found


def assert_same_floats(ours: NDArray[Any], theirs: NDArray[Any], message: str = "") -> None:
    """All values are the same, or a message with the first that is not."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    different = np.argwhere(~same_floats(ours, theirs))
    if different.size:
        at = tuple(int(i) for i in different[0])
        shown = [f"{values[at]!s} (bits {values[at].tobytes()[::-1].hex()})" for values in (ours, theirs)]
        said = f"{len(different)} of {ours.size} values differ, the first at {at}: {shown[0]} and {shown[1]}"
        raise AssertionError(f"{message}: {said}" if message else said)
